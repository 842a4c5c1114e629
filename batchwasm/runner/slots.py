"""A worker as its supervisor holds it: forked once, one batch at a time, watched by its page, killed when it must be.

Forking happens before any wasmtime engine exists in this process and while no thread has been added to it: engines'
threads do not survive a fork, and a worker forked later than one would hang. A worker dies with its supervisor.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import selectors
import signal
import socket
import sys
import time
import traceback
from dataclasses import dataclass
from typing import Callable

from . import local
from .descriptors import close_from
from .page import COMPILING, GUEST, IDLE, Page, PageView, WorkerSettings
from .protocol import Message
from .rescue import Captured, rescue
from .runs import Batch, Run
from .stream import Stream

Serve = Callable[[socket.socket, Page, WorkerSettings, int], None]
"""The last is this process, as the worker must know it: where it has died meanwhile, the parent is another one."""
GRACE_S = 1.5
"""A guest's own deadline is exact to a millisecond. Where it can't reach (a sleep in the host), the worker itself gives
up after a quarter of a second and still brings the outputs; this is for when it can't do that either."""
COMPILE_S = 600.0
"""What a module may take until it is native code here, which is seconds for 100 MB of C++: a hostile one may take for
ever, and has no time limit of its own."""
_FREEZE_S = 0.1  # a stop takes microseconds; only one that sits in the kernel takes longer, and then we don't wait
_BURIAL_S = 5.0  # a killed process that takes longer sits in the kernel, on a file server that is away
_PR_SET_PDEATHSIG = 1
_OOM_SCORE = 500  # of 1000: like one that uses half of the memory more than it does
_EXIT_FAILED = 70  # EX_SOFTWARE


@dataclass(frozen=True)
class TimeUp:
    """A guest that the supervisor had to end."""

    view: PageView
    used_s: float
    captured: Captured


class Worker:
    """One process with its channel and page. `batch` is what it holds, None while it is idle."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        serve: Serve,
        settings: WorkerSettings,
        receive: Callable[[Worker, Message], None],
        ended: Callable[[Worker, str], None],
    ) -> None:
        self.scratch = settings.scratch
        self._log = f"{settings.scratch}.log"
        self.page = Page()
        self.run: Run | None = None
        self.batch: Batch | None = None
        self.check_at = float("inf")
        """Monotonic time of the next look at what it takes its time for."""
        self.killed = False
        self.compiles_for_ever = False
        self.time_up: TimeUp | None = None
        self.why_killed = ""
        self._suspended_at: float | None = None
        self._status: int | None = None
        ours, theirs = socket.socketpair()
        try:
            self.pid = _fork(serve, theirs, self.page, settings, self._log)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self.stream = Stream(selector, ours, lambda message: receive(self, message), lambda cause: ended(self, cause))

    def give(self, run: Run, batch: Batch, now: float) -> None:
        """Hands it a batch; it is idle."""
        self.run, self.batch = run, batch
        self.page.recall(0)
        self.check_at = now + min(self._allowed_s(), COMPILE_S)
        self.stream.send(batch.start)

    def release(self) -> None:
        """Its batch is over."""
        self.run = self.batch = None
        self.check_at = float("inf")

    def look(self, now: float) -> None:
        """Ends a guest, or a compilation, whose time is long over; else says in `check_at` when to look again."""
        view = self.page.read()
        if self.killed or self.suspended:
            self.check_at = float("inf")
        elif self._is_at(view, GUEST):
            self._check(view, self._allowed_s(), now)
        elif self._is_at(view, COMPILING):
            self._check(view, COMPILE_S, now)
        else:
            self.check_at = now + min(self._allowed_s(), COMPILE_S)  # whatever starts from now on has at least that

    def _check(self, view: PageView, allowed_s: float, now: float) -> None:
        left_s = allowed_s - self.used_s(view)
        if left_s > 0:
            self.check_at = now + left_s
        elif view.phase == GUEST:
            self._end_guest(view)
        else:
            self.compiles_for_ever = True
            self.kill()
            self.check_at = float("inf")

    def _allowed_s(self) -> float:
        """What a guest may take until it must be ended from here."""
        assert self.batch is not None
        limit = self.batch.start.time_s
        return float("inf") if limit is None else limit + GRACE_S

    def used_s(self, view: PageView) -> float:
        """For how long what the page shows has been under way, without the time for which it was suspended."""
        stopped_s = time.monotonic() - self._suspended_at if self._suspended_at is not None else 0.0
        return max(0.0, self.page.now() - view.started_ns / 1e9 - stopped_s)

    @property
    def suspended(self) -> bool:
        return self._suspended_at is not None

    def suspend(self) -> None:
        """Stops it, and the time of what it is at, until `resume`."""
        if not self.suspended and not self.killed:
            self._freeze()
            self._suspended_at = time.monotonic()
            self.check_at = float("inf")

    def resume(self) -> None:
        """Lets it go on."""
        if self._suspended_at is not None:
            now = time.monotonic()
            self.page.pause(int((now - self._suspended_at) * 1e9))
            self._suspended_at = None
            self._signal(signal.SIGCONT)
            self.check_at = now

    def kill(self, why: str = "stopped on request") -> None:
        """SIGKILL, which a suspended one feels too; `ended` follows when the channel's end is read."""
        if not self.killed:
            self.killed, self.why_killed = True, why
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self._status is None:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    def reap(self) -> int:
        """Its wait status; the channel has ended, so this does not wait long."""
        if self._status is None:
            _, self._status = os.waitpid(self.pid, 0)
        return self._status

    def lives(self) -> bool:
        """False where it died meanwhile, also before the end of its channel is read: no batch may be given to it."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = status
        return self._status is None

    def bury(self) -> None:
        """Waits shortly for a killed one, without listening to it any more."""
        self.stream.close()
        deadline = time.monotonic() + _BURIAL_S
        while self._status is None and time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = status
            else:
                time.sleep(0.002)

    @property
    def idle(self) -> bool:
        return self.batch is None and not self.killed

    def last_words(self, status: int) -> str:
        """Of one that failed by an error of its own: the last line of what it logged."""
        if not os.WIFEXITED(status) or os.WEXITSTATUS(status) != _EXIT_FAILED:
            return ""
        try:
            with open(self._log, encoding="utf-8", errors="replace") as file:
                lines = file.read().splitlines()
        except OSError:
            return ""  # the disk was full, say
        return lines[-1] if lines else ""

    def remove(self) -> None:
        """What a dead one leaves: its page, scratch and log."""
        self.page.close()
        local.remove_tree(self.scratch)
        try:
            os.unlink(self._log)
        except FileNotFoundError:
            pass

    def _is_at(self, view: PageView, phase: int) -> bool:
        mine = self.batch is not None and view.batch == self.batch.number
        return mine and view.phase == phase and view.started_ns > 0

    def _end_guest(self, seen: PageView) -> None:
        """Stops the worker, looks again (the guest may have ended meanwhile), saves its stdout and kills it."""
        self._freeze()
        view = self.page.read()
        if view != seen and self._status is None:
            os.kill(self.pid, signal.SIGCONT)
            self.check_at = time.monotonic()
            return
        self.time_up = TimeUp(seen, self.used_s(seen), rescue(self.pid))
        self.kill()
        self.check_at = float("inf")

    def _freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)
        deadline = time.monotonic() + _FREEZE_S
        while time.monotonic() < deadline:
            pid, status = os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)
            if pid:
                if not os.WIFSTOPPED(status):
                    self._status = status
                return
            time.sleep(0.001)

    @property
    def died_idle(self) -> bool:
        """Whether an ended worker never began the batch that it holds, but was at others before.

        One that never began any counts as taken down by the batch: else one that no worker survives would never end.
        """
        seen = self.page.read().batch
        return self.batch is not None and seen not in (0, self.batch.number)

    def current(self) -> PageView | None:
        """Where it was in its batch; None where it had no task in hand."""
        view = self.page.read()
        mine = self.batch is not None and view.batch == self.batch.number and view.phase != IDLE
        return view if mine else None


def how_it_died(status: int) -> str:
    """A wait status in words."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        hint = "; perhaps this host ran out of memory" if number == signal.SIGKILL else ""
        return f"was killed by {name}{hint}"
    return f"ended with exit code {os.WEXITSTATUS(status)}"


# --------------------------------------------------------------------------------------------------- the child


def _fork(serve: Serve, channel: socket.socket, page: Page, settings: WorkerSettings, log: str) -> int:
    assert _threads() <= _OTHERS_THREADS, "a fork beside other threads leaves their locks locked for ever"
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = _EXIT_FAILED
    try:
        _settle(parent, channel)
        serve(channel, page, settings, parent)
        status = 0
    except BaseException:
        with open(log, "a", encoding="utf-8", errors="replace") as file:
            traceback.print_exc(file=file)
    finally:
        os._exit(status)


def _settle(parent: int, channel: socket.socket) -> None:
    """Leaves the parent's descriptors and signals; from here on the worker dies with it."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(_EXIT_FAILED)
        _offer_to_oom_killer()
    gc.freeze()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.closerange(3, channel.fileno())
    close_from(channel.fileno() + 1)
    channel.setblocking(True)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _offer_to_oom_killer() -> None:
    """Where memory runs out, a guest shall go before anything that the people at this machine have open."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(str(_OOM_SCORE))
    except OSError:
        pass  # a hardened /proc


def _threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))
    except FileNotFoundError:  # macOS
        return 1


_OTHERS_THREADS = _threads()
"""One, and those of what holds this process, such as an emulator of its machine or a library that is loaded into every
program here: they know of forks, and are there from the start."""
