"""`clean`: what a person asks for when nothing of ours shall be left on this host.

Only supervisors of this user, this host and this workdir are looked at. One that serves a run is left alone, unless all
is to go: then it is told to end, and the caches go too.
"""

from __future__ import annotations

import json
import os
import signal
import time

from . import local, stale
from .local import Place

_IDLE_S = 2.5  # an idle supervisor leaves by itself within 2 s
_STOP_S = 12.0  # told to end, it kills its workers, which takes 5 s at most, and removes its folders
_PARTS = ("scratch", "spool", "cache", "runner")


def clean(workdir: str, everything: bool) -> int:
    """Prints one JSON object: bytes removed, supervisors stopped, process ids of busy ones. Raises PlaceError."""
    at = local.place(workdir)
    removed = 0
    stopped = 0
    busy = []
    for one in (at, *(other for other in stale.with_a_lock(at) if other.workdir == at.workdir)):
        alive = os.path.exists(one.lock) and _stopped_by_itself(one, everything)
        fd = _wait_for_lock(one, _STOP_S if everything else _IDLE_S)
        if fd is None:
            busy.append(local.read_object(one.lock).get("pid"))
            continue
        stopped += alive
        removed += local.remove(one)
        local.release(one, fd)
    removed += stale.remove_dead(at)
    if everything and not busy:
        removed += _remove_caches(at.workdir)
    print(json.dumps({"removed_bytes": removed, "stopped": stopped, "busy": busy}))
    return 0


def _stopped_by_itself(one: Place, everything: bool) -> bool:
    """True where a supervisor is alive; told to end where `everything` goes."""
    fd = local.take_lock(one.lock)
    if fd is not None:
        os.close(fd)
        return False
    pid = local.read_object(one.lock).get("pid")
    if everything and type(pid) is int:
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
    return True


def _wait_for_lock(one: Place, patience_s: float) -> int | None:
    deadline = time.monotonic() + patience_s
    while True:
        fd = local.take_lock(one.lock)
        if fd is not None or time.monotonic() > deadline:
            return fd
        time.sleep(0.02)


def _remove_caches(workdir: str) -> int:
    removed = 0
    for name in _PARTS:
        removed += local.tree_bytes(f"{workdir}/{name}")
        local.remove_tree(f"{workdir}/{name}")
    local.remove_if_empty(workdir)
    return removed
