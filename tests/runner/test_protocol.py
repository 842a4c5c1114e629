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
    Finished,
    Kill,
    Message,
    ProtocolError,
    Recall,
    Refused,
    Returned,
    Start,
    encode,
)

MESSAGES: list[Message] = [
    Attach("run", 1, after=7, cpus=2, memory_bytes=None),
    Start(3, 1, 1024, None, 2, b"body"),
    Start(3, 0.25, 1024, 1.5, 2),
    Start(3, 1, 1024, None, 2, gpus=0.5, resources={"licence": 1}, isolate=True, gpu_indexes=[1]),
    Attach("run", 1, gpus=2, resources={"ü": 0.5}, max_load=0.8, hours=[[1200, 480]], min_idle_s=9, when_busy="leave"),
    Recall(3),
    Kill(3),
    Acknowledge(9),
    Detach(),
    Attached("s", "b", 2, 1024, "/spool/ü", [1, 2], ["a warning"]),
    Refused("memory", "no"),
    Finished(3, 1, 4, b"\0\xff"),
    Returned(3, [1, 2], "recalled", 5),
    Beat(0.5, 1, 2, 3, 4, 5),
    Beat(0.5, 1, 2, 3, 4, 5, "load 0.93 of others over max_load 0.8", 2),
    Beat(0.5, 1, 2, 3, 4, 5, cpu_share=0.25, memory_bytes=2**36),
]


WRONG = ('"resources":[1]', '"resources":{"x":"1"}', '"resources":{"x":1e999}', '"hours":[1]', '"hours":[[1,"2"]]')


@given(st.lists(st.sampled_from(MESSAGES), max_size=8), st.integers(1, 50))
def test_messages_come_back_however_the_bytes_are_cut(messages: list[Message], step: int) -> None:
    data = b"".join(map(encode, messages))
    decoder = Decoder()
    found = [m for at in range(0, len(data), step) for m in decoder.feed(data[at : at + step])]
    assert found == messages
    assert decoder.empty


@given(st.binary(max_size=200))
def test_any_bytes_are_messages_or_a_protocol_error(data: bytes) -> None:
    try:
        Decoder().feed(data)
    except ProtocolError:
        pass  # and no other exception


@pytest.mark.parametrize(
    "header",
    [
        *(f'{{"k":"attach","run":"r","incarnation":1,{field}}}'.encode() for field in WRONG),
        b'{"k":"recall","batch":"3"}',
        b'{"k":"recall","batch":true}',
        b'{"k":"recall"}',
        b'{"k":"dance"}',
        b"[]",
        b"{",
    ],
)
def test_a_field_of_another_type_or_an_unknown_kind_is_refused(header: bytes) -> None:
    with pytest.raises(ProtocolError):
        Decoder().feed(struct.pack("!II", len(header), 0) + header)


def test_a_frame_beyond_the_bounds_is_refused_before_it_is_read() -> None:
    with pytest.raises(ProtocolError):
        Decoder().feed(struct.pack("!II", 2, BODY_LIMIT_BYTES + 1))
