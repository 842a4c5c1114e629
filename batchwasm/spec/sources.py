"""The keys source and build of a job: which language, which files, how they are compiled."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from batchwasm.model import Build, Source, text_of
from batchwasm.spec.nodes import Node, did_you_mean, present, siblings
from batchwasm.spec.quantities import shown
from batchwasm.spec.template import IDENTIFIER

LANGUAGES = {
    ".rs": "rust",
    ".cpp": "cpp",
    ".cc": "cpp",
    ".c": "c",
    ".go": "go",
    ".zig": "zig",
    ".wat": "wat",
    ".wasm": "wasm",
}
PROJECTS = {"Cargo.toml": "rust", "go.mod": "go"}
OPTIMIZE = ("0", "1", "2", "3", "s")
BUILD_KEYS = ("flags", "defines", "include", "optimize")
_HEADERS = {".h", ".hpp", ".hh", ".hxx"}


def read(node: Node, build: Mapping[str, Node], folder: Path) -> Source | None:
    """The source at `node`, relative to `folder`, with the keys of its build; None where either is wrong."""
    how = _build(build, folder)
    found = _several(node, folder) if isinstance(node.value, list) else _one(node, folder)
    if found is None or how is None:
        return None
    language, paths = found
    return Source(language=language, paths=paths, build=how)


def _several(node: Node, folder: Path) -> tuple[str, tuple[Path, ...]] | None:
    """A list of files: one of any language, or several of C and C++."""
    found = [_one(item, folder) for item in node.items]
    files = [f for f in found if f is not None]
    if not found:
        node.wrong("is an empty list; name a file")
    if len(files) < len(found) or not files:
        return None
    languages = {language for language, _ in files}
    if len(files) > 1 and not languages <= {"c", "cpp"}:
        others = ", ".join(sorted(languages - {"c", "cpp"}))
        node.wrong(f"only C and C++ take several files, not {others}; give a folder with Cargo.toml or go.mod")
        return None
    paths = tuple(path for _, several in files for path in several)
    if len(set(paths)) < len(paths):
        node.wrong("names a file twice")
        return None
    return ("cpp" if "cpp" in languages else next(iter(languages))), paths


def _one(node: Node, folder: Path) -> tuple[str, tuple[Path, ...]] | None:
    """A file by its ending, or a project's folder."""
    text = node.text()
    if text is None:
        return None
    path = Path(os.path.abspath(folder / text))
    if os.path.isdir(path):
        language = _project(path, node)
    else:
        language = _file(path, node)
    return None if language is None else (language, (path,))


def _project(path: Path, node: Node) -> str | None:
    found = [name for name in PROJECTS if os.path.isfile(path / name)]
    if len(found) == 1:
        return PROJECTS[found[0]]
    if found:
        node.wrong(f"{path} has both {' and '.join(found)}; name the source file instead")
        return None
    cure = "name a source file, or a project's folder"
    if os.path.isfile(os.path.join(path, "jobs.toml")):
        cure = f"did you mean {os.path.join(path, 'jobs.toml')}?"
    node.wrong(f"{path} is a folder without {' or '.join(PROJECTS)}; {cure}")
    return None


def _file(path: Path, node: Node) -> str | None:
    if path.name in PROJECTS:
        node.wrong(f"{path.name} is a project's own file; name the folder it is in")
        return None
    if path.suffix not in LANGUAGES:
        node.wrong(_unknown_ending(path))
        return None
    if not os.path.exists(path):
        node.wrong(f"there is no file {path}{did_you_mean(path.name, siblings(path))}")
        return None
    if not os.path.isfile(path):
        node.wrong(f"{path} is not a regular file")
        return None
    if not os.access(path, os.R_OK):
        node.wrong(f"{path} can't be read; check its permissions")
        return None
    return LANGUAGES[path.suffix]


def _unknown_ending(path: Path) -> str:
    if path.suffix in _HEADERS:
        return f"{path.name!r} is a header; it is found by #include, list only what is compiled"
    if not os.path.exists(path):
        return f"there is no file or folder {path}"
    return (
        f"{path.name!r} has no known ending; those are {', '.join(LANGUAGES)}, or a folder with {' or '.join(PROJECTS)}"
    )


def _build(nodes: Mapping[str, Node], folder: Path) -> Build | None:
    """The keys of a build table; None where one is wrong."""
    flags = present(nodes, "flags", _flags, ())
    defines = present(nodes, "defines", _defines, ())
    include = present(nodes, "include", lambda node: _include(node, folder), ())
    optimize = present(nodes, "optimize", _optimize, Build().optimize)
    return Build(flags=flags, defines=defines, include=include, optimize=optimize)


def _flags(node: Node) -> tuple[str, ...]:
    return tuple(text for text in (item.text() for item in node.items) if text is not None)


def _defines(node: Node) -> tuple[tuple[str, str], ...]:
    found = []
    for name, field in node.fields.items():
        if not IDENTIFIER.fullmatch(name):
            field.wrong(f"{name!r} can't be defined; use letters, digits and '_', not starting with a digit")
        elif field.value is False:
            field.wrong("false does not undefine a name; leave it out")
        else:
            value = "" if field.value is True else field.scalar()
            found.append((name, text_of(value if value is not None else "")))
    return tuple(sorted(found))


def _include(node: Node, folder: Path) -> tuple[Path, ...]:
    found = []
    for item in node.items:
        text = item.text()
        if text is None:
            continue
        path = Path(os.path.abspath(folder / text))
        if not os.path.isdir(path):
            item.wrong(f"there is no folder {path}")
        found.append(path)
    return tuple(found)


def _optimize(node: Node) -> str | None:
    value = str(node.value) if isinstance(node.value, int | str) and not isinstance(node.value, bool) else ""
    if value in OPTIMIZE:
        return value
    node.wrong(f"{shown(node.value)} is no level of optimisation; those are {', '.join(map(repr, OPTIMIZE))}")
    return None
