"""The last events of a run in words, however long it was before somebody looked."""

from __future__ import annotations

from batchwasm.core.events import TasksRetried
from batchwasm.journal import Journal, Known
from batchwasm.views import tails, words
from batchwasm.views.model import Said

SAID = 100  # sentences; more than a screen has lines


class Story:
    """Of one run, as it goes on."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._told: list[tuple[int, Said]] = []
        self._upto = 0
        self.retries = 0
        """How often a person had tasks run again, as of the last look: what was summed of ends before is wrong then."""

    def look(self, known: Known) -> tuple[Said, ...]:
        """The newest sentences of what is `known`, oldest first. What came after that is left to the next look: it
        would not go with the state."""
        state, upto = known.state, known.seq
        self.retries += tails.count_of(self._journal, TasksRetried, after=self._upto, upto=upto)
        names = words.Jobs((job.plan.name, job.plan.tasks) for job in state.jobs)
        new: list[tuple[int, Said]] = []
        for rare in tails.rare_events(self._journal, after=self._upto, upto=upto, limit=2 * SAID):
            sentence = words.said(rare.event, rare.at, names)
            if sentence is not None:
                new.append((rare.seq, sentence))
        for bad in tails.bad_attempts(self._journal, after=self._upto, upto=upto, limit=SAID):
            new.append((bad.seq, of_attempt(bad, names)))
        self._upto = max(self._upto, upto)
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
