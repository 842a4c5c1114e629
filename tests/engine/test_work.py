"""Tasks as the runner wants them: what they share is rendered once, what differs task by task, files by digest."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from batchwasm.engine import work as works
from batchwasm.engine.arguments import INLINE_BYTES, Arguments
from batchwasm.engine.secrets import NO_SECRETS, Secrets
from batchwasm.engine.work import CALLS_BYTES, Digests, InputChanged, JobWork, LocalFile
from batchwasm.functions.values import BadArgument
from batchwasm.model import Input, Job, RunSpec, Source, Template
from batchwasm.runner.protocol import TaskWork
from batchwasm.spec.sweep import Axis, Combinations

N = Template(parts=("", "n", ""))


def fixed(text: str) -> Template:
    return Template(parts=(text,))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def made(
    folder: Path,
    digests: Digests | None = None,
    arguments: Arguments | None = None,
    secrets: Secrets = NO_SECRETS,
    **fields: Any,
) -> JobWork:
    wasm = folder / "j.wasm"
    wasm.write_bytes(b"wasm")
    sweep = Combinations(axes=(Axis(names=("n",), columns=(("a", "b", "c", *map(str, range(100))),)),))
    job = Job(name="j", source=Source(language="wasm", paths=(wasm,)), sweep=sweep, **fields)
    spec = RunSpec(name="r", folder=folder, jobs=(job,))
    module = LocalFile("wasm", digest("wasm"), wasm, "j.wasm")
    work = JobWork(spec, job, module, "r-1", digests or Digests(), arguments=arguments, secrets=secrets)
    await work.load()
    return work


async def test_what_all_tasks_share_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("in")
    inputs = (Input(source=fixed("in")),)
    work = await made(tmp_path, args=(fixed("x"),), env={"E": fixed("1")}, inputs=inputs, stdin=fixed("in"))
    assert not work.files_vary
    batch, files, *_ = work.work(7, ((0, 2),), [1, 3], "/spool", {})
    assert (batch.args, batch.env, batch.stdin, batch.inputs) == (
        ["x"],
        {"E": "1"},
        digest("in"),
        [("in", digest("in"))],
    )
    assert batch.tasks == [TaskWork(0, 1), TaskWork(1, 3)]
    assert {file.digest for file in files} == {digest("in"), digest("wasm")}


async def test_secrets_are_variables_whose_names_are_told_beside_them(tmp_path: Path) -> None:
    held = Secrets({"TOKEN": "open sesame"})
    for env, in_batch, in_tasks in (
        ({"E": fixed("1")}, {"E": "1", "TOKEN": "open sesame"}, [None, None]),
        ({"E": N}, {}, [{"E": e, "TOKEN": "open sesame"} for e in "ab"]),
    ):
        work = await made(tmp_path, env=env, secret=("TOKEN",), deterministic=True, secrets=held)
        batch, *_ = work.work(7, ((0, 2),), [1, 1], "/spool", {})
        assert (batch.env, [task.env for task in batch.tasks]) == (in_batch, in_tasks)
        assert (batch.secret, batch.deterministic) == (["TOKEN"], True)


async def test_what_differs_is_said_task_by_task(tmp_path: Path) -> None:
    work = await made(tmp_path, args=(N, fixed("x")), env={"E": N}, outputs=(Template(parts=("", "n", ".out")),))
    batch, *_ = work.work(7, ((1, 3),), [1, 1], "/spool", {})
    assert [(t.args, t.env, t.outputs) for t in batch.tasks] == [
        (["b", "x"], {"E": "b"}, ["b.out"]),
        (["c", "x"], {"E": "c"}, ["c.out"]),
    ]


async def test_only_the_mounts_of_the_job_are_told(tmp_path: Path) -> None:
    batch, *_ = (await made(tmp_path, mounts=("data",))).work(1, ((0, 1),), [1], "/s", {"data": "/nfs", "other": "/x"})
    assert batch.mounts == {"data": "/nfs"}


async def test_files_of_each_task_go_with_it(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name)
    work = await made(tmp_path, stdin=N, inputs=(Input(source=N, to=fixed("in")),))
    assert work.files_vary
    batch, files, *_ = await work.work_with_files(7, ((0, 2),), [1, 1], "/spool", {})
    assert [(t.stdin, t.inputs) for t in batch.tasks] == [(digest(n), [("in", digest(n))]) for n in "ab"]
    assert {file.digest for file in files} == {digest("wasm"), digest("a"), digest("b")}


@pytest.mark.parametrize("key", ["stdin", "inputs", "glob"])
async def test_a_file_that_vanished_refuses_its_task_alone(tmp_path: Path, key: str) -> None:
    (tmp_path / "b").write_text("b")
    source = Template(parts=("", "n", "*")) if key == "glob" else N
    work = await made(tmp_path, **({"stdin": N} if key == "stdin" else {"inputs": (Input(source=source),)}))
    batch = await work.work_with_files(7, ((0, 2),), [1, 1], "/spool", {})
    assert [task.task for task in batch.work.tasks] == [1]
    [refused] = batch.refused
    assert (refused.task, refused.code) == (0, "input_changed")
    assert "it was there when the run started" in refused.text


async def test_a_call_whose_arguments_do_not_fit_is_refused_alone(tmp_path: Path) -> None:
    def encode(task: int, values: Mapping[str, object]) -> bytes:
        if task == 1:
            raise BadArgument("300 does not fit u8", "a")
        return b"\x81\x01"

    calls = await made(tmp_path, arguments=Arguments(tmp_path / "a", encode))
    batch = calls.work(7, ((0, 3),), [1, 1, 1], "/spool", {})
    assert [(task.task, task.arguments) for task in batch.work.tasks] == [(0, b"\x81\x01"), (2, b"\x81\x01")]
    assert batch.refused == [(1, 1, "argument", "a: 300 does not fit u8")]


async def test_arguments_beyond_a_message_go_back(tmp_path: Path) -> None:
    calls = await made(tmp_path, arguments=Arguments(tmp_path / "a", lambda task, values: bytes(INLINE_BYTES)))
    count = CALLS_BYTES // INLINE_BYTES
    batch = calls.work(7, ((0, count + 2),), [1] * (count + 2), "/spool", {})
    assert len(batch.work.tasks) == count
    assert batch.left == ((count, count + 2),)


async def test_who_needs_a_file_is_known(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name)
    work = await made(tmp_path, stdin=N)
    batch = await work.work_with_files(7, ((0, 2),), [1, 1], "/spool", {})
    assert [batch.tasks_with(digest(name)) for name in ("a", "b", "wasm", "x")] == [{0}, {1}, {0, 1}, set()]


async def test_a_file_that_many_want_at_once_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").write_text("in")
    read: list[Path] = []
    real = works._sha256

    def counted(path: Path) -> str:
        read.append(path)
        return real(path)

    monkeypatch.setattr(works, "_sha256", counted)
    digests = Digests()
    first = asyncio.ensure_future(digests.of(tmp_path / "in"))
    others = [asyncio.ensure_future(digests.of(tmp_path / "in")) for _ in range(5)]
    await asyncio.sleep(0)
    first.cancel()  # its host went; the others still wait
    assert set(await asyncio.gather(*others)) == {digest("in")}
    assert len(read) == 1


async def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    digests = Digests()
    (tmp_path / "in").write_text("old")
    assert await digests.of(tmp_path / "in") == digest("old")
    (tmp_path / "in").write_text("newer")
    assert await digests.of(tmp_path / "in") == digest("newer")


async def test_a_file_that_could_not_be_read_may_come_back(tmp_path: Path) -> None:
    digests = Digests()
    with pytest.raises(InputChanged):
        await digests.of(tmp_path / "in")
    (tmp_path / "in").write_text("in")
    assert await digests.of(tmp_path / "in") == digest("in")
