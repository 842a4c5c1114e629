"""inventory.toml: where it is found, and from its values to model.Inventory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from batchwasm.errors import Problem
from batchwasm.model import Host, Inventory
from batchwasm.spec import document, hostlist
from batchwasm.spec.nodes import LATER, Node, did_you_mean, present
from batchwasm.spec.quantities import size_bytes

TOP_KEYS = ("defaults", "hosts")
HOST_KEYS = ("address", "port", "user", "cpus", "memory", "transport", "workdir", "python", "mounts")
LATER_HOST_KEYS = ("gpus", "labels", "resources", "max_load", "min_free_memory", "hours", "min_idle", "when_busy")
TRANSPORTS = ("ssh", "local")
LATER_TRANSPORTS = ("paramiko", "openssh", "slurm")
VARIABLE = "BATCHWASM_INVENTORY"
THIS_MACHINE = Host(name="localhost", transport="local")


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """An inventory, or None and why not."""

    inventory: Inventory | None
    problems: Sequence[Problem] = ()


def find(jobs_folder: Path | None, *, inventory: Path | None, hosts: str | None) -> Found:
    """The inventory of a run, as DESIGN's order of places has it; `hosts` picks from it, or stands for itself."""
    place = _place(jobs_folder, inventory)
    if place is None:
        found = Found(inventory=Inventory(hosts=(THIS_MACHINE,)))
    else:
        found = read(*place)
    if hosts is None or found.inventory is None:
        return found
    return _picked(found.inventory, hosts, strict=inventory is not None)


def _place(jobs_folder: Path | None, given: Path | None) -> tuple[Path, str] | None:
    """Where the inventory is and what the user calls it; None is this machine alone."""
    if given is not None:
        return given, str(given)
    variable = os.environ.get(VARIABLE)
    if variable:
        return Path(variable).expanduser(), variable
    beside = (jobs_folder or Path()) / "inventory.toml"
    if beside.exists():
        return beside, str(beside)
    own = Path("~/.config/batchwasm/inventory.toml").expanduser()
    return (own, str(own)) if own.exists() else None


def read(path: Path, file: str) -> Found:
    """The inventory at `path`, named `file` in problems."""
    found = document.read(path, file)
    hosts = _hosts(found.root) if found.root else []
    if found.report.problems:
        return Found(inventory=None, problems=found.report.problems)
    return Found(inventory=Inventory(hosts=tuple(hosts), path=Path(os.path.abspath(path)), text=found.text))


def _hosts(root: Node) -> list[Host]:
    top = root.known(TOP_KEYS)
    defaults = top["defaults"].known(HOST_KEYS, LATER_HOST_KEYS) if "defaults" in top else {}
    if defaults:
        _host("defaults", defaults)
    tables = top["hosts"].fields if "hosts" in top else {}
    if not tables:
        root.report.add((), "has no host; write [hosts.NAME]")
    return [_host(name, {**defaults, **keys}) for name, keys in _by_name(tables).items()]


def _by_name(tables: Mapping[str, Node]) -> dict[str, dict[str, Node]]:
    """The keys of every host, its own table's before its range's, in the order in which hosts are first named."""
    ranges: dict[str, tuple[str, Node]] = {}
    found: dict[str, dict[str, Node]] = {}
    own: dict[str, dict[str, Node]] = {}
    for title, table in tables.items():
        keys = table.known(HOST_KEYS, LATER_HOST_KEYS)
        names = _names(title, table)
        for name in names:
            found.setdefault(name, {})
            if not hostlist.is_range(title):
                own[name] = keys
            elif name in ranges:
                table.wrong(f"{name} is in {ranges[name][0]!r} too; a host is in one range only")
            else:
                ranges[name] = (title, table)
                found[name] = keys
    return {name: _over(keys, own.get(name, {})) for name, keys in found.items()}


def _names(title: str, table: Node) -> list[str]:
    """The hosts that a table's title means."""
    try:
        return hostlist.expand(title)
    except ValueError as error:
        table.wrong(str(error))
        return []


def _over(keys: Mapping[str, Node], own: Mapping[str, Node]) -> dict[str, Node]:
    """A range's keys with those of the host's own table over them."""
    return {**keys, **own}


def _host(name: str, keys: Mapping[str, Node]) -> Host:
    """One host; what is wrong with a key is in the book, and the key left out."""
    address = present(keys, "address", _word, "")
    return Host(
        name=name,
        transport=present(keys, "transport", _transport, "ssh"),
        address=address.replace("{name}", name),
        port=present(keys, "port", lambda node: node.whole(1, 65_535), None),
        user=present(keys, "user", _word, None),
        cpus=present(keys, "cpus", lambda node: node.whole(1, 65_536), None),
        memory_bytes=present(keys, "memory", lambda node: node.quantity(size_bytes), None),
        workdir=present(keys, "workdir", _path, None),
        python=present(keys, "python", _path, None),
        mounts=present(keys, "mounts", _mounts, {}),
    )


def _transport(node: Node) -> str | None:
    text = node.text()
    if text in LATER_TRANSPORTS:
        node.wrong(f"{text}: {LATER}; transports are {', '.join(TRANSPORTS)}")
        return None
    if text is not None and text not in TRANSPORTS:
        node.wrong(f"{text!r} is no transport{did_you_mean(text, TRANSPORTS)}; those are {', '.join(TRANSPORTS)}")
        return None
    return text


def _word(node: Node) -> str | None:
    """A user or an address: it stands on command lines, so no spaces and no '-' in front."""
    text = node.text()
    if text is not None and (not text.isprintable() or " " in text or text.startswith("-")):
        node.wrong(f"{text!r} has a space in it, or a '-' in front; write it without")
        return None
    return text


def _path(node: Node) -> str | None:
    """A path on the host."""
    text = node.text()
    if text is not None and not text.startswith(("/", "~/")):
        node.wrong(f"{text!r} is a path on the host; start it with '/' or '~/'")
        return None
    return text


def _mounts(node: Node) -> dict[str, str]:
    found = {}
    for name, field in node.fields.items():
        text = _path(field)
        if text is not None:
            found[name] = text
    return found


def _picked(inventory: Inventory, text: str, *, strict: bool) -> Found:
    """The hosts of `--hosts`: those that the inventory knows are taken from it, others are ssh hosts of that name."""
    by_name = {host.name: host for host in inventory.hosts}
    hosts: list[Host] = []
    problems: list[Problem] = []
    for item in _items(text, problems):
        user, _, name = item.rpartition("@")
        host = by_name.get(name)
        if host is None and strict:
            hint = did_you_mean(name, by_name)
            problems.append(_problem(f"{name!r} is not in {inventory.path}{hint}"))
        elif host is None or (user and host is THIS_MACHINE):
            host = Host(name=name)
        if host:
            hosts.append(replace(host, user=user) if user else host)
    return Found(inventory=None if problems else replace(inventory, hosts=tuple(hosts)), problems=problems)


def _items(text: str, problems: list[Problem]) -> Iterator[str]:
    """`user@name` or `name`, one by one."""
    for item in text.split(","):
        yield item.strip()


def _problem(text: str) -> Problem:
    return Problem(file="", line=None, key="--hosts", text=text)
