"""When and where a job's attempts run, and run again: labels, priority, how many at once, retries, isolation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from batchwasm.model import Outcome, Retries
from batchwasm.spec.keys import Keys
from batchwasm.spec.nodes import Node, did_you_mean, present
from batchwasm.spec.quantities import LARGEST, shown

LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,199}", re.ASCII)
WHOLE_JOB = "*"
"""Of a table of max_parallel: the job wherever it runs, no label."""
RETRIED = ("failed", "trapped", "timed_out", "out_of_memory", "limit_exceeded", "invalid")
"""Outcomes that an attempt may be tried again after."""
MOST_GROWTH = 2048
"""Takes the 2 MiB that a module needs to start to the 4 GiB that it can address."""
_EXIT = re.compile(r"exit:([0-9]{1,9})", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    labels: tuple[str, ...]
    priority: int
    max_parallel: int | None
    max_parallel_by_label: Mapping[str, int]
    retries: Retries
    isolate: bool
    verify: int
    cache: bool


def read(keys: Keys) -> Policy:
    nodes = keys.all
    parallel = dict(present(nodes, "max_parallel", _max_parallel, {}))
    return Policy(
        labels=present(nodes, "labels", _required, ()),
        priority=present(nodes, "priority", lambda node: node.whole(-LARGEST), 0),
        max_parallel=parallel.pop(WHOLE_JOB, None),
        max_parallel_by_label=parallel,
        retries=_retries(keys),
        isolate=_isolate(keys),
        verify=present(nodes, "verify", lambda node: node.whole(1), 1),
        cache=present(nodes, "cache", Node.flag, False),
    )


# ------------------------------------------------------------------------------------------------------ labels


def labels(node: Node) -> tuple[str, ...]:
    """Those that a host has, each once."""
    return tuple(dict.fromkeys(text for item in node.items if (text := _label(item)) is not None))


def _required(node: Node) -> tuple[str, ...]:
    """Those that a host must have, and with '!' in front those that it must not have."""
    found: dict[str, None] = {}
    for item in node.items:
        text = _label(item, "!")
        if text is None:
            continue
        opposite = text[1:] if text.startswith("!") else f"!{text}"
        if opposite in found:
            item.wrong(f"{text!r} and {opposite!r} leave no host; write one of them")
        else:
            found[text] = None
    return tuple(found)


def _label(node: Node, mark: str = "") -> str | None:
    text = node.text()
    if text is None or LABEL.fullmatch(text.removeprefix(mark) if mark else text):
        return text
    more = f"; '{mark}' in front: must not have" if mark else ""
    node.wrong(f"{text!r} is not a label; write a word such as 'fast-disk'{more}")
    return None


# ------------------------------------------------------------------------------------------------ how many at once


def _max_parallel(node: Node) -> dict[str, int]:
    """By label; the whole job's is under WHOLE_JOB."""
    if not isinstance(node.value, dict):
        number = node.whole(1)
        return {} if number is None else {WHOLE_JOB: number}
    found = {}
    for name, field in node.fields.items():
        if name != WHOLE_JOB and not LABEL.fullmatch(name):
            field.wrong(f"{name!r} is not a label; write a host's label, or '{WHOLE_JOB}' for the whole job")
        number = field.whole(1)
        if number is not None:
            found[name] = number
    return found


# ------------------------------------------------------------------------------------------------------ attempts


def _retries(keys: Keys) -> Retries:
    nodes, usual = keys.all, Retries()
    found = Retries(
        count=present(nodes, "retries", lambda node: node.whole(0), usual.count),
        on=present(nodes, "retry_on", _retry_on, usual.on),
        memory_growth=present(nodes, "memory_growth", _memory_growth, usual.memory_growth),
    )
    for key in ("retry_on", "memory_growth"):
        if key in keys.own and "retries" not in nodes:
            keys.own[key].wrong("does nothing without retries; write retries = 3, or leave it out")
    if found.memory_growth > 1 and "retries" in nodes and "out_of_memory" not in found.on:
        nodes["memory_growth"].wrong("does nothing where retry_on leaves out 'out_of_memory'; add it there")
    return found


def _retry_on(node: Node) -> frozenset[str]:
    found = set()
    for item in node.items:
        text = item.text()
        if text is None:
            continue
        if text in RETRIED or _EXIT.fullmatch(text):
            found.add(text)
        else:
            item.wrong(_not_retried(text))
    return frozenset(found)


def _not_retried(text: str) -> str:
    """Why nothing is tried again after an outcome of this name."""
    known = {outcome.word for outcome in Outcome}
    if text == Outcome.LOST.word:
        return "'lost' is not a failure: an attempt that is lost with its host is always run again; leave it out"
    if text in known:
        return f"nothing is run again after {text!r}; outcomes that may be are {', '.join(RETRIED)}"
    near = did_you_mean(text, RETRIED) or f"; write {', '.join(RETRIED)} or 'exit:75'"
    return f"{text!r} is no outcome{near}"


def _memory_growth(node: Node) -> float | None:
    value = node.value
    if isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value <= MOST_GROWTH:
        return float(value)
    node.wrong(f"{shown(value)} is not a factor from 1 to {MOST_GROWTH}; 2 doubles the memory after each out_of_memory")
    return None


def _isolate(keys: Keys) -> bool:
    nodes = keys.all
    isolate = present(nodes, "isolate", Node.flag, False)
    if isolate and "reuse" in nodes and nodes["reuse"].value is True:
        node = keys.own.get("isolate") or keys.own.get("reuse") or nodes["isolate"]
        node.wrong("isolate gives each call a process of its own, reuse one instance to many; leave one out")
    return isolate
