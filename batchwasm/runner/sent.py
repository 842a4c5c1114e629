"""Imports modules that were sent: nothing is installed, nothing is written. This file's text is run by a host's Python.

On stdin, behind this text: the length of a JSON object as a line, and the object: `sources`, the text of each module by
its full name, and `order`, which `batchwasm_runner.look` is called with. On stdout: MAGIC, then one JSON object.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

MAGIC = b"\nbatchwasm-look/1\n"


class Sent(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds what was sent before what is installed."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in self._sources:
            return None
        is_package = any(other.startswith(f"{name}.") for other in self._sources)
        return importlib.util.spec_from_loader(name, self, is_package=is_package)

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._sources[module.__name__], module.__name__, "exec"), module.__dict__)


def main() -> None:
    # Away from fd 1, so that a stray print can't get in between.
    sink = os.dup(1)
    os.dup2(2, 1)
    stream = sys.stdin.buffer
    given = json.loads(stream.read(int(stream.readline())))
    sys.meta_path.insert(0, Sent(given["sources"]))
    answer = importlib.import_module("batchwasm_runner.look").look(given["order"])
    os.write(sink, MAGIC + json.dumps(answer).encode())


if __name__ == "__main__":
    main()
