"""`runs export`: the results of a run as one file, or all of it as a bundle."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from batchwasm import api, bundling, disk, results
from batchwasm.cli.render import print_json
from batchwasm.escape import say
from batchwasm.housekeeping import write_csv
from batchwasm.results import RunFolder
from batchwasm.units import size_text

SUFFIXES = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl"}


def run(name: str | None, output: Path | None, form: str | None) -> None:
    """`output` is a file, a folder, or None or `-` for stdout."""
    folder = results.find(name, Path.cwd())
    if output is None or str(output) == "-":
        _write(folder, sys.stdout, form or "csv")
        return
    if output.is_dir():
        output = output / f"{folder.name}.{form or 'csv'}"
    by_suffix = SUFFIXES.get(output.suffix.lower())
    with _whole(output) as stream:
        _write(folder, stream, form or by_suffix or "csv")
    say(f"{size_text(output.stat().st_size)} in {output}" if output.is_file() else f"written to {output}")


def bundle(name: str | None, output: Path | None, *, force: bool) -> None:
    """The run with all that its tasks were given."""
    folder = results.find(name, Path.cwd())
    bundled = bundling.bundle(folder, output, force=force)
    for note in bundled.notes:
        say(note)
    size = size_text(bundled.bytes)
    say(f"{bundled.files} files, {bundled.inputs} of them inputs, {size} in all: {bundled.path}")


def _write(folder: RunFolder, stream: TextIO, form: str) -> None:
    rows = api.results(folder)
    if form == "csv":
        write_csv(folder, rows, stream)
    else:
        print_json((row.as_dict() for row in rows), stream)


@contextmanager
def _whole(output: Path) -> Iterator[TextIO]:
    """All of the file or nothing; but a device, a pipe or a link stays what it is: root must not replace /dev/null."""
    direct = output.is_symlink() or (output.exists() and not output.is_file())
    place = output if direct else output.with_name(f".{output.name}.part")
    try:
        with open(place, "w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
            yield stream
        if not direct:
            place.replace(output)
    except OSError as error:
        raise disk.unwritable(output, error) from error
    finally:
        if not direct:
            with suppress(OSError):
                place.unlink()
