"""What tasks print while they run, for those who follow them: asked of their hosts, and kept in files meanwhile.

Who follows a task says so again and again, through the journal, and reads the files (batchwasm/following); nobody is
told anything. The files are the run folder's `live`, and only ever the beginning of what the task's report has in full:
nothing is lost with them. A host is not trusted: what was not asked for is dropped, what is beyond the job's
`stdout_limit` is cut off.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from batchwasm.core.hoststate import Batch
from batchwasm.core.state import State
from batchwasm.engine.requests import Reply
from batchwasm.engine.secrets import NO_SECRETS, Secrets
from batchwasm.model import HostName, Job, JobName
from batchwasm.results import RunFolder
from batchwasm.runner.protocol import Output, Tail

TAIL_S = 0.3  # between two questions to a host: seen as it happens, and some 100 bytes each
PART_BYTES = 64 * 1024  # an answer of that size is not waited for so long
LEASE_S = 30.0  # so long a reader is believed to be there; it says so every 10 s
KEPT_S = 3.0  # after an attempt's end, for readers that look four times a second
MOST = 50  # tasks at once: a person follows a few, and each costs a look at its job's batches


class Redacting(Protocol):
    """One stream, piece by piece, without secrets."""

    def feed(self, data: bytes) -> bytes:
        """What may be shown by now."""
        ...


@dataclass(slots=True)
class _Stream:
    path: Path
    limit_bytes: int
    redacting: Redacting
    """What comes out of it lags behind, lest half a secret is shown; the end is the report's to tell."""
    known: int = 0
    """Bytes of it that came."""

    def add(self, data: bytes) -> None:
        data = data[: self.limit_bytes - self.known]
        self.known += len(data)
        shown = self.redacting.feed(data)
        if shown:
            with open(self.path, "ab") as file:
                file.write(shown)


@dataclass(slots=True)
class _Attempt:
    """One that is followed."""

    batch: int
    number: int
    folder: Path
    stdout: _Stream
    stderr: _Stream
    over_at: float | None = None


@dataclass(slots=True)
class _Followed:
    """A task."""

    until: float
    attempts: dict[int, _Attempt] = field(default_factory=dict)
    """By batch: one that runs, and those that ended a moment ago."""


class Live:
    """Of one life of a scheduler."""

    def __init__(
        self,
        state: State,
        folder: RunFolder,
        jobs: list[Job],
        send: Callable[[HostName, Tail], None],
        secrets: Mapping[JobName, Secrets],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`send` gives an order to a host, if that is there; `clock` is that of the `now` of requests."""
        self._clock = clock
        self._state, self._folder, self._jobs, self._send, self._secrets = state, folder, jobs, send, secrets
        self._followed: dict[tuple[int, int], _Followed] = {}
        """By job and task."""
        self._wanted = asyncio.Event()

    def heard(self, kind: str, said: Reply, facts: Mapping[HostName, Mapping[str, Any]], now: float) -> Reply:
        """What becomes of a request that was answered so: one to follow a task is noted, and told where it runs."""
        if kind != "follow" or "error" in said.answer:
            return said
        n, task = said.answer["job"], said.answer["task"]
        there = self._followed.get((n, task))
        if there is None and len(self._followed) >= MOST:
            return Reply([], {"error": f"{MOST} tasks of this run are followed already"})
        if there is None:
            there = self._followed[n, task] = _Followed(until=0.0)
        there.until = now + LEASE_S
        self._wanted.set()
        batch = self._batch(n, task, there)
        os = None if batch is None else facts.get(batch.host, {}).get("os")
        return Reply([], {**said.answer, "host": batch.host if batch else None, "os": os})

    async def watch(self) -> None:
        """Ask hosts for as long as anyone follows; until cancelled."""
        self.forget()  # what an earlier life left
        try:
            while True:
                await self._wanted.wait()
                self.ask(self._clock())
                if not self._followed:
                    self._wanted.clear()
                await asyncio.sleep(TAIL_S)
        finally:
            self.forget()

    def forget(self) -> None:
        """All of it."""
        self._followed.clear()
        shutil.rmtree(self._folder.live, ignore_errors=True)

    def take(self, host: HostName, output: Output) -> None:
        """What a host answered."""
        batch = self._state.batches.get(output.batch)
        followed = None if batch is None else self._followed.get((batch.job, output.task))
        if batch is None or followed is None or batch.host != host:
            return
        found = followed.attempts.get(output.batch)
        if found is None or (found.stdout.known, found.stderr.known) != (output.stdout_from, output.stderr_from):
            return  # not asked for, or the second answer to a question that was repeated
        try:
            found.stdout.add(output.body[: output.stdout_bytes])
            found.stderr.add(output.body[output.stdout_bytes :])
        except OSError:  # a full disk: who follows gets it all with the report, if that can be kept
            self._drop(followed, found)
            return
        known = found.stdout.known + found.stderr.known
        if len(output.body) >= PART_BYTES and known > output.stdout_from + output.stderr_from:
            self._tail(host, output.task, found)  # it comes in parts: there is more

    # ------------------------------------------------------------------------------------------------ asking

    def ask(self, now: float) -> None:
        """Of every task that is followed at `now` (unix time); what is followed no longer goes."""
        for (n, task), followed in list(self._followed.items()):
            batch = self._batch(n, task, followed)
            for attempt in list(followed.attempts.values()):
                self._look_after(followed, attempt, is_over=batch is None or attempt.batch != batch.id, now=now)
            if now >= followed.until:
                for attempt in list(followed.attempts.values()):
                    self._drop(followed, attempt)
                del self._followed[n, task]
            elif batch is not None:
                found = followed.attempts.get(batch.id) or self._begin(followed, batch, n, task)
                if found is not None:
                    self._tail(batch.host, task, found)

    def _look_after(self, followed: _Followed, attempt: _Attempt, *, is_over: bool, now: float) -> None:
        if not is_over:
            attempt.over_at = None
        elif attempt.over_at is None:
            attempt.over_at = now
        elif now >= attempt.over_at + KEPT_S:
            self._drop(followed, attempt)

    def _batch(self, n: int, task: int, followed: _Followed) -> Batch | None:
        """The one whose attempt is shown: of two at once the one that is shown already, else the earlier."""
        batches = [self._state.batches.get(number) for number in followed.attempts]
        batches += [self._state.batches[number] for number in self._state.jobs[n].on_hosts]
        found = [batch for batch in batches if batch is not None and batch.job == n and task in batch.remaining]
        return next((b for b in found if b.id in followed.attempts), min(found, key=lambda b: b.id, default=None))

    def _begin(self, followed: _Followed, batch: Batch, n: int, task: int) -> _Attempt | None:
        """None where the disk refuses."""
        job, number = self._jobs[n], batch.remaining[task]
        folder = self._folder.live_attempt(job.name, task, number)
        limit = job.limits.stdout_bytes
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        except OSError:
            return None
        redact = self._secrets.get(job.name, NO_SECRETS).redact
        stdout, stderr = (_Stream(folder / name, limit, redact.stream()) for name in ("stdout", "stderr"))
        followed.attempts[batch.id] = _Attempt(batch.id, number, folder, stdout, stderr)
        return followed.attempts[batch.id]

    def _tail(self, host: HostName, task: int, attempt: _Attempt) -> None:
        self._send(host, Tail(attempt.batch, task, attempt.stdout.known, attempt.stderr.known))

    def _drop(self, followed: _Followed, attempt: _Attempt) -> None:
        followed.attempts.pop(attempt.batch, None)
        shutil.rmtree(attempt.folder, ignore_errors=True)
        for folder in (*attempt.folder.parents[:2], self._folder.live):
            with suppress(OSError):  # not empty
                folder.rmdir()
