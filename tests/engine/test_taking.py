"""What a task takes of other jobs: looked up in a real journal when the task is made into work."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cbor2
import pytest

from batchwasm.calls import JobCalls
from batchwasm.core.events import Record, TasksFinished
from batchwasm.engine import upstream as upstreams
from batchwasm.engine import work as works
from batchwasm.engine.arguments import Arguments
from batchwasm.engine.files import LocalFile
from batchwasm.engine.taking import Taking
from batchwasm.engine.upstream import TEXT_BYTES, Upstream
from batchwasm.engine.work import Digests, JobWork, Made
from batchwasm.functions import of_module
from batchwasm.functions.types import Float, Int, List, Option, String, Tuple, Type
from batchwasm.functions.values import decoder
from batchwasm.journal import Journal
from batchwasm.model import After, Input, Job, Outcome, RunSpec, Source, Template, ValueOf
from batchwasm.results import RunFolder
from batchwasm.spec.sweep import Axis, Combinations
from tests import reactors

F64, U8 = Float(64), Int(8, False)
VALUE = ValueOf(job="prep")


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def fixed(text: str) -> Template:
    return Template(parts=(text,))


class Run:
    """A run of `prep`, which has ended or not, and of `next`, which takes something of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = RunFolder(path=path / "run-1")
        (self.folder.path / "wasm").mkdir(parents=True)
        self.journal = Journal.create(self.folder.journal)
        self.total = 0

    def left(self, outputs: Sequence[Mapping[str, str]] = (), values: Sequence[Any] = (), **fields: Any) -> None:
        """The tasks of prep succeed with these outputs, text by path, or values."""
        records = []
        for task in range(max(len(outputs), len(values))):
            listed = []
            for path, text in outputs[task].items() if outputs else ():
                file = self.folder.outputs("prep", task) / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
                listed.append({"path": path, "bytes": len(text), "sha256": digest(text)})
            value = cbor2.dumps(values[task]) if values else None
            plain = Record(task, 1, Outcome.SUCCEEDED, True, 0, 1.0, 0, 0, 0, 0, b"", b"", value=value)
            records.append(plain._replace(outputs=json.dumps(listed), **fields))
        self.total = len(records)
        self.journal.append([TasksFinished(batch=1, job=0, host="h", records=records)], 1.0)

    def gives(self, kind: Type) -> None:
        """prep is a function that gives values of that type."""
        reactors.write(self.folder.wasm("prep"), reactors.ECHO, "prep", kind, kind)

    def job(self, name: str, tasks: int, **fields: Any) -> Job:
        sweep = Combinations(axes=(Axis(names=("n",), columns=(tuple(f"n{n}" for n in range(tasks)),)),))
        return Job(name=name, source=Source(language="wasm", paths=(self.path / "x.wasm",)), sweep=sweep, **fields)

    async def work(
        self, tasks: int = 1, *, each: bool = False, function: Sequence[Type] = (), **fields: Any
    ) -> JobWork:
        """That of `next`, loaded as it is when its module is built."""
        job = self.job("next", tasks, after=(After(job="prep", each=each),), **fields)
        spec = RunSpec(name="r", folder=self.path, jobs=(self.job("prep", self.total), job))
        wasm = LocalFile("wasm", digest("wasm"), self.path / "x.wasm", "next.wasm")
        arguments = None
        if function:
            module = reactors.write(self.path / "x.wasm", reactors.ECHO, "next", F64, *function)
            signature = of_module(module.read_bytes())
            assert signature is not None
            arguments = Arguments(self.path / "arguments", JobCalls(job, signature).arguments)
        taking = Taking(job, Upstream(spec.jobs, self.folder))
        work = JobWork(spec, job, wasm, "run-1", Digests(), arguments=arguments, taking=taking)
        await work.load()
        return work

    async def made(self, tasks: int = 1, **fields: Any) -> Made:
        """A batch of all tasks of `next`."""
        work = await self.work(tasks, **fields)
        assert work.files_vary
        return await work.work_with_files(7, ((0, tasks),), [1] * tasks, "/spool", {})

    async def called(self, tasks: int = 1, *, function: tuple[Type, ...], **fields: Any) -> list[Any]:
        """The arguments of all calls of `next`."""
        batch = await self.made(tasks, function=function, **fields)
        assert batch.refused == []
        decode = decoder(Tuple(function))
        return [decode(task.arguments or b"") for task in batch.work.tasks]

    async def refused(self, tasks: int = 1, **fields: Any) -> list[tuple[int, str, str]]:
        batch = await self.made(tasks, **fields)
        assert len(batch.work.tasks) == tasks - len(batch.refused)
        return [(refusal.task, refusal.code, refusal.text) for refusal in batch.refused]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path)
    yield run
    run.journal.close()


def taken(glob: str, *names: str) -> tuple[Input, ...]:
    return (Input(source=Template(parts=(glob, *names)), job="prep"),)


# ------------------------------------------------------------------------------------------------------- files


async def test_a_job_gets_the_outputs_of_all_tasks_at_job_index_path(run: Run) -> None:
    run.left([{"out/a.csv": "a0", "out/b.txt": "b"}, {"out/a.csv": "a1"}])
    batch = await run.made(2, inputs=taken("out/*.csv"))
    expected = [("prep/0/out/a.csv", digest("a0")), ("prep/1/out/a.csv", digest("a1"))]
    assert batch.work.inputs == expected
    assert [task.inputs for task in batch.work.tasks] == [None, None]  # said once for both
    files = {file.digest: file.path.read_text() for file in batch.files if file.kind == "files"}
    assert files == {digest("a0"): "a0", digest("a1"): "a1"}


async def test_element_by_element_a_task_gets_those_of_its_own_index(run: Run) -> None:
    run.left([{"out": f"{n}"} for n in range(3)])
    work = await run.work(3, each=True, inputs=taken("out"))
    batch = await work.work_with_files(7, ((2, 3), (0, 1)), [1, 1], "/spool", {})
    assert [task.inputs for task in batch.work.tasks] == [
        [("prep/2/out", digest("2"))],
        [("prep/0/out", digest("0"))],
    ]
    assert {file.path for file in batch.files if file.kind == "files"} == {
        run.folder.outputs("prep", n) / "out" for n in (0, 2)
    }


async def test_a_glob_may_have_parameters_whose_values_are_literal(run: Run) -> None:
    run.left([{"n0.csv": "a", "n1.csv": "b", "n[01].csv": "c"}])
    batch = await run.made(2, inputs=taken("", "n", ".csv"))
    assert [task.inputs for task in batch.work.tasks] == [
        [("prep/0/n0.csv", digest("a"))],
        [("prep/0/n1.csv", digest("b"))],
    ]


async def test_a_glob_that_is_called_like_an_output_means_that_one(run: Run) -> None:
    run.left([{"n0": "a", "n[0]": "b"}])
    assert (await run.made(inputs=taken("n[0]"))).work.inputs == [("prep/0/n[0]", digest("b"))]


async def test_files_of_this_machine_go_with_them(run: Run, tmp_path: Path) -> None:
    (tmp_path / "own").write_text("own")
    run.left([{"out": "x"}])
    batch = await run.made(inputs=(Input(source=fixed("own")), *taken("out")))
    assert batch.work.inputs == [("own", digest("own")), ("prep/0/out", digest("x"))]


async def test_what_is_nowhere_refuses_its_tasks_and_says_what_there_is(run: Run) -> None:
    run.left([{f"f{n}": "x" for n in range(7)}, {}])
    text = "inputs[0]: no output of prep matches '*.csv'; it left f0, f1, f2, f3, f4 and 2 more"
    assert await run.refused(2, inputs=taken("*.csv")) == [(0, "input_missing", text), (1, "input_missing", text)]
    text = "inputs[0]: no output of prep/1 matches 'f0'; it left none; declare them in its `outputs`"
    assert await run.refused(2, each=True, inputs=taken("f0")) == [(1, "input_missing", text)]


async def test_two_files_on_one_target_refuse_the_task(run: Run, tmp_path: Path) -> None:
    (tmp_path / "prep/0").mkdir(parents=True)
    (tmp_path / "prep/0/out").write_text("own")
    run.left([{"out": "x"}])
    [(_, code, text)] = await run.refused(inputs=(Input(source=fixed("prep/0/out")), *taken("out")))
    assert code == "input_conflict"
    assert "would both become 'prep/0/out'" in text


async def test_a_file_and_a_folder_on_one_target_refuse_the_task(run: Run, tmp_path: Path) -> None:
    (tmp_path / "prep").write_text("own")
    run.left([{"out": "x"}])
    [(_, code, text)] = await run.refused(inputs=(Input(source=fixed("prep")), *taken("out")))
    assert (code, "would be a file and a folder" in text) == ("input_conflict", True)


async def test_tasks_that_did_not_succeed_left_nothing(run: Run) -> None:
    run.left([{"out": "x"}, {"out": "y"}], outcome=int(Outcome.FAILED))
    assert await run.refused(inputs=taken("out")) == [(0, "input_missing", "2 tasks of prep did not succeed")]


async def test_names_beyond_a_message_go_back_and_those_beyond_all_messages_are_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(works, "INPUTS_BYTES", 250)
    run.left([{"a": "x", "b": "y"}, {"a": "x", "b": "y"}, {f"{n}": "x" for n in range(4)}])
    batch = await run.made(3, each=True, inputs=taken("*"))
    assert ([task.task for task in batch.work.tasks], batch.left) == ([0], ((1, 2),))
    [refused] = batch.refused
    assert refused[:3] == (2, 1, "input_missing")
    assert refused.text.startswith("it has 4 inputs, and their names alone take 320 bytes")


async def test_of_a_task_with_two_results_the_last_counts(run: Run) -> None:
    run.left([{"old": "x"}])
    run.left([{"new": "y"}])
    assert (await run.made(inputs=taken("*"))).work.inputs == [("prep/0/new", digest("y"))]


# ------------------------------------------------------------------------------------------------------ values


async def test_a_function_takes_the_values_of_all_tasks_as_a_list(run: Run) -> None:
    run.gives(F64)
    run.left(values=[0.5, 1.5, 2.5])
    assert await run.called(function=(U8, List(F64)), values=(7, VALUE)) == [(7, [0.5, 1.5, 2.5])]


async def test_the_value_of_a_single_task_is_no_list(run: Run) -> None:
    run.gives(F64)
    run.left(values=[0.5])
    assert await run.called(2, function=(F64,), values=(VALUE,)) == [(0.5,), (0.5,)]


async def test_element_by_element_a_task_takes_the_value_of_its_own_index(run: Run) -> None:
    run.gives(F64)
    run.left(values=[0.5, 1.5])
    fields = {"function": (String(), List(F64)), "values": (Template(parts=("", "n", "")), (VALUE, 1.0))}
    assert await run.called(2, each=True, **fields) == [("n0", [0.5, 1.0]), ("n1", [1.5, 1.0])]


async def test_a_large_value_is_read_from_its_file(run: Run) -> None:
    run.gives(List(F64))
    run.left(values=[None], value=None, value_path="tasks/prep/0/value")
    run.folder.task("prep", 0).mkdir(parents=True)
    # A typed array of f64, little-endian (RFC 8746).
    run.folder.value("prep", 0).write_bytes(cbor2.dumps(cbor2.CBORTag(86, b"\0\0\0\0\0\0\xe0\x3f")))
    assert await run.called(function=(List(F64),), values=(VALUE,)) == [([0.5],)]
    run.folder.value("prep", 0).unlink()
    [(_, code, text)] = await run.refused(function=(List(F64),), values=(VALUE,))
    assert (code, text.startswith("the value of prep/0 can't be read: ")) == ("input_missing", True)


async def test_a_value_that_does_not_fit_refuses_its_task_alone_with_both_types(run: Run) -> None:
    run.gives(F64)
    run.left(values=[1.0, 1e300])
    told = await run.refused(2, each=True, function=(Float(32),), values=(VALUE,))
    assert told == [(1, "argument", "a: 1e+300 does not fit f32 (at most 3.4028235e+38); @prep gives f64")]
    [(_, _, text)] = await run.refused(function=(F64,), values=(VALUE,))
    assert text == "a: expected f64, found a list; @prep gives a list of f64"


async def test_a_program_takes_a_value_as_json_and_a_text_as_it_is(run: Run) -> None:
    run.gives(Option(String()))
    run.left(values=['é, "x"', None])
    work = await run.work(2, each=True, args=(fixed("--"), VALUE))
    batch = await work.work_with_files(7, ((0, 2),), [1, 1], "/spool", {})
    assert [task.args for task in batch.work.tasks] == [["--", 'é, "x"'], ["--", "null"]]
    batch = await run.made(2, args=(VALUE, Template(parts=("", "n", ""))))
    assert [task.args for task in batch.work.tasks] == [['["é, \\"x\\"",null]', f"n{n}"] for n in range(2)]
    batch = await run.made(2, args=(VALUE,))
    assert batch.work.args == ['["é, \\"x\\"",null]']


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("x" * (TEXT_BYTES + 1), "the value of prep has 100,001 bytes as a text, and an argument may have 100,000"),
        ("a\0b", "the value of prep has a NUL character"),
    ],
)
async def test_a_value_that_is_no_argument_of_a_program_refuses_its_task(run: Run, value: str, told: str) -> None:
    run.gives(String())
    run.left(values=[value])
    [(_, code, text)] = await run.refused(args=(VALUE,))
    assert (code, text.startswith(told)) == ("argument", True)


# --------------------------------------------------------------------------------------------------- how often


async def test_what_all_tasks_take_is_read_once_and_not_before_it_is_wanted(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[int, int, int]] = []
    real = Journal.left

    def counted(journal: Journal, job: int, start: int, stop: int) -> Any:
        read.append((job, start, stop))
        return real(journal, job, start, stop)

    monkeypatch.setattr(upstreams.Journal, "left", counted)
    run.gives(F64)
    run.left([{"out": "x"}] * 3, values=[1.0, 2.0, 3.0])
    work = await run.work(4, inputs=taken("out"), args=(VALUE,))
    assert read == []
    for task in range(4):
        batch = await work.work_with_files(task, ((task, task + 1),), [1], "/spool", {})
        assert (len(batch.work.inputs), batch.work.args) == (3, ["[1.0,2.0,3.0]"])
    assert read == [(0, 0, 3)] * 2  # files and values
    read.clear()
    work = await run.work(3, each=True, inputs=taken("out"))
    await work.work_with_files(1, ((0, 1), (2, 3)), [1, 1], "/spool", {})
    assert read == [(0, 0, 1), (0, 2, 3)]


async def test_a_job_that_takes_nothing_is_made_at_once(run: Run) -> None:
    assert not (await run.work(2, each=True, args=(fixed("x"),))).files_vary
