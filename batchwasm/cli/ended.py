"""What is said of a run that is over, by whatever command saw its end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from batchwasm.cli.escape import say
from batchwasm.cli.units import count_text, duration_text
from batchwasm.results import reference

if TYPE_CHECKING:
    from batchwasm.api import Ran


def summary(ran: Ran) -> None:
    """In a few lines on stderr: how its tasks ended, what to ask for next time, where to read on."""
    status = ran.status
    words = [f"{count_text(n)} {word.replace('_', ' ')}" for word, n in status.by_outcome.items()]
    if status.tasks.waiting:
        words.append(f"{count_text(status.tasks.waiting)} waiting")
    say(f"{status.run}: {', '.join(words)} of {count_text(status.tasks.total)} in {duration_text(status.wall_s)}")
    warnings(ran)
    for sentence in status.advice:
        say(sentence)
    failed = " --failed" if status.tasks.failed else ""
    say(f"see 'batchwasm results{failed} -r {reference(ran.folder, Path.cwd())}'; files in {status.folder}")


def warnings(ran: Ran) -> None:
    """What nobody who asked for quiet should miss: hosts that did not take part, and why a run stopped early."""
    for host in ran.status.hosts:
        if host.state in ("down", "lost"):
            say(f"warning: host {host.name} was {host.state}: {host.reason}")
    if ran.status.reason:
        say(ran.status.reason)
