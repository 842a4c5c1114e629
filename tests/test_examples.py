"""Every example runs through the command line, as its first lines say, and gives the result that lies beside it."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.command import Cli

EXAMPLES = Path(__file__).parent.parent / "examples"
LICENCES = Path("/usr/share/common-licenses")


def run(batchwasm: Cli, example: str, *args: str) -> tuple[Path, list[Any]]:
    """Runs an example with its run folder out of the checkout; returns the folder and the rows of its tasks."""
    jobs = EXAMPLES / example / "jobs.toml"
    done = batchwasm("run", jobs, "--runs-dir", batchwasm.folder / "runs", "--json", *args)
    assert done.json["tasks"]["succeeded"] == done.json["tasks"]["total"] > 0
    return Path(done.json["folder"]), batchwasm("results", "-r", done.json["folder"], "--json").rows


def script(batchwasm: Cli, path: str, *args: str | Path) -> str:
    """Runs a script of an example as its user does: batchwasm is on PATH, nothing else of ours is."""
    bin = batchwasm.folder / "bin"
    bin.mkdir(exist_ok=True)
    (bin / "batchwasm").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m batchwasm "$@"\n')
    (bin / "batchwasm").chmod(0o755)
    env = batchwasm.environment({})
    done = subprocess.run(
        [sys.executable, EXAMPLES / path, *args],
        env={**env, "PATH": f"{bin}:{env['PATH']}"},
        cwd=batchwasm.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def pixels(png: bytes) -> bytes:
    """The uncompressed picture: how well a zlib compresses differs between machines."""
    data, at = b"", 8
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        data += png[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += 12 + length
    return zlib.decompress(data)


@pytest.mark.parametrize("language", ["rust", "c", "go", "cpp"])
def test_the_tour_prints_the_same_tables_in_every_language(batchwasm: Cli, language: str) -> None:
    _, tasks = run(batchwasm, "tour", "--only", language)
    assert [task["params"]["n"] for task in tasks] == [10_000, 100_000, 1_000_000]
    assert "".join(task["stdout"] for task in tasks) == (EXAMPLES / "tour/expected.txt").read_text()


def test_the_tables_hold_the_check_value_that_park_and_miller_published() -> None:
    """The 10,000th number after seed 1 is 1043618065 (Communications of the ACM 31:10, 1988)."""
    [last, *_] = re.findall(r"last +(\d+)", (EXAMPLES / "tour/expected.txt").read_text())
    assert last == "1043618065"


def test_the_mandelbrot_tiles_make_the_expected_picture(batchwasm: Cli) -> None:
    folder, _ = run(batchwasm, "mandelbrot")
    said = script(batchwasm, "mandelbrot/assemble.py", "-r", folder, "picture.png")
    assert said == "picture.png: 512 x 512 pixels; the set's area is about 1.5102\n"
    picture = (batchwasm.folder / "picture.png").read_bytes()
    assert pixels(picture) == pixels((EXAMPLES / "mandelbrot/expected.png").read_bytes())


def test_the_corpus_is_counted_as_python_counts_it(batchwasm: Cli) -> None:
    """What lies in /usr/share/common-licenses differs between systems, so the expected result is computed here."""
    folder, tasks = run(batchwasm, "corpus")
    files = sorted(path for path in LICENCES.glob("*") if path.is_file())
    assert sorted(task["params"]["file"] for task in tasks) == [str(path) for path in files]
    expected: Counter[str] = Counter()
    for path in files:
        expected.update(re.findall("[a-z]+", path.read_text(errors="replace").lower()))
    said = script(batchwasm, "corpus/tally.py", "-r", folder, "--top", "3")
    top = [f"{count:7} {word}" for word, count in sorted(expected.items(), key=lambda item: (-item[1], item[0]))[:3]]
    total = f"{expected.total():7} words, {len(expected)} different, in {len(files)} files"
    assert said.splitlines() == [*top, total]
