"""How a call ended, on its way from the scheduler's thread to who asked for it: a value, or a TaskFailed."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NamedTuple

from batchwasm.core.events import Record
from batchwasm.errors import TaskFailed
from batchwasm.model import Outcome
from batchwasm.results import RunFolder

REPR_LETTERS = 200  # of the arguments, in a message: enough to know the call again
STDERR_BYTES = 2000


class Ending(NamedTuple):
    """Of one call; made by the scheduler's thread, read by another one."""

    record: Record
    host: str


def value_of(ending: Ending, folder: RunFolder) -> bytes:
    """The encoded value of a call that succeeded; one that is a file is read and removed."""
    record = ending.record
    if record.value is not None:
        return record.value
    assert record.value_path is not None
    value = (folder.path / record.value_path).read_bytes()
    discard(folder, record.value_path)
    return value


def discard(folder: RunFolder, path: str) -> None:
    """Remove a call's file, and its folder where that is empty then."""
    (folder.path / path).unlink(missing_ok=True)
    with suppress(OSError):
        (folder.path / path).parent.rmdir()


def failure(ending: Ending, function: str, arguments: object, folder: RunFolder) -> TaskFailed:
    """Why a call did not succeed, for its caller."""
    record = ending.record
    outcome = Outcome(record.outcome).word
    stderr = _stderr_end(record, folder).decode("utf-8", "replace")
    return TaskFailed(
        outcome=outcome,
        code=record.reason_code or "",
        message=record.reason_text or outcome.replace("_", " "),
        stderr=stderr,
        host=ending.host,
        call=f"{function}{short(arguments)}",
    )


def _stderr_end(record: Record, folder: RunFolder) -> bytes:
    if record.stderr_path is None:
        return (record.stderr or b"")[-STDERR_BYTES:]
    with suppress(OSError), (folder.path / record.stderr_path).open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - STDERR_BYTES))
        return file.read()
    return b""


def short(arguments: object) -> str:
    """The arguments' repr, cut short; a tuple of one without its comma, as one writes a call."""
    items = arguments if isinstance(arguments, tuple) else (arguments,)
    text = "(" + ", ".join(_repr(item) for item in items) + ")"
    return text if len(text) <= REPR_LETTERS else text[: REPR_LETTERS - 4] + "...)"


def _repr(item: object) -> str:
    if isinstance(item, list | tuple | bytes | str | dict) and len(item) > REPR_LETTERS:
        return f"<{type(item).__name__} of {len(item):,}>"  # its repr could be gigabytes
    try:
        return repr(item)
    except Exception as error:
        return f"<{type(item).__name__}: {error}>"
