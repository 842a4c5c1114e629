"""What the tasks of one job take of other jobs, a batch at a time: files as inputs, values as arguments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from batchwasm.core.events import Ranges
from batchwasm.engine.upstream import Listing, NotGiven, Upstream
from batchwasm.model import Input, Job, JobName, Scalar, Value, jobs_in
from batchwasm.spec.inputs import TaskInput, other_glob


class Taking:
    """Knows of which jobs, and whether of all their tasks or, element by element, of task i for task i."""

    def __init__(self, job: Job, upstream: Upstream) -> None:
        self.job, self.upstream = job, upstream
        self._each = frozenset(after.job for after in job.after if after.each)
        self._files = frozenset(wanted.job for wanted in job.inputs if wanted.job is not None)
        self._values = _jobs_in((*job.args, *job.values))

    def __bool__(self) -> bool:
        """Whether it takes anything."""
        return bool(self._files or self._values)

    @property
    def files_vary(self) -> bool:
        """Whether its tasks take files of different tasks."""
        return not self._each.isdisjoint(self._files)

    def vary(self, arguments: Iterable[Value]) -> bool:
        """Whether these arguments have values of different tasks in them."""
        return not self._each.isdisjoint(_jobs_in(arguments))

    async def of(self, tasks: Ranges) -> Taken:
        """What these tasks take. Raises NotGiven where none of them can be given it, WorldError, RunError."""
        up, each = self.upstream, self._each
        return Taken(
            taking=self,
            listings={job: await up.listing(job) for job in sorted(self._files - each)},
            each_listing={job: await up.listings(job, tasks) for job in sorted(self._files & each)},
            all_values={job: await up.value(job) for job in sorted(self._values - each)},
            each_value={job: await up.values(job, tasks) for job in sorted(self._values & each)},
        )

    def is_list(self, job: JobName) -> bool:
        """Whether the value of that job is one of each of its tasks."""
        return self.upstream.is_many(job) and job not in self._each

    def described(self) -> str:
        """What is taken as values, for a sentence about one that does not fit."""
        return ", ".join(self.upstream.described(job, is_list=self.is_list(job)) for job in sorted(self._values))


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What some tasks take. All its methods raise NotGiven."""

    taking: Taking
    listings: Mapping[JobName, Listing]
    each_listing: Mapping[JobName, Mapping[int, Listing]]
    all_values: Mapping[JobName, object]
    each_value: Mapping[JobName, Mapping[int, object]]

    def inputs(self, index: int) -> Iterator[TaskInput]:
        """The files that a task takes, and where they go."""
        job = self.taking.job
        params = job.params(index)
        for number, wanted in enumerate(job.inputs):
            if wanted.job is not None:
                try:
                    yield from self._input(wanted, wanted.job, index, params)
                except NotGiven as error:
                    raise NotGiven(error.code, f"inputs[{number}]: {error}") from None

    def _input(self, wanted: Input, job: JobName, index: int, params: Mapping[str, Scalar]) -> Iterator[TaskInput]:
        listing = self.listings[job] if job in self.listings else self.each_listing[job][index]
        for found in listing.matching(*other_glob(wanted, params)):
            path, to = self.taking.upstream.path(job, found), f"{job}/{found.task}/{found.path}"
            yield TaskInput(path=path, to=to, digest=found.digest)

    def values(self, index: int) -> Mapping[JobName, object]:
        """All values that a task takes, by their jobs."""
        if not self.each_value:
            return self.all_values
        own = {job: values[index] for job, values in self.each_value.items()}
        for value in own.values():
            if isinstance(value, NotGiven):
                raise value
        return {**self.all_values, **own}

    def text(self, job: JobName, index: int) -> str:
        """The value of a job as a task's argument of a program."""
        taking = self.taking
        return taking.upstream.as_text(job, self.values(index)[job], is_list=taking.is_list(job))


def _jobs_in(arguments: Iterable[Value]) -> frozenset[JobName]:
    return frozenset().union(*map(jobs_in, arguments))
