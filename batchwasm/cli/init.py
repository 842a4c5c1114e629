"""`init [DIR]`: a first jobs.toml, and a source that a compiler of this machine takes, or just a function; it
overwrites nothing."""

from __future__ import annotations

import shlex
from importlib import resources
from pathlib import Path

import click

from batchwasm.cli.options import PATH
from batchwasm.errors import Problem, SpecError, WorldError

SOURCES = {"rust": "pi.rs", "c": "pi.c", "cpp": "pi.cpp", "go": "pi.go", "wat": "pi.wat"}
"""Language -> its file in `first/`; in the order of preference. WAT is there wherever batchwasm is."""

FUNCTIONS = {"rust": "stats.rs", "c": "stats.c", "cpp": "stats.cpp", "go": "stats.go"}
"""The same for `--function`, which is `mean` in each."""
CALL = ":mean '[1, 2.5, 4]'"


@click.command("init")
@click.argument("folder", type=PATH, default=".", metavar="[DIR]")
@click.option("--language", type=click.Choice(list(SOURCES)), help="Default: one that is found here.")
@click.option("--function", is_flag=True, help="Just a function, for 'batchwasm call' and 'map'; no jobs.toml.")
def command(folder: Path, language: str | None, function: bool) -> None:
    """Write a first jobs.toml that works, and its source, into DIR (default: here)."""
    from batchwasm.escape import say

    language = language or _quickest()
    name = _function_in(language) if function else SOURCES[language]
    first = resources.files("batchwasm.cli") / "first"
    texts = {name: (first / name).read_text(encoding="utf-8")}
    if not function:
        texts = {"jobs.toml": (first / "jobs.toml").read_text(encoding="utf-8").replace("SOURCE", name), **texts}
    _refuse_to_overwrite([folder / name for name in texts])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file_name, text in texts.items():
            with open(folder / file_name, "x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise WorldError(f"{error.filename or folder}: can't be written: {error.strerror}") from error
    say(f"wrote {', '.join(str(folder / name) for name in texts)}")
    if function:
        say(f"now: batchwasm call {shlex.quote(str(folder / name))}{CALL}")
    else:
        say(f"now: batchwasm run {shlex.quote(str(folder / 'jobs.toml'))}")


def _function_in(language: str) -> str:
    """Raises WorldError where nothing here compiles one."""
    if language not in FUNCTIONS:
        raise WorldError("a function needs a compiler, and none is here; 'batchwasm toolchains' says how to get one")
    return FUNCTIONS[language]


def _refuse_to_overwrite(paths: list[Path]) -> None:
    text = "is there already; give another folder: batchwasm init DIR"
    problems = [Problem(file=str(p), line=None, key="", text=text) for p in paths if p.exists() or p.is_symlink()]
    if problems:
        raise SpecError(problems)


def _quickest() -> str:
    """A language whose compiler is here, rather one that need not build its own libraries first."""
    from batchwasm.toolchains import TOOLCHAINS

    found = {name: tool for name in SOURCES if name in TOOLCHAINS and (tool := TOOLCHAINS[name].find())}
    return min(found, key=lambda name: found[name].first_use_s, default="wat")
