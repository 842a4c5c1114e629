"""The rules of the house that matter enough to be tests: who imports whom, what the runner may use, how long
a thing is.

Each test shows all that is wrong at once.
"""

from __future__ import annotations

import ast
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "batchwasm"
MODULES = sorted(PACKAGE.rglob("*.py"))
RUNNER = sorted((PACKAGE / "runner").rglob("*.py"))

LAYERS = {
    "__init__": 9,
    "__main__": 9,
    "cli": 8,
    "tui": 7,
    "report": 7,
    "views": 6,
    "housekeeping": 6,
    "api": 5,
    "fleet": 5,
    "replaying": 5,
    "plain": 5,
    "bundling": 5,
    "following": 5,
    "telling": 5,
    "answers": 5,
    "engine": 4,
    "asking": 4,
    "reading": 4,
    "reopening": 4,
    "comparing": 4,
    "artifacts": 3,
    "calls": 3,
    "journal": 3,
    "known": 3,
    "rows": 3,
    "explained": 3,
    "results": 3,
    "simulation": 3,
    "spec": 2,
    "toolchains": 2,
    "functions": 2,
    "store": 2,
    "core": 2,
    "holding": 2,
    "journalfile": 2,
    "journalsamples": 2,
    "transports": 2,
    "units": 2,
    "journalrows": 1,
    "escape": 1,
    "carried": 1,
    "disk": 1,
    "locks": 1,
    "model": 1,
    "errors": 0,
    "version": 0,
}
"""A module imports only from lower layers, or from its own package."""

WASMTIME_HERE = {
    "artifacts.py",
    "runner/engines.py",
    "runner/library.py",
    "runner/calls.py",
    "runner/public_calls.py",
}
"""Elsewhere a wasmtime import would load 20 MB into programs that run nothing."""

TOMLI_HERE = {"batchwasm.runner.owner"}
"""host.toml is read on the host, whose Python may be older than tomllib: that one package of others is shipped, too."""

CORE_MAY_NOT = {"asyncio", "logging", "os", "pathlib", "random", "socket", "sqlite3", "subprocess", "threading", "time"}
"""The scheduler is told the time and does nothing by itself: that is why it can be tested by events alone."""

LONGEST_MODULE_LINES = 500
LONGEST_FUNCTION_LINES = 60


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def dotted(path: Path) -> str:
    """`batchwasm.core.state`; a package is named without its `__init__`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def module_names() -> frozenset[str]:
    return frozenset(map(dotted, MODULES))


def imports(path: Path) -> Iterator[str]:
    """What `path` imports, anywhere in it, by full name: `from x import y` yields x.y, and x where y is no module."""
    here = dotted(path).split(".")
    package = here if path.name == "__init__.py" else here[:-1]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            names = {f"{origin}.{alias.name}" for alias in node.names}
            yield from names
            if not names <= module_names():  # more is wanted of it than its submodules
                yield origin


def of_ours(path: Path) -> Iterator[str]:
    """Imports of this package's modules, without names that are not modules."""
    yield from (name for name in imports(path) if name in module_names() and name != dotted(path))


def roots(path: Path) -> set[str]:
    """The top-level packages that a module imports."""
    return {name.split(".")[0] for name in imports(path)}


def part(name: str) -> str:
    """`batchwasm.core.state` belongs to `core`."""
    return [*name.split("."), "__init__"][1]


def test_every_module_has_a_layer() -> None:
    parts = {part(dotted(path)) for path in MODULES}
    assert parts - {"runner"} <= LAYERS.keys(), "give a new module its layer here and in the docs"


def test_imports_point_down() -> None:
    assert not [
        f"{dotted(path)} may not import {name}"
        for path in MODULES
        if path not in RUNNER
        for name in of_ours(path)
        if not may_import(part(dotted(path)), name)
    ]


def may_import(mine: str, name: str) -> bool:
    """May the part `mine` import the module `name`? Of the runner, the engine alone sees its protocol."""
    other = part(name)
    if other == "runner":
        return mine == "engine" and name in ("batchwasm.runner", "batchwasm.runner.protocol")
    return other in (mine, "__init__") or LAYERS[other] < LAYERS[mine]


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {dotted(path): sorted(set(of_ours(path))) for path in MODULES}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, "import cycle: " + " > ".join([*path[path.index(name) :], name])
        if name not in done:
            for other in graph[name]:
                visit(other, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_the_runner_imports_only_itself_the_standard_library_and_wasmtime() -> None:
    """It is installed on hosts under another package name, so what is its own it imports relatively."""
    allowed = {*sys.stdlib_module_names, "wasmtime"}
    assert not [
        f"{dotted(path)} imports {name}"
        for path in RUNNER
        for name in imports(path)
        if not name.startswith("batchwasm.runner") and name.split(".")[0] not in allowed
        if not (name == "tomli" and dotted(path) in TOMLI_HERE)
    ]
    assert not [
        f"{path.name}:{node.lineno}: write it as a relative import"
        for path in RUNNER
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").startswith("batchwasm")
    ]


def test_wasmtime_is_imported_in_few_places() -> None:
    importers = {str(path.relative_to(PACKAGE)) for path in MODULES if "wasmtime" in roots(path)}
    assert importers <= WASMTIME_HERE


def test_the_core_has_no_clock_no_dice_and_no_io() -> None:
    core = sorted((PACKAGE / "core").rglob("*.py"))
    assert not {dotted(path): roots(path) & CORE_MAY_NOT for path in core if roots(path) & CORE_MAY_NOT}


def test_the_runner_is_written_in_python_3_9() -> None:
    for path in RUNNER:
        ast.parse(path.read_text(), filename=str(path), feature_version=(3, 9))


def hosts_pythons() -> list[str]:
    """A Python of each version from 3.9 up that is here: hosts have any of them. This one is always among them."""
    found = {f"{sys.version_info.major}.{sys.version_info.minor}": sys.executable}
    for minor in range(9, 20):
        version = f"3.{minor}"
        pyenv = sorted(
            (Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions").glob(f"{version}.*/bin/python")
        )
        for candidate in (*map(str, pyenv), f"/usr/bin/python{version}", shutil.which(f"python{version}")):
            if candidate and version not in found and runs(candidate):
                found[version] = candidate
    return [found[version] for version in sorted(found, key=lambda version: int(version.split(".")[1]))]


def runs(python: str) -> bool:
    try:
        return subprocess.run([python, "-c", "import ctypes, ssl"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.parametrize("python", hosts_pythons())
def test_the_runner_imports_under_every_python_found_here(python: str, tmp_path: Path) -> None:
    import tomli
    import wasmtime

    (tmp_path / "tomli").symlink_to(Path(tomli.__file__).parent)
    (tmp_path / "batchwasm_runner").symlink_to(PACKAGE / "runner")
    (tmp_path / "wasmtime").symlink_to(Path(wasmtime.__file__).parent)
    names = [f"batchwasm_runner.{path.stem}" for path in RUNNER if path.stem not in ("__init__", "__main__")]
    program = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    done = subprocess.run(
        [python, "-W", "error", "-B", "-c", program, *names],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_module_fits_in_a_head() -> None:
    lines = {dotted(path): len(path.read_text().splitlines()) for path in MODULES}
    assert not {name: count for name, count in lines.items() if count > LONGEST_MODULE_LINES}, "split it by noun"


def test_a_function_fits_on_a_screen() -> None:
    assert not [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {length} lines"
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > LONGEST_FUNCTION_LINES
    ]


def test_every_module_says_what_it_owns() -> None:
    assert not [dotted(path) for path in MODULES if path.stat().st_size and not ast.get_docstring(tree(path))]
