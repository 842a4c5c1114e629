"""Finds what dead supervisors left here and removes it: locks nobody holds, scratch and spool of an earlier boot.

Only what is provably dead and this user's goes: a lock that can be taken, or a boot of this very host that is over.
Another host's folders in a shared workdir are never touched.
"""

from __future__ import annotations

import os
import socket

from . import facts, local
from .local import OWNER, Place


def remove_dead(at: Place) -> int:
    """All that is not of `at` and dead. Returns bytes."""
    others = {one.tag: one for one in (*with_a_lock(at), *with_scratch(at))}
    return sum(_remove(one) for one in others.values())


def with_a_lock(at: Place) -> list[Place]:
    """Other supervisors, dead or alive, with a lock in this root."""
    found = []
    for name in _names(at.root):
        tag, end = os.path.splitext(name)
        said = local.read_object(f"{at.root}/{name}") if end == ".lock" and tag != at.tag else {}
        workdir, work = said.get("workdir"), said.get("work")
        if isinstance(workdir, str) and isinstance(work, str):
            found.append(Place(workdir=workdir, root=at.root, tag=tag, work=work))
    return found


def with_scratch(at: Place) -> list[Place]:
    """Other supervisors of this user, host and workdir whose scratch is there, but not their lock."""
    found = []
    for tag in _names(f"{at.work}/scratch"):
        owner = local.read_object(f"{at.work}/scratch/{tag}/{OWNER}")
        mine = owner.get("uid") == os.getuid() and owner.get("host") == socket.gethostname()
        root = owner.get("root")
        if tag == at.tag or not mine or not isinstance(root, str):
            continue
        if owner.get("boot") != facts.boot_id() or not os.path.lexists(f"{root}/{tag}.lock"):
            found.append(Place(workdir=at.workdir, root=at.root, tag=tag, work=at.work))
    return found


def _remove(one: Place) -> int:
    fd = local.take_lock(one.lock)
    if fd is None:
        return 0  # alive, or somebody else is at it
    removed = local.remove(one)
    local.release(one, fd)
    return removed


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
