"""Hosts that are written into an inventory: which file, which tables, and its text with them. Nothing is written here.

What is in the file stays as it is, byte for byte: tables are put behind it. Only a file that has all hosts in one line
(`hosts = { ... }`) can't be added to like that, and is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from batchwasm.errors import Problem, SpecError
from batchwasm.model import Host, HostName
from batchwasm.spec import document, hostlist
from batchwasm.spec import inventory as inventories
from batchwasm.spec.nodes import quoted

_WITH_PORT = re.compile(r"([^:]+):(\d+)")

Keys = Mapping[str, "str | int | Sequence[str]"]
"""Keys of a host's table with their values."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is to be added where."""

    path: Path
    shown: str
    """The file as the user would name it."""
    text: str
    """What is in it now; '' where it is not there."""
    keys: Mapping[HostName, Keys]
    """What each new host's table shall say, in the order in which they were named."""
    hosts: Sequence[Host]
    """What these tables mean, with what the file's [defaults] say."""
    there: Sequence[Host]
    """The hosts that were named and that the file has already."""


def place(folder: Path, given: Path | None) -> tuple[Path, str]:
    """The file that commands in `folder` would find; where there is none, the user's own, which all folders find."""
    found = inventories.place(folder, given)
    own = os.path.expanduser(inventories.OWN)
    return found or (Path(own), own)


def plan(folder: Path, given: Path | None, wanted: Mapping[HostName, Keys]) -> Plan:
    """Raises SpecError: the file is wrong as it is, a host is there with other keys, or a value is none."""
    path, shown = place(folder, given)
    text = _text(path, shown)
    known = _known(text, path, shown)
    there = [known[name] for name in wanted if name in known]
    differing = [wrong for name in wanted if name in known and (wrong := _differs(known[name], wanted[name], shown))]
    if differing:
        raise SpecError(differing)
    defaults = {"transport": "ssh"} | _defaults(text, shown)
    keys = {name: _beyond(defaults, wanted[name]) for name in wanted if name not in known}
    hosts = _meaning(text, keys, path, shown) if keys else ()
    return Plan(path=path, shown=shown, text=text, keys=keys, hosts=hosts, there=there)


def revised(plan: Plan, transports: Mapping[HostName, str]) -> Plan:
    """The same for these hosts, with the transport that each shall have, on what the file holds by now."""
    text = _text(plan.path, plan.shown)
    twice = [name for name in _known(text, plan.path, plan.shown) if name in transports]
    if twice:
        what = "was written there meanwhile; see what it says"
        raise SpecError([Problem(file=plan.shown, line=None, key=f"hosts.{name}", text=what) for name in twice])
    before = {host.name: host.transport for host in plan.hosts}
    keys = {
        name: {**plan.keys[name], **({"transport": way} if way != before[name] else {})}
        for name, way in transports.items()
    }
    return replace(plan, text=text, keys=keys, hosts=_meaning(text, keys, plan.path, plan.shown))


def with_tables(plan: Plan) -> str:
    """The file's text with the new hosts."""
    return _joined(plan.text, plan.keys)


def tables(keys: Mapping[HostName, Keys]) -> str:
    """A table for each set of hosts that say the same: `[hosts."lab[01-12]"]`."""
    alike: list[tuple[Keys, list[HostName]]] = []
    for name, values in keys.items():
        same = next((names for other, names in alike if other == values), None)
        if same is None:
            alike.append((values, [name]))
        else:
            same.append(name)
    titles = [(title, values) for values, names in alike for title in hostlist.items(hostlist.fold(names))]
    return "\n".join(_table(title, values) for title, values in titles)


def _table(title: str, keys: Keys) -> str:
    bare = title.replace("-", "").replace("_", "").isalnum() and title.isascii()
    lines = [f"[hosts.{title if bare else quoted(title)}]", *(f"{key} = {_value(keys[key])}" for key in keys)]
    return "".join(f"{line}\n" for line in lines)


def _value(value: str | int | Sequence[str]) -> str:
    if isinstance(value, int):
        return str(value)
    return quoted(value) if isinstance(value, str) else f"[{', '.join(map(quoted, value))}]"


def _joined(text: str, keys: Mapping[HostName, Keys]) -> str:
    added = tables(keys)
    if text.strip():
        added = ("" if text.endswith("\n") else "\n") + "\n" + added
    return text + (added.replace("\n", "\r\n") if "\r\n" in text else added)


def _text(path: Path, shown: str) -> str:
    if not os.path.lexists(path):
        return ""
    found = document.read(path, shown)
    if found.root is None:
        raise SpecError(found.report.problems)
    return path.read_bytes().decode()  # its line ends and its mark at the beginning as they are


def _parsed(text: str, shown: str) -> document.Document:
    return document.parse(text.removeprefix("\ufeff"), shown)


def _defaults(text: str, shown: str) -> dict[str, object]:
    root = _parsed(text, shown).root
    said = root.value.get("defaults") if root is not None and isinstance(root.value, dict) else None
    return said if isinstance(said, dict) else {}


def _beyond(defaults: Mapping[str, object], keys: Keys) -> Keys:
    return {key: value for key, value in keys.items() if defaults.get(key) != value}


def _known(text: str, path: Path, shown: str) -> dict[HostName, Host]:
    found = _parsed(text, shown)
    if found.root is not None and isinstance(found.root.value, dict) and not found.root.value.get("hosts"):
        return {}  # none yet, which only a run would mind
    read = inventories.parsed(found, path)
    if read.inventory is None:
        raise SpecError(read.problems)
    return {host.name: host for host in read.inventory.hosts}


def _meaning(text: str, keys: Mapping[HostName, Keys], path: Path, shown: str) -> Sequence[Host]:
    found = _parsed(_joined(text, keys), shown)
    if found.root is None and text.strip() and _parsed(text, shown).root is not None:
        what = "has all its hosts in one line, where nothing can be added; write [hosts.NAME] tables instead"
        raise SpecError([Problem(file=shown, line=None, key="hosts", text=what)])
    read = inventories.parsed(found, path)
    if read.inventory is None:
        lines = len(text.splitlines())
        raise SpecError(
            [one if (one.line or 0) <= lines else replace(one, file="", line=None) for one in read.problems]
        )
    return [host for host in read.inventory.hosts if host.name in keys]


def _differs(host: Host, wanted: Keys, shown: str) -> Problem | None:
    """What was asked for and is not what the file says."""
    says = {"user": host.user, "port": host.port, "address": host.address or host.name, "transport": host.transport}
    says |= {"workdir": host.workdir, "python": host.python}
    other = [key for key, value in wanted.items() if key in says and says[key] != value]
    other += [f"label {label}" for label in wanted.get("labels", ()) if label not in host.labels]  # type: ignore[union-attr]
    if not other:
        return None
    text = f"is there already, with another {', '.join(other)}; change it there"
    return Problem(file=shown, line=None, key=f"hosts.{host.name}", text=text)


def wanted(texts: Sequence[str], names: str | None, keys: Keys) -> dict[HostName, Keys]:
    """Keys of each host of `alice@lab[01-12]` and the like; `names` are what they shall be called. Raises SpecError."""
    try:
        targets = [(user, each) for text in texts for user, found in _targets(text, names) for each in found]
        called = [target for _, target in targets] if names is None else hostlist.expand(names)
    except ValueError as error:
        raise _wrong("HOST", str(error)) from error
    if len(called) != len(targets):
        counts = (f"{n} {what}{'' if n == 1 else 's'}" for n, what in ((len(called), "name"), (len(targets), "host")))
        raise _wrong("--name", f"{names!r}: {' for '.join(counts)}; give each host one, such as 'gpu[1-2]' for two")
    found: dict[HostName, Keys] = {}
    for name, (user, target) in zip(called, targets, strict=True):
        if name in found:
            way = "two users or ports of one machine are two hosts: add each by itself, with a --name of its own"
            raise _wrong("HOST", f"{name!r} is named twice; {way}")
        own = {"address": target} if target != name else {}
        found[name] = {**own, **({"user": user} if user else {}), **keys}
    return found


def _targets(text: str, names: str | None) -> Iterator[tuple[str, list[str]]]:
    """Where one host has a name of its own, its address may be any."""
    if names is not None and not hostlist.is_range(names) and ":" in text and "[" not in text:
        user, _, address = text.rpartition("@")
        yield user, [address]
    elif match := _WITH_PORT.fullmatch(text):
        raise ValueError(f"{text!r} has a port in it; write {match[1]} --port {match[2]}")
    else:
        yield from inventories.targets(text)


def _wrong(key: str, text: str) -> SpecError:
    return SpecError([Problem(file="", line=None, key=key, text=text)])
