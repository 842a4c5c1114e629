"""What is kept of a run from time to time: checkpoints for readers, samples of hosts and of the run. Nothing that would
be missed."""

from __future__ import annotations

import time
from contextlib import suppress

from batchwasm import rows
from batchwasm.core.room import MILLI
from batchwasm.core.state import State
from batchwasm.errors import WorldError
from batchwasm.journal import Journal, Sample
from batchwasm.runner.protocol import Beat

CHECKPOINT_S = 5.0  # a reader replays about this much
CHECKPOINT_SHARE = 0.05  # of our time for them: with 1,000 hosts at work a state takes 250 ms to dump
SAMPLE_S = 5.0
FIRST_SAMPLE_S = 0.5  # of the run, which may be over soon
SAMPLES_OF_AGE = 30  # of the run, so many at least over its life up to then


class Keeping:
    """Of one life of a scheduler."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._latest: dict[str, Sample] = {}
        self._checkpoint_at = self._sample_at = self._checkpoint_due = self._progress_due = 0.0

    def beat(self, state: State, host: str, beat: Beat) -> Sample:
        sample = self._latest[host] = _sample(state, host, time.time(), beat)
        return sample

    def look(self, state: State, now: float) -> None:
        """Keep what is due."""
        with suppress(WorldError):  # what must be written down tells of a full disk soon enough
            self._look(state, now)

    def _look(self, state: State, now: float) -> None:
        samples: list[Sample] = []
        if now - self._sample_at >= SAMPLE_S and self._latest:
            self._sample_at = now
            samples = list(self._latest.values())
            self._latest.clear()
        progress = None
        if now >= self._progress_due:
            age_s = now - state.opened_at
            self._progress_due = now + min(SAMPLE_S, max(FIRST_SAMPLE_S, age_s / SAMPLES_OF_AGE))
            progress = rows.progress(state, now)
        if samples or progress is not None:
            self._journal.sample(samples, progress)
        if now >= self._checkpoint_due and state.last_at > self._checkpoint_at:
            self._checkpoint_at, since = now, time.perf_counter()
            self._journal.checkpoint(state)
            took_s = time.perf_counter() - since
            self._checkpoint_due = now + max(CHECKPOINT_S, took_s / CHECKPOINT_SHARE)

    def end(self, state: State) -> None:
        with suppress(WorldError):
            self._journal.sample((), rows.progress(state, state.last_at))
            self._journal.checkpoint(state)


def _sample(state: State, name: str, at: float, beat: Beat) -> Sample:
    host = state.hosts.get(name)
    return Sample(
        at,
        name,
        beat.load,
        beat.memory_available_bytes,
        beat.cpus_busy,
        beat.running,
        beat.queued,
        beat.disk_free_bytes,
        None if beat.cpu_share is None else min(1.0, max(0.0, beat.cpu_share)),
        beat.memory_bytes or None,
        beat.suspended,
        None if host is None or host.room is None else host.room.taken_cpus / MILLI,
        None if host is None else host.done,
    )
