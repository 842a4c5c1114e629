"""The codec: what one side writes the other reads, however the bytes arrive; anything else is a ProtocolError."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwasm.runner.protocol import (
    BODY_LIMIT_BYTES,
    Acknowledge,
    Attach,
    Attached,
    Beat,
    Decoder,
    Detach,
    Detail,
    Finished,
    Kill,
    Message,
    OutputFile,
    ProtocolError,
    Recall,
    Refused,
    Returned,
    Row,
    Rows,
    Start,
    TaskWork,
    Work,
    encode,
)

MESSAGES: list[Message] = [
    Attach("run", 1, after=7, cpus=2, memory_bytes=None),
    Start(3, 1, 1024, None, 2, b"body"),
    Start(3, 1, 1024, 1.5, 2),
    Recall(3),
    Kill(3),
    Acknowledge(9),
    Detach(),
    Attached("s", "b", 2, 1024, "/spool/ü", [1, 2], ["a warning"]),
    Refused("memory", "no"),
    Finished(3, 1, 4, b"\0\xff"),
    Returned(3, [1, 2], "recalled", 5),
    Beat(0.5, 1, 2, 3, 4, 5),
]
sizes = st.integers(0, 2**40)
details = st.builds(
    Detail,
    code=st.text(max_size=20),
    text=st.text(max_size=50),
    limit=st.none() | st.floats(0, 1e12),
    used=st.none() | st.floats(0, 1e12),
    outputs=st.just([]),
    stderr_spooled=st.none(),
    stdout_spooled=st.none() | st.tuples(sizes, st.text(max_size=8)),
)
rows = st.builds(
    Row,
    task=sizes,
    number=sizes,
    outcome=st.integers(2, 12),
    exit_code=st.none() | st.integers(-5, 255),
    started_at=st.floats(0, 1e10),
    wall_us=sizes,
    cpu_us=sizes,
    peak_memory_bytes=sizes,
    stdout=st.binary(max_size=40),
    stderr=st.binary(max_size=40),
    detail=st.none() | details,
    files=st.just(()),
)


@given(st.lists(st.sampled_from(MESSAGES), max_size=8), st.integers(1, 50))
def test_messages_come_back_however_the_bytes_are_cut(messages: list[Message], step: int) -> None:
    data = b"".join(map(encode, messages))
    decoder = Decoder()
    found = [m for at in range(0, len(data), step) for m in decoder.feed(data[at : at + step])]
    assert found == messages
    assert decoder.empty


@given(st.lists(rows, max_size=6))
def test_rows_come_back_as_they_were(given_rows: list[Row]) -> None:
    assert Rows.decode(Rows.encode(given_rows)) == given_rows


def test_contents_of_inline_outputs_travel_behind_their_row() -> None:
    outputs = [
        OutputFile("a", 3, "0" * 64, True),
        OutputFile("b", 9, "1" * 64, False),
        OutputFile("ü", 0, "2" * 64, True),
    ]
    row = Row(0, 1, 2, 0, 1.0, 5, 5, 65536, b"out", b"err", Detail(outputs=outputs), (b"abc", b""))
    assert Rows.decode(Rows.encode([row, row])) == [row, row]


def test_a_batch_of_work_comes_back_as_it_was() -> None:
    tasks = [TaskWork(0, 1), TaskWork(7, 2, ["ü"], {"A": "b"}, "d", [["to", "digest"]], ["*"])]  # type: ignore[list-item]
    work = Work(1, "r", "j", "a", "/s", 1, 2, 3, 4, args=["x"], tasks=tasks)
    assert Work.decode(work.encode()) == work


@given(st.binary(max_size=200))
def test_any_bytes_are_messages_or_a_protocol_error(data: bytes) -> None:
    try:
        Decoder().feed(data)
        Rows.decode(data)
    except ProtocolError:
        pass  # and no other exception


@given(rows, st.data())
def test_rows_that_were_tampered_with_are_rows_or_a_protocol_error(row: Row, data: st.DataObject) -> None:
    body = bytearray(Rows.encode([row]))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        Rows.decode(bytes(body))
    except ProtocolError:
        pass  # and no other exception


@pytest.mark.parametrize(
    "header",
    [b'{"k":"recall","batch":"3"}', b'{"k":"recall","batch":true}', b'{"k":"recall"}', b'{"k":"dance"}', b"[]", b"{"],
)
def test_a_field_of_another_type_or_an_unknown_kind_is_refused(header: bytes) -> None:
    with pytest.raises(ProtocolError):
        Decoder().feed(struct.pack("!II", len(header), 0) + header)


def test_a_frame_beyond_the_bounds_is_refused_before_it_is_read() -> None:
    with pytest.raises(ProtocolError):
        Decoder().feed(struct.pack("!II", 2, BODY_LIMIT_BYTES + 1))
