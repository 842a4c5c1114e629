"""Process groups: what a program of ours here has started, all at once."""

from __future__ import annotations

import contextlib
import os
import signal


def kill(pid: int) -> None:
    """The group that a child of ours leads; it may have ended, and been reaped, between the caller's look and this."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # of a zombie macOS says EPERM
        os.killpg(pid, signal.SIGKILL)
