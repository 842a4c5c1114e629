"""What a person wants done to a run, and what came of it in words. Nothing here knows a widget; all of it may block."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from batchwasm import answers, api
from batchwasm.core.events import Ranges, indexes
from batchwasm.errors import RunError, WorldError
from batchwasm.results import RunFolder, reference

Verb = Literal["cancel", "retry", "pause", "unpause", "drain", "undrain", "resume", "stop"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """`Wish(verb="cancel", tasks={"sim": ((3, 4),)}, what="sim/3")`, `Wish(verb="drain", hosts=("lab01",))`."""

    verb: Verb
    tasks: Mapping[str, Ranges] | None = None
    """For cancel and retry; None means all of the run."""
    hosts: tuple[str, ...] = ()
    """For drain and undrain."""
    what: str = ""
    """What it is about, as a person calls it: `sim/3`."""

    @property
    def question(self) -> str | None:
        """What a person is asked before; None where little is at stake."""
        if self.verb == "cancel":
            return f"Cancel {self.what}? What runs of it is stopped, what waits won't run; 'retry' takes it back."
        if self.verb == "stop":
            return "Stop the run? What runs is stopped, and runs again from its start when the run is resumed."
        if self.verb == "retry" and self.tasks is None:
            return "Run all again that did not succeed? Tasks that were cancelled or skipped, too."
        return None


def of_job(verb: Verb, job: str, tasks: int) -> Wish:
    """About all tasks of a job."""
    return Wish(verb=verb, tasks={job: ((0, tasks),)}, what=job)


def of_task(verb: Verb, job: str, task: int) -> Wish:
    return Wish(verb=verb, tasks={job: ((task, task + 1),)}, what=f"{job}/{task}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Hand:
    """Carries wishes out. `program` is how this program is started, for what goes on in a process of its own."""

    folder: RunFolder
    program: Sequence[str]

    def carry_out(self, wish: Wish) -> str:
        """What was hit, in words. Raises RunError, WorldError."""
        match wish.verb:
            case "cancel":
                return answers.cancelled(api.cancel(self.folder, wish.tasks))
            case "retry":
                return self._retry(wish)
            case "pause":
                return answers.paused(api.pause(self.folder), "p lets it go on")
            case "unpause":
                return answers.paused(api.unpause(self.folder))
            case "drain":
                return "; ".join(map(answers.drained, api.drain(self.folder, wish.hosts)))
            case "undrain":
                return "; ".join(map(answers.drained, api.undrain(self.folder, wish.hosts)))
            case "resume":
                return self._started("resume")
            case "stop":
                return stop(self.folder)

    def _retry(self, wish: Wish) -> str:
        """A run that is over goes on for it, in the background."""
        if api.status(self.folder).state == "running":
            return answers.retried(api.retry(self.folder, wish.tasks))
        tasks = [f"{job}/{task}" for job, ranges in (wish.tasks or {}).items() for task in indexes(ranges)]
        return self._started("retry", *tasks)

    def _started(self, verb: str, *args: str) -> str:
        """A command that has the run go on in the background, and says so. Raises WorldError with what it says else."""
        command = [*self.program, verb, "-r", str(self.folder.path), "--detach", *args]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
        )
        said = done.stderr.strip().splitlines()
        if done.returncode:
            raise WorldError("\n".join(said[-3:]) or f"'batchwasm {verb}' ended with exit code {done.returncode}")
        return "it goes on in the background" if any("in the background" in line for line in said) else "\n".join(said)


def stop(folder: RunFolder) -> str:
    """Have the scheduler end as on Ctrl-C: guests are stopped, the rest stays for `resume`. Raises WorldError."""
    holder = folder.holder()
    if folder.is_held() is False or holder is None or not holder.may_live:
        raise WorldError(f"{folder.name}: nobody works on it, so there is nothing to stop")
    if not holder.is_here:
        raise WorldError(f"{folder.name} goes on on {holder.machine}: stop it there")
    try:
        os.kill(holder.pid, signal.SIGTERM)
    except ProcessLookupError:
        return "it has just ended"
    except PermissionError as error:
        raise RunError(f"process {holder.pid} is another user's: only they can stop {folder.name}") from error
    return "it stops: what runs is stopped, results that are there are fetched"


def replay_command(folder: RunFolder, job: str, task: int) -> str:
    """For a shell here."""
    return f"batchwasm replay {job}/{task} -r {reference(folder, Path.cwd())}"
