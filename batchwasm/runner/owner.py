"""host.toml: what the owner of a machine allows here, over any inventory. Read on the machine itself.

/etc/batchwasm/host.toml is for all users, ~/.config/batchwasm/host.toml for one; both apply, the strictest of each key.
A file that can't be understood stops all work: a wish that is not understood must not be passed over.
"""

from __future__ import annotations

import difflib
import os
import pwd
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable

from .courtesy import DAY_MINUTES, WHEN_BUSY, Rules, Window

if sys.version_info >= (3, 11):
    import tomllib
else:  # the one thing that hosts lack and is shipped beside the runner; see engine/pack.py
    import tomli as tomllib

SYSTEM = "/etc/batchwasm/host.toml"
OWN = "~/.config/batchwasm/host.toml"
_LIMIT_BYTES = 64 * 1024  # a page of text; anything longer is another file
_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,9})?"
_SIZE = re.compile(rf"({_NUMBER}) *({'|'.join(_UNITS)})?", re.ASCII)
_DURATION = re.compile("".join(rf"(?:({_NUMBER}){unit})?" for unit in "dhms"), re.ASCII)
_SECONDS = (86_400, 3_600, 60, 1)
_HOURS = re.compile(r"([0-9]{1,2}):([0-9]{2}) *- *([0-9]{1,2}):([0-9]{2})", re.ASCII)


@dataclass(frozen=True)
class Wishes:
    """What the files say together; what is None does not matter."""

    cpus: int | None = None
    memory_bytes: int | None = None
    gpus: int | None = None
    users: frozenset[str] | None = None
    courtesy: Rules = Rules()  # noqa: RUF009 - frozen
    lines: tuple[str, ...] = ()
    """All of it, for people."""
    problems: tuple[str, ...] = ()
    """What can't be understood: nothing may run then."""

    def refusal(self) -> str:
        """Why this user may not work here at all; '' where he may."""
        if self.problems:
            return "\n".join(self.problems)
        me = user_name()
        if self.users is not None and me not in self.users:
            return f"the owner of this machine lets {', '.join(sorted(self.users)) or 'nobody'} use it, not {me}"
        return ""


def user_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())  # as in many containers


def paths() -> tuple[str, ...]:
    return SYSTEM, os.path.expanduser(OWN)


class Files:
    """The files, read again when one of them changes."""

    def __init__(self, where: Sequence[str]) -> None:
        self._where = where
        self._seen: list[object] = []
        self.wishes = Wishes()
        self.changed()

    def changed(self) -> bool:
        """Looks at them; True where `wishes` is another than before."""
        seen = [_state(path) for path in self._where]
        if seen == self._seen:
            return False
        before, self.wishes, self._seen = self.wishes, read(self._where), seen
        return self.wishes != before


def _state(path: str) -> object:
    try:
        info = os.stat(path)
    except OSError as error:
        return error.errno
    return info.st_mtime_ns, info.st_ino, info.st_size, info.st_mode


def read(where: Sequence[str]) -> Wishes:
    """What the files at these paths say; those that are not there say nothing."""
    wishes = Wishes()
    for path in where:
        try:
            with open(path, "rb") as file:
                content = file.read(_LIMIT_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            found = Wishes(problems=(f"{path}: can't be read ({error.strerror}); nothing runs here until it can",))
        else:
            found = parse(content, path)
        wishes = _both(wishes, found)
    return wishes


def _both(one: Wishes, other: Wishes) -> Wishes:
    def least(name: str) -> Any:
        both = [getattr(wishes, name) for wishes in (one, other) if getattr(wishes, name) is not None]
        return min(both, default=None)

    users = [wishes.users for wishes in (one, other) if wishes.users is not None]
    return Wishes(
        cpus=least("cpus"),
        memory_bytes=least("memory_bytes"),
        gpus=least("gpus"),
        users=frozenset.intersection(*users) if users else None,
        courtesy=one.courtesy.and_also(other.courtesy),
        lines=one.lines + other.lines,
        problems=one.problems + other.problems,
    )


# --------------------------------------------------------------------------------------------------- one file


def parse(content: bytes, path: str) -> Wishes:
    """What a file says; all that is wrong with it at once."""
    try:
        if len(content) > _LIMIT_BYTES:
            raise ValueError(f"is over {_LIMIT_BYTES} bytes")
        text = content.decode()
        table: Mapping[str, Any] = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        line = re.search(r"at line (\d+)", str(error))
        last = content.count(b"\n", 0, -1) + 1 if "at end of document" in str(error) else None
        where = f"{path}:{line.group(1) if line else last}" if line or last else path
        return Wishes(problems=(f"{where}: is no TOML: {error}",))
    values: dict[str, Any] = {}
    problems = []
    for key, value in table.items():
        try:
            if key not in _KEYS:
                raise ValueError(_unknown(key))
            values[key] = _KEYS[key](value)
        except ValueError as error:
            problems.append(f"{path}:{_line_of(key, text)}: {key}: {error}")
    if problems:
        return Wishes(problems=tuple(problems))
    rules = {_RULES[key]: value for key, value in values.items() if key in _RULES}
    caps = {_CAPS[key]: value for key, value in values.items() if key in _CAPS}
    return Wishes(
        courtesy=Rules(**rules),
        lines=tuple(f"{key} = {_shown(table[key])} ({path})" for key in values),
        **caps,
    )


def _unknown(key: str) -> str:
    near = difflib.get_close_matches(key, _KEYS, 1)
    return f"unknown key; did you mean '{near[0]}'?" if near else f"unknown key; keys are {', '.join(_KEYS)}"


def _line_of(key: str, text: str) -> int:
    pattern = re.compile(rf"""\s*(?:\[\s*)?["']?{re.escape(key)}["']?\s*[].=]""")
    return next((n for n, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 1)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def _whole(least: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if type(value) is int and least <= value < 2**31:
            return value
        raise ValueError(f"{_shown(value)} is no whole number from {least} up")

    return check


def _size(value: Any) -> int:
    if type(value) is int and 0 < value < 2**63:
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    size = int(float(match[1]) * _UNITS[match[2] or "B"]) if match else 0
    if size > 0:
        return size
    raise ValueError(f'{_shown(value)} is not a size; write bytes or a size such as "4GiB"')


def _duration(value: Any) -> float:
    if type(value) in (int, float) and 0 <= value < 1e9:
        return float(value)
    text = value if isinstance(value, str) else ""
    match = _DURATION.fullmatch(f"{text}s" if re.fullmatch(_NUMBER, text, re.ASCII) else text) if text else None
    if match:
        return sum(float(number) * seconds for number, seconds in zip(match.groups(), _SECONDS) if number)
    raise ValueError(f'{_shown(value)} is not a duration; write seconds or a duration such as "15m"')


def _load(value: Any) -> float:
    if type(value) in (int, float) and 0 <= value < 1e6:
        return float(value)
    raise ValueError(f"{_shown(value)} is no share of the cpus; write a number such as 0.8")


def _hours(value: Any) -> tuple[tuple[Window, ...], ...]:
    texts = value if isinstance(value, list) and value else [value]
    return (tuple(map(_window, texts)),)


def _window(value: Any) -> Window:
    match = _HOURS.fullmatch(value) if isinstance(value, str) else None
    if match:
        start, stop = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
        if max(start, stop) <= DAY_MINUTES and max(int(match[2]), int(match[4])) < 60:
            return Window(start % DAY_MINUTES, stop % DAY_MINUTES)
    raise ValueError(f'{_shown(value)} is no time of day; write it as "20:00-08:00"')


def _users(value: Any) -> frozenset[str]:
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return frozenset(value)
    raise ValueError(f'{_shown(value)} is no list of user names; write it as ["alice", "bob"]')


def _when_busy(value: Any) -> str:
    if value in WHEN_BUSY:
        return str(value)
    raise ValueError(f"{_shown(value)} is none of {', '.join(WHEN_BUSY)}")


_KEYS: Mapping[str, Callable[[Any], Any]] = {
    "cpus": _whole(1),
    "memory": _size,
    "gpus": _whole(0),
    "users": _users,
    "hours": _hours,
    "max_load": _load,
    "min_free_memory": _size,
    "min_idle": _duration,
    "when_busy": _when_busy,
}
_CAPS = {"cpus": "cpus", "memory": "memory_bytes", "gpus": "gpus", "users": "users"}
_RULES = {
    "hours": "hours",
    "max_load": "max_load",
    "min_free_memory": "min_free_memory_bytes",
    "min_idle": "min_idle_s",
    "when_busy": "when_busy",
}
