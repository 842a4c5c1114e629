"""Events on their way to a file or a pipe: whole lines in order, and a run that never waits for who reads them."""

from __future__ import annotations

import errno
import json
import os
import pty
import select
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from batchwasm.core.events import Event, HostBusy, HostFree, RunFinished, TasksFinished
from batchwasm.errors import SpecError, WorldError
from batchwasm.telling import eventwriter
from batchwasm.telling.eventwriter import EventWriter
from tests.telling.told import OK

FREE, BUSY = HostFree(host="h"), HostBusy(host="h", text="x" * 1000)


def opened(target: object) -> EventWriter:
    writer = EventWriter(str(target))
    writer.run = "run-1"
    writer.opened()
    return writer


def rows(text: str | bytes) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def seqs(path: Path) -> list[int]:
    return [row["seq"] for row in rows(path.read_text())]


def put(writer: EventWriter, *events: Event, seq: int) -> None:
    """Some of one pass, the last of them `seq`."""
    writer.journaled(events, seq, 1.5)


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for nobody at the end."""
    monkeypatch.setattr(eventwriter, "LAST_WORDS_S", 0.05)


def test_lines_come_in_order_each_with_its_row_of_the_journal(tmp_path: Path) -> None:
    writer = opened(tmp_path / "e")
    put(writer, FREE, BUSY, seq=2)
    put(writer, seq=2)
    put(writer, RunFinished(), seq=3)
    writer.close()
    found = rows((tmp_path / "e").read_text())
    assert [(row["seq"], row["kind"], row["run"]) for row in found] == [
        (1, "HostFree", "run-1"),
        (2, "HostBusy", "run-1"),
        (3, "RunFinished", "run-1"),
    ]
    assert writer.warnings() == []


def test_a_file_is_appended_to_and_a_line_that_was_cut_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "e"
    path.write_text('{"a":1}\n{"b"')
    for seq in (1, 2):
        writer = opened(path)
        put(writer, FREE, seq=seq)
        writer.close()
    lines = path.read_text().splitlines()
    assert lines[:2] == ['{"a":1}', '{"b"']
    assert [json.loads(line)["seq"] for line in lines[2:]] == [1, 2]


@pytest.mark.parametrize(("name", "said"), [("no/e", "No such file"), (".", "Is a directory"), ("e/e", "Not a dir")])
def test_a_path_that_is_wrong_is_told_before_anything_starts(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "e").touch()
    with pytest.raises(SpecError, match=f"^--events: .*{name}: {said}"):
        EventWriter(str(tmp_path / name))


def test_so_is_a_file_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", denied)  # root may write anything
    with pytest.raises(WorldError, match=r"^--events .*/e: Permission denied"):
        EventWriter(str(tmp_path / "e"))


def test_a_pipe_may_have_its_reader_later_and_misses_nothing(pipe: Path) -> None:
    writer = opened(pipe)
    put(writer, FREE, BUSY, seq=2)
    with open(pipe, "rb") as reader:
        put(writer, FREE, seq=3)
        writer.close()
        assert [row["seq"] for row in rows(reader.read())] == [1, 2, 3]


@pytest.mark.usefixtures("hasty")
def test_a_pipe_that_nobody_reads_holds_nothing_up_and_is_told_once(pipe: Path) -> None:
    writer = opened(pipe)
    for seq in range(1, 1001):
        put(writer, BUSY, seq=seq)
    writer.close()
    (warning,) = writer.warnings()
    assert f"--events {pipe}: nobody reads it, or too slowly" in warning
    writer.close()
    assert writer.warnings() == []
    os.close(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK))  # so that its thread ends


def test_what_a_slow_reader_misses_is_counted_in_a_line_of_its_own(pipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventwriter, "QUEUE_BYTES", 2000)  # four events
    writer = opened(pipe)
    for seq in range(1, 9):  # nobody takes any: they are held until the pipe has a reader
        put(writer, FREE, seq=seq)
    with open(pipe, "rb") as reader:
        writer.close()
        *held, last = rows(reader.read())
    assert [row["seq"] for row in held] == [1, 2, 3, 4]
    assert (last["kind"], last["seq"], last["run"]) == ("dropped", None, "run-1")
    assert last["body"] == {"events": 4, "first": 5, "last": 8}


def test_values_of_functions_count_as_what_tasks_print(pipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventwriter, "QUEUE_BYTES", 20_000)
    writer = opened(pipe)
    for seq in range(1, 9):
        put(writer, TasksFinished(batch=1, job=0, host="h", records=[OK._replace(value=b"v" * 9_000)]), seq=seq)
    with open(pipe, "rb") as reader:
        writer.close()
        *held, last = rows(reader.read())
    assert len(held) == 2
    assert last["body"] == {"events": 6, "first": 3, "last": 8}


def test_after_it_a_reader_that_is_quick_again_misses_nothing(pipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventwriter, "QUEUE_BYTES", 2000)
    writer = opened(pipe)
    for seq in range(1, 7):
        put(writer, FREE, seq=seq)
    with open(pipe, "rb") as reader:
        found = [json.loads(reader.readline()) for _ in range(4)]
        while writer._held:  # until its thread has seen that they are gone
            select.select([], [], [], 0.005)
        put(writer, FREE, seq=7)
        writer.close()
        found += rows(reader.read())
    assert [(row["seq"], row["kind"]) for row in found[4:]] == [(None, "dropped"), (7, "HostFree")]
    assert found[4]["body"] == {"events": 2, "first": 5, "last": 6}


def test_a_reader_that_goes_away_is_told_once_and_nothing_more_is_written(pipe: Path) -> None:
    writer = opened(pipe)
    with open(pipe, "rb") as reader:
        put(writer, FREE, seq=1)
        assert json.loads(reader.readline())["seq"] == 1
    put(writer, FREE, seq=2)
    writer._thread.join(30)
    for seq in range(3, 1000):
        put(writer, BUSY, seq=seq)
    assert not writer._queue
    writer.close()
    (warning,) = writer.warnings()
    assert "who read it is gone; nothing more is written; the run is not affected" in warning


def test_a_pipe_that_does_not_block_is_waited_for(tmp_path: Path, pipe: Path) -> None:
    """As a program in Node.js leaves its pipes to its children."""
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writer = EventWriter(str(pipe))
    writer._descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    writer.opened()
    for seq in range(1, 201):
        put(writer, BUSY, seq=seq)  # 200 KB, three times what it holds
    closing = threading.Thread(target=writer.close)
    closing.start()
    with open(reader, "rb") as stream:
        assert [row["seq"] for row in rows(stream.read())] == list(range(1, 201))
    closing.join()
    assert writer.warnings() == []


def test_a_full_disk_is_told_and_when_it_has_room_again_no_line_is_missing_or_torn(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eventwriter, "FULL_S", 0.01)
    ballast = small_disk / "ballast"
    writer = opened(small_disk / "e")
    with open(ballast, "wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    for seq in range(1, 101):
        put(writer, BUSY, seq=seq)
    warnings: list[str] = []
    while not warnings:
        warnings = writer.warnings()
    assert "No space left on device; it goes on when there is room" in warnings[0]
    ballast.unlink()
    while writer._held:
        select.select([], [], [], 0.005)
    writer.close()
    assert seqs(small_disk / "e") == list(range(1, 101))
    assert writer.warnings() == []


def test_of_a_disk_that_stays_full_the_last_line_is_whole(small_disk: Path) -> None:
    path = small_disk / "e"
    writer = opened(path)
    put(writer, FREE, seq=1)
    while writer._held:
        select.select([], [], [], 0.005)
    for seq in range(2, 6000):  # 6 MB on a disk of 4
        put(writer, BUSY, seq=seq)
    while not writer.warnings():
        select.select([], [], [], 0.005)
    writer.close()
    assert path.read_bytes().endswith(b"\n")
    found = seqs(path)
    assert found == list(range(1, len(found) + 1))
    assert len(found) > 1000
    assert len(writer.warnings()) == 1


def test_on_a_terminal_a_line_has_nothing_to_obey() -> None:
    ours, theirs = pty.openpty()
    writer = opened(os.ttyname(theirs))
    put(writer, HostBusy(host="h", text="\x9b31m caf\u00e9 \x7f\u202e"), seq=1)
    writer.close()
    shown = os.read(ours, 65536).decode("ascii")
    os.close(ours)
    os.close(theirs)
    assert json.loads(shown)["body"]["text"] == "\x9b31m caf\u00e9 \x7f\u202e"
    assert shown.replace("\r\n", "").isprintable()
