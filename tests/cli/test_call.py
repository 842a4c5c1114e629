"""`call` and `map`: values as JSON on stdout, everything else on stderr, exit codes as designed."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from batchwasm.functions.types import Bytes, Float, Int, List, Map, String
from tests import reactors
from tests.cli.terminal import on_a_terminal
from tests.command import Cli

U8, F64 = Int(8, False), Float(64)


@pytest.fixture
def echoes(batchwasm: Cli) -> Path:
    """Modules named by what they take: text.wasm, bytes.wasm, floats.wasm, map.wasm, picky.wasm."""
    folder = batchwasm.folder
    for name, kind in (("text", String()), ("bytes", Bytes()), ("floats", List(F64)), ("map", Map(F64))):
        reactors.write(folder / f"{name}.wasm", reactors.ECHO, "echo", kind, kind)
    reactors.write(folder / "picky.wasm", reactors.PICKY, "picky", U8, U8)
    reactors.write(folder / "two.wasm", reactors.ECHO, "two", U8, U8, U8)
    return folder


def test_a_value_is_json_on_stdout(batchwasm: Cli, echoes: Path) -> None:
    for target, given, expected in [
        ("text", '-1 "quoted" {x}', '"-1 \\"quoted\\" {x}"'),
        ("text", "@home", '"@home"'),
        ("bytes", '"AAH/"', '"AAH/"'),
        ("floats", '[1, 2.5, "NaN", "-Infinity"]', '[1.0,2.5,"NaN","-Infinity"]'),
        ("map", '{"b": 1, "a": 2}', '{"a":2.0,"b":1.0}'),
    ]:
        done = batchwasm("call", "-q", f"{target}.wasm:echo", given)
        assert (json.loads(done.out), done.err) == (json.loads(expected), "")


def test_a_file_gives_json_or_bytes(batchwasm: Cli, echoes: Path) -> None:
    (echoes / "a.json").write_text("[1, 2]")
    (echoes / "a.bin").write_bytes(b"\x00\x01\xff")
    assert batchwasm("call", "floats.wasm:echo", "@a.json").json == [1, 2]
    assert batchwasm("call", "bytes.wasm:echo", "@a.bin").json == "AAH/"
    assert "can't be read" in batchwasm("call", "floats.wasm:echo", "@none", code=2).err


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("picky.wasm",), "write FILE:FUNCTION"),
        (("picky.wasm:other", "1"), "has no function other"),
        (("none.rs:f",), "there is no file"),
        (("picky.wasm:picky",), "picky(a: u8) -> u8"),
        (("picky.wasm:picky", "300"), "300 does not fit u8"),
        (("picky.wasm:picky", "one"), "not JSON"),
        (("--memory", "lots", "picky.wasm:picky", "1"), "--memory"),
    ],
)
def test_bad_input_is_told_and_exits_2(batchwasm: Cli, echoes: Path, args: tuple[str, ...], told: str) -> None:
    done = batchwasm("call", *args, code=2)
    assert told in done.err
    assert done.out == ""


def test_a_failed_call_says_why_and_exits_1(batchwasm: Cli, echoes: Path) -> None:
    done = batchwasm("call", "picky.wasm:picky", "13", code=1)
    assert "picky(13) trapped on localhost" in done.err
    assert done.out == ""
    assert "timed out" in batchwasm("call", "--time-limit", "0.3", "picky.wasm:picky", "14", code=1).err


def test_no_host_exits_3(batchwasm: Cli, echoes: Path) -> None:
    where = ("--hosts", "127.0.0.1", "--wait-hosts", "0")
    assert "no host is left" in batchwasm("call", *where, "picky.wasm:picky", "1", code=3).err


def test_lines_are_mapped_in_order(batchwasm: Cli, echoes: Path) -> None:
    lines = [str(n % 10) for n in range(500)]
    done = batchwasm("map", "picky.wasm:picky", stdin="\n".join(lines) + "\n\n")
    assert done.out.splitlines() == lines


def test_on_a_terminal_no_value_is_overwritten_by_the_progress(batchwasm: Cli, echoes: Path) -> None:
    command = ("-m", "batchwasm", "map", "floats.wasm:echo")
    code, written = on_a_terminal(*command, cwd=echoes, typed="[1]\n[300]\n[2]\n\x04")
    before, first, after = written.partition("[1.0]\n")
    assert (code, first, after) == (0, "[1.0]\n", "[300.0]\n[2.0]\n")
    assert before.endswith("\x1b[2K"), "what was drawn until then is taken away first"


def test_arguments_of_a_line_are_an_array_or_an_object(batchwasm: Cli, echoes: Path) -> None:
    done = batchwasm("map", "two.wasm:two", stdin='[1, 2]\n{"b": 2, "a": 1}\n[1]\n{"a": 1}\n', code=1)
    rows = done.rows
    # ECHO gives both arguments one after the other: no value of u8, and told as that.
    assert [row["reason"]["code"] for row in rows] == ["bad_value", "bad_value", "argument", "argument"]
    assert rows[2]["reason"]["text"].startswith("write an array with the 2 arguments")
    assert "b missing" in rows[3]["reason"]["text"]
    assert "line 3: write an array" in done.err


def test_failures_are_lines_and_exit_1(batchwasm: Cli, echoes: Path) -> None:
    done = batchwasm("map", "--json", "picky.wasm:picky", stdin='1\n\n13\n"x"\n{\n2\n', code=1)
    assert [(row["index"], row["outcome"], row["value"]) for row in done.rows] == [
        (0, "succeeded", 1),
        (1, "trapped", None),
        (2, "invalid", None),
        (3, "invalid", None),
        (4, "succeeded", 2),
    ]
    assert {row["schema"] for row in done.rows} == {"value/1"}
    assert "line 3: picky(13) trapped" in done.err
    assert "line 4: a: expected u8, found 'x'" in done.err


def test_the_run_is_found_by_name_alone(batchwasm: Cli, echoes: Path) -> None:
    batchwasm("map", "picky.wasm:picky", stdin="1\n2\n13\n", code=1)
    rows = batchwasm("results", "--json", "-r", "map-1").rows
    assert [(row["value"], row["outcome"]) for row in rows] == [(1, "succeeded"), (2, "succeeded"), (None, "trapped")]
    assert "there is no run" in batchwasm("results", code=2).err


def test_ctrl_c_stops_the_guests_and_exits_130(batchwasm: Cli, echoes: Path, home: Path) -> None:
    """That nothing stays behind is seen by the fixture which looks for leftovers."""
    process = batchwasm.start("call", "picky.wasm:picky", "14")
    deadline = time.monotonic() + 60
    while not any((home / ".cache/batchwasm/scratch").glob("*/*/box")):
        assert time.monotonic() < deadline
        time.sleep(0.05)  # for another process
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b"")
    assert b"Traceback" not in err


def test_a_job_of_a_file_calls_a_function(batchwasm: Cli, echoes: Path) -> None:
    (echoes / "jobs.toml").write_text(
        '[jobs.p]\nsource = "picky.wasm"\nfunction = "picky"\nargs = ["{n}"]\nsweep = { n = [1, 13, 2] }\n'
    )
    batchwasm("run", "jobs.toml", code=1)
    rows = batchwasm("results", "--json").rows
    assert [(row["value"], row["exit_code"], row["outcome"]) for row in rows] == [
        (1, None, "succeeded"),
        (None, None, "trapped"),
        (2, None, "succeeded"),
    ]
    assert (echoes / "batchwasm-runs/jobs-1/wasm/p.wit").read_text()
    assert "p/2" in batchwasm("results").out
