"""Events of a run as lines of JSON (RFC 8259), for programs that follow one: docs/events.md tells the format to people,
eventschema.py to programs.

An event is a line; one that says how attempts ended is a line an attempt, so that a line stays small enough for what
carries logs. Text of guests and hosts is in it as text, and valid whatever it was.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from batchwasm.core.eventcodec import encode
from batchwasm.core.events import Event, HostAdded, Record, TasksFinished, TasksKnown
from batchwasm.model import Outcome

SCHEMA = "event/1"
DROPPED = "dropped"
"""Kind of the line that stands for events which are not there: in lower case, as no event of a run."""
TEXT_BYTES = 4096  # of stdout and stderr each; more is left to `results` and `logs`
NAMED_OUTPUTS = 100  # of an attempt: some 15 KB

Line = dict[str, Any]


def lines(event: Event, seq: int, at: float, run: str, jobs: Sequence[str]) -> Iterator[Line]:
    """What is told of an event that is row `seq` of the journal of `run`, whose jobs have these names."""
    body = encode(event)
    n = body.get("job")
    job = jobs[n] if isinstance(n, int) and n < len(jobs) else None
    line = {
        "schema": SCHEMA,
        "run": run,
        "seq": seq,
        "at": at,
        "kind": type(event).__name__,
        "job": job,
        "task": None,
        "host": event.plan.name if isinstance(event, HostAdded) else body.get("host"),
        "body": body,
    }
    if not isinstance(event, TasksFinished | TasksKnown):
        yield line
        return
    for record in event.records:
        yield line | {"task": f"{job}/{record.task}", "body": body | {"attempt": _attempt(record)}}
    if not event.records:
        yield line | {"body": body | {"attempt": None}}


def dropped(run: str, first: int, last: int, events: int, at: float) -> Line:
    """In place of so many events from row `first` to row `last`, of which some may have been told."""
    return {
        "schema": SCHEMA,
        "run": run,
        "seq": None,
        "at": at,
        "kind": DROPPED,
        "job": None,
        "task": None,
        "host": None,
        "body": {"events": events, "first": first, "last": last},
    }


def written(line: Line) -> bytes:
    """As it is sent."""
    try:
        text = json.dumps(line, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:  # a host said that something is infinite
        text = json.dumps(_finite(line), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace") + b"\n"  # a lone surrogate, of a file's name, is no character


def for_terminal(data: bytes) -> bytes:
    """The same lines with every character that a terminal might obey as its JSON escape."""
    escaped = (json.dumps(json.loads(line)) for line in data.splitlines())
    return "".join(f"{text}\n" for text in escaped).replace("\x7f", "\\u007f").encode()


def _attempt(record: Record) -> Line:
    outputs = json.loads(record.outputs) if record.outputs else []
    return {
        "index": record.task,
        "number": record.number,
        "outcome": Outcome(record.outcome).word,
        "final": record.final,
        "exit_code": record.exit_code,
        "reason": _reason(record),
        "started_at": record.started_at,
        "queued_s": record.queued_s,
        "wall_s": record.wall_s,
        "cpu_s": record.cpu_s,
        "peak_memory_bytes": record.peak_memory_bytes,
        "disk_bytes": record.disk_bytes,
        "stdout": _text(record.stdout),
        "stdout_bytes": _size(record.stdout),
        "stdout_path": record.stdout_path,
        "stderr": _text(record.stderr),
        "stderr_bytes": _size(record.stderr),
        "stderr_path": record.stderr_path,
        "outputs": outputs[:NAMED_OUTPUTS],
        "output_files": len(outputs),
        "digest": record.digest,
        "cached": record.cached,
    }


def _reason(record: Record) -> Line | None:
    if record.reason_code is None:
        return None
    return {"code": record.reason_code, "text": record.reason_text, "limit": record.limit, "used": record.used}


def _text(data: bytes | None) -> str | None:
    return None if data is None or len(data) > TEXT_BYTES else data.decode("utf-8", "replace")


def _size(data: bytes | None) -> int | None:
    return None if data is None else len(data)


def _finite(value: object) -> object:
    """With "NaN", "Infinity" and "-Infinity" in place of what JSON has no number for."""
    match value:
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case Mapping():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
        case _:
            return value
