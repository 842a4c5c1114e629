"""What a process has open: closed before it becomes another one, or the worker of a guest."""

from __future__ import annotations

import os
import sys

_LINUX_LIMIT = 65536  # no process of ours has more; one system call closes them all


def close_from(lowest: int) -> None:
    """Every descriptor from `lowest` on."""
    if sys.platform == "linux":
        end = _LINUX_LIMIT
    else:  # SC_OPEN_MAX is 2**63 - 1 on a Mac without a limit, and closing goes one by one there
        end = max(map(int, os.listdir("/dev/fd"))) + 1
    os.closerange(lowest, end)
