"""What a run was like over time: samples of it and of its hosts, those of the journal and those of our looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from batchwasm.journal import Journal, Progress, Sample
from batchwasm.journalsamples import PROGRESS
from batchwasm.model import HostName
from batchwasm.views.model import Load, Moment

MOMENTS = 300  # of a chart: more than most terminals have columns
LOOKS = 200  # whose own samples are kept: they are closer than those of the journal
SAMPLED = 10_000  # of one host that is looked at: half a day at a sample every 5 s
HOSTS = 8  # that are kept, those that were looked at last
OF_A_HOST = 4  # newest rows a host among which its newest one is looked for
T = TypeVar("T")


class OverTime:
    """Samples of one run, as they come."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.hosts: dict[HostName, Sample] = {}
        """The newest of each."""
        self._host_id: int | None = None
        self._kept: list[Progress] = []
        self._kept_id = 0
        self._looks: list[Progress] = []
        self._of_hosts: dict[HostName, tuple[int, list[Sample]]] = {}
        """Of those that were asked for: the last row that was read, and what there was."""

    def look(self, hosts: int, now: Progress) -> None:
        """Take in what is new; `hosts` is how many there are, and `now` how far the run is."""
        if self._host_id is None:
            (last,) = self._journal.rows("SELECT coalesce(max(id), 0) FROM samples")[0]
            self._host_id = max(0, last - OF_A_HOST * hosts)
        for id_, sample in self._journal.samples(self._host_id):
            self._host_id, self.hosts[sample.host] = id_, sample
        for id_, point in self._journal.progress(self._kept_id):
            self._kept_id = id_
            self._kept.append(point)
        if len(self._kept) > 2 * PROGRESS:
            self._kept = [point for _, point in self._journal.progress()]  # it was thinned meanwhile
        if not self._looks or now.at > self._looks[-1].at:
            self._looks.append(now)
            del self._looks[:-LOOKS]

    @property
    def points(self) -> list[Progress]:
        """In order, up to the last look."""
        since = self._kept[-1].at if self._kept else float("-inf")
        return [*self._kept, *(point for point in self._looks if point.at > since)]

    def of_host(self, name: HostName, cpus: float) -> tuple[Moment, ...]:
        """Of one host, which offers so many."""
        told = [
            sample for sample in self._samples_of(name) if sample.run_cpus is not None
        ]  # an older journal's are not
        return tuple(_of_sample(sample, cpus) for sample in _some(told))

    def loads(self, name: HostName) -> tuple[Load, ...]:
        """Of one host, as it said them."""
        return tuple(
            Load(at=sample.at, cpu_share=sample.cpu_share, memory_share=_memory_share(sample), load=sample.load)
            for sample in _some(self._samples_of(name))
        )

    def _samples_of(self, name: HostName) -> list[Sample]:
        """Those that are kept of one host; what was read of it before is not read again."""
        upto, known = self._of_hosts.pop(name, (0, []))
        for id_, sample in self._journal.samples(upto, name):
            upto = id_
            known.append(sample)
        del known[: -2 * SAMPLED]
        self._of_hosts[name] = (upto, known)
        while len(self._of_hosts) > HOSTS:
            del self._of_hosts[next(iter(self._of_hosts))]
        return known


def _of_sample(sample: Sample, cpus: float) -> Moment:
    return Moment(
        at=sample.at,
        cpus=cpus,
        cpus_busy=sample.run_cpus or 0.0,
        waiting=sample.queued or 0,
        running=sample.running or 0,
        done=sample.done or 0,
    )


def _memory_share(sample: Sample) -> float | None:
    if not sample.memory_bytes or not sample.memory_available_bytes:
        return None
    return min(1.0, max(0.0, 1.0 - sample.memory_available_bytes / sample.memory_bytes))


def moments(points: Sequence[Progress]) -> tuple[Moment, ...]:
    """A few hundred of them, the first and the last among them."""
    return tuple(map(_moment, _some(points)))


def _some(found: Sequence[T]) -> tuple[T, ...]:
    step = max(1, -(-len(found) // MOMENTS))
    chosen = tuple(found[(len(found) - 1) % step :: step]) if found else ()
    return chosen if not chosen or chosen[0] is found[0] else (found[0], *chosen)


def _moment(point: Progress) -> Moment:
    return Moment(
        at=point.at,
        cpus=point.cpus,
        cpus_busy=point.cpus_busy,
        waiting=point.waiting,
        running=point.running,
        done=point.succeeded + point.failed + point.dropped,
    )
