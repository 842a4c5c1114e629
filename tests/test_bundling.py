"""A run with all that its tasks were given, as one archive or folder, that replays elsewhere."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pytest

from batchwasm.results import RunFolder
from tests.command import Cli
from tests.guests import HELLO_WAT
from tests.homes import move_into

COPIES_C = r"""
#include <stdio.h>
#include "sizes.h"
int main(void) {
    static char block[SIZE];
    FILE *in = fopen("data/in.txt", "rb"), *out = fopen("out.txt", "wb");
    if (!in || !out) return 2;
    fwrite(block, 1, fread(block, 1, sizeof block, in), out);
    fwrite(block, 1, fread(block, 1, sizeof block, stdin), stdout);
    return 0;
}
"""
TWICE_C = "double twice(double x) { return 2 * x; }\n"
JOBS = """
[defaults]
build = { include = ["inc"] }
[jobs.copies]
source = "copies.c"
stdin = "std.txt"
inputs = ["data/*.txt", { from = "OUTSIDE/far.bin", to = "far.bin" }]
outputs = ["out.txt"]
secret = ["TOKEN"]
[jobs.twice]
source = "twice.c"
function = "twice"
args = [1.25]
[jobs.more]
source = "twice.c"
function = "twice"
args = ["@twice"]
after = ["copies"]
"""
TOKEN = {"TOKEN": "a-very-secret-thing"}


@pytest.fixture
def origin(batchwasm: Cli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that is over."""
    folder, outside = batchwasm.folder, tmp_path_factory.mktemp("outside")
    (outside / "far.bin").write_bytes(b"far away")
    (folder / "copies.c").write_text(COPIES_C)
    (folder / "inc").mkdir()
    (folder / "inc/sizes.h").write_text("#define SIZE 65536\n")
    (folder / "twice.c").write_text(TWICE_C)
    (folder / "jobs.toml").write_text(JOBS.replace("OUTSIDE", str(outside)))
    (folder / "data").mkdir()
    (folder / "data/in.txt").write_text("an input\n")
    (folder / "std.txt").write_text("on stdin\n")
    batchwasm("run", "jobs.toml", env=TOKEN)
    return folder


def test_a_bundle_replays_on_a_machine_that_has_nothing_else(
    batchwasm: Cli, origin: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    archive = elsewhere / "run.tar.gz"
    said = batchwasm("runs", "export", "--with-inputs", "-o", archive).err
    assert "3 of them inputs" in said
    batchwasm("runs", "export", "jobs-1", "--with-inputs", "-o", elsewhere / "again.tgz")
    assert archive.read_bytes() == (elsewhere / "again.tgz").read_bytes()
    with tarfile.open(archive) as bundle:
        names = bundle.getnames()
        bundle.extractall(elsewhere, filter="data")
    assert names == sorted(names)
    assert {name.split("/")[0] for name in names} == {"jobs-1"}
    assert {"jobs-1/sources/copies/copies.c", "jobs-1/sources/copies/inc/sizes.h"} <= set(names)
    assert {"jobs-1/jobs.toml", "jobs-1/manifest.json", "jobs-1/inventory.toml", "jobs-1/journal.db"} <= set(names)
    assert not [path for path in elsewhere.rglob("*") if path.is_file() and b"a-very-secret" in path.read_bytes()]

    run = elsewhere / "jobs-1"
    shutil.rmtree(origin)
    origin.mkdir()
    move_into(tmp_path_factory.mktemp("another home"), monkeypatch)
    again = batchwasm("replay", "copies", "-r", run, "--json", env=TOKEN).json
    assert (again["same"], again["outcome"], again["run"]) == (True, "succeeded", "jobs-1")
    assert batchwasm("replay", "more", "-r", run).out.endswith("succeeded, value 5.0\n")
    assert f"cp -- {run}/inputs/" in batchwasm("replay", "copies", "-r", run, "--print", env=TOKEN).out
    batchwasm("runs", "export", run, "--with-inputs", "-o", elsewhere / "copy")
    assert (elsewhere / "copy/inputs").is_dir()
    shutil.rmtree(run / "inputs")
    assert "2 files that it was given are not here" in batchwasm("replay", "copies", "-r", run, code=2, env=TOKEN).err


def test_what_is_not_there_as_it_was_is_told_and_left_out_only_by_force(batchwasm: Cli, origin: Path) -> None:
    (origin / "data/in.txt").write_text("another\n")
    (origin / "std.txt").unlink()
    (origin / "copies.c").write_text("this is not what was compiled")
    said = batchwasm("runs", "export", "--with-inputs", "-o", "bundle", code=2).err
    assert f"{origin}/data/in.txt changed: the run read 9 bytes with sha256 " in said
    assert f"{origin}/std.txt is gone: the run read 9 bytes" in said
    assert "nothing was written" in said
    assert not (origin / "bundle").exists()
    said = batchwasm("runs", "export", "--with-inputs", "--force", "-o", "bundle").err
    assert "the sources of copies are left out" in said
    assert "1 of them inputs" in said
    assert [path.name for path in (origin / "bundle/sources").iterdir()].count("copies") == 0
    assert batchwasm("replay", "twice", "-r", origin / "bundle").out.endswith("succeeded, value 2.5\n")
    said = batchwasm("runs", "export", "--with-inputs", "--force", "-o", "bundle").err
    assert (origin / "bundle/jobs-1/journal.db").is_file()
    assert (
        "jobs-1 is there already" in batchwasm("runs", "export", "--with-inputs", "--force", "-o", "bundle", code=2).err
    )
    assert "--format" in batchwasm("runs", "export", "--with-inputs", "--format", "csv", code=2).err


def test_a_run_without_its_module_is_no_bundle(batchwasm: Cli) -> None:
    (batchwasm.folder / "hello.wat").write_text(HELLO_WAT)
    batchwasm("run", "hello.wat")
    module = batchwasm.folder / "batchwasm-runs/hello-1/wasm/hello.wasm"
    with RunFolder(path=module.parents[1]).held():
        assert "hello-1 goes on" in batchwasm("runs", "export", "--with-inputs", code=3).err
    module.unlink()
    refused = batchwasm("runs", "export", "--with-inputs", code=2).err
    assert f"{module} is gone: the run's tasks are what had sha256 " in refused
    assert not (batchwasm.folder / "hello.tar.gz").exists()
    assert f"{module} is gone" in batchwasm("runs", "export", "--with-inputs", "--force").err
