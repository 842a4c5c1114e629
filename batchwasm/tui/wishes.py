"""What a person wants done to a run, and what came of it in words. Nothing here knows a widget; all of it may block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from batchwasm.core.events import Ranges

Verb = Literal["cancel", "retry", "pause", "unpause", "drain", "undrain", "resume"]


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


def of_job(verb: Verb, job: str, tasks: int) -> Wish:
    """About all tasks of a job."""
    return Wish(verb=verb, tasks={job: ((0, tasks),)}, what=f"{job}")


def of_task(verb: Verb, job: str, task: int) -> Wish:
    return Wish(verb=verb, tasks={job: ((task, task + 1),)}, what=f"{job}/{task}")
