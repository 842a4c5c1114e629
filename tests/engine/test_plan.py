"""What the scheduler is told of a job and a host."""

from __future__ import annotations

from pathlib import Path

from batchwasm.artifacts import Store
from batchwasm.engine.plan import Plan
from batchwasm.model import Input, Inventory, Job, RunSpec, Source, Template
from batchwasm.spec.sweep import Axis, Combinations


def test_files_that_all_tasks_share_are_counted_and_those_of_single_tasks_are_not(tmp_path: Path) -> None:
    (tmp_path / "shared.bin").write_bytes(bytes(3_000))
    (tmp_path / "own-1.bin").write_bytes(bytes(50_000))
    job = Job(
        name="a",
        source=Source(language="wat", paths=(tmp_path / "a.wat",)),
        sweep=Combinations(axes=(Axis(names=("n",), columns=((1,),)),)),
        inputs=(
            Input(source=Template(parts=("shared.bin",))),
            Input(source=Template(parts=("own-", "n", ".bin"))),
            Input(source=Template(parts=("out/*",)), job="b"),
        ),
    )
    spec = RunSpec(name="run", folder=tmp_path, jobs=(job,))
    (plan,) = Plan(run="0", spec=spec, inventory=Inventory(hosts=()), store=Store(tmp_path)).job_plans()
    assert plan.input_bytes == 3_000
