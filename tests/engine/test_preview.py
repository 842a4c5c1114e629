"""What a run would do, told before it does anything."""

from __future__ import annotations

from pathlib import Path

from batchwasm import api
from batchwasm.artifacts import build
from batchwasm.engine import preview
from batchwasm.store import Store
from tests.guests import HELLO_WAT

INVENTORY = """
[hosts."lab[1-2]"]
labels = ["fast"]
cpus = 4
[hosts.small]
labels = ["fast"]
cpus = 1
[hosts.plain]
cpus = 4
"""
JOBS = """
[jobs.last]
source = "hello.wat"
after = ["sim"]
inputs = ["@sim/*.txt", "{ab}.txt"]
sweep = { ab = ["a", "b"], n = { range = [0, 1000] } }
[jobs.sim]
source = "hello.wat"
stdin = "a.txt"
outputs = ["*.txt?"]
cpus = 2
labels = ["fast"]
[jobs.urgent]
source = "hello.wat"
priority = 3
"""


def planned(folder: Path, store: Store) -> dict[str, preview.PlannedJob]:
    for name, text in {"jobs.toml": JOBS, "inventory.toml": INVENTORY, "hello.wat": HELLO_WAT}.items():
        (folder / name).write_text(text)
    (folder / "a.txt").write_text("abc")
    (folder / "b.txt").write_text("de")
    spec, inventory = api.load(folder / "jobs.toml")
    return {job.name: job for job in api.plan(spec, inventory, store=store)}


def test_each_job_says_which_hosts_it_may_use_and_why_not_the_others(tmp_path: Path) -> None:
    jobs = planned(tmp_path, Store(tmp_path / "store"))
    sim = jobs["sim"]
    assert sim.hosts == ("lab1", "lab2")
    assert [(each.hosts, [reason.text for reason in each.reasons]) for each in sim.refused] == [
        (("small",), ["asks for 2 cpus, it has 1 cpu"]),
        (("plain",), ["label fast missing"]),
    ]
    assert jobs["urgent"].hosts == ("lab1", "lab2", "small", "plain")


def test_files_are_counted_once_however_many_tasks_take_them(tmp_path: Path) -> None:
    jobs = planned(tmp_path, Store(tmp_path / "store"))
    assert jobs["last"].files == preview.Files(count=2, bytes=5, all=True, vary=True, jobs=("sim",))
    assert jobs["sim"].files == preview.Files(count=1, bytes=3, all=True, vary=False, jobs=())
    assert jobs["urgent"].files == preview.Files(count=0, bytes=0, all=True, vary=False, jobs=())


def test_more_files_than_are_looked_at_are_told_as_such(tmp_path: Path) -> None:
    planned(tmp_path, Store(tmp_path / "store"))
    (tmp_path / "jobs.toml").write_text(
        '[jobs.many]\nsource = "hello.wat"\nsweep = { n = { range = [0, 3000] } }\n'
        'inputs = [{ from = "a.txt", to = "{n}.txt" }]\n'
    )
    spec, inventory = api.load(tmp_path / "jobs.toml")
    (job,) = api.plan(spec, inventory)
    assert (job.files.count, job.files.all, job.files.vary) == (1, False, True)


def test_what_is_compiled_already_is_known_by_its_digest(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    before = planned(tmp_path, store)["sim"].built
    assert (before.artifact, before.problem) == (None, "")
    assert before.toolchain is not None
    assert before.toolchain.startswith("wasmtime ")
    assert not (tmp_path / "store").exists()
    made = build("sim", planned(tmp_path, store)["sim"].job.source, store)
    after = planned(tmp_path, store)["sim"].built.artifact
    assert after is not None
    assert (after.digest, after.size_bytes) == (made.digest, made.size_bytes)


def test_jobs_are_in_the_order_in_which_they_would_start(tmp_path: Path) -> None:
    jobs = planned(tmp_path, Store(tmp_path / "store"))
    assert list(jobs) == ["last", "sim", "urgent"]
    assert [job.name for job in preview.in_order(list(jobs.values()))] == ["urgent", "sim", "last"]
