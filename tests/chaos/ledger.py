"""What the journal tells when all is over: that every task has one result, and what the troubles cost."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from batchwasm.core import snapshot
from batchwasm.core.events import BatchPlaced, HostJoined, HostRefused, TasksReturned, count
from batchwasm.core.invariants import check
from batchwasm.core.state import State
from batchwasm.journal import Journal
from batchwasm.model import Outcome

TOLD = ("RunOpened", "HostJoined", "HostAway", "HostLeft", "HostSilent", "HostRefused", "BatchGivenUp")


class Costs(NamedTuple):
    """What it took to get every result."""

    placed: int
    """Tasks that were sent to a host, again and again."""
    returned: int
    """Of them, those that came back unstarted."""
    reported: int
    """Of them, attempts that ended and are in the journal."""
    final: int
    useful_s: float
    """Cpu time of the attempts that count."""
    vain_s: float
    """Cpu time of those that were reported and don't."""
    adopted: int
    """Batches that a scheduler or a connection found on a host when it came back."""
    outcomes: Counter[str]
    """Of attempts that did not count."""
    events: Counter[str]

    @property
    def unreported(self) -> int:
        """Attempts that nothing is known of: lost with their host, or of a batch that was given up, run or not."""
        return self.placed - self.returned - self.reported

    @property
    def waste(self) -> float:
        """Cpu time spent in vain, over that spent well, if every attempt without a report had run to its end."""
        each_s = self.useful_s / max(1, self.final)
        return (self.vain_s + self.unreported * each_s) / max(1e-9, self.useful_s)


def finals(journal: Path) -> int:
    """How many tasks have their results, as a reader beside the scheduler sees it; 0 before there is a journal."""
    try:
        with closing(sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as db:
            found: int = db.execute("SELECT count(*) FROM attempts WHERE final = 1").fetchone()[0]
            return found
    except sqlite3.OperationalError:
        return 0


def wrong(path: Path, tasks: int) -> Iterator[str]:
    """What the journal has that it may not have, a line each."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        twice = db.execute(
            "SELECT job, task, count(*) FROM attempts WHERE final GROUP BY job, task HAVING count(*) > 1"
        )
        yield from (f"task {task} of job {job} has {times} results" for job, task, times in twice)
        [[found]] = db.execute("SELECT count(*) FROM (SELECT DISTINCT job, task FROM attempts WHERE final)").fetchall()
        if found != tasks:
            yield f"{found} of {tasks} tasks have a result"
        [[verdict]] = db.execute("PRAGMA integrity_check").fetchall()
        if verdict != "ok":
            yield f"the journal is damaged: {verdict}"
    with closing(Journal.open(path, read_only=True)) as journal:
        state, replayed = journal.state(), State()
        for _, at, event in journal.replay():
            replayed.apply(event, at)
            if isinstance(event, HostRefused) and not event.waiting_may_help:  # all that chaos breaks is mended soon
                yield f"{event.host} was given up for good: {event.text}"
        check(replayed)
        if not state.finished:
            yield "the run has not ended"
        if snapshot.dump(state) != snapshot.dump(replayed):
            yield "the scheduler's own state, its last checkpoint, is not what the events make"


def costs(path: Path) -> Costs:
    placed = returned = adopted = 0
    events: Counter[str] = Counter()
    with closing(Journal.open(path, read_only=True)) as journal:
        for _, _, event in journal.replay():
            events[type(event).__name__] += 1
            match event:
                case BatchPlaced():
                    placed += count(event.ranges)
                case TasksReturned():
                    returned += count(event.ranges)
                case HostJoined():
                    adopted += len(event.batches or ())
                case _:
                    pass
        attempts = [attempt.record for attempt in journal.attempts()]
    vain = [record for record in attempts if not record.final]
    return Costs(
        placed,
        returned,
        len(attempts),
        sum(record.final for record in attempts),
        sum(record.cpu_s for record in attempts if record.final),
        sum(record.cpu_s for record in vain),
        adopted,
        Counter(Outcome(record.outcome).word for record in vain),
        events,
    )


def is_planned(path: Path) -> bool:
    """Whether the first events of a run are in its journal."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as db:
            return bool(db.execute("SELECT 1 FROM events LIMIT 1").fetchone())
    except sqlite3.OperationalError:
        return False
