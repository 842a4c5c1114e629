"""Zig: one root file and what it imports. Pure but for reading the sources' imports."""

from __future__ import annotations

import os
import re
from pathlib import Path

from batchwasm.model import Source
from batchwasm.toolchains.base import STACK_BYTES, Inputs, Request, Step, refuse_keys

MODES = {"0": "Debug", "1": "ReleaseSafe", "2": "ReleaseSafe", "3": "ReleaseFast", "s": "ReleaseSmall"}
_NAMED = re.compile(r'@(import|embedFile)\s*\(\s*"((?:[^"\\]|\\.)*)"')
_COMPUTED = re.compile(r'@embedFile\s*\(\s*[^"\s]')


def refuse(source: Source) -> list[str]:
    problems = refuse_keys(source, "defines", "make it a const, or pass it in args")
    if len(source.paths) != 1 or source.paths[0].is_dir():
        problems.append("a Zig source is one .zig file; what it imports is found")
    return problems


def recipe(request: Request) -> list[Step]:
    build, name = request.source.build, request.source.paths[0].name
    include = [f"-I{os.path.relpath(folder, request.folder)}" for folder in build.include]
    argv = (
        *(
            *request.tool.argv,
            "build-exe",
            "-target",
            "wasm32-wasi",
            "-mcpu=baseline+simd128",
            "-O",
            MODES[build.optimize],
        ),
        *("-fstrip", "--stack", str(STACK_BYTES), "--name", "out", f"-femit-bin={request.wasm}", *include),
        *(*build.flags, f"./{name}"),
    )
    return [Step(argv=argv)]


def inputs(request: Request) -> Inputs:
    """Files that are imported or embedded by name, and by theirs; for a computed name, all names of the folder."""
    seen, todo, folders = set[Path](), list(request.source.paths), set(request.source.build.include)
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        text = path.read_text(errors="replace") if path.suffix == ".zig" and path.is_file() else ""
        named = [(kind, path.parent / name) for kind, name in _NAMED.findall(text)]
        todo += [
            Path(os.path.normpath(file))
            for kind, file in named
            if kind == "embedFile" or file.suffix in (".zig", ".zon")
        ]
        if _COMPUTED.search(text):
            seen.update(file for file in request.folder.rglob("*") if file.is_file())
    return Inputs(files=frozenset(seen), folders=frozenset(folders))
