"""The command line, which kills itself at an append of its journal: `DIE_AT=after:7 python -m tests.dying resume`.

`before:7` dies when all of the seventh append is written and its transaction is not committed, `after:7` when it is and
nothing has been done about it yet.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from batchwasm import journal
from batchwasm.cli import main
from batchwasm.journal import Journal


def arm(when: str, nth: int) -> None:
    """From now on the journal's nth append is this process's last act."""
    append, transaction = Journal.append, journal.transaction
    appends = 0
    appending = False

    def counted(self: Journal, *args: Any, **more: Any) -> int:
        nonlocal appends, appending
        appends, appending = appends + 1, True
        try:
            return append(self, *args, **more)
        finally:
            appending = False

    @contextmanager
    def deadly(db: sqlite3.Connection, *, durable: bool) -> Iterator[None]:
        due = appending and appends == nth
        with transaction(db, durable=durable):
            yield
            if due and when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
        if due and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)

    Journal.append, journal.transaction = counted, deadly  # type: ignore[method-assign]


if __name__ == "__main__":
    if "DIE_AT" in os.environ:
        when, _, nth = os.environ["DIE_AT"].partition(":")
        arm(when, int(nth))
    sys.exit(main())
