"""What a job reserves on a host: cpus, memory, gpus, resources, and the alternatives to that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from batchwasm.model import Request
from batchwasm.spec.keys import Keys
from batchwasm.spec.nodes import Node, present, wrong_name
from batchwasm.spec.quantities import amount, amount_or_none, in_units, shown, size_bytes

NEED_KEYS = ("cpus", "memory", "gpus", "resources")


def read(keys: Keys, memory_bytes: int) -> tuple[Request, ...]:
    """At least one; `memory_bytes` is the cap of the job's tasks, which no alternative may reserve less than."""
    nodes = keys.all
    own = _request(nodes, resources(keys.merged("resources")), Request(memory_bytes=memory_bytes))
    if "any" not in nodes:
        return (own,)
    if nodes["any"].value == []:
        nodes["any"].wrong("is an empty list; name an alternative, or leave it out")
    return tuple(_alternative(item, own) for item in nodes["any"].items) or (own,)


def _alternative(node: Node, own: Request) -> Request:
    """What the job itself reserves, but for what this table says."""
    nodes = node.known(NEED_KEYS)
    more = resources(nodes["resources"].fields) if "resources" in nodes else {}
    found = _request(nodes, {**own.resources, **more}, own)
    if found.memory_bytes < own.memory_bytes:
        cap, least = in_units(own.memory_bytes), shown(nodes["memory"].value)
        nodes["memory"].wrong(f"{least} is less than the job's memory, {cap}, which a task may use; lower that one")
        return replace(found, memory_bytes=own.memory_bytes)
    return found


def _request(nodes: Mapping[str, Node], custom: Mapping[str, float], otherwise: Request) -> Request:
    return Request(
        cpus=present(nodes, "cpus", lambda node: node.quantity(amount), otherwise.cpus),
        memory_bytes=present(nodes, "memory", lambda node: node.quantity(size_bytes), otherwise.memory_bytes),
        gpus=present(nodes, "gpus", lambda node: node.quantity(_gpus), otherwise.gpus),
        resources=some(custom),
    )


def _gpus(value: object) -> float:
    """None, whole ones, or a share of one. Raises ValueError."""
    found = amount_or_none(value)
    if found > 1 and isinstance(found, float):
        raise ValueError(f"{shown(value)} is neither a number of gpus nor a share of one; write such as 2 or 0.5")
    return found


def some(amounts: Mapping[str, float]) -> dict[str, float]:
    """What is left where 0 took back what others say."""
    return {name: number for name, number in amounts.items() if number}


def resources(fields: Mapping[str, Node]) -> dict[str, float]:
    """Amounts by name, 0 too."""
    found: dict[str, float] = {}
    for name, node in fields.items():
        wrong = wrong_name(name, "a resource")
        if wrong:
            node.wrong(wrong)
        value = node.quantity(amount_or_none)
        if value is not None and not wrong:
            found[name] = value
    return found
