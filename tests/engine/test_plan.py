"""What the scheduler is told of a job and a host."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from batchwasm.artifacts import Store
from batchwasm.core.events import Event, RunFinished
from batchwasm.engine.plan import Plan, Watcher, Watchers
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


def test_several_watchers_are_each_told_everything_there_is() -> None:
    calls = [name for name, value in vars(Watcher).items() if callable(value)]
    assert {name for name in calls if not name.startswith("_")} <= vars(Watchers).keys()
    heard: list[str] = []

    class Ear(Watcher):
        def __init__(self, name: str) -> None:
            self.name = name

        def note(self, text: str) -> None:
            heard.append(f"{self.name} {text}")

        def journaled(self, events: Sequence[Event], seq: int, at: float) -> None:
            heard.append(f"{self.name} {len(events)} {seq} {at}")

    both = Watchers(Ear("a"), Ear("b"))
    both.note("x")
    both.journaled([RunFinished()], 7, 1.5)
    assert heard == ["a x", "b x", "a 1 7 1.5", "b 1 7 1.5"]
