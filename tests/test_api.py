"""Runs as functions: what `run` returns, raises and leaves, and how far others see it while it goes on."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

import pytest

from batchwasm import api
from batchwasm.core.events import BatchPlaced, Event, RunOpened, RunPlanned
from batchwasm.engine.plan import Watcher
from batchwasm.errors import SourceError, SpecError, WorldError
from batchwasm.journal import Journal
from batchwasm.model import Host, Inventory, Job, RunSpec, Source
from batchwasm.results import RunFolder
from batchwasm.runner.alone import Patience
from batchwasm.spec.sweep import Combinations
from tests.guests import HELLO_WAT

TRAP_WAT = '(module (memory (export "memory") 1) (func (export "_start") unreachable))'
JOBS = """
[jobs.hello]
source = "hello.wat"
sweep = { n = [1, 2] }
[jobs.trap]
source = "trap.wat"
"""


class Onlooker(Watcher):
    """Reads the run while it goes on, as another process would."""

    def __init__(self) -> None:
        self.folder: RunFolder | None = None
        self.states: list[str] = []

    def started(self, folder: RunFolder) -> None:
        self.folder = folder

    def happened(self, event: Event) -> None:
        if isinstance(event, BatchPlaced) and self.folder is not None:
            self.states.append(api.status(self.folder).state)


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    (tmp_path / "hello.wat").write_text(HELLO_WAT)
    (tmp_path / "trap.wat").write_text(TRAP_WAT)
    (tmp_path / "jobs.toml").write_text(JOBS)
    return tmp_path / "jobs.toml"


def broken(folder: Path) -> RunSpec:
    """A run whose source does not compile."""
    source = folder / "a.wat"
    source.write_text("(module (oops))")
    job = Job(name="a", source=Source(language="wat", paths=(source,)), sweep=Combinations())
    return RunSpec(name="r", folder=folder, jobs=(job,))


def test_a_run_returns_what_it_left(jobs: Path) -> None:
    spec, inventory = api.load(jobs)
    onlooker = Onlooker()
    ran = api.run(spec, inventory, watcher=onlooker, started=onlooker.started)
    assert (ran.exit_code, ran.status.by_outcome) == (1, {"succeeded": 2, "trapped": 1})
    assert set(onlooker.states) == {"running"}
    assert api.status(api.find(ran.folder.name, jobs.parent)) == ran.status
    rows = list(api.results(ran.folder))
    assert [(row.job, row.index, row.params, row.stdout) for row in rows[:2]] == [
        ("hello", 0, {"n": 1}, "hello\n"),
        ("hello", 1, {"n": 2}, "hello\n"),
    ]
    assert [row.job for row in api.results(ran.folder, outcome=["trapped"])] == ["trap"]
    assert [row.index for row in api.results(ran.folder, job="hello", index=1)] == [1]
    manifest = json.loads(ran.folder.manifest.read_text())
    assert [job["artifact"] for job in manifest["jobs"]] == [rows[0].artifact, rows[2].artifact]
    assert all(ran.folder.wasm(name).is_file() for name in ("hello", "trap"))


def test_some_jobs_alone_are_run_and_planned(jobs: Path) -> None:
    spec, inventory = api.load(jobs)
    assert [(job.name, job.tasks) for job in api.plan(spec, inventory, jobs=["hello"])] == [("hello", 2)]
    ran = api.run(spec, inventory, jobs=["hello"])
    assert (ran.exit_code, [job.name for job in ran.status.jobs]) == (0, ["hello"])


def test_a_chosen_job_is_planned_with_those_it_waits_for(jobs: Path) -> None:
    jobs.write_text(JOBS + 'after = "hello"\n')
    spec, inventory = api.load(jobs)
    assert [job.name for job in api.plan(spec, inventory, jobs=["trap"])] == ["hello", "trap"]


def test_a_job_that_is_not_there_is_told_with_those_that_are(jobs: Path) -> None:
    spec, inventory = api.load(jobs)
    with pytest.raises(SpecError, match=r"there is no job 'nope'; jobs are hello, trap"):
        api.run(spec, inventory, jobs=["hello", "nope"])
    assert not (jobs.parent / "batchwasm-runs").exists()


def test_a_run_that_never_was_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        api.run(broken(tmp_path), Inventory(hosts=[Host(name="h", transport="local")]))
    assert not (tmp_path / "batchwasm-runs").exists()


def test_a_compile_error_is_told_although_the_manifest_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[object] = []

    def write(folder: RunFolder, manifest: object) -> None:
        written.append(manifest)
        if len(written) > 1:
            raise WorldError("the disk is full")

    monkeypatch.setattr(RunFolder, "write_manifest", write)
    with pytest.raises(SourceError):
        api.run(broken(tmp_path), Inventory(hosts=[Host(name="h", transport="local")]))
    assert len(written) == 2


@pytest.mark.parametrize(("held", "state"), [(True, "running"), (False, "stopped")])
def test_a_run_goes_on_while_its_scheduler_holds_it_whatever_its_pid_is_now(
    tmp_path: Path, held: bool, state: str
) -> None:
    folder = RunFolder(path=tmp_path)
    folder.jobs.write_text("")
    journal = Journal.create(folder.journal)
    opened = RunOpened(incarnation=1, pid=os.getpid(), machine=socket.gethostname(), version="0")
    journal.append([RunPlanned(run="0", name="r-1", jobs=(), hosts=()), opened], time.time())
    journal.close()
    if held:
        with folder.held():
            assert api.status(folder).state == state
    else:
        assert api.status(folder).state == state


def test_hosts_are_said_to_forget_a_run_when_they_do() -> None:
    assert Patience().results_s == api.HOSTS_FORGET_S
