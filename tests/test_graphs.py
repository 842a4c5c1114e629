"""Whole runs of jobs that take what others leave: files and values along the graph, over a real runner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from batchwasm.functions.types import Float, List, String
from tests import reactors
from tests.command import Cli
from tests.guests import JOIN_WAT

DIAMOND = """
name = "diamond"
[defaults]
source = "join.wat"
memory = "4MiB"

[jobs.parts]
args = ["part", "<{n}>"]
sweep = { n = [1, 2, 3] }
outputs = ["part"]

[jobs.copy]
args = ["{t}.copy", "{t}", "parts/{index}/part"]
sweep = { t = ["a", "b", "c"] }
after = { job = "parts", each = true }
inputs = ["@parts/part"]
outputs = ["*.copy"]

[jobs.number]
source = "echo.wasm"
function = "echo"
args = ["{x}"]
sweep = { x = [0.5, 1.5, 2.5] }
after = "parts"

[jobs.numbers]
source = "list.wasm"
function = "list"
args = ["@number"]

[jobs.word]
source = "text.wasm"
function = "text"
args = ["wörd"]

[jobs.plus]
args = ["plus", "@number", "copy/{index}/{t}.copy"]
sweep = { t = ["a", "b", "c"] }
after = [{ job = "number", each = true }, { job = "copy", each = true }]
inputs = ["@copy/{t}.copy"]
outputs = ["plus"]

[jobs.end]
args = ["end", "@numbers", "parts/1/part", "copy/2/c.copy", "plus/0/plus"]
inputs = ["@parts/**", "@copy/[!b].copy", "@plus/p*"]
outputs = ["end"]

[jobs.last]
args = ["last", "@word", "own/text", "end/0/end"]
inputs = ["own/text", "@end/end"]
outputs = ["last"]
"""


def sources(folder: Path) -> None:
    (folder / "join.wat").write_text(JOIN_WAT)
    reactors.write(folder / "echo.wasm", reactors.ECHO, "echo", Float(64), Float(64))
    reactors.write(folder / "list.wasm", reactors.ECHO, "list", List(Float(64)), List(Float(64)))
    reactors.write(folder / "text.wasm", reactors.ECHO, "text", String(), String())


def outcomes(batchwasm: Cli) -> dict[str, str]:
    rows: list[Any] = batchwasm("results", "--json").rows
    return {f"{row['job']}/{row['index']}": row["outcome"] for row in rows}


def test_files_and_values_flow_along_a_graph(batchwasm: Cli) -> None:
    sources(batchwasm.folder)
    (batchwasm.folder / "own").mkdir()
    (batchwasm.folder / "own/text").write_text(":")
    (batchwasm.folder / "jobs.toml").write_text(DIAMOND)
    folder = Path(batchwasm("run", "jobs.toml", "--json").json["folder"])
    tasks = folder / "tasks"
    assert [(tasks / f"copy/{n}/out/{t}.copy").read_text() for n, t in enumerate("abc")] == ["a<1>", "b<2>", "c<3>"]
    assert [(tasks / f"plus/{n}/out/plus").read_text() for n in range(3)] == ["0.5a<1>", "1.5b<2>", "2.5c<3>"]
    assert (tasks / "end/0/out/end").read_text() == "[0.5,1.5,2.5]<2>c<3>0.5a<1>"
    assert (tasks / "last/0/out/last").read_text() == "wörd:[0.5,1.5,2.5]<2>c<3>0.5a<1>"
    assert set(outcomes(batchwasm).values()) == {"succeeded"}


BROKEN = """
[defaults]
source = "join.wat"
memory = "4MiB"

[jobs.parts]
args = ["part", "", "{file}"]
sweep = { file = ["join.wat", "missing", "join.wat"] }
inputs = ["join.wat"]
outputs = ["p*?"]

[jobs.copy]
args = ["copy", "", "parts/{index}/part"]
sweep = { n = [1, 2, 3] }
after = { job = "parts", each = true }
inputs = ["@parts/part"]
outputs = ["copy"]

[jobs.all]
args = ["all", "", "parts/0/part"]
inputs = ["@parts/part"]

[jobs.nothing]
args = ["nothing", ""]
sweep = { n = [1, 2] }

[jobs.other]
args = ["other", ""]
after = "nothing"
inputs = ["@copy-of/other{n}"]
sweep = { n = [1, 2] }

[jobs.copy-of]
args = ["other1", "x"]
outputs = ["other*"]
"""


def test_what_depends_on_a_failure_is_skipped_and_what_is_missing_is_told(batchwasm: Cli) -> None:
    sources(batchwasm.folder)
    (batchwasm.folder / "jobs.toml").write_text(BROKEN)
    batchwasm("run", "jobs.toml", code=1)
    found = outcomes(batchwasm)
    assert [found[f"parts/{n}"] for n in range(3)] == ["succeeded", "failed", "succeeded"]
    assert [found[f"copy/{n}"] for n in range(3)] == ["succeeded", "skipped", "succeeded"]
    assert (found["all/0"], found["other/0"], found["other/1"]) == ("skipped", "succeeded", "invalid")
    [row] = batchwasm("results", "--json", "--outcome", "invalid").rows
    assert row["reason"]["code"] == "input_missing"
    assert row["reason"]["text"] == "inputs[0]: no output of copy-of matches 'other2'; it left other1"
