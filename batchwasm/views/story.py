"""The last events of a run in words, however long it was before somebody looked."""

from __future__ import annotations

from batchwasm.core.events import TasksRetried
from batchwasm.core.state import State
from batchwasm.journal import Journal
from batchwasm.views import tails, words
from batchwasm.views.model import Said

SAID = 100  # sentences; more than a screen has lines


class Story:
    """Of one run, as it goes on."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._told: list[tuple[int, Said]] = []
        self._rare_upto = self._bad_upto = 0
        self.retries = 0
        """How often a person had tasks run again, as far as that was seen: what was summed of ends is wrong then."""

    def look(self, state: State) -> tuple[Said, ...]:
        """The newest sentences, oldest first."""
        names = words.Jobs((job.plan.name, job.plan.tasks) for job in state.jobs)
        new: list[tuple[int, Said]] = []
        for rare in tails.rare_events(self._journal, after=self._rare_upto, limit=2 * SAID):
            self._rare_upto = rare.seq
            self.retries += isinstance(rare.event, TasksRetried)
            sentence = words.said(rare.event, rare.at, names)
            if sentence is not None:
                new.append((rare.seq, sentence))
        for bad in tails.bad_attempts(self._journal, after=self._bad_upto, limit=SAID):
            self._bad_upto = bad.seq
            new.append((bad.seq, of_attempt(bad, names)))
        if new:
            self._told = sorted([*self._told, *new], key=lambda pair: pair[0])[-SAID:]
        return tuple(sentence for _, sentence in self._told)


def of_attempt(bad: tails.Bad, names: words.Jobs) -> Said:
    return words.ended(
        at=bad.at,
        jobs=names,
        job=bad.job,
        task=bad.task,
        outcome=bad.outcome,
        final=bool(bad.final),
        host=bad.host,
        wall_s=bad.wall_s,
        reason=bad.reason,
    )
