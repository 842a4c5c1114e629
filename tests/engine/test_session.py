"""A session with a host whose runner the test speaks for: honest, late, wrong, and hostile."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from batchwasm.core.events import (
    Event,
    HostAway,
    HostBusy,
    HostFree,
    HostHeard,
    HostJoined,
    HostLeft,
    HostRefused,
    HostSilent,
    Ranges,
    Record,
)
from batchwasm.engine import arguments as calls_arguments
from batchwasm.engine import session as sessions
from batchwasm.engine.arguments import Arguments, given
from batchwasm.engine.collect import Expected
from batchwasm.engine.inbox import Reporter
from batchwasm.engine.orders import Reservation
from batchwasm.engine.session import Session
from batchwasm.engine.work import Digests, JobWork, LocalFile
from batchwasm.errors import HostError
from batchwasm.model import Courtesy, Host, Hours, Job, Outcome, Request, RunSpec, Source, Template
from batchwasm.results import RunFolder
from batchwasm.runner.protocol import (
    INLINE_BYTES,
    Acknowledge,
    Attach,
    Attached,
    Beat,
    Detach,
    Detail,
    Finished,
    Kill,
    Output,
    OutputFile,
    Refused,
    Returned,
    Row,
    Rows,
    Start,
    Work,
)
from batchwasm.spec.sweep import Axis, Combinations
from tests.engine.fake_host import FakeHost, until


class Heard:
    """An Inbox that remembers."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.reports: list[tuple[int | None, int, list[Record]]] = []
        self.returns: list[tuple[int, Ranges]] = []
        self.beats: list[Beat] = []
        self.outputs: list[tuple[str, Output]] = []
        self.claimed: list[int] = []
        """Tasks whose files were wanted for it alone, in that order."""
        self.work = False
        self.left: dict[int, int] = {}
        """How many tasks of each batch are waited for."""
        self.recalled: set[int] = set()
        self.reservation = Reservation(Request(cpus=1, memory_bytes=1024), False)

    def post(self, event: Event) -> None:
        self.events.append(event)

    def awaited(self, host: str, batch: int, task: int, number: int) -> str | None:
        return "j" if batch < 100 else None

    def is_wanted(self, batch: int) -> bool:
        return batch < 100

    def has_work(self, host: str) -> bool:
        return self.work

    def was_met(self, host: str) -> bool:
        return False

    def others_answer(self, host: str) -> bool:
        return True

    def left_of(self, host: str, batch: int) -> int | None:
        return self.left.get(batch)

    def is_recalled(self, batch: int) -> bool:
        return batch in self.recalled

    def expected(self, batch: int) -> Expected:
        return Expected()

    async def claim(self, host: str, batch: int, task: int, seq: int) -> None:
        self.claimed.append(task)

    async def on_disk(self) -> None: ...

    def disclaim(self, host: str, batch: int, seq: int) -> None: ...

    def request_of(self, batch: int) -> Reservation:
        return self.reservation

    def report(self, session: Reporter, seq: int | None, batch: int, records: Sequence[Record]) -> None:
        self.reports.append((seq, batch, list(records)))

    def returned(self, session: Reporter, seq: int, batch: int, ranges: Ranges, why: str) -> None:
        self.returns.append((seq, ranges))

    def twin_of(self, host: str, supervisor: str) -> str | None:
        return None

    def beat(self, host: str, beat: Beat) -> None:
        self.beats.append(beat)

    def output(self, host: str, output: Output) -> None:
        self.outputs.append((host, output))

    def shipping(self, host: str, text: str) -> None: ...

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    return FakeHost(monkeypatch)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest_asyncio.fixture
async def session(host: FakeHost, heard: Heard, tmp_path: Path) -> AsyncIterator[Session]:
    """Running; ended afterwards."""
    session = Session(Host(name="h"), "0123", 1, RunFolder(path=tmp_path), heard)
    task = asyncio.create_task(session.run())
    yield session
    session.end(stop_guests=True)
    async with asyncio.timeout(10):
        await task


async def work_of(tmp_path: Path, *, arguments: Arguments | None = None, tasks: int = 1) -> JobWork:
    wasm = tmp_path / "j.wasm"
    wasm.write_bytes(b"wasm")
    job = Job(
        name="j",
        source=Source(language="wasm", paths=(wasm,)),
        sweep=Combinations(axes=(Axis(names=("n",), columns=(tuple(range(tasks)),)),)),
        args=(Template(parts=("--n=", "index", "")),),
    )
    work = JobWork(
        RunSpec(name="r", folder=tmp_path, jobs=(job,)),
        job,
        LocalFile("wasm", hashlib.sha256(b"wasm").hexdigest(), wasm, "j.wasm"),
        "r-1",
        Digests(),
        arguments=arguments,
    )
    await work.load()
    return work


def row(task: int, **fields: Any) -> Row:
    return Row(**{**Row(task, 1, Outcome.SUCCEEDED, 0, 1.0, 5, 5, 65536, b"hi")._asdict(), **fields})


X_DIGEST = hashlib.sha256(b"x").hexdigest()


def with_output(path: str, sha256: str, *before: str) -> Finished:
    """A report with files at `before` and then at `path`; all hold an x."""
    outputs = [*(OutputFile(name, 1, X_DIGEST, True) for name in before), OutputFile(path, 1, sha256, True)]
    content = (b"x",) * len(outputs)
    return Finished(1, 1, seq=1, body=Rows.encode([row(0, detail=Detail(outputs=outputs), files=content)]))


async def test_it_attaches_joins_ships_once_and_starts(
    host: FakeHost, heard: Heard, session: Session, tmp_path: Path
) -> None:
    runner = await host.life()
    attach = await runner.order(Attach)
    assert (attach.run, attach.incarnation, attach.after) == ("0123", 1, 0)
    await until(lambda: bool(heard.of(HostJoined)))
    work = await work_of(tmp_path)
    session.start(7, work, ((0, 1),), [1])
    session.start(8, work, ((0, 1),), [1])
    start = await runner.order(Start)
    made = Work.decode(start.body)
    assert (start.batch, start.cpus, start.memory_bytes, start.count) == (7, 1, 1024, 1)
    assert (made.spool, made.artifact, made.tasks[0].args) == (
        "/spool/run/7",
        hashlib.sha256(b"wasm").hexdigest(),
        ["--n=0"],
    )
    assert (await runner.order(Start)).batch == 8
    assert len(host.depot.stored) == 1


async def test_reports_become_records_and_are_acknowledged_in_order(
    host: FakeHost, heard: Heard, session: Session
) -> None:
    runner = await host.life()
    runner.say(
        Finished(1, 1, seq=1, body=Rows.encode([row(0)])),
        Returned(2, [3, 4, 5], seq=2),
        Finished(3, 1, seq=3, body=Rows.encode([row(0)])),
        Beat(0.5, 1, 2, 3, 4),
    )
    await until(lambda: bool(heard.beats))
    assert [(seq, batch) for seq, batch, _ in heard.reports] == [(1, 1), (3, 3)]
    assert heard.returns == [(2, ((3, 6),))]
    session.settled([3])
    session.settled([1])
    session.settled([2])
    assert [(await runner.order(Acknowledge)).seq for _ in range(3)] == [0, 1, 3]


async def test_files_are_in_the_run_folder_before_the_report_is_told(
    host: FakeHost, heard: Heard, session: Session, tmp_path: Path
) -> None:
    big = b"x" * (INLINE_BYTES + 1)
    host.depot.remote = {"/spool/run/5/0/out/big": big, "/spool/run/5/0/stdout": big}
    small = OutputFile("a/small", 3, hashlib.sha256(b"abc").hexdigest(), True)
    large = OutputFile("big", len(big), hashlib.sha256(big).hexdigest(), False)
    detail = Detail(outputs=[small, large], stdout_spooled=(len(big), hashlib.sha256(big).hexdigest()))
    runner = await host.life()
    runner.say(Finished(5, 1, seq=1, body=Rows.encode([row(0, stdout=b"", detail=detail, files=(b"abc",))])))
    await until(lambda: bool(heard.reports))
    (record,) = heard.reports[0][2]
    assert (tmp_path / "tasks/j/0/out/a/small").read_bytes() == b"abc"
    assert (tmp_path / "tasks/j/0/out/big").read_bytes() == big
    assert (record.stdout, record.stdout_path) == (None, "tasks/j/0/stdout")


async def test_files_that_nobody_waits_for_do_not_touch_the_run_folder(
    host: FakeHost, heard: Heard, session: Session, tmp_path: Path
) -> None:
    runner = await host.life()
    runner.say(replace(with_output("x", X_DIGEST), batch=100))
    await until(lambda: bool(heard.reports))
    assert heard.reports == [(1, 100, [])]
    assert not (tmp_path / "tasks").exists()


async def test_two_hosts_that_bring_files_of_the_same_tasks_never_wait_for_each_other(
    host: FakeHost, heard: Heard, session: Session
) -> None:
    rows = [row(task, detail=Detail(outputs=[OutputFile("x", 1, X_DIGEST, True)]), files=(b"x",)) for task in (7, 3, 5)]
    runner = await host.life()
    runner.say(Finished(1, 3, seq=1, body=Rows.encode(rows)))
    await until(lambda: bool(heard.reports))
    assert heard.claimed == [3, 5, 7]


async def test_a_connection_that_breaks_is_made_again_and_old_batches_are_killed(
    host: FakeHost, heard: Heard, session: Session
) -> None:
    first = await host.life()
    first.say(Finished(1, 1, seq=4, body=Rows.encode([row(0)])))
    await until(lambda: bool(heard.reports))
    first.stderr_tail = "out of luck\n"
    first.say(b"")
    await until(lambda: bool(heard.of(HostAway)))
    assert "out of luck" in heard.of(HostAway)[0].text
    session.settled([4])
    heard.left = {2: 3, 3: 2, 4: 1}
    again = Attached("s1", "boot", 2, 1, "/spool/run", batches=[1, 2, 3, 4], left=[1, 3, 1, 2])
    second = await host.life(again)
    assert (await second.order(Attach)).after == 4
    assert {(await second.order(Kill)).batch, (await second.order(Kill)).batch} == {1, 3}
    assert heard.of(HostJoined)[1].batches == (2, 4)


async def test_a_name_of_a_machine_that_has_another_one_says_what_to_do(
    host: FakeHost, heard: Heard, session: Session
) -> None:
    async with asyncio.timeout(10):
        runner = await host.lives.get()
    runner.say(Refused("twin", "it is the same machine as g"))
    assert (await runner.order(Attach)).host == "h"
    await until(lambda: bool(heard.of(HostRefused)))
    (refused,) = heard.of(HostRefused)
    assert (refused.code, refused.waiting_may_help) == ("twin", False)
    assert refused.text == "it is the same machine as g; take one of them out of the inventory"


async def test_a_report_that_waits_for_the_journal_is_not_asked_for_again(
    host: FakeHost, heard: Heard, session: Session
) -> None:
    first = await host.life()
    first.say(Finished(1, 1, seq=1, body=Rows.encode([row(0)])))
    await until(lambda: bool(heard.reports))
    first.say(b"")
    await until(lambda: host.lives.qsize() == 1)
    await asyncio.sleep(0.02)
    second = await host.life()
    assert not second.orders, "it attaches when the journal has the report"
    session.settled([1])
    assert (await second.order(Attach)).after == 1


async def test_a_report_whose_files_were_on_the_way_comes_again(
    host: FakeHost, heard: Heard, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await host.life()
    began = asyncio.Event()

    async def slow_get(*args: object, **kwargs: object) -> None:
        began.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(host.depot, "get", slow_get)
    first.say(Finished(1, 1, seq=1, body=Rows.encode([row(0, detail=Detail(stdout_spooled=(1, X_DIGEST)))])))
    first.say(Finished(2, 1, seq=2, body=Rows.encode([row(0)])))
    await until(lambda: bool(heard.reports))
    session.settled([2])
    await began.wait()
    first.say(b"")
    second = await host.life()
    assert (await second.order(Attach)).after == 0


async def test_a_host_that_stays_away_while_others_answer_is_gone_after_a_while(
    host: FakeHost, heard: Heard, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await host.life()
    await until(lambda: bool(heard.of(HostJoined)))
    heard.work = True
    host.error = HostError("unreachable", "no route to host")
    first.say(b"")
    await until(lambda: bool(heard.of(HostRefused)))
    assert not heard.of(HostLeft)
    monkeypatch.setattr(sessions, "GONE_S", 0.0)
    await until(lambda: bool(heard.of(HostLeft)))
    assert heard.of(HostLeft)[0].code == "gone"


async def test_after_a_sleep_the_connection_is_made_anew(host: FakeHost, heard: Heard, session: Session) -> None:
    await host.life()
    await until(lambda: bool(heard.of(HostJoined)))
    session.renew()
    await host.life()
    await until(lambda: len(heard.of(HostJoined)) == 2)
    assert "asleep" in heard.of(HostAway)[0].text


async def test_a_host_that_is_away_at_the_end_is_told_once_more(host: FakeHost, heard: Heard, tmp_path: Path) -> None:
    session = Session(Host(name="h"), "0123", 1, RunFolder(path=tmp_path), heard)
    task = asyncio.create_task(session.run())
    first = await host.life()
    await until(lambda: bool(heard.of(HostJoined)))
    host.error = HostError("unreachable", "no route to host")
    first.say(b"")
    await until(lambda: bool(heard.of(HostRefused)))
    host.error = None
    session.end(stop_guests=True)
    last = await host.life()
    await last.order(Detach)
    last.say(b"")
    await task
    assert not session.owes_goodbye


async def test_a_host_that_is_being_connected_to_at_the_end_is_told_once_more(
    host: FakeHost, heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(Host(name="h"), "0123", 1, RunFolder(path=tmp_path), heard)
    task = asyncio.create_task(session.run())
    first = await host.life()
    await until(lambda: bool(heard.of(HostJoined)))
    connecting, prepare = asyncio.Event(), sessions.prepare

    async def hang(*_: Any) -> Any:
        monkeypatch.setattr(sessions, "prepare", prepare)
        connecting.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(sessions, "prepare", hang)
    first.say(b"")
    async with asyncio.timeout(10):
        await connecting.wait()
    session.end(stop_guests=True)
    last = await host.life()
    await last.order(Detach)
    last.say(b"")
    await task
    assert not session.owes_goodbye


async def test_a_run_that_is_left_as_it_is_says_no_goodbye(host: FakeHost, heard: Heard, tmp_path: Path) -> None:
    session = Session(Host(name="h"), "0123", 1, RunFolder(path=tmp_path), heard)
    task = asyncio.create_task(session.run())
    runner = await host.life()
    await until(lambda: bool(heard.of(HostJoined)))
    session.end(stop_guests=False)
    await task
    assert [type(order) for order in runner.orders] == [Attach]


async def test_another_supervisor_starts_counting_anew(host: FakeHost, heard: Heard, session: Session) -> None:
    first = await host.life()
    first.say(Finished(1, 1, seq=9, body=Rows.encode([row(0)])))
    await until(lambda: bool(heard.reports))
    first.say(b"")
    session.settled([9])
    second = await host.life(Attached("s2", "boot", 2, 1, "/spool/run"))
    second.say(Finished(2, 1, seq=1, body=Rows.encode([row(0)])))
    await until(lambda: len(heard.reports) == 2)
    session.settled([1])
    await until(lambda: any(isinstance(order, Acknowledge) and order.seq == 1 for order in second.orders))


@pytest.mark.parametrize(
    "lie",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        Attach("0123", 1),
        Finished(1, 1, seq=1, body=b"\xff\xff\xff\xff"),
        Finished(1, 1, seq=1, body=Rows.encode([row(0, outcome=Outcome.CANCELLED)])),
        Finished(1, 1, seq=1, body=Rows.encode([row(0, outcome=99)])),
        Finished(1, 1, seq=1, body=Rows.encode([row(0, stdout=b"x" * (INLINE_BYTES + 1))])),
        with_output("../../x", "0" * 64),
        with_output("x", "0" * 64),
        with_output("z/y", X_DIGEST, "z"),
        Output(1, 0, 0, 0, 2, b"x"),
        Output(1, 0, 0, 0, -1, b"x"),
    ],
    ids=[
        *("rubbish", "an order", "no rows", "our own word", "no outcome", "a flood", "a way out", "another digest"),
        *("a file that is a folder", "more output than there is", "less output than none"),
    ],
)
async def test_a_host_that_lies_is_dropped_and_nothing_of_it_is_believed(
    host: FakeHost, heard: Heard, session: Session, tmp_path: Path, lie: Any
) -> None:
    runner = await host.life()
    runner.say(lie)
    await until(lambda: bool(heard.of(HostRefused)))
    assert [event.code for event in (*heard.of(HostLeft), *heard.of(HostRefused))] == ["protocol", "protocol"]
    assert not heard.of(HostRefused)[0].waiting_may_help
    await runner.order(Detach)  # what it still runs for us ends now, not after its day alone
    assert heard.reports == []
    assert all(name != "x" for _, _, names in os.walk(tmp_path) for name in names)


@pytest.mark.parametrize(
    ("cpus", "memory", "gpus"), [(0, 1, 0), (-1, 1, 0), (10**9, 1, 0), (2, 0, 0), (2, 1, -1), (2, 1, 10**6)]
)
async def test_a_host_that_offers_nonsense_is_dropped(
    host: FakeHost, heard: Heard, session: Session, cpus: int, memory: int, gpus: int
) -> None:
    await host.life(Attached("s1", "boot", cpus, memory, "/spool/run", gpus=gpus))
    await until(lambda: bool(heard.of(HostRefused)))
    assert heard.of(HostRefused)[0].code == "protocol"
    assert heard.of(HostJoined) == []


async def test_a_host_whose_names_are_too_long_for_the_journal_is_dropped(
    host: FakeHost, heard: Heard, session: Session
) -> None:
    await host.life(Attached("s" * 100, "boot", 2, 1, "/spool/run"))
    await until(lambda: bool(heard.of(HostRefused)))
    assert heard.of(HostRefused)[0].code == "protocol"
    assert heard.of(HostJoined) == []


async def test_numbers_and_texts_of_a_report_fit_the_journal(host: FakeHost, heard: Heard, session: Session) -> None:
    runner = await host.life()
    detail = Detail(code="c", text="half a \ud83d", limit=10**200, used=10**200)
    runner.say(Finished(1, 1, seq=1, body=Rows.encode([row(0, started_at=10**200, detail=detail)])))
    await until(lambda: bool(heard.reports))
    (record,) = heard.reports[0][2]
    assert [type(n) for n in (record.limit, record.used, record.started_at)] == [float] * 3
    assert record.reason_text == "half a ?"


async def test_a_batch_placed_while_the_connection_breaks_waits_for_the_loss(
    host: FakeHost, heard: Heard, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = await host.life()
    await until(lambda: bool(heard.of(HostJoined)))
    work = await work_of(tmp_path)
    closing = asyncio.Event()

    async def slow_get(*args: object, **kwargs: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:  # what closing a process over a dead connection takes
            closing.set()
            await asyncio.sleep(0.01)

    monkeypatch.setattr(host.depot, "get", slow_get)
    runner.say(Finished(1, 1, seq=1, body=Rows.encode([row(0, detail=Detail(stdout_spooled=(1, X_DIGEST)))])), b"")
    await closing.wait()
    session.start(7, work, ((0, 1),), [1])
    await until(lambda: bool(heard.of(HostAway)))


async def test_a_stop_of_our_own_is_no_silence_of_the_host(
    host: FakeHost, heard: Heard, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = await host.life()
    await until(lambda: bool(heard.of(HostJoined)))
    monkeypatch.setattr(sessions, "SILENCE_S", 0.3)
    runner.say(Beat(0.5, 1, 2, 3, 4))
    await until(lambda: bool(heard.beats))
    time.sleep(0.5)  # noqa: ASYNC251 - as Ctrl-Z would stop us
    runner.say(Beat(0.5, 1, 2, 3, 4))
    await until(lambda: len(heard.beats) == 2)
    assert heard.of(HostAway) == []
    await until(lambda: bool(heard.of(HostAway)))
    assert "silent" in heard.of(HostAway)[0].text


async def test_a_silent_host_is_doubted_once_and_not_any_more_when_it_speaks(
    host: FakeHost, heard: Heard, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "SILENCE_S", 0.3)
    runner = await host.life()
    await until(lambda: bool(heard.of(HostSilent)))
    runner.say(Beat(0.5, 1, 2, 3, 4))
    await until(lambda: bool(heard.of(HostHeard)))
    await until(lambda: bool(heard.of(HostAway)))
    kinds = [type(event) for event in heard.events if type(event) in (HostJoined, HostSilent, HostHeard, HostAway)]
    assert kinds[:5] == [HostJoined, HostSilent, HostHeard, HostSilent, HostAway]


# --------------------------------------------------------------------- what is asked for, what owners allow


async def test_a_host_is_told_all_that_the_inventory_says_of_it(host: FakeHost, heard: Heard, tmp_path: Path) -> None:
    courtesy = Courtesy(max_load=0.8, min_free_memory_bytes=7, hours=(Hours(start=1200, stop=480),), min_idle_s=900)
    told = Host(name="h", cpus=4, gpus=2, resources={"licence": 2}, courtesy=replace(courtesy, when_busy="leave"))
    session = Session(told, "0123", 1, RunFolder(path=tmp_path), heard)
    task = asyncio.create_task(session.run())
    runner = await host.life(Attached("s1", "boot", 2, 1, "/s", gpus=1, rules=["cpus = 2 (host.toml)"]))
    attach = await runner.order(Attach)
    assert (attach.cpus, attach.gpus, attach.resources) == (4, 2, {"licence": 2})
    assert (attach.max_load, attach.min_free_memory_bytes, attach.min_idle_s) == (0.8, 7, 900)
    assert (attach.hours, attach.when_busy) == ([[1200, 480]], "leave")
    await until(lambda: bool(heard.of(HostJoined)))
    assert heard.of(HostJoined)[0].gpus == 1
    assert heard.of(HostJoined)[0].facts["rules"] == ["cpus = 2 (host.toml)"]
    session.end(stop_guests=True)
    async with asyncio.timeout(10):
        await task


async def test_a_batch_reserves_what_the_scheduler_says_and_its_guest_may_use_that_memory(
    host: FakeHost, heard: Heard, session: Session, tmp_path: Path
) -> None:
    runner = await host.life()
    await until(lambda: bool(heard.of(HostJoined)))
    heard.reservation = Reservation(Request(cpus=0.25, memory_bytes=4096, gpus=0.5, resources={"licence": 1}), True)
    session.start(7, await work_of(tmp_path), ((0, 1),), [1])
    start = await runner.order(Start)
    assert (start.cpus, start.memory_bytes, start.gpus, start.resources) == (0.25, 4096, 0.5, {"licence": 1})
    assert (start.isolate, start.gpu_indexes) == (True, [])
    assert Work.decode(start.body).memory_bytes == 4096


async def test_a_host_that_others_need_is_told_once_and_again_when_it_is_free(
    host: FakeHost, heard: Heard, session: Session
) -> None:
    runner = await host.life(Attached("s1", "boot", 2, 1, "/s", busy="load 0.9 of others over max_load 0.8"))
    await until(lambda: bool(heard.of(HostBusy)))
    kinds = [type(event) for event in heard.events]
    assert kinds == [HostJoined, HostBusy]
    for busy in ("load 0.9 of others over max_load 0.8", "", "", "x" * 10_000 + "\ud83d", "half a \ud83d"):
        runner.say(Beat(0.5, 1, 2, 3, 4, busy=busy))
    await until(lambda: len(heard.beats) == 5)
    told = [event for event in heard.events if isinstance(event, HostBusy | HostFree)]
    assert [type(event) for event in told] == [HostBusy, HostFree, HostBusy, HostBusy]
    assert [event.text for event in heard.of(HostBusy)] == [
        "load 0.9 of others over max_load 0.8",
        "x" * 500,
        "half a ?",
    ]


async def test_a_host_that_was_busy_when_it_left_is_told_busy_anew(
    host: FakeHost, heard: Heard, session: Session
) -> None:
    runner = await host.life(Attached("s1", "boot", 2, 1, "/s", busy="used 3 min ago"))
    await until(lambda: bool(heard.of(HostBusy)))
    runner.say(b"")
    await host.life(Attached("s1", "boot", 2, 1, "/s", busy="used 3 min ago"))
    await until(lambda: len(heard.of(HostBusy)) == 2)


async def test_an_owner_who_changes_his_mind_ends_the_session(host: FakeHost, heard: Heard, session: Session) -> None:
    runner = await host.life()
    await until(lambda: bool(heard.of(HostJoined)))
    runner.say(Refused("owner", "the owner of this machine lets alice use it, not bob"))
    await until(lambda: bool(heard.of(HostRefused)))
    (left,), (refused,) = heard.of(HostLeft), heard.of(HostRefused)
    assert (left.code, refused.code, refused.waiting_may_help) == ("owner", "owner", False)
    assert "lets alice use it" in refused.text


async def test_a_refusal_is_final_and_told(host: FakeHost, heard: Heard, session: Session) -> None:
    runner = await host.lives.get()
    runner.say(Refused("memory", "the host has 4 GiB, the inventory says 8 GiB"))
    await until(lambda: bool(heard.of(HostRefused)))
    refused = heard.of(HostRefused)[0]
    assert (refused.code, refused.waiting_may_help) == ("memory", False)
    assert "4 GiB" in refused.text


async def test_a_runner_that_ends_without_a_word_before_it_answers_is_tried_again(
    host: FakeHost, heard: Heard, session: Session
) -> None:
    """Somebody killed it, or the network went: that is no fault of the host's."""
    (await host.lives.get()).say(b"")
    await host.life()
    await until(lambda: bool(heard.of(HostJoined)))
    assert heard.of(HostRefused)[0].waiting_may_help


async def test_a_runner_that_says_why_it_cannot_live_there_is_not_tried_again(
    host: FakeHost, heard: Heard, session: Session
) -> None:
    runner = await host.lives.get()
    runner.stderr_tail = "batchwasm: the folder /x can't be made\n"
    runner.say(b"")
    await until(lambda: bool(heard.of(HostRefused)))
    refused = heard.of(HostRefused)[0]
    assert (refused.code, refused.waiting_may_help) == ("runner", False)
    assert "the folder /x can't be made" in refused.text


async def test_a_runner_that_lived_there_before_is_tried_again_whatever_it_says(
    host: FakeHost, heard: Heard, session: Session
) -> None:
    """Such as that its supervisor does not answer, on a machine that swaps."""
    (await host.life()).say(b"")
    runner = await host.lives.get()
    runner.stderr_tail = "batchwasm: the supervisor of /x (process 7) does not answer\n"
    runner.say(b"")
    await host.life()
    await until(lambda: len(heard.of(HostJoined)) == 2)
    assert all(refused.waiting_may_help for refused in heard.of(HostRefused))


async def test_a_hosts_name_is_not_said_twice(host: FakeHost, heard: Heard, session: Session) -> None:
    """Everywhere that an event's words are shown, the host's name stands in front of them."""
    host.error = HostError("unreachable", f"{session.host.name}: connection refused", "is it on?")
    (await host.life()).say(b"")
    await until(lambda: len(heard.of(HostRefused)) >= 1)
    assert heard.of(HostRefused)[0].text == "connection refused; is it on?"


async def test_a_host_that_is_away_is_tried_again(host: FakeHost, heard: Heard, session: Session) -> None:
    first = await host.life()
    await until(lambda: bool(heard.of(HostJoined)))
    host.error = HostError("unreachable", "connection refused", "is it on?")
    first.say(b"")
    await until(lambda: bool(heard.of(HostRefused)))
    host.error = None
    await host.life()
    await until(lambda: len(heard.of(HostJoined)) == 2)


async def test_an_input_that_vanished_is_told_as_invalid_and_blames_no_host(
    host: FakeHost, heard: Heard, session: Session, tmp_path: Path
) -> None:
    await host.life()
    await until(lambda: bool(heard.of(HostJoined)))
    work = await work_of(tmp_path)
    (tmp_path / "j.wasm").unlink()
    session.start(7, work, ((0, 1),), [1])
    await until(lambda: bool(heard.reports))
    seq, batch, (record,) = heard.reports[0]
    assert (seq, batch, record.outcome, record.reason_code) == (None, 7, Outcome.INVALID, "input_changed")
    assert heard.of(HostLeft) == []


async def test_a_batch_that_was_given_up_or_recalled_while_its_files_were_on_the_way_is_not_started(
    host: FakeHost, heard: Heard, session: Session, tmp_path: Path
) -> None:
    runner = await host.life()
    await until(lambda: bool(heard.of(HostJoined)))
    work = await work_of(tmp_path)
    heard.recalled.add(7)
    session.start(150, work, ((0, 1),), [1])  # `heard` wants none from 100 on
    session.start(7, work, ((0, 1),), [1])
    session.start(8, work, ((0, 1),), [1])
    assert (await runner.order(Start)).batch == 8
    assert heard.returns == [(None, ((0, 1),))], "it was recalled before it was sent"


async def test_a_file_that_vanished_refuses_the_tasks_that_need_it_and_no_others(
    host: FakeHost, heard: Heard, session: Session, tmp_path: Path
) -> None:
    runner = await host.life()
    await until(lambda: bool(heard.of(HostJoined)))
    large = {task: given(tmp_path, bytes([task]) * (calls_arguments.INLINE_BYTES + 1)) for task in range(2)}
    calls = Arguments(tmp_path)
    calls.add(0, [*large.values(), b"\x80"])
    work = await work_of(tmp_path, arguments=calls, tasks=3)
    gone = large[0]
    assert isinstance(gone, LocalFile)
    gone.path.unlink()
    session.start(7, work, ((0, 3),), [1, 1, 1])
    start = await runner.order(Start)
    assert [task.task for task in Work.decode(start.body).tasks] == [1, 2]
    (_, _, (record,)) = heard.reports[0]
    assert (record.task, record.outcome, record.reason_code) == (0, Outcome.INVALID, "input_changed")


async def test_the_end_detaches_and_is_no_loss(host: FakeHost, heard: Heard, tmp_path: Path) -> None:
    session = Session(Host(name="h"), "0123", 1, RunFolder(path=tmp_path), heard)
    task = asyncio.create_task(session.run())
    runner = await host.life()
    await until(lambda: bool(heard.of(HostJoined)))
    session.end(stop_guests=True)
    await runner.order(Detach)
    async with asyncio.timeout(10):
        await task
    assert heard.of(HostLeft) == []


async def test_an_end_while_it_attaches_still_takes_leave(host: FakeHost, heard: Heard, tmp_path: Path) -> None:
    """The supervisor may have the run already: it must not keep it for a scheduler that is gone."""
    session = Session(Host(name="h"), "0123", 1, RunFolder(path=tmp_path), heard)
    task = asyncio.create_task(session.run())
    async with asyncio.timeout(10):
        runner = await host.lives.get()
    await runner.order(Attach)
    session.end(stop_guests=True)
    await runner.order(Detach)
    async with asyncio.timeout(10):
        await task
    assert heard.events == []
