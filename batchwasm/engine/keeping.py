"""What is kept of a run from time to time: checkpoints for readers, samples of hosts. Nothing that would be missed."""

from __future__ import annotations

import time
from contextlib import suppress

from batchwasm.core.state import State
from batchwasm.errors import WorldError
from batchwasm.journal import Journal, Sample
from batchwasm.runner.protocol import Beat

CHECKPOINT_S = 5.0  # a reader replays about this much
CHECKPOINT_SHARE = 0.05  # of our time for them: with 1,000 hosts at work a state takes 250 ms to dump
SAMPLE_S = 5.0


class Keeping:
    """Of one life of a scheduler."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._latest: dict[str, Sample] = {}
        self._checkpoint_at = self._sample_at = self._checkpoint_due = 0.0

    def beat(self, host: str, beat: Beat) -> Sample:
        sample = self._latest[host] = _sample(host, time.time(), beat)
        return sample

    def look(self, state: State, now: float) -> None:
        """Keep what is due."""
        with suppress(WorldError):  # what must be written down tells of a full disk soon enough
            self._look(state, now)

    def _look(self, state: State, now: float) -> None:
        if now - self._sample_at >= SAMPLE_S and self._latest:
            self._sample_at = now
            samples = list(self._latest.values())
            self._latest.clear()
            self._journal.sample(samples)
        if now >= self._checkpoint_due and state.last_at > self._checkpoint_at:
            self._checkpoint_at, since = now, time.perf_counter()
            self._journal.checkpoint(state)
            took_s = time.perf_counter() - since
            self._checkpoint_due = now + max(CHECKPOINT_S, took_s / CHECKPOINT_SHARE)

    def end(self, state: State) -> None:
        with suppress(WorldError):
            self._journal.checkpoint(state)


def _sample(host: str, at: float, beat: Beat) -> Sample:
    return Sample(
        at,
        host,
        beat.load,
        beat.memory_available_bytes,
        beat.cpus_busy,
        beat.running,
        beat.queued,
        beat.disk_free_bytes,
    )
