"""inventory.toml: where it is found, and from its values to model.Inventory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from batchwasm.errors import Problem
from batchwasm.model import TRANSPORTS, Host, HostName, Inventory
from batchwasm.spec import courtesy, document, hostlist, needs, policy
from batchwasm.spec.courtesy import COURTESY_KEYS
from batchwasm.spec.nodes import LATER, Node, did_you_mean, present, quoted, wrong_name
from batchwasm.spec.quantities import size_bytes

TOP_KEYS = ("defaults", "hosts")
HOST_KEYS = (
    *("address", "port", "user", "cpus", "memory", "transport", "workdir", "python", "mounts"),
    *("gpus", "labels", "resources", *COURTESY_KEYS),
)
LATER_TRANSPORTS = ("slurm",)
VARIABLE = "BATCHWASM_INVENTORY"
OWN = "~/.config/batchwasm/inventory.toml"
THIS_MACHINE = Host(name="localhost", transport="local")


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """An inventory, or None and why not."""

    inventory: Inventory | None
    problems: Sequence[Problem] = ()
    names: frozenset[HostName] = frozenset()
    """All hosts that there are, also where `--hosts` picked some of them."""


def find(jobs_folder: Path | None, *, inventory: Path | None, hosts: str | None) -> Found:
    """The inventory of a run, as DESIGN's order of places has it; `hosts` picks from it, or stands for itself."""
    where = place(jobs_folder, inventory)
    if where is None:
        found = _found(Inventory(hosts=(THIS_MACHINE,)))
    else:
        found = read(*where)
    if hosts is None or found.inventory is None:
        return found
    return _picked(found.inventory, hosts, strict=inventory is not None)


def _found(inventory: Inventory) -> Found:
    return Found(inventory=inventory, names=frozenset(host.name for host in inventory.hosts))


def place(jobs_folder: Path | None, given: Path | None) -> tuple[Path, str] | None:
    """Where the inventory is and what the user calls it; None is this machine alone."""
    if given is not None:
        return given, str(given)
    variable = os.environ.get(VARIABLE)
    if variable:
        return Path(os.path.expanduser(variable)), f"{variable} ({VARIABLE})"
    for path in (str((jobs_folder or Path()) / "inventory.toml"), os.path.expanduser(OWN)):
        if os.path.exists(path):
            return Path(path), path
    return None


def read(path: Path, file: str) -> Found:
    """The inventory at `path`, named `file` in problems."""
    return parsed(document.read(path, file), path)


def parsed(found: document.Document, path: Path) -> Found:
    """The inventory in a document that lies, or is to lie, at `path`."""
    hosts = _hosts(found.root) if found.root else []
    if found.report.problems:
        return Found(inventory=None, problems=found.report.problems)
    return _found(Inventory(hosts=tuple(hosts), path=Path(os.path.abspath(path)), text=found.text))


Layers = list[Mapping[str, Node]]
"""Keys of one host, what beats the others last: the defaults', its range's, its own table's."""


def _hosts(root: Node) -> list[Host]:
    top = root.known(TOP_KEYS)
    defaults = _keys(top["defaults"]) if "defaults" in top else {}
    _host("defaults", [defaults])
    tables = top["hosts"].fields if "hosts" in top else {}
    if top.get("hosts") is None or top["hosts"].value == {}:
        root.report.add((), "has no host; write [hosts.NAME]")
    return [_host(name, [defaults, *layers]) for name, layers in _by_name(tables).items()]


def _by_name(tables: Mapping[str, Node]) -> dict[str, Layers]:
    """The keys of every host, in the order in which hosts are first named."""
    ranges: dict[str, str] = {}
    found: dict[str, Layers] = {}
    for title, table in tables.items():
        keys = _keys(table)
        overlaps: dict[str, list[str]] = {}
        names = _names(title, table)
        if not names:
            _host(title, [keys])  # no host, but what else is wrong in its table is told now
        for name in names:
            layers = found.setdefault(name, [])
            if not hostlist.is_range(title):
                layers.append(keys)
            elif name in ranges:
                overlaps.setdefault(ranges[name], []).append(name)
            else:
                ranges[name] = title
                layers.insert(0, keys)
        for other, names in overlaps.items():
            table.wrong(f"{_some(names)} in {other!r} too; a host is in one range only")
    return found


def _some(names: Sequence[str]) -> str:
    return f"{names[0]} is" if len(names) == 1 else f"{names[0]} and {len(names) - 1} more are"


def _keys(table: Node) -> dict[str, Node]:
    """The keys of a host's table. A name with dots that nobody quoted is a table in it."""
    for name, node in table.fields.items():
        if isinstance(node.value, dict) and name not in HOST_KEYS:
            node.wrong(f"unknown table; a host name with dots is quoted: [hosts.{quoted(_written(node))}]")
            return {}
    return table.known(HOST_KEYS)


def _written(node: Node) -> str:
    """`lab01.cs.example` of [hosts.lab01.cs.example]."""
    names = [str(key) for key in node.path[1:]]
    while isinstance(node.value, dict) and len(node.value) == 1 and not set(node.value) & set(HOST_KEYS):
        (node,) = node.fields.values()
        if isinstance(node.value, dict):
            names.append(str(node.path[-1]))
    return ".".join(names)


def _names(title: str, table: Node) -> list[str]:
    """The hosts that a table's title means."""
    try:
        return hostlist.expand(title)
    except ValueError as error:
        table.wrong(str(error))
        return []


def _host(name: str, layers: Layers) -> Host:
    """One host; what is wrong with a key is in the book, and the key left out."""
    keys = {key: node for layer in layers for key, node in layer.items()}
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
        mounts={name: path for layer in layers for name, path in present(layer, "mounts", _mounts, {}).items()},
        gpus=present(keys, "gpus", lambda node: node.whole(0, 65_536), None),
        labels=frozenset(present(keys, "labels", policy.labels, ())),
        resources=_resources(layers),
        courtesy=courtesy.read(keys),
    )


def _resources(layers: Layers) -> dict[str, float]:
    """Those of all layers, key by key; 0 is none."""
    found: dict[str, float] = {}
    for layer in layers:
        if "resources" in layer:
            found |= needs.resources(layer["resources"].fields)
    return needs.some(found)


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
        wrong = wrong_name(name, "a mount")
        if wrong:
            field.wrong(wrong)
        text = _path(field)
        if text is not None:
            found[name] = text
    return found


def _picked(inventory: Inventory, text: str, *, strict: bool) -> Found:
    """The hosts of `--hosts`: those that the inventory knows are taken from it, others are ssh hosts of that name."""
    by_name = {host.name: host for host in inventory.hosts}
    hosts: dict[str, Host] = {}
    problems: list[Problem] = []
    try:
        wanted = [(user, name) for user, names in targets(text) for name in names]
    except ValueError as error:
        return Found(inventory=None, problems=[_problem(str(error))])
    for user, name in wanted:
        known = by_name.get(name)
        if known is None and strict:
            near = did_you_mean(name, by_name)
            problems.append(_problem(f"{name!r} is no host of {inventory.path}{near}"))
        host = known if known and not (user and known is THIS_MACHINE) else Host(name=name)
        hosts[name] = replace(host, user=user) if user else host
    if problems:
        return Found(inventory=None, problems=problems)
    return Found(inventory=replace(inventory, hosts=tuple(hosts.values())), names=frozenset({*by_name, *hosts}))


def targets(text: str) -> Iterator[tuple[str, list[str]]]:
    """User ('' where there is none) and names of every `lab01` or `user@lab[01-12]`. Raises ValueError."""
    for item in hostlist.items(text):
        user, at, names = item.rpartition("@")
        if at and (not user or not user.isprintable() or " " in user or user.startswith("-")):
            raise ValueError(f"{item!r} has no user before '@' that can be one; write USER@HOST")
        yield user, hostlist.expand(names)


def _problem(text: str) -> Problem:
    return Problem(file="", line=None, key="--hosts", text=text)
