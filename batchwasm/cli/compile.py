"""`compile SOURCE[:FUNCTION]... [-o FILE]`: a source to WebAssembly, by the same way and store as a run."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchwasm.cli import complete
from batchwasm.cli.calling import split
from batchwasm.cli.options import PATH

if TYPE_CHECKING:
    from batchwasm.model import Artifact


@click.command("compile")
@click.argument(
    "sources", nargs=-1, required=True, metavar="SOURCE[:FUNCTION]...", shell_complete=complete.source_or_function
)
@click.option(
    "-o",
    "--output",
    type=PATH,
    metavar="FILE",
    help="Default: the name of SOURCE, or of FUNCTION, with .wasm, here; - is stdout.",
)
@click.option("-O", "--optimize", type=click.Choice(["0", "1", "2", "3", "s"]), default="3", show_default=True)
@click.option("-D", "--define", "defines", multiple=True, metavar="NAME[=VALUE]", help="For C and C++; repeatable.")
@click.option("-I", "--include", multiple=True, type=PATH, metavar="DIR", help="For C and C++; repeatable.")
@click.option("--flag", "flags", multiple=True, metavar="FLAG", help="Given to the compiler as it is; repeatable.")
def command(
    sources: tuple[str, ...],
    output: Path | None,
    optimize: str,
    defines: tuple[str, ...],
    include: tuple[Path, ...],
    flags: tuple[str, ...],
) -> None:
    """Compile a source to WebAssembly, and nothing else; prints the file's path.

    SOURCE is what `source` in jobs.toml may be: a file (.rs .cpp .cc .c .go .zig .wat .wasm), several of C and C++, or
    a folder with Cargo.toml or go.mod. With FUNCTION behind the first one it is that function's module, as `call` and
    `map` have it.
    """
    first, function = _split(sources[0])
    paths = (first, *map(Path, sources[1:]))
    build: dict[str, Any] = {
        "optimize": optimize,
        "flags": list(flags),
        "defines": {name: value if has else True for name, has, value in (d.partition("=") for d in defines)},
        "include": [str(path) for path in include],
    }
    name, artifact = _compiled(paths, function, {key: value for key, value in build.items() if value})
    _deliver(artifact, output or Path(f"{name}.wasm"))


def _split(source: str) -> tuple[Path, str | None]:
    """FILE:FUNCTION; a colon in the name of a file that is there is only that."""
    if ":" not in source or os.path.exists(source):
        return Path(source), None
    return split(source)


def _compiled(sources: tuple[Path, ...], function: str | None, build: dict[str, Any]) -> tuple[str, Artifact]:
    """The module, and what to call it."""
    from batchwasm import artifacts, spec
    from batchwasm.cli.progress import compiled_text
    from batchwasm.errors import SpecError
    from batchwasm.escape import say
    from batchwasm.spec.jobs import run_name

    settings: dict[str, object] = {"build": build} if build else {}
    if function is not None:
        settings["function"] = function
    if len(sources) > 1:
        settings["source"] = [os.path.abspath(path) for path in sources]
    try:
        run, _ = spec.from_source(sources[0], [], settings=settings)
    except SpecError as error:
        raise SpecError([replace(problem, key=_option(problem.key)) for problem in error.problems]) from error
    (job,) = run.jobs
    artifact = artifacts.build(job.name, job.source, artifacts.Store())
    name = sources[0].resolve().stem if function is None else run_name(function)
    say(compiled_text(job.name if function is None else name, artifact))
    return name, artifact


def _option(key: str) -> str:
    """The option that a key of `build` stands for."""
    for name, option in (("defines.", "--define "), ("include", "--include"), ("flags", "--flag")):
        key = key.replace(f"--build {name}", option)
    return key


def _deliver(artifact: Artifact, output: Path) -> None:
    from batchwasm.errors import WorldError

    wasm = artifact.path.read_bytes()
    if str(output) == "-":
        sys.stdout.buffer.write(wasm)
        return
    try:
        _write(output, wasm)
    except OSError as error:
        raise WorldError(f"{output} can't be written: {error.strerror}") from error
    click.echo(output)


def _write(output: Path, wasm: bytes) -> None:
    """All of it or nothing; but a device, a pipe or a link stays what it is: root must not replace /dev/null."""
    if output.is_symlink() or (output.exists() and not output.is_file()):
        output.write_bytes(wasm)
        return
    beside = output.with_name(f".{output.name}.part")
    beside.write_bytes(wasm)
    beside.replace(output)
