"""`report` of real runs: when they are over, and while they go on."""

from __future__ import annotations

import json
import re
from pathlib import Path

from batchwasm.core.events import BatchPlaced
from tests.command import Cli
from tests.gated import Gate, gated_jobs, until

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
    refused = batchwasm("report", "-o", "not there/report.html", code=3)
    assert "not there/report.html can't be written: No such file or directory" in refused.err


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
