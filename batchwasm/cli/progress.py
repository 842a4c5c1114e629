"""What `run` shows while it works: compile phases, hosts, then tasks done, running, failed, rate and time left.

`make()` gives a live display where stderr is a terminal, and plain lines elsewhere: one at each change of phase, and
one about the tasks every few seconds. Everything goes to stderr; stdout is data. Names and texts come from users,
compilers and hosts: they are made harmless here. All methods are cheap: a caller may report after every batch.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TextIO

from batchwasm.escape import for_stream, visible, visible_text
from batchwasm.model import Artifact, HostName, JobName
from batchwasm.units import count_text, duration_text, size_text

if TYPE_CHECKING:
    from rich.text import Text

HostState = Literal["connecting", "shipping", "ready", "busy", "down", "lost", "removed"]
"""`shipping`: the runner or artifacts are on their way there; `busy`: left to others; `down`: can't be used; `lost`:
worked, now silent; `removed`: from the inventory."""

PLAIN_INTERVAL_S = 5.0  # often enough to see life in a log, seldom enough not to fill it
PLAIN_SAME_S = 60.0  # the same where nothing changes
REFRESH_PER_S = 5
LONG_S = 5.0  # a compile that takes longer shows its seconds: a first one builds libraries for a minute
JOB_LINES = 12  # more jobs than this are shown in sum only: the display must fit a small terminal
PACE_WINDOW_S = 30.0  # the rate is that of the last half minute: it follows a sweep whose tasks grow


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """How far a run, or a job, is. `failed` is all that ended and is neither succeeded, cancelled nor skipped."""

    total: int
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    skipped: int = 0
    paused: bool = False
    known: int = 0
    """Of those that are done: taken from earlier runs."""
    jobs: Mapping[JobName, Counts] = field(default_factory=dict)
    """The same for every job; empty in a job's own."""

    @property
    def done(self) -> int:
        return self.succeeded + self.failed + self.cancelled + self.skipped


class Progress(Protocol):
    """Where `run` tells what happens."""

    def compiling(self, job: JobName, hint: str) -> None:
        """`job`'s source is being compiled; `hint` is by what, or what it waits for ("rust", "zig: its first C++")."""
        ...

    def compiled(self, job: JobName, artifact: Artifact) -> None: ...

    def host(self, name: HostName, state: HostState, text: str = "") -> None:
        """`text`: what is shipped, or cause and cure."""
        ...

    def counts(self, counts: Counts) -> None:
        """The tasks stand so."""
        ...

    def note(self, text: str) -> None:
        """A line that stays: a warning, where the run folder is."""
        ...

    def give_way(self) -> None:
        """Others print on the terminal from now on: what is drawn over and over goes, notes go on."""
        ...

    def close(self) -> None:
        """Take the display away; call it before printing anything else. Calling it again does nothing."""
        ...


def make(stream: TextIO | None = None) -> Progress:
    """The display that suits `stream` (default stderr)."""
    import os

    stream = sys.stderr if stream is None else stream
    if stream.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return Terminal(stream)
    return Plain(stream)


class Pace:
    """Tasks a second over the last PACE_WINDOW_S in which any ran."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def observe(self, now: float, counts: Counts) -> None:
        seen, done = self._seen, counts.done - counts.known  # those that ran: the others say nothing of the rest
        if not done and not counts.running:
            seen.clear()  # time counts from when tasks run, not from when the first source is compiled
            return
        if len(seen) > 1 and now - seen[-2][0] < PACE_WINDOW_S / 60:
            seen[-1] = (now, done)  # at most about 60 pairs, however often we are told
        else:
            seen.append((now, done))
        while len(seen) > 2 and now - seen[1][0] >= PACE_WINDOW_S:
            seen.popleft()

    def rate(self, now: float) -> float | None:
        """None while nothing can be said."""
        if not self._seen:
            return None
        (start, before), (_, done) = self._seen[0], self._seen[-1]
        return (done - before) / (now - start) if now > start and done > before else None


class Plain:
    """A line a change of phase, and one every `interval_s` about the tasks."""

    def __init__(
        self, stream: TextIO, *, interval_s: float = PLAIN_INTERVAL_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream, self._interval_s, self._clock = stream, interval_s, clock
        self._pace = Pace()
        self._hosts: dict[HostName, tuple[HostState, str]] = {}
        self._told_at: dict[HostName, dict[HostState, float]] = {}
        self._last: Counts | None = None
        self._said = ""
        self._said_at = float("-inf")

    def compiling(self, job: JobName, hint: str) -> None:
        self.note(f"compiling {job}{f' ({hint})' if hint else ''}")

    def compiled(self, job: JobName, artifact: Artifact) -> None:
        self.note(compiled_text(job, artifact))

    def host(self, name: HostName, state: HostState, text: str = "") -> None:
        before = self._hosts.get(name)
        self._hosts[name] = (state, text)
        if before == (state, text) or (state == "busy" and before is not None and before[0] == state):
            return  # that it is busy with another number is no news
        if self._is_news(name, state):
            self.note(f"host {name}: {state}{f', {text}' if text else ''}")

    def _is_news(self, name: HostName, state: HostState) -> bool:
        """500 hosts connect: what comes of it is news. Each is sent a thousand inputs: a line now and then does."""
        if state not in ("shipping", "ready"):
            self._told_at.pop(name, None)
            return state != "connecting"
        told, now = self._told_at.setdefault(name, {}), self._clock()
        if now - told.get(state, float("-inf")) < self._interval_s:
            return False
        told[state] = now
        return True

    def counts(self, counts: Counts) -> None:
        now = self._clock()
        self._pace.observe(now, counts)
        self._last = counts
        if now - self._said_at >= self._interval_s:
            self._say(self._words(counts, now), now)

    def note(self, text: str) -> None:
        print(for_stream(text, self._stream), file=self._stream, flush=True)

    def give_way(self) -> None: ...

    def close(self) -> None:
        now, last = self._clock(), self._last
        self._last = None  # closed again later, its rate is another one
        if last is not None and (words := self._words(last, now)) != self._said:
            self._say(words, now)

    def _words(self, counts: Counts, now: float) -> str:
        return "tasks: " + ", ".join(tally(counts, self._pace.rate(now)))

    def _say(self, words: str, now: float) -> None:
        if words == self._said and now - self._said_at < PLAIN_SAME_S:
            return
        self._said, self._said_at = words, now
        self.note(words)


class Terminal:
    """A few lines at the bottom of the terminal, drawn again REFRESH_PER_S times a second by a thread of rich's."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic, live: bool = True) -> None:
        from rich.console import Console
        from rich.live import Live

        self._clock = clock
        self._pace = Pace()
        self._compiling: dict[JobName, tuple[str, float]] = {}
        self._compiled = 0
        self._hosts: dict[HostName, tuple[HostState, str]] = {}
        self._counts: Counts | None = None
        self._console = Console(file=stream, highlight=False, force_terminal=True)
        self._live = Live(
            console=self._console,
            get_renderable=self.picture,
            refresh_per_second=REFRESH_PER_S,
            auto_refresh=live,
            transient=True,
            # The run's own prints must not go through rich: stdout may be a pipe, and stderr is ours alone.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()
        # A second Ctrl-C, or kill -9, leaves no time to bring the cursor back: it stays.
        self._console.show_cursor(True)

    def compiling(self, job: JobName, hint: str) -> None:
        _, since = self._compiling.get(job, ("", self._clock()))
        self._compiling[job] = (hint, since)

    def compiled(self, job: JobName, artifact: Artifact) -> None:
        self._compiling.pop(job, None)
        self._compiled += 1
        if not artifact.cached:
            self.note(compiled_text(job, artifact))

    def host(self, name: HostName, state: HostState, text: str = "") -> None:
        news = self._hosts.get(name) != (state, text)
        self._hosts[name] = (state, text)
        if news and state in ("down", "lost"):
            self.note(f"host {name}: {state}{f', {text}' if text else ''}")

    def counts(self, counts: Counts) -> None:
        self._pace.observe(self._clock(), counts)
        self._counts = counts

    def note(self, text: str) -> None:
        from rich.text import Text

        self._console.print(Text(visible_text(text)), soft_wrap=True)

    def give_way(self) -> None:
        self._live.stop()

    def close(self) -> None:
        self._live.stop()

    def picture(self) -> Text:
        """What is shown now."""
        from rich.text import Text

        width = max(20, self._console.width - 1)
        lines = [Text(visible(line), no_wrap=True, overflow="ellipsis") for line in self._lines(width)]
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return Text("\n").join(lines)

    def _lines(self, width: int) -> Iterator[str]:
        compiling = dict(self._compiling)  # the drawing thread must not see it change size
        if compiling:
            now = self._clock()
            jobs = (compiling_text(job, hint, now - since) for job, (hint, since) in compiling.items())
            yield f"compiling  {', '.join(jobs)}; {self._compiled} done"
        hosts = list(self._hosts.items())
        if hosts:
            yield f"hosts      {hosts_text(hosts)}"
        counts = self._counts
        if counts is None:
            return
        yield f"tasks      {bar(counts, width // 4)} {', '.join(tally(counts, self._pace.rate(self._clock())))}"
        if 1 < len(counts.jobs) <= JOB_LINES:
            longest = max(len(name) for name in counts.jobs)
            for name, job in counts.jobs.items():
                yield f"  {name:<{min(longest, 24)}} {bar(job, width // 6)} {', '.join(tally(job, None))}"


def compiling_text(job: JobName, hint: str, wall_s: float) -> str:
    """`mean, 12 s (first C compile: building libc once, about 40 s)`; a narrow line loses its end."""
    so_far = f", {duration_text(int(wall_s))}" if wall_s >= LONG_S else ""
    return f"{job}{so_far}{f' ({hint})' if hint else ''}"


def compiled_text(job: JobName, artifact: Artifact) -> str:
    """`compiled pi: 24 KiB, rustc 1.63.0, 0.8 s`."""
    how = "unchanged, nothing to compile" if artifact.cached else duration_text(artifact.wall_s)
    return f"compiled {job}: {size_text(artifact.size_bytes)}, {artifact.toolchain}, {how}"


def hosts_text(hosts: list[tuple[HostName, tuple[HostState, str]]]) -> str:
    """`3 ready, 1 shipping: lab04 wasmtime 12 MiB, 1 down`: one host is named where it is the only one in a state."""
    parts = []
    for state in ("ready", "shipping", "connecting", "busy", "lost", "down", "removed"):
        here = [(name, text) for name, (its, text) in hosts if its == state]
        if not here:
            continue
        named = len(here) == 1 and state in ("shipping", "busy", "lost")
        detail = f": {here[0][0]} {here[0][1]}".rstrip() if named else ""
        parts.append(f"{count_text(len(here))} {state}{detail}")
    return ", ".join(parts)


def tally(counts: Counts, rate: float | None) -> Iterator[str]:
    """`1,234 of 10,000 done`, `16 running`, `3 failed`, `512/s`, `17 s left`: what is zero is left out."""
    yield f"{count_text(counts.done)} of {count_text(counts.total)} done"
    if counts.known:
        yield f"{count_text(counts.known)} known before"
    if counts.done < counts.total or counts.running:
        yield f"{count_text(counts.running)} running"
    if counts.paused and counts.done < counts.total:
        yield "paused"
    for number, word in ((counts.failed, "failed"), (counts.cancelled, "cancelled"), (counts.skipped, "skipped")):
        if number:
            yield f"{count_text(number)} {word}"
    if rate is not None:
        yield f"{count_text(round(rate))}/s" if rate >= 10 else f"{rate:.2g}/s"
        if counts.total > counts.done and counts.running and not counts.paused:  # else nobody knows when it goes on
            yield f"{duration_text((counts.total - counts.done) / rate)} left"


def bar(counts: Counts, width: int) -> str:
    """`[#####----]`, full only when all is done."""
    share = counts.done / counts.total if counts.total else 1.0
    full = int(share * width)
    return f"[{'#' * full}{'-' * (width - full)}]"
