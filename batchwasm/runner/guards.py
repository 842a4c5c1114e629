"""Which of the kernel's protections tasks have on this host: asked for `hosts check`, not used.

Where one is missing, what the runner does by itself still holds: its watch over folders and output, the deadlines, the
limits of the engine.
"""

from __future__ import annotations

import contextlib
import os
import sys


def held() -> dict[str, bool]:
    """Name -> whether it holds here."""
    linux = sys.platform == "linux"
    return {
        "sealed_output": seals(),
        "read_only_inputs": linux or os.geteuid() != 0,
        "memory_backstop": linux,
        "oom_order": os.access("/proc/self/oom_score_adj", os.W_OK),
        "end_with_runner": linux,
    }


def seals() -> bool:
    """Output goes to memory that can't grow beyond its limit, instead of a file that is looked at once in a while.

    Linux has such memory since 3.17.
    """
    if sys.platform == "linux" and hasattr(os, "memfd_create"):
        with contextlib.suppress(OSError):
            os.close(os.memfd_create("batchwasm", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
            return True
    return False
