"""Lets runs work while their rules allow it: measures, judges (courtesy.py), and has the pool stop and go on.

A run that becomes busy starts nothing new and gives back what had not started. Then what runs ends by itself, is
suspended, or is stopped and given back, as its rules say.
"""

from __future__ import annotations

from typing import Callable

from . import others
from .courtesy import Mood, Rules, Seen
from .keyboard import Keyboard
from .others import Load
from .pool import Pool
from .runs import Run

LOOK_S = 1.0
GRACE_S = 0.4  # for what ends and reports by itself in that time, before it is suspended or stopped


class Manners:
    """`changed` is told of a run that may not work any more, or may again, before anything is done about it."""

    def __init__(self, pool: Pool, keyboard: Keyboard, changed: Callable[[Run], None]) -> None:
        self._pool, self._keyboard, self._changed = pool, keyboard, changed
        self._load = Load()
        self._look_at = 0.0

    def obey(self, run: Run, rules: Rules, now: float) -> None:
        """From here on these are the rules of the run; judged at once as far as that is possible."""
        if rules == run.mood.rules:
            return
        run.mood = Mood(rules)
        if rules.max_load is not None:
            self._load.sample(self._pids(), now)
        run.mood.see(self._seen([run]), now)
        self._tell(run)

    def tick(self, now: float) -> None:
        """To be called more often than every LOOK_S."""
        runs = [run for run in self._pool.runs.values() if run.mood.rules]
        if runs and now >= self._look_at:
            self._look_at = now + LOOK_S
            if any(run.mood.rules.max_load is not None for run in runs):
                self._load.sample(self._pids(), now)
            seen = self._seen(runs)
            for run in runs:
                if run.mood.see(seen, now):
                    self._tell(run)
        for run in list(self._pool.runs.values()):
            self._act(run, now)

    def close(self) -> None:
        self._keyboard.close()

    def _tell(self, run: Run) -> None:
        self._changed(run)
        if run.mood.busy:
            self._pool.give_back(run, run.mood.busy)
        else:
            self._pool.dispatch()

    def _act(self, run: Run, now: float) -> None:
        mood = run.mood
        if mood.busy is None:
            return  # whatever it is, it stays so until we know
        action = mood.rules.when_busy if mood.busy and now - mood.since >= GRACE_S else "wait"
        if action == "leave":
            self._pool.leave(run, mood.busy)
        elif action == "suspend":
            self._pool.suspend(run)
        elif not mood.busy or mood.rules.when_busy != "suspend":
            self._pool.resume(run)

    def _seen(self, runs: list[Run]) -> Seen:
        """What the rules of these runs ask after."""
        rules = [run.mood.rules for run in runs]
        load = memory = idle = None
        if any(one.max_load is not None for one in rules):
            load = self._load.of_others(sum(not worker.idle for worker in self._pool.workers))
        if any(one.min_free_memory_bytes is not None for one in rules):
            memory = others.free_memory_bytes(self._pids())
        if any(one.min_idle_s is not None for one in rules):
            idle = self._keyboard.used_s_ago()
        return Seen(others.minute_of_day(), load, memory, idle)

    def _pids(self) -> list[int]:
        return [worker.pid for worker in self._pool.workers]
