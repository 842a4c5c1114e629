"""Go: one file, or a module's folder with its dependencies. Pure but for reading what go wrote.

A function's glue are files that go sees beside the user's own (`-overlay`), and `build.json`, which says what to build.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from batchwasm.model import Source
from batchwasm.toolchains.base import Inputs, Request, Step, Unclear, refuse_keys

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
EXPORTS = (1, 24)
"""The first Go with //go:wasmexport, without which nothing in a module can be called."""
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
    build, told = request.source.build, _told(request)
    slow = ("-gcflags=all=-N -l",) if build.optimize == "0" else ()
    variables = _variables(request, told["package"])
    flags = ("-buildvcs=false", f"-ldflags=-s -w -buildid={variables}", *slow, *_reactor(request), *build.flags)
    listed = (*request.tool.argv, "list", "-deps", f"-json={FIELDS}", *flags, *told["build"])
    made = (*request.tool.argv, "build", *flags, "-o", str(request.wasm), *told["build"])
    overlay = {_overlay(request): json.dumps({"Replace": _replaced(request)})} if request.glue else {}
    return [
        Step(argv=made, env=ENV, writes=overlay),
        Step(argv=listed, env=ENV, group=1, stdout=_list(request)),
    ]


def _told(request: Request) -> dict[str, Any]:
    """What to build, and the package whose variables can be set, by the name that the linker knows it by."""
    path = request.source.paths[0]
    if request.glue:
        told: dict[str, Any] = json.loads(request.glue.files["build.json"])
        return told
    return {"build": ["." if path.is_dir() else f"./{path.name}"], "package": "main"}


def _reactor(request: Request) -> tuple[str, ...]:
    """A module that is called instead of run. Raises Unclear where this go can't make one."""
    if request.glue is None:
        return ()
    if release(request.tool.version) < EXPORTS:
        raise Unclear(
            f"functions need Go {EXPORTS[0]}.{EXPORTS[1]} or later, and {request.tool.path} is {request.tool.version}; "
            "'batchwasm toolchains' says how to get a newer one"
        )
    return "-buildmode=c-shared", f"-overlay={_overlay(request)}"


def release(version: str) -> tuple[int, ...]:
    """(1, 27) of 1.27.3 and of 1.27rc1."""
    return tuple(map(int, re.findall(r"\d+", version)[:2]))


def _replaced(request: Request) -> dict[str, str]:
    """Where go sees a file of the glue (relative to where it runs), and where it is."""
    names = [name for name in (request.glue.files if request.glue else ()) if name.endswith(".go")]
    return {name: str(request.glue_folder / name) for name in names}


def _overlay(request: Request) -> Path:
    return request.scratch / "overlay.json"


def _variables(request: Request, package: str) -> str:
    """Defines as go's linker takes them: each sets a string variable of the package, which must be there."""
    defines = request.source.build.defines
    quotes = ((name, value, '"' if "'" in value else "'") for name, value in defines)
    return "".join(f" -X {quote}{package}.{name}={value}{quote}" for name, value, quote in quotes)


def inputs(request: Request) -> Inputs:
    """Files of all packages that are not Go's own, and what steers the module; new files in their folders count."""
    listed = _packages(_list(request).read_text())
    packages = [package for package in listed if not package.get("Standard") and not _is_downloaded(package)]
    files, folders = set(request.source.paths), set[Path]()
    generated = {request.folder / name for name in _replaced(request)} - files
    for package in packages:
        folder = Path(package["Dir"])
        names = [name for key in ("GoFiles", "OtherFiles", "EmbedFiles", "SFiles") for name in package.get(key) or ()]
        files |= {folder / name for name in names}
        if request.source.paths[0].is_dir() or package.get("EmbedPatterns"):
            folders.add(folder)
    for folder in (request.folder, *request.folder.parents):
        files |= {folder / name for name in ("go.mod", "go.sum", "go.work")}
    return Inputs(
        files=frozenset(path for path in files - generated if path.is_file() or path.parent == request.folder),
        folders=frozenset(folders - {path.parent for path in generated if path.name == "main.go"}),
    )


def _is_downloaded(package: dict[str, Any]) -> bool:
    """Whether it lies in Go's own cache of modules, where go.sum vouches for it: it never changes, and is new only
    because this very build brought it."""
    module = package.get("Module") or {}
    version = (module.get("Replace") or module).get("Version")
    return bool(version) and f"@{version}" in package["Dir"]


def _packages(text: str) -> Iterator[dict[str, Any]]:
    """`go list -json` writes one object after the other, without commas."""
    decoder, at = json.JSONDecoder(), 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        package, at = decoder.raw_decode(text, at)
        yield package


def _list(request: Request) -> Path:
    return request.scratch / "go.json"
