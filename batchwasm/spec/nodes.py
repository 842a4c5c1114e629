"""A value of a TOML file that knows where it stands, and the book of all that is wrong with the file.

A reading method gives the parsed value, or writes a problem into the book and gives None; nobody stops at the first.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from batchwasm.errors import Problem
from batchwasm.model import Scalar
from batchwasm.spec.lines import KeyPath, Lines
from batchwasm.spec.quantities import LARGEST, shown

T = TypeVar("T")
D = TypeVar("D")
NAME = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
NAME_LENGTH = 200  # jobs and runs become folders' names; most file systems stop at 255 bytes
LATER = "not in this version"


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The problems of one file."""

    file: str
    lines: Lines = field(default_factory=Lines)
    found: list[Problem] = field(default_factory=list)
    """As they were found; what stands in the defaults is found once by every job."""

    def add(self, path: KeyPath, text: str) -> None:
        self.found.append(Problem(file=self.file, line=self.lines.nearest(path), key=dotted(path), text=text))

    def add_to_job(self, job: str, path: KeyPath, text: str) -> None:
        """A problem of a job's key, which may stand in the defaults."""
        whole = ("jobs", job, *path)
        inherited = ("defaults", *path)
        elsewhere = self.lines.exact(whole) is None and self.lines.exact(inherited) is not None
        self.add(inherited if elsewhere else whole, text)

    @property
    def problems(self) -> list[Problem]:
        """Each once, by line."""
        return sorted(dict.fromkeys(self.found), key=lambda problem: problem.line or 0)


def dotted(path: KeyPath) -> str:
    """A path as TOML writes it: `jobs.pi.args[2]`, `hosts."lab[02-40]".cpus`."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            text += ("." if text else "") + (key if NAME.fullmatch(key) else quoted(key))
    return text


def quoted(text: str) -> str:
    """A TOML basic string."""
    return '"' + re.sub(r'["\\\x00-\x1f\x7f]', _escaped, text) + '"'


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    return "\\" + character if character in '"\\' else f"\\u{ord(character):04x}"


def is_text(text: str) -> bool:
    """Whether UTF-8 can hold it: a file's name off the disk may be any bytes, which Python keeps as lone surrogates."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'memory'?`, or '' where nothing is near."""
    near = difflib.get_close_matches(name, list(known), n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(n) for n in near)}?" if near else ""


def siblings(path: str | Path) -> list[str]:
    """Names in the folder of a file that is not there; [] where the folder is not there either."""
    try:
        return os.listdir(os.path.dirname(path) or ".")
    except OSError:
        return []


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    value: object
    path: KeyPath
    report: Report

    def wrong(self, text: str) -> None:
        """Write a problem of this value into the book."""
        self.report.add(self.path, text)

    def wants(self, what: str) -> None:
        """Say that this value is of a wrong type."""
        self.wrong(f"{shown(self.value)} is not {what}")

    @property
    def fields(self) -> dict[str, Node]:
        """The nodes of a table; {} and a problem where it is none."""
        if not isinstance(self.value, dict):
            self.wants("a table; write { KEY = VALUE }")
            return {}
        return {k: Node(value=v, path=(*self.path, k), report=self.report) for k, v in self.value.items()}

    @property
    def items(self) -> list[Node]:
        """The nodes of a list; [] and a problem where it is none."""
        if not isinstance(self.value, list):
            self.wants("a list; write [ ... ]")
            return []
        return [Node(value=v, path=(*self.path, i), report=self.report) for i, v in enumerate(self.value)]

    def known(self, names: Collection[str]) -> dict[str, Node]:
        """The fields among `names`; every other one is a problem."""
        fields = self.fields
        for name, node in fields.items():
            if name not in names:
                hint = did_you_mean(name, names) or f"; keys are {', '.join(sorted(names))}"
                node.wrong(f"unknown key{hint}")
        return {name: node for name, node in fields.items() if name in names}

    def text(self, *, empty: bool = False) -> str | None:
        """A string that can be an argument, a variable or a path: without NUL, and not empty unless `empty`."""
        if not isinstance(self.value, str):
            self.wants("a string")
        elif "\0" in self.value:
            self.wrong("a NUL character can't be passed on; leave it out")
        elif not is_text(self.value):
            self.wrong(f"{self.value!r} is not UTF-8; rename it")
        elif not self.value and not empty:
            self.wrong("is empty; write something, or leave the key out")
        else:
            return self.value
        return None

    def scalar(self) -> Scalar | None:
        """A string (maybe empty), number or bool."""
        if isinstance(self.value, str):
            return self.text(empty=True)
        if isinstance(self.value, int) and not -(2**63) <= self.value < 2**64:
            self.wrong("is a whole number of more than 64 bits; write it as a string")
            return None
        if isinstance(self.value, bool | int | float):
            return self.value
        self.wants("a string, number or bool")
        return None

    def flag(self) -> bool | None:
        if isinstance(self.value, bool):
            return self.value
        self.wants("true or false")
        return None

    def whole(self, low: int, high: int = LARGEST) -> int | None:
        """A whole number from `low` to `high`."""
        if isinstance(self.value, int) and not isinstance(self.value, bool) and low <= self.value <= high:
            return self.value
        limits = f" from {low} up" if high == LARGEST else f" from {low} to {high}"
        self.wants(f"a whole number{'' if low == -LARGEST else limits}")
        return None

    def quantity(self, read: Callable[[object], T]) -> T | None:
        """What `read` makes of the value; its ValueError is the problem."""
        try:
            return read(self.value)
        except ValueError as error:
            self.wrong(str(error))
            return None

    def name(self, what: str) -> str | None:
        """A name of ours, `[A-Za-z0-9_-]+`."""
        text = self.text()
        wrong = None if text is None else wrong_name(text, what)
        if wrong:
            self.wrong(wrong)
        return None if wrong else text


def wrong_name(text: str, what: str) -> str | None:
    """What is wrong with `text` as the name of `what` (`a job`), or None."""
    if not NAME.fullmatch(text):
        return f"{text!r} can't name {what}; use letters, digits, '-' and '_'"
    if len(text) > NAME_LENGTH:
        return f"the name of {what} has at most {NAME_LENGTH} characters, this has {len(text)}"
    return None


def present(nodes: Mapping[str, Node], key: str, read: Callable[[Node], T | None], default: D) -> T | D:
    """What `read` makes of `key`, or `default` where it is not there or wrong."""
    value = read(nodes[key]) if key in nodes else None
    return default if value is None else value
