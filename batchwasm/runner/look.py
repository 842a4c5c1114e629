"""What a host would say to a run that came now, for `hosts check`: its gpus, its owner's rules, whether it is busy,
whether what runs there would outlive the connection, what protects tasks there, and where the user's home is."""

from __future__ import annotations

import os
import time
from typing import Any

from . import courtesy, facts, gpus, guards, logind, others, owner
from .courtesy import Seen
from .keyboard import Keyboard
from .others import Load
from .protocol import Attach

SAMPLE_S = 1.0  # for the load, and for logind to answer


def look(order: dict[str, Any]) -> dict[str, Any]:
    """`order` has the fields of an Attach; takes SAMPLE_S where they or the owner's ask for the load or for idle times.

    `refused` says why nothing may run here at all, `busy` why not now; both are '' where it may.
    """
    wishes = owner.read(owner.paths())
    rules = courtesy.of_inventory(Attach(**order)).and_also(wishes.courtesy)
    load, keyboard = Load(), Keyboard()
    load.sample([], time.monotonic())
    used_s_ago = keyboard.used_s_ago()  # asks
    if rules.max_load is not None or rules.min_idle_s is not None:
        time.sleep(SAMPLE_S)
        load.sample([], time.monotonic())
        used_s_ago = keyboard.used_s_ago()
    keyboard.close()
    seen = Seen(others.minute_of_day(), load.of_others(0), others.free_memory_bytes([]), used_s_ago)
    home = facts.filesystem_type(os.path.expanduser("~"))
    return {
        "gpus": gpus.count(),
        "rules": list(wishes.lines),
        "refused": wishes.refusal(),
        "busy": "; ".join(cause.text for cause in courtesy.causes(rules, seen)),
        "logind": logind.warning(outlives=bool(logind.outlive())),
        "kills": logind.kills_here(),
        "home": {"file_system": home, "network": facts.is_remote(home)},
        "guards": guards.held(),
    }
