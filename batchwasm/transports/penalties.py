"""sshd's penalties (PerSourcePenalties, on by default since OpenSSH 9.8): from where it refused a few logins, it lets
nobody in for a while.

All that it says then is a line before its version, on a connection that it closes. Libraries read over that line, ssh
shows it to who debugs: so where a login was dropped, we listen ourselves.
"""

from __future__ import annotations

import contextlib
import socket
import threading

from batchwasm.errors import HostError
from batchwasm.transports.ssh_config import Settings
from batchwasm.transports.threads import in_thread

SAID = b"Not allowed at this time"
LISTEN_S = 2.0  # sshd speaks first and at once; who waits for us to begin is no such server


class Barred(Exception):
    """It says that it lets nobody in from here for now."""


def link(options: Settings) -> socket.socket:
    """A connection to that port, of which nothing is read yet. Blocks. Raises Barred, OSError."""
    made = socket.create_connection((options.host, options.port), timeout=options.connect_timeout_s)
    try:
        made.settimeout(LISTEN_S)
        first = b""
        with contextlib.suppress(OSError):
            first = made.recv(len(SAID), socket.MSG_PEEK)
        if first and SAID.startswith(first):
            raise Barred
        made.settimeout(options.connect_timeout_s)
    except BaseException:
        made.close()
        raise
    return made


async def linked(options: Settings) -> socket.socket:
    """`link` beside the event loop; who is cancelled here, as by a time-out, leaves none open."""
    lock = threading.Lock()
    made: list[socket.socket] = []
    wanted = True

    def make() -> socket.socket:
        one = link(options)
        with lock:
            if wanted:
                made.append(one)
            else:
                one.close()
        return one

    try:
        return await in_thread(make)
    except BaseException:
        with lock:
            wanted = False
            for one in made:
                one.close()
        raise


async def check(name: str, options: Settings) -> None:
    """For who can't take over a `link`. Raises HostError `penalty` where that is why the login was dropped."""

    def listen() -> None:
        with contextlib.suppress(OSError):
            link(options).close()

    try:
        await in_thread(listen)
    except Barred as error:
        raise barred(name, options) from error


def barred(name: str, options: Settings) -> HostError:
    what = "it refused a few logins (PerSourcePenalties of its sshd)"
    cause = f"{name}: {options.known_name} lets nobody in from this machine's address for now: {what}"
    # Its defaults, min and max. Whom it does not let in it does not count: trying meanwhile is vain, and no harm.
    cure = "that ends by itself, by default 15 s to 10 min after the last of them; see meanwhile why it refused them"
    return HostError("penalty", cause, cure)
