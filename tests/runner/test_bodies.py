"""Batches of work and rows of attempts as bytes: they come back as they were, or are refused."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwasm.runner.bodies import (
    ROWS_LIMIT_BYTES,
    SUCCEEDED,
    VALUE_INLINE_BYTES,
    Detail,
    OutputFile,
    ProtocolError,
    Row,
    Rows,
    TaskWork,
    Work,
)

sizes = st.integers(0, 2**40)
texts = st.none() | st.text(max_size=8)
spooled = st.none() | st.tuples(sizes, st.text(max_size=8))
details = st.builds(
    Detail,
    code=st.text(max_size=20),
    text=st.text(max_size=50),
    limit=st.none() | st.floats(0, 1e12),
    used=st.none() | st.floats(0, 1e12),
    outputs=st.just([]),
    stdout_spooled=spooled,
    stderr_spooled=spooled,
    value_spooled=spooled,
    disk_bytes=sizes,
)
numbers: dict[str, st.SearchStrategy[Any]] = {
    "task": sizes,
    "number": sizes,
    "started_at": st.floats(0, 1e10),
    "wall_us": sizes,
    "cpu_us": sizes,
    "peak_memory_bytes": sizes,
}
rows = st.builds(
    Row,
    **numbers,
    outcome=st.integers(2, 12),
    exit_code=st.none() | st.integers(-5, 255),
    stdout=st.binary(max_size=40),
    stderr=st.binary(max_size=40),
    detail=st.none() | details,
    files=st.just(()),
    value=st.none() | st.binary(max_size=40),
)
plain = st.builds(
    lambda value, **numbers: Row(outcome=SUCCEEDED, exit_code=None, value=value, **numbers),
    st.binary(max_size=40),
    **numbers,
)
tasks = st.builds(
    TaskWork,
    task=sizes,
    number=sizes,
    args=st.none() | st.lists(st.text(max_size=4), max_size=3),
    env=st.none() | st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=3),
    stdin=texts,
    inputs=st.none() | st.lists(st.lists(st.text(max_size=4), min_size=2, max_size=2), max_size=3),
    outputs=st.none() | st.lists(st.text(max_size=4), max_size=3),
    arguments=st.none() | st.binary(max_size=40),
    arguments_file=texts,
)
calls = st.builds(
    lambda task, number, arguments: TaskWork(task, number, arguments=arguments), sizes, sizes, st.binary(max_size=40)
)


def work_of(tasks: list[TaskWork], **more: Any) -> Work:
    return Work(1, "r", "j", "a", "/s", 1, 2, 3, 4, tasks=tasks, **more)


def row_of(value: bytes | None = b"\x01", **more: Any) -> Row:
    return Row(**({**Row(1, 1, SUCCEEDED, None, 1.5, 5, 5, 65536)._asdict(), "value": value} | more))


# ------------------------------------------------------------------------------------------------------ work


@given(st.lists(tasks, max_size=6) | st.lists(calls, max_size=6) | st.lists(tasks | calls, max_size=6))
def test_a_batch_of_work_comes_back_as_it_was(tasks: list[TaskWork]) -> None:
    work = work_of(tasks, args=["x"], call=True, reuse=True)
    assert Work.decode(work.encode()) == work


def test_calls_that_have_nothing_but_arguments_travel_without_json_of_their_own() -> None:
    tasks = [TaskWork(task, 1, arguments=b"\x81\x05") for task in range(1000)]
    more = len(work_of(tasks).encode()) - len(work_of(tasks[:1]).encode())
    assert more == pytest.approx(999 * (3 * 8 + 2), abs=10)


@given(st.lists(tasks | calls, min_size=1, max_size=3) | st.lists(calls, min_size=1, max_size=3), st.data())
def test_work_that_was_tampered_with_is_work_or_an_error_that_is_expected(
    tasks: list[TaskWork], data: st.DataObject
) -> None:
    body = bytearray(work_of(tasks).encode())
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        Work.decode(bytes(body))
    except (ValueError, TypeError, KeyError):
        pass  # and no other exception


@given(st.lists(calls, min_size=1, max_size=3), st.data())
def test_work_that_is_cut_short_or_has_too_much_is_no_work(tasks: list[TaskWork], data: st.DataObject) -> None:
    body = work_of(tasks).encode()
    for broken in (body[: data.draw(st.integers(0, len(body) - 1))], body + b"\0"):
        with pytest.raises(ValueError):
            Work.decode(broken)


def test_a_count_of_tasks_or_a_length_beyond_the_body_is_refused_before_it_is_believed() -> None:
    body = work_of([TaskWork(1, 1, arguments=b"123")]).encode()
    many = body.replace(b'"tasks":1,', b'"tasks":%d,' % 10**15)
    with pytest.raises(ValueError, match="beyond"):
        Work.decode(struct.pack("!I", int.from_bytes(body[:4], "big") + 15) + many[4:])
    for length in (4, 2**40, -1):
        with pytest.raises(ValueError):
            Work.decode(body.replace(struct.pack("<q", 3), struct.pack("<q", length)))
    mixed = work_of([TaskWork(1, 1, args=["x"], arguments=b"123")]).encode()
    for length in (b"4", b"[", b"t"):
        with pytest.raises((ValueError, TypeError)):
            Work.decode(mixed.replace(b",3,", b",%s," % length))


# ------------------------------------------------------------------------------------------------------ rows


@given(st.lists(rows, max_size=6) | st.lists(plain, max_size=6) | st.lists(rows | plain, max_size=12))
def test_rows_come_back_as_they_were_in_their_order(given_rows: list[Row]) -> None:
    assert Rows.decode(Rows.encode(given_rows)) == given_rows


def test_contents_of_inline_outputs_travel_behind_their_row() -> None:
    outputs = [
        OutputFile("a", 3, "0" * 64, True),
        OutputFile("b", 9, "1" * 64, False),
        OutputFile("ü", 0, "2" * 64, True),
    ]
    row = Row(0, 1, 2, 0, 1.0, 5, 5, 65536, b"out", b"err", Detail(outputs=outputs), (b"abc", b""))
    call = row._replace(exit_code=None, value=b"value")
    assert Rows.decode(Rows.encode([row, call, row])) == [row, call, row]


def test_values_that_nothing_was_printed_beside_travel_without_json_of_their_own() -> None:
    rows = [row_of(b"12345678")._replace(task=task) for task in range(1000)]
    assert len(Rows.encode(rows)) == pytest.approx(1000 * (7 * 8 + 8), abs=20)


@given(st.lists(rows | plain, min_size=1, max_size=4), st.data())
def test_rows_that_were_tampered_with_are_rows_or_a_protocol_error(given_rows: list[Row], data: st.DataObject) -> None:
    body = bytearray(Rows.encode(given_rows))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = Rows.decode(bytes(body))
    except ProtocolError:
        return  # and no other exception
    for row in found:
        assert all(type(n) is int and n >= 0 for n in (*row[:3], *row[5:8]))
        assert math.isfinite(row.started_at)


@given(st.lists(rows | plain, min_size=1, max_size=4), st.data())
def test_rows_that_are_cut_short_or_have_too_much_are_refused(given_rows: list[Row], data: st.DataObject) -> None:
    body = Rows.encode(given_rows)
    for broken in (body[: data.draw(st.integers(0, len(body) - 1))], body + b"\0"):
        with pytest.raises(ProtocolError):
            Rows.decode(broken)


@given(st.binary(max_size=200))
def test_any_bytes_are_rows_or_a_protocol_error(data: bytes) -> None:
    try:
        Rows.decode(data)
    except ProtocolError:
        pass  # and no other exception


@pytest.mark.parametrize(
    "head", ["[-1]", "[0]", "[2]", "[true]", "[1.0]", "[9999999999999999999]", "1", "{}", "null", '["x"]']
)
def test_a_count_of_rows_that_are_not_there_is_refused(head: str) -> None:
    body = Rows.encode([row_of()])
    assert body[4:7] == b"[1]"
    with pytest.raises(ProtocolError):
        Rows.decode(struct.pack("!I", len(head)) + head.encode() + body[7:])


@pytest.mark.parametrize("started", [math.nan, math.inf, -1.0, 1e300])
def test_a_time_that_is_none_is_refused(started: float) -> None:
    body = Rows.encode([row_of()])
    with pytest.raises(ProtocolError):
        Rows.decode(body.replace(struct.pack("<d", 1.5), struct.pack("<d", started)))


def test_a_value_that_belongs_into_the_spool_is_refused_in_a_report() -> None:
    most = row_of(bytes(VALUE_INLINE_BYTES))
    for row in (most, most._replace(stdout=b"x")):
        assert Rows.decode(Rows.encode([row])) == [row]
        with pytest.raises(ProtocolError, match="a value of"):
            Rows.decode(Rows.encode([row._replace(value=bytes(VALUE_INLINE_BYTES + 1))]))


def test_more_columns_than_a_report_may_have_are_not_read() -> None:
    count = ROWS_LIMIT_BYTES // 56 + 1
    head = b"[%d]" % count
    with pytest.raises(ProtocolError, match="rows"):
        Rows.decode(struct.pack("!I", len(head)) + head + bytes(56 * count))
