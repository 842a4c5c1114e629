"""Which jobs take what is known, and which successes are known afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchwasm.artifacts import Store
from batchwasm.core.events import JobPlan, RunPlanned
from batchwasm.core.state import State
from batchwasm.engine.lookups import Lookups
from batchwasm.engine.plan import Plan
from batchwasm.known import Known
from batchwasm.model import Input, Inventory, Job, RunSpec, Template
from batchwasm.results import RunFolder
from batchwasm.runner.protocol import Start
from tests.engine.fake_host import FakeHost
from tests.engine.test_loop import job, running

N = Template(parts=("", "n", ""))


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    return FakeHost(monkeypatch)


def jobs_of(tmp_path: Path, *jobs: Job, state: State | None = None, fresh: bool = False) -> set[int]:
    spec = RunSpec(name="r", folder=tmp_path, jobs=jobs, fresh=fresh)
    plan = Plan(run="r", spec=spec, inventory=Inventory(hosts=[]), store=Store(tmp_path))
    folder = RunFolder(path=tmp_path)
    return set(Lookups(plan, state or State(), folder, tell=lambda found: None, note=lambda text: None).jobs)


def test_jobs_that_want_it_and_can_be_told_apart_take_part(tmp_path: Path) -> None:
    wants = [
        job(tmp_path, cache=True, name="a"),
        job(tmp_path, name="b"),
        job(tmp_path, cache=True, mounts=("m",), name="c"),
        job(tmp_path, cache=True, verify=2, name="d"),
    ]
    assert jobs_of(tmp_path, *wants) == {0}
    assert jobs_of(tmp_path, *wants, fresh=True) == {0}  # they run, to be known


def test_a_run_that_goes_on_does_as_it_began(tmp_path: Path) -> None:
    state = State()
    plans = (JobPlan(name="a", tasks=3, cache=True),)
    state.apply(RunPlanned(run="r", name="r-1", jobs=plans, hosts=()), 0.0)
    assert jobs_of(tmp_path, job(tmp_path, name="a"), state=state) == {0}


async def test_a_task_whose_own_file_changed_while_it_ran_is_not_known(host: FakeHost, tmp_path: Path) -> None:
    for n in range(3):
        (tmp_path / str(n)).write_text(f"{n}")
    own = job(tmp_path, 3, cache=True, inputs=(Input(source=N),))
    async with running(tmp_path, own) as run:
        runner = await host.life()
        start = await runner.order(Start)
        runner.orders.append(start)
        (tmp_path / "1").write_text("another")
        for _ in range(3):
            await runner.finish()
        await run.end()
    assert [each.tasks for each in Known().list()] == [2]
