"""Two attempts of a task, side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batchwasm.comparing import Compared, Place, compare
from batchwasm.core.events import Record
from batchwasm.errors import RunError
from batchwasm.functions.encoding import encoder
from batchwasm.functions.signature import Param
from batchwasm.functions.types import Float, List, Type
from batchwasm.model import Outcome
from batchwasm.results import RunFolder

EMPTY = Record(
    task=0,
    number=1,
    outcome=int(Outcome.SUCCEEDED),
    final=True,
    exit_code=0,
    started_at=0.0,
    queued_s=0.0,
    wall_s=0.0,
    cpu_s=0.0,
    peak_memory_bytes=0,
    stdout=b"",
    stderr=b"",
)


def place(folder: Path) -> Place:
    return Place(folder=RunFolder(path=folder), job="sim", index=0)


def compared(before: Record, after: Record, result: Type | None = None, folder: Path = Path("/nowhere")) -> Compared:
    return compare(before, place(folder), after, place(folder), result)


def texts(found: Compared) -> list[str]:
    return [f"{difference.what}: {difference.text}" for difference in found.differences]


def test_the_first_line_that_differs_is_told_with_what_is_in_both() -> None:
    found = compared(EMPTY._replace(stdout=b"a\nb 1\nc\n"), EMPTY._replace(stdout=b"a\nb 22\nc\n"))
    assert texts(found) == [
        "stdout: line 2 (byte 4): was 'b 1\\n', is 'b 22\\n'; it had 8 bytes, and has 9",
    ]


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (b"", b"x", "line 1 (byte 0): was the end, is 'x'; it had 0 bytes, and has 1"),
        (b"a\n", b"a\nb", "line 2 (byte 2): was the end, is 'b'; it had 2 bytes, and has 3"),
        (b"\xff", b"\xfe", "line 1 (byte 0): was '\\\\xff', is '\\\\xfe'"),
    ],
)
def test_an_end_and_bytes_that_are_no_text_are_told_too(before: bytes, after: bytes, text: str) -> None:
    assert texts(compared(EMPTY._replace(stdout=before), EMPTY._replace(stdout=after))) == [f"stdout: {text}"]


def test_the_first_difference_of_large_texts_is_the_first() -> None:
    before = b"0123456789" * 100_000
    after = bytearray(before)
    after[777_777] = after[888_888] = ord("x")
    (difference,) = compared(EMPTY._replace(stdout=before), EMPTY._replace(stdout=bytes(after))).differences
    assert "byte 777,777" in difference.text


def test_outcomes_and_exit_codes_are_compared_and_reasons_and_stderr_are_told() -> None:
    failed = EMPTY._replace(outcome=int(Outcome.FAILED), exit_code=3, reason_text="exited with code 3", stderr=b"no\n")
    found = compared(EMPTY, failed)
    assert texts(found) == ["outcome: was succeeded, is failed (exited with code 3)", "exit_code: was 0, is 3"]
    assert found.notes == (
        "stderr is different (not compared): line 1 (byte 0): was the end, is 'no\\n'; it had 0 bytes, and has 3",
    )
    other = compared(failed, failed._replace(reason_text="exited with code 3: no"))
    assert (other.differences, len(other.notes)) == ((), 1)


def test_values_are_shown_before_and_after() -> None:
    kind = List(Float(64))
    encode = encoder([Param(name="x", type=kind)])

    def given(values: list[float]) -> Record:
        return EMPTY._replace(exit_code=None, value=encode([values])[1:])

    found = compared(given([1.0, 2.0]), given([1.0, 2.5]), kind)
    assert texts(found) == ["value: was [1.0,2.0], is [1.0,2.5]"]
    assert (found.differences[0].before, found.differences[0].after) == ([1.0, 2.0], [1.0, 2.5])
    assert compared(given([1.0]), given([1.0]), kind).same == ("value [1.0]",)
    assert compared(given([1.0])._replace(value=None), given([1.0]), kind).notes == (
        "its value was not kept, so that is not compared",
    )


def test_outputs_that_came_went_or_changed_are_told_with_their_sizes() -> None:
    def left(**outputs: tuple[int, str]) -> Record:
        rows = [{"path": path, "bytes": size, "sha256": digest * 64} for path, (size, digest) in outputs.items()]
        return EMPTY._replace(outputs=json.dumps(rows))

    found = compared(left(a=(1, "a"), b=(2, "b"), c=(3, "c")), left(a=(1, "a"), b=(2, "x"), d=(4, "d")))
    assert texts(found) == [
        "output: b changed: had 2 bytes (sha256 bbbbbbbbbbbb...), has 2 (sha256 xxxxxxxxxxxx...)",
        "output: c is missing; it had 3 bytes",
        "output: d is new, with 4 bytes",
    ]
    assert "1 output" in found.same


def test_a_large_stdout_that_is_gone_from_its_run_folder_can_not_be_compared(tmp_path: Path) -> None:
    large = EMPTY._replace(stdout=None, stdout_path="tasks/sim/0/stdout")
    with pytest.raises(RunError, match="was it removed from the run folder"):
        compared(large, EMPTY, folder=tmp_path)
