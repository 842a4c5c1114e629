"""Go: one file, or a module's folder with its dependencies. Pure but for reading what go wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from batchwasm.model import Source
from batchwasm.toolchains.base import Inputs, Request, Step, refuse_keys

ENV: dict[str, str | None] = {
    "GOOS": "wasip1",
    "GOARCH": "wasm",
    "CGO_ENABLED": "0",
    # The go that was found compiles; it must not load another one.
    "GOTOOLCHAIN": "local",
    # Not empty: that would let the user's `go env -w` speak.
    "GOFLAGS": "-trimpath",
    # Each go knows its own; one that is set may belong to another version.
    **dict.fromkeys(("GOROOT", "GO111MODULE", "GOWASM")),
}
FIELDS = "Dir,Standard,GoFiles,OtherFiles,EmbedFiles,EmbedPatterns,SFiles,Module"


def refuse(source: Source) -> list[str]:
    problems = [
        f"build.defines.{name}: {value!r} has both kinds of quotes, which go's linker can't be given; pass it in args"
        for name, value in source.build.defines
        if "'" in value and '"' in value
    ]
    problems += refuse_keys(source, "include", "import packages of the module instead")
    if len(source.paths) != 1:
        problems.append("a Go source is one .go file or one folder with go.mod")
    elif source.paths[0].is_dir() and not (source.paths[0] / "go.mod").is_file():
        problems.append(f"{source.paths[0]} has no go.mod; make one there with `go mod init NAME`")
    return problems


def recipe(request: Request) -> list[Step]:
    """The build, and then the list of what went into it."""
    build, path = request.source.build, request.source.paths[0]
    what = "." if path.is_dir() else f"./{path.name}"
    slow = ("-gcflags=all=-N -l",) if build.optimize == "0" else ()
    flags = ("-buildvcs=false", "-ldflags=-s -w -buildid=" + _variables(request), *slow, *build.flags)
    listed = (*request.tool.argv, "list", "-deps", f"-json={FIELDS}", *flags, what)
    return [
        Step(argv=(*request.tool.argv, "build", *flags, "-o", str(request.wasm), what), env=ENV),
        Step(argv=listed, env=ENV, group=1, stdout=_list(request)),
    ]


def _variables(request: Request) -> str:
    """Defines as go's linker takes them: each sets a string variable of package main, which must be there."""
    defines = request.source.build.defines
    quotes = ((name, value, '"' if "'" in value else "'") for name, value in defines)
    return "".join(f" -X {quote}main.{name}={value}{quote}" for name, value, quote in quotes)


def inputs(request: Request) -> Inputs:
    """Files of all packages that are not Go's own, and what steers the module; new files in their folders count."""
    packages = [package for package in _packages(_list(request).read_text()) if not package.get("Standard")]
    files, folders = set(request.source.paths), set[Path]()
    for package in packages:
        folder = Path(package["Dir"])
        names = [name for key in ("GoFiles", "OtherFiles", "EmbedFiles", "SFiles") for name in package.get(key) or ()]
        files |= {folder / name for name in names}
        if request.source.paths[0].is_dir() or package.get("EmbedPatterns"):
            folders.add(folder)
    for folder in (request.folder, *request.folder.parents):
        files |= {folder / name for name in ("go.mod", "go.sum", "go.work")}
    return Inputs(
        files=frozenset(path for path in files if path.is_file() or path.parent == request.folder),
        folders=frozenset(folders),
    )


def _packages(text: str) -> Iterator[dict[str, Any]]:
    """`go list -json` writes one object after the other, without commas."""
    decoder, at = json.JSONDecoder(), 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        package, at = decoder.raw_decode(text, at)
        yield package


def _list(request: Request) -> Path:
    return request.scratch / "go.json"
