"""Every example runs through the command line, as its first lines say, and gives the result that lies beside it."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

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


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def compiled_once(cache: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One store for several tests, so that eleven functions are compiled once."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))


def test_functions_give_the_same_from_a_jobs_toml_in_all_languages(batchwasm: Cli, compiled_once: None) -> None:
    jobs = EXAMPLES / "functions/jobs.toml"
    batchwasm("run", jobs, "--runs-dir", "runs", code=1)  # one task fails, as the file says
    rows = batchwasm("results", "-r", "runs/functions-1", "--json").rows
    values = {(row["job"], row["index"]): row["value"] for row in rows}
    for language in ("rust", "cpp", "go", "c"):
        found = [values[f"mean-{language}", index] for index in range(3)]
        assert found == [sum([a, 2.5, 4]) / 3 for a in (1, 1.5, -1e300)]
    assert [values["initials", index] for index in range(3)] == ["AL", "GBH", "FEA"]
    fallen = [row for row in rows if row["job"] == "fall"]
    assert [row["value"]["height"] for row in fallen[:-1]] == [20 - 0.5 * 9.81 * t * t for t in (0, 0.5, 1, 1.5, 2)]
    assert fallen[-1]["outcome"] == "failed"
    assert (fallen[-1]["reason"]["code"], fallen[-1]["reason"]["text"]) == ("raised", "ball hit the ground")


def test_functions_give_the_same_from_python_in_all_languages(batchwasm: Cli, compiled_once: None) -> None:
    assert script(batchwasm, "functions/fleet.py") == (EXAMPLES / "functions/expected.txt").read_text()


def test_call_prints_the_same_bytes_for_every_language(batchwasm: Cli, compiled_once: None) -> None:
    """Numbers whose shortest form takes care: no language may write them in its own way."""
    for name, argument, expected in [
        ("mean", "[0.1, 0.2]", "0.15000000000000002\n"),
        ("mean", "[]", '"NaN"\n'),
        ("initials", 'ada "lovelace"\tof  london', '"A\\"OL"\n'),
    ]:
        printed = {
            language: batchwasm("call", "-q", f"{EXAMPLES}/functions/functions.{language}:{name}", argument).out
            for language in ("rs", "cpp", "go", "c")
        }
        assert printed == dict.fromkeys(printed, expected), (name, argument)


def test_the_percolation_threshold_is_near_the_one_that_is_known(batchwasm: Cli) -> None:
    """0.592746 (Newman and Ziff, Physical Review Letters 85:4104, 2000)."""
    said = script(batchwasm, "montecarlo/estimate.py")
    [estimate] = re.findall(r"threshold: (\S+)", said)
    assert float(estimate) == pytest.approx(0.5927, abs=0.02)
    drawing = ElementTree.parse(batchwasm.folder / "percolation.svg").getroot()
    lines = [line.get("points", "").split() for line in drawing.iter("{http://www.w3.org/2000/svg}polyline")]
    assert [len(points) for points in lines] == [21, 21]
    assert all(40 <= float(point.split(",")[1]) <= 340 for points in lines for point in points)
    assert estimate in [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")]


def test_a_graph_gives_one_estimate_of_what_its_tasks_measured(batchwasm: Cli) -> None:
    _, tasks = run(batchwasm, "graph")
    estimate = tasks[-1]["value"]
    assert estimate == json.loads((EXAMPLES / "graph/expected.json").read_text())
    assert abs(estimate["slope"] - 3) < 3 * estimate["error"]  # which is what measure.rs puts noise on
    fitted = [task["value"]["slope"] for task in tasks if task["job"] == "fit"]
    assert estimate["slope"] == sum(fitted) / len(fitted)
