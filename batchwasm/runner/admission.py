"""What a run may have on this host: what its inventory asks for, against what is there and what the owner allows."""

from __future__ import annotations

from dataclasses import dataclass

from . import logind
from .capacity import Room
from .courtesy import Rules
from .owner import Wishes
from .protocol import Attach, Refused


@dataclass(frozen=True)
class Machine:
    """What is there to be given."""

    cpus: int
    memory_bytes: int
    """0 where nothing tells."""
    gpus: int

    @property
    def room(self) -> Room:
        return Room.of(self.cpus, self.memory_bytes, self.gpus)


def cap(machine: Machine, wishes: Wishes, order: Attach) -> Room:
    """What the run may hold at most. `impossible` was asked before."""
    return Room.of(
        _least(machine.cpus if order.cpus is None else order.cpus, wishes.cpus),
        _least(machine.memory_bytes if order.memory_bytes is None else order.memory_bytes, wishes.memory_bytes),
        _least(machine.gpus if order.gpus is None else order.gpus, wishes.gpus),
        order.resources,
    )


def _least(amount: int, allowed: int | None) -> int:
    return amount if allowed is None else min(amount, allowed)


def impossible(machine: Machine, order: Attach) -> Refused | None:
    """Why what the inventory says can't be."""
    there = machine.memory_bytes
    if order.cpus is not None and order.cpus < 1:
        return Refused("cpus", f"cpus = {order.cpus}; at least 1 is needed")
    if (order.gpus or 0) < 0 or min(order.resources.values(), default=0) < 0:
        return Refused("gpus", "an amount of gpus or resources is below 0")
    if order.memory_bytes is None and not there:
        return Refused("memory", "how much memory this host has can't be found out; set `memory` of this host")
    if order.memory_bytes is not None and (order.memory_bytes < 1 or (there and order.memory_bytes > there)):
        asked, has = (f"{count / 2**20:,.0f} MiB" for count in (order.memory_bytes, there))
        return Refused("memory", f"memory is {asked} in the inventory, and this host has {has}; write less, or nothing")
    return None


def warnings(machine: Machine, order: Attach, rules: Rules, *, logins_known: bool) -> list[str]:
    """What is done as the inventory says, though this host does not look like it."""
    found = []
    if order.cpus is not None and order.cpus > machine.cpus:
        found.append(f"cpus = {order.cpus}, but this host has {machine.cpus}: its tasks share them")
    if order.gpus is not None and order.gpus > machine.gpus:
        has = f"{machine.gpus or 'none'} are found there by nvidia-smi and rocm-smi"
        found.append(f"gpus = {order.gpus}, but {has}: tasks are given indexes up to {order.gpus - 1}")
    if rules.min_idle_s is not None and not logins_known:
        found.append("min_idle: this host does not tell who is logged in (neither utmp nor logind is there): nobody is")
    ends = logind.warning(outlives=logind.has_left_its_login())
    return [*found, ends] if ends else found
