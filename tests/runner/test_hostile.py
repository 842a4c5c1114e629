"""Guests that mean harm, in a real worker: what they get, and that the next task of the same worker notices nothing.

What docs/protections.md claims of a host's safety is shown here, or in the tests that it names.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import wasmtime

from batchwasm.model import Outcome
from batchwasm.runner.protocol import Row
from tests.runner.forked import MIB, Forked
from tests.runner.supervised import SupervisedHost, eventually, supervised_host

MEMORY = '(memory (export "memory") 1)'


def outcome(row: Row) -> tuple[str, str]:
    return Outcome(row.outcome).word, row.detail.code if row.detail else ""


def text(row: Row) -> str:
    assert row.detail is not None
    return row.detail.text


def module(body: str) -> bytes:
    return bytes(wasmtime.wat2wasm(f"(module {body})"))


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had, since the last `forget_peak`."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


@pytest.fixture
def worker(host: Forked) -> Iterator[Forked]:
    """A worker by each way to call wasmtime; after the test it is the same process, and as good as new."""
    host.start()
    pid = host.pid
    yield host
    assert host.pid == pid
    row = host.tool("ls", ".", "say", "fine", "stdin", "cat", "in.txt", inputs=[("in.txt", host.file(b"as it was\n"))])
    assert (outcome(row), row.stdout, row.stderr) == (("succeeded", ""), b"in.txt\nfine\nas it was\n", b"")


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[SupervisedHost]:
    """A host with its supervisor."""
    yield from supervised_host(tmp_path)


# ------------------------------------------------------------------------------------------------- modules


@pytest.mark.parametrize("count", [1, 500])
def test_a_start_that_takes_or_gives_values_is_refused_and_overwrites_nothing(worker: Forked, count: int) -> None:
    values = "i64 " * count
    for kind, body in ((f"(param {values})", ""), (f"(result {values})", "(i64.const -1)" * count)):
        row = worker.one(worker.artifact(module(f'{MEMORY} (func (export "_start") {kind} {body})')))
        assert outcome(row) == ("invalid", "module_refused")
        assert "_start" in text(row)


def test_tables_are_no_way_around_the_memory_limit(worker: Forked) -> None:
    tables = "(table 1000000 funcref)" * 50
    fill = "".join(f"(table.fill {n} (i32.const 0) (ref.func $f) (i32.const 1000000))" for n in range(50))
    wasm = module(f'{MEMORY} {tables} (func $f) (elem declare func $f) (func (export "_start") {fill})')
    worker.tool("say", "warm")
    before = peak_bytes(worker.pid)
    row = worker.one(worker.artifact(wasm))
    assert outcome(row) == ("invalid", "module_refused")
    assert peak_bytes(worker.pid) < before + 100 * MIB


def test_a_reason_is_short_whatever_names_a_module_has(worker: Forked) -> None:
    name = "x" * 90_000
    traps = module(f'{MEMORY} (func ${name} (unreachable)) (func (export "_start") (call ${name}))')
    imports = module(f'(import "a" "{name}" (func)) {MEMORY} (func (export "_start"))')
    for wasm in (traps, imports):
        assert 40 < len(text(worker.one(worker.artifact(wasm)))) < 2500


# ---------------------------------------------------------------------------------------------- its folder


def test_folders_without_end_do_not_stop_the_supervisor(supervised: SupervisedHost, toolbox: bytes) -> None:
    scheduler = supervised.attach()
    # Asleep beyond its time, the guest takes its worker down, and what it made is the supervisor's to remove.
    scheduler.start(1, toolbox, time_s=1.0, args=["deep", "1500", "sleep", "60000"])
    rows, _ = scheduler.collect(1)
    assert Outcome(rows[1, 0].outcome) in (Outcome.TIMED_OUT, Outcome.LIMIT_EXCEEDED)
    eventually(lambda: not list(supervised.workdir.glob("scratch/*/w*")), "what it left is removed")
    scheduler.start(2, toolbox, args=["say", "still here"])
    rows, _ = scheduler.collect(1)
    assert rows[2, 0].stdout == b"still here\n"
    scheduler.detach()


def test_files_without_a_name_count_until_they_are_closed(worker: Forked) -> None:
    hide = ["hide", str(4 * MIB)] * 6
    row = worker.tool(*hide, "spin", disk_bytes=16 * MIB, time_s=30)
    assert outcome(row) == ("limit_exceeded", "disk")
    assert row.wall_us < 10_000_000


def test_a_guest_that_holds_all_descriptors_is_still_looked_after(worker: Forked) -> None:
    row = worker.tool("hold", "mkdir", "x", *["hide", str(4 * MIB)], "spin", time_s=2)
    assert outcome(row) == ("timed_out", "time_limit")
    full = ["write", "a", str(9 * MIB), "write", "b", str(9 * MIB), "hold", "spin"]
    row = worker.tool(*full, disk_bytes=16 * MIB, time_s=30)
    assert outcome(row) == ("limit_exceeded", "disk")
    assert row.wall_us < 10_000_000


def test_a_guest_asleep_with_all_descriptors_still_brings_its_outputs(fresh: Forked) -> None:
    (row,) = fresh.run(
        fresh.work(fresh.toolbox, [["write", "out", "3", "hold", "sleep", "60000"]], time_s=0.5, outputs=["out"])
    )
    assert outcome(row) == ("timed_out", "time_limit")
    assert row.files == (b"xxx",)
