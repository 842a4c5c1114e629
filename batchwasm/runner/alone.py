"""What becomes of runs whose connection is gone. They start nothing beyond what they were sent, and what runs ends
within its limits; what has none is ended after a day, and what nobody comes for is forgotten after a week.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a relay needs Patience alone
    from .pool import Pool
    from .runs import Run

PUT_AWAY_AFTER_S = 60.0
"""Most connections come back sooner: until then reports stay in memory."""
_PUT_AWAY_BYTES = 4 * 1024 * 1024  # at a time, so that a slow disk holds up nothing else


@dataclass(frozen=True)
class Patience:
    """For how long a run may be without a connection."""

    attempts_s: float = 24 * 3600.0
    """Then attempts without a time limit are ended, and what has not started is given back."""
    results_s: float = 7 * 24 * 3600.0
    """Then the run is ended, results and all."""


class Alone:
    """Looks after them."""

    def __init__(self, pool: Pool, patience: Patience) -> None:
        self._pool, self._patience = pool, patience

    def leave(self, run: Run, now: float) -> None:
        """Its connection is gone. It ends where it has nothing to come back for, and may attach anew."""
        run.alone_since = now
        if not run.batches:
            self._pool.end(run)

    def tick(self, now: float) -> None:
        """To be called every now and then."""
        for run in list(self._pool.runs.values()):
            if run.alone_since is not None and run.ending is None:
                self._look(run, now - run.alone_since)

    def _look(self, run: Run, alone_s: float) -> None:
        if alone_s > self._patience.results_s:
            self._pool.end(run)
            return
        if alone_s > PUT_AWAY_AFTER_S:
            run.retained.put_away(_PUT_AWAY_BYTES)
        if alone_s > self._patience.attempts_s:
            away = f"its scheduler has been away for {self._patience.attempts_s / 3600:g} h"
            self._pool.give_back(run, away)
            self._pool.leave_unlimited(run, f"{away}, and it has no time_limit")
