"""The command line, which kills itself at an append of its journal: `DIE_AT=after:7 python -m tests.dying resume`.

`before:7` dies when all of the seventh append is written and its transaction is not committed, `after:7` when it is and
nothing has been done about it yet. `after:RunFinished` is the append that has this event.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from batchwasm import journal
from batchwasm.cli import main
from batchwasm.core.events import Event
from batchwasm.journal import Journal


def arm(when: str, which: str) -> None:
    """From now on this append of the journal is this process's last act."""
    append, transaction = Journal.append, journal.transaction
    appends = 0
    is_it = False

    def counted(self: Journal, events: Sequence[Event], *args: Any, **more: Any) -> int:
        nonlocal appends, is_it
        appends += 1
        is_it = which in (str(appends), *(type(event).__name__ for event in events))
        try:
            return append(self, events, *args, **more)
        finally:
            is_it = False

    @contextmanager
    def deadly(db: sqlite3.Connection, *, durable: bool) -> Iterator[None]:
        due = is_it
        with transaction(db, durable=durable):
            yield
            if due and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
        if due and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)

    Journal.append, journal.transaction = counted, deadly  # type: ignore[method-assign]


if __name__ == "__main__":
    if "DIE_AT" in os.environ:
        when, _, which = os.environ["DIE_AT"].partition(":")
        arm(when, which)
    sys.exit(main())
