"""The scheduler's lives, one after the other, with troubles all the while; then quiet, the end, and the checks.

    kills    until four tenths of the tasks have results: all lives but two end by SIGKILL, troubles come and go
    troubles until nine tenths: one life that lasts, so that silence and back-off run their course
    quiet    all is mended, the scheduler is killed a last time, and the next one goes to the end

At the end nobody is away, so that nothing excuses what is left on a host.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.chaos import ledger, nets, troubles
from tests.chaos.nets import NetHost
from tests.chaos.troubles import Mend
from tests.chaos.workload import Workload
from tests.command import Cli
from tests.sshd import inventory_of

KILLS_UNTIL, TROUBLES_UNTIL = 0.4, 0.9
TURN_S = 0.05
GONE_S = 15.0  # a supervisor leaves within 2 s of its last run's end; this machine is busy
INTERRUPTED_S = 40.0  # a run's end waits for its hosts, some of which can't be reached
CPUS = 2


class Wish(NamedTuple):
    """How much of it there shall be."""

    kills: int
    gap_s: tuple[float, float]
    """Between two troubles."""
    longest_s: float
    """A trouble lasts at most so long."""
    limit_s: float
    """The run must have ended by then."""


class Wrong(Exception):
    """What must not be."""


@dataclass
class Life:
    """One scheduler, and when it is killed: at a time, or when so many results are there, whichever comes first."""

    process: subprocess.Popen[bytes]
    n: int
    kill_at: float = float("inf")
    kill_after: float = float("inf")


@dataclass
class Drive:
    root: Path
    hosts: list[NetHost]
    workload: Workload
    wish: Wish
    dice: random.Random
    kills: int = 0
    lives: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    started_at: float = field(default_factory=time.monotonic)
    _busy: dict[str, tuple[float, str, Mend]] = field(default_factory=dict)
    """Troubles that last, by host (the scheduler is one of them): until when, what, and how it is mended."""
    _next_trouble_at: float = 0.0
    _asleep: bool = False

    @property
    def run_folder(self) -> Path:
        return self.root / "lab/batchwasm-runs/chaos-1"

    @property
    def cli(self) -> Cli:
        return Cli(program=(sys.executable, "-m", "batchwasm"), folder=self.root / "lab")

    def log(self, text: str) -> None:
        line = f"{time.monotonic() - self.started_at:7.2f} s  {text}"
        print(line, file=sys.stderr, flush=True)
        with open(self.root / "chaos.log", "a") as file:
            file.write(f"{time.time():.3f} {line}\n")

    # ------------------------------------------------------------------------------------------ the whole

    def run(self) -> None:
        """From the first life to the last check. Raises Wrong."""
        jobs = self.workload.lay_out(self.root / "lab")
        (jobs.parent / "inventory.toml").write_text(inventory_of(self.hosts, f"cpus = {CPUS}"))
        self._next_trouble_at = time.monotonic() + self.dice.uniform(*self.wish.gap_s)
        life = self._start(["run", "jobs.toml"])
        try:
            while life.process.poll() is None:
                time.sleep(TURN_S)
                life = self._turn(life)
            self.log(f"life {life.n} ended with {life.process.returncode}")
        finally:
            with suppress(ProcessLookupError):
                life.process.kill()
            life.process.wait()
            self._mend(everything=True)
        self._check(life)

    def _turn(self, life: Life) -> Life:
        """Whatever is due now; the life that goes on after it."""
        now = time.monotonic()
        if now - self.started_at > self.wish.limit_s:
            raise Wrong(f"the run has not ended after {self.wish.limit_s:.0f} s")
        self._mend()
        done = ledger.finals(self.run_folder / "journal.db")
        share = done / self.workload.tasks
        if share >= TROUBLES_UNTIL:
            self._mend(everything=True)
            kill = self.kills < self.wish.kills
        else:
            if now >= self._next_trouble_at:
                self._next_trouble_at = now + self.dice.uniform(*self.wish.gap_s)
                if self._is_planned() and self.dice.random() < 0.05 and "scheduler" not in self._busy:
                    return self._interrupt(life, done)
                self._trouble(life)
            kill = now >= life.kill_at or done >= life.kill_after
        if kill and life.process.poll() is None and self._is_planned():
            return self._kill(life, done)
        return life

    def _is_planned(self) -> bool:
        """Whether there is a run to resume: a life of some milliseconds may not have made a folder."""
        return (self.run_folder / "journal.db").exists() and ledger.is_planned(self.run_folder / "journal.db")

    # ------------------------------------------------------------------------------------------- the lives

    def _start(self, words: list[str]) -> Life:
        self.lives += 1
        n = self.lives
        with open(self.root / f"life-{n}.out", "wb") as out, open(self.root / f"life-{n}.err", "wb") as err:
            process = subprocess.Popen(
                [*self.cli.program, *words],
                cwd=self.cli.folder,
                env=self.cli.environment(None),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        life = Life(process, n)
        left = self.wish.kills - 1 - self.kills
        if left > 0:
            done = ledger.finals(self.run_folder / "journal.db")
            pace = max(0.0, KILLS_UNTIL * self.workload.tasks - done) / left
            if self.dice.random() < 0.3:  # while it starts, or before all hosts have answered
                life.kill_at = time.monotonic() + self.dice.uniform(0.1, 4)
            life.kill_after = done + self.dice.uniform(0.0, 2.0) * pace
        return life

    def _kill(self, life: Life, done: int) -> Life:
        life.process.kill()
        life.process.wait()
        self.kills += 1
        self.counts["scheduler killed"] += 1
        self._busy.pop("scheduler", None)
        return self._resume(f"scheduler killed, {done} results")

    def _interrupt(self, life: Life, done: int) -> Life:
        """Ended by other signals: by SIGTERM it stops its guests where it can, by SIGHUP all goes on there."""
        how = self.dice.choice([signal.SIGTERM, signal.SIGHUP])
        life.process.send_signal(how)
        try:
            code = life.process.wait(INTERRUPTED_S)
        except subprocess.TimeoutExpired:
            raise Wrong(f"life {life.n} goes on {INTERRUPTED_S:.0f} s after {how.name}") from None
        if code not in (130, -how):
            raise Wrong(f"life {life.n} ended with {code} after {how.name}:\n{self._said(life)}")
        self.counts[f"scheduler ended by {how.name}"] += 1
        return self._resume(f"scheduler ended by {how.name}, {done} results")

    def _resume(self, text: str) -> Life:
        away_s = self.dice.choice([0.0, 0.0, self.dice.uniform(0, 3)])
        self.log(f"{text}; the next one in {away_s:.1f} s")
        until = time.monotonic() + away_s
        while time.monotonic() < until:
            time.sleep(TURN_S)
            self._mend()
        return self._start(["resume", "chaos-1"])

    # ----------------------------------------------------------------------------------------- the troubles

    def _trouble(self, life: Life) -> None:
        free = [host for host in self.hosts if host.name not in self._busy]
        if len(free) <= len(self.hosts) // 2:
            return  # else hardly anything would get done
        if self.dice.random() < 0.08 and "scheduler" not in self._busy:
            self._sleep(life)
            return
        trouble = troubles.draw(free, self.dice, longest_s=self.wish.longest_s)
        mend = troubles.KINDS[trouble.name].start(trouble.host, self.dice)
        if mend is None:
            return
        self.log(f"{trouble.host.name}: {trouble.name}" + (f" for {trouble.seconds:.1f} s" if trouble.seconds else ""))
        self.counts[trouble.name] += 1
        if mend is not troubles.nothing:
            self._busy[trouble.host.name] = (time.monotonic() + trouble.seconds, trouble.name, mend)

    def _sleep(self, life: Life) -> None:
        """As a laptop does whose lid is shut."""
        seconds = min(self.dice.choice([*[self.dice.uniform(0.5, 8)] * 4, 35.0]), self.wish.longest_s)
        process = life.process
        self.log(f"scheduler stopped for {seconds:.1f} s")
        self.counts["scheduler stopped"] += 1
        process.send_signal(signal.SIGSTOP)
        self._busy["scheduler"] = (time.monotonic() + seconds, "stopped", lambda: process.send_signal(signal.SIGCONT))

    def _mend(self, *, everything: bool = False) -> None:
        for name, (until, what, mend) in list(self._busy.items()):
            if everything or time.monotonic() >= until:
                del self._busy[name]
                mend()
                self.log(f"{name}: over: {what}")

    # ------------------------------------------------------------------------------------------- the checks

    def _check(self, life: Life) -> None:
        if life.process.returncode != 0:
            raise Wrong(f"life {life.n} ended with {life.process.returncode}:\n{self._said(life)}")
        if self.kills < self.wish.kills:
            raise Wrong(f"the run was over after {self.kills} kills of {self.wish.kills}")
        found = list(ledger.wrong(self.run_folder / "journal.db", self.workload.tasks))
        rows: list[Any] = self.cli("results", "--json", "-r", "chaos-1").rows
        found += self.workload.wrong(rows, self.run_folder)
        found += self._left()
        if found:
            raise Wrong("\n".join([*found[:20], *([f"and {len(found) - 20} more"] if len(found) > 20 else [])]))

    def _left(self) -> list[str]:
        until = time.monotonic() + GONE_S
        while (left := list(self._on_hosts())) and time.monotonic() < until:
            time.sleep(TURN_S)
        return [f"left on {line}" for line in left]

    def _on_hosts(self) -> Iterator[str]:
        for host in self.hosts:
            yield from nets.left_on(host)

    def _said(self, life: Life) -> str:
        return (self.root / f"life-{life.n}.err").read_text(errors="replace")[-4000:]


def end_hosts(hosts: list[NetHost]) -> None:
    for host in hosts:
        if host.init:
            host.power_off()


def machine() -> str:
    """A line about this one, for a report."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    uname = os.uname()
    return f"{os.cpu_count()} cpus, {memory:.0f} GiB, {uname.sysname} {uname.release} {uname.machine}"
