"""`report` of real runs: when they are over, and while they go on."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from batchwasm.cli import main
from batchwasm.core.events import BatchPlaced
from tests.command import Cli
from tests.gated import Gate, gated_jobs, until
from tests.report.runs import troubled

ROOT = Path(__file__).parent.parent.parent
DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>')


def test_a_run_is_reported_in_its_folder_or_elsewhere_and_its_path_is_all_that_is_printed(batchwasm: Cli) -> None:
    assert "there is no run" in batchwasm("report", code=2).err
    trap = '(module (func (export "_start") unreachable) (memory (export "memory") 1))'
    (batchwasm.folder / "hello.wat").write_text((ROOT / "examples/hello.wat").read_text())
    (batchwasm.folder / "trap.wat").write_text(trap)
    (batchwasm.folder / "inventory.toml").write_text(
        '[hosts.here]\ntransport = "local"\n[hosts.gone]\ntransport = "local"\npython = "/nowhere/python3"\n'
    )
    good = '[jobs.good]\nsource = "hello.wat"\nsweep = { n = [1, 2, 3] }\n'
    (batchwasm.folder / "jobs.toml").write_text(f'name = "mixed"\n{good}[jobs.bad]\nsource = "trap.wat"\n')
    batchwasm("run", "jobs.toml", code=1)

    told = batchwasm("report")
    path = Path(told.out.rstrip("\n"))
    assert path == batchwasm.folder / "batchwasm-runs/mixed-1/report.html"
    assert told.err == ""
    page = path.read_text()
    assert ">mixed-1</h1>" in page
    assert "no Python of 3.9 or later" in page
    assert "batchwasm explain bad/0 -r mixed-1" in page
    data = json.loads(DATA.findall(page)[0])
    assert len(data["timeline"]["pieces"]) == 4
    assert data["timeline"]["hosts"] == ["here", "gone"]

    [row] = batchwasm("report", "-o", "a report.html", "--json").rows
    assert row == {
        "schema": "report/1",
        "run": "mixed-1",
        "folder": str(path.parent),
        "path": str(batchwasm.folder / "a report.html"),
        "bytes": (batchwasm.folder / "a report.html").stat().st_size,
    }
    piped = batchwasm("report", "-o", "-").out
    assert piped.startswith("<!DOCTYPE html>")
    assert piped.endswith("</html>\n")
    assert "give -o a file" in batchwasm("report", "-o", "-", "--json", code=2).err
    assert _into(batchwasm, path.parent) == (0, 0, 141)
    refused = batchwasm("report", "-o", "not there/report.html", code=3)
    assert "not there/report.html can't be written: No such file or directory" in refused.err


def _into(batchwasm: Cli, folder: Path) -> tuple[int, int, int]:
    """Exit codes of `report -o -` into a file that has something in it, a socket, and a pipe whose reader went away."""
    command = [*batchwasm.program, "report", "-o", "-", "-r", str(folder)]
    environment = batchwasm.environment(None)
    log = batchwasm.folder / "log"
    log.write_text("kept\n")
    with open(log, "ab") as stream:
        appended = subprocess.run(command, stdout=stream, env=environment, check=False).returncode
    assert log.read_text().startswith("kept\n<!DOCTYPE html>")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(command, stdout=theirs.fileno(), env=environment)
        theirs.close()
        with ours.makefile("rb") as stream:
            assert stream.read().endswith(b"</html>\n")
        sent = process.wait()
    unbuffered = {**environment, "PYTHONUNBUFFERED": "1"}  # what stdout.buffer.write() took may then be a part only
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=unbuffered) as process:
        assert process.stdout is not None
        process.stdout.read(1)
    return appended, sent, process.returncode


def test_a_path_is_harmless_on_a_terminal_and_as_it_is_in_a_pipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = troubled(tmp_path / "run-1")
    output = tmp_path / "red\x1b[31m.html"
    command = ["report", "-r", str(run.path), "-o", str(output)]
    assert main(command) == 0
    assert capsys.readouterr().out == f"{output}\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(command) == 0
    assert capsys.readouterr().out == f"{tmp_path}/red\\x1b[31m.html\n"


def test_a_run_that_goes_on_is_reported_as_far_as_it_is(batchwasm: Cli) -> None:
    gate = Gate.beside(batchwasm)
    gated_jobs(batchwasm, 1)
    folder = Path(batchwasm("run", "jobs.toml", "--detach", "--json").json["folder"])
    until(folder, lambda journal: any(journal.of_kind(BatchPlaced)))
    live = json.loads(DATA.findall(Path(batchwasm("report").out.strip()).read_text())[0])
    assert [piece[-1] for piece in live["timeline"]["pieces"]] == [""]
    assert live["flow"]["done"][-1] == 0
    gate.open("1.1")
    batchwasm("wait")
    over = json.loads(DATA.findall(Path(batchwasm("report").out.strip()).read_text())[0])
    assert [piece[-1] for piece in over["timeline"]["pieces"]] == ["succeeded"]
