"""Before a run has its display: ssh asks in this terminal for what hosts want that no key of the user's answers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence

from batchwasm.escape import say
from batchwasm.model import Host


def log_in(hosts: Sequence[Host], *, refused: bool = False) -> list[Host]:
    """One after the other, those of the transport openssh; nothing where nobody can be asked. `refused` is for hosts of
    which it is known that they ask. Returns those that somebody was logged in to here."""
    asking = [host for host in hosts if host.transport == "openssh"]
    if not asking or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return []
    done = []
    for host, line in zip(asking, asyncio.run(_lines(asking, refused=refused)), strict=True):
        if line is None:
            continue
        say(f"{host.name}: ssh asks for what it needs to log in")
        if subprocess.run(line, check=False).returncode == 0:
            done.append(host)
        else:
            say(f"warning: {host.name}: not logged in")
    return done


async def _lines(hosts: Sequence[Host], *, refused: bool) -> list[list[str] | None]:
    from batchwasm.transports.openssh import line_for_a_person

    return await asyncio.gather(*(line_for_a_person(host, refused=refused) for host in hosts))
