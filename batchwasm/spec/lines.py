"""Which line of a TOML text a table or key stands on. tomli does not tell; this scanner does, for text that tomli took.

It never judges: where it does not understand a text it stops, and a key gets the line of what it stands in.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import tomli

Key = str | int
KeyPath = tuple[Key, ...]
_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BLANK = re.compile(r"[ \t]*")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}' r"|'''(?:[^']|'{1,2}(?!'))*'{3,5}" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'",
    re.DOTALL,
)
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\n]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Lines:
    """Line numbers, from 1, by path of keys; list items count from 0."""

    by_path: Mapping[KeyPath, int] = field(default_factory=dict)

    def exact(self, path: KeyPath) -> int | None:
        return self.by_path.get(path)

    def nearest(self, path: KeyPath) -> int | None:
        """The line of `path`, else of the nearest thing around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.by_path:
                return self.by_path[path[:length]]
        return None


def scan(text: str) -> Lines:
    """The lines of all tables, keys and list items of a TOML text that tomli could read."""
    scanner = _Scanner(text)
    try:
        scanner.document()
    except (_Puzzled, RecursionError):
        pass  # the lines found so far stand; see the module's docstring
    return Lines(by_path=scanner.found)


class _Puzzled(Exception):
    """The text is not what the scanner expects."""


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: dict[KeyPath, int] = {}
        self._newlines = [match.start() for match in re.finditer("\n", text)]
        self._items: dict[KeyPath, int] = {}  # arrays of tables: how many items so far

    def document(self) -> None:
        table: KeyPath = ()
        self._skip(_SPACE)
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_SPACE)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if not match:
            raise _Puzzled
        self.at = match.end()
        return match[0]

    def _expect(self, mark: str) -> None:
        if not self.text.startswith(mark, self.at):
            raise _Puzzled
        self.at += len(mark)

    def _note(self, path: KeyPath, at: int) -> None:
        self.found.setdefault(path, bisect.bisect_left(self._newlines, at) + 1)

    def _header(self) -> KeyPath:
        start = self.at
        many = self.text.startswith("[[", self.at)
        self._expect("[[" if many else "[")
        names = self._dotted()
        self._expect("]]" if many else "]")
        path: KeyPath = ()
        for name in names:
            path = self._inside((*path, name), start)
        if many:
            whole = path[:-1] if isinstance(path[-1], int) else path
            self._items[whole] = self._items.get(whole, -1) + 1
            path = (*whole, self._items[whole])
            self._note(path, start)
        return path

    def _inside(self, path: KeyPath, at: int) -> KeyPath:
        """`path`, or its newest item where it is an array of tables."""
        self._note(path, at)
        return (*path, self._items[path]) if path in self._items else path

    def _dotted(self) -> list[str]:
        names = []
        while True:
            self._skip(_BLANK)
            names.append(self._name())
            self._skip(_BLANK)
            if not self.text.startswith(".", self.at):
                return names
            self.at += 1

    def _name(self) -> str:
        if self.text[self.at : self.at + 1] not in ('"', "'"):
            return self._skip(_BARE)
        return str(tomli.loads("name = " + self._skip(_STRING))["name"])

    def _pair(self, table: KeyPath) -> None:
        start = self.at
        path = table
        for name in self._dotted():
            path = (*path, name)
            self._note(path, start)
        self._expect("=")
        self._skip(_BLANK)
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        match self.text[self.at : self.at + 1]:
            case "[":
                self._list(path)
            case "{":
                self._inline(path)
            case '"' | "'":
                self._skip(_STRING)
            case _:
                self._skip(_SCALAR)

    def _list(self, path: KeyPath) -> None:
        self._expect("[")
        count = 0
        self._skip(_SPACE)
        while not self.text.startswith("]", self.at):
            self._note((*path, count), self.at)
            self._value((*path, count))
            count += 1
            self._comma("]")
        self.at += 1

    def _inline(self, path: KeyPath) -> None:
        self._expect("{")
        self._skip(_SPACE)
        while not self.text.startswith("}", self.at):
            self._pair(path)
            self._comma("}")
        self.at += 1

    def _comma(self, closing: str) -> None:
        """Past a comma and the space around it, or up to the closing bracket."""
        self._skip(_SPACE)
        if not self.text.startswith(closing, self.at):
            self._expect(",")
            self._skip(_SPACE)
