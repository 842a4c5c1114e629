"""Where a Rust source's crates begin: its one file, or the library and programs of a Cargo package."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from batchwasm.functions.problems import NoFunction
from batchwasm.model import Source

FILE_EDITION = "2021"
"""That a single file is compiled as."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Root:
    """The first file of a crate."""

    path: Path
    """Absolute."""
    edition: str
    target: tuple[str, ...] = ()
    """How cargo is told to build this crate; () for a single file."""


def roots(source: Source) -> list[Root]:
    """Crates that may have the function, the likeliest first. Raises NoFunction, OSError."""
    path = source.paths[0]
    if not path.is_dir():
        return [Root(path=path, edition=FILE_EDITION)]
    manifest = _parse(path / "Cargo.toml")
    package = manifest.get("package", manifest.get("project"))
    if not isinstance(package, dict):
        raise NoFunction([f"{path / 'Cargo.toml'} has no [package]: it is a workspace; name the folder of one package"])
    edition = _edition(path, package)
    found = [*_library(path, manifest), *_programs(path, manifest, str(package.get("name", "")), source.build.flags)]
    there = [Root(path=file, edition=edition, target=target) for file, target in found if file.is_file()]
    if not there:
        raise NoFunction([f"{path} has neither src/lib.rs nor src/main.rs; name the file in Cargo.toml under [lib]"])
    return there


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise NoFunction([f"{path} is not TOML: {error}"]) from error


def _edition(folder: Path, package: dict[str, Any]) -> str:
    """Of the package, or of the workspace where it says so; without one it is the first."""
    edition = package.get("edition", "2015")
    if isinstance(edition, str):
        return edition
    for above in folder.parents:
        if (above / "Cargo.toml").is_file():
            shared = _parse(above / "Cargo.toml").get("workspace", {}).get("package", {}).get("edition")
            if isinstance(shared, str):
                return shared
    return FILE_EDITION


def _library(folder: Path, manifest: dict[str, Any]) -> Iterator[tuple[Path, tuple[str, ...]]]:
    named = manifest.get("lib", {}).get("path", "src/lib.rs")
    yield folder / named, ("--lib", "--crate-type", "cdylib")


def _programs(
    folder: Path, manifest: dict[str, Any], package: str, flags: tuple[str, ...]
) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Of several programs the one that the flags choose."""
    named = [row for row in manifest.get("bin", []) if isinstance(row, dict) and "name" in row]
    files = {str(row["name"]): folder / row.get("path", f"src/bin/{row['name']}.rs") for row in named}
    if folder / "src/main.rs" not in files.values():
        files[package] = folder / "src/main.rs"
    for more in (*sorted(folder.glob("src/bin/*.rs")), *sorted(folder.glob("src/bin/*/main.rs"))):
        files.setdefault(more.parent.name if more.name == "main.rs" else more.stem, more)
    chosen = [after for flag, after in pairwise(flags) if flag == "--bin"]
    chosen += [flag.removeprefix("--bin=") for flag in flags if flag.startswith("--bin=")]
    for name, path in files.items():
        if name in chosen or not chosen:
            yield path, ("--bin", name)
