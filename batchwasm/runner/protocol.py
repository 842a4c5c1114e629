"""The messages between the scheduler, a supervisor and its workers: bytes in, messages out, no I/O.

A frame is two big-endian u32 (length of the header, length of the body), the header (a JSON object; `k` names the
message) and the body (bytes). Headers are small and read by everyone on the way; a body (bodies.py) is read only by who
it is for: `Work` by a worker, `Rows` by the scheduler. The supervisor forwards bodies unread.

Orders go down, reports come up. Reports that must not be lost (`Finished`, `Returned`) are numbered per run by `seq`;
the supervisor keeps them until they are acknowledged, and sends again what a scheduler that comes back has not seen.

The dataclasses are append-only; VERSION stands beside them and is checked in the first message each way.
Runs under Python 3.9: no match, no slots or kw_only.
"""

from __future__ import annotations

import dataclasses
import json
import struct
from dataclasses import dataclass, field
from typing import Any, ClassVar, Union

from .bodies import (
    FLUSH_BYTES,
    INLINE_BYTES,
    ROWS_LIMIT_BYTES,
    VALUE_INLINE_BYTES,
    Detail,
    OutputFile,
    ProtocolError,
    Row,
    Rows,
    TaskWork,
    Work,
    is_number,
    is_text,
    is_whole,
)
from .redact import Redaction
from .seed import seed_of

__all__ = [
    "BODY_LIMIT_BYTES",
    "FLUSH_BYTES",
    "HEADER_LIMIT_BYTES",
    "INLINE_BYTES",
    "ROWS_LIMIT_BYTES",
    "VALUE_INLINE_BYTES",
    "VERSION",
    "Acknowledge",
    "Attach",
    "Attached",
    "Beat",
    "Decoder",
    "Detach",
    "Detail",
    "Finished",
    "Kill",
    "Message",
    "Output",
    "OutputFile",
    "ProtocolError",
    "Recall",
    "Redaction",
    "Refused",
    "Returned",
    "Row",
    "Rows",
    "Start",
    "Tail",
    "TaskWork",
    "Work",
    "decode",
    "encode",
    "seed_of",
]

VERSION = 4
HEADER_LIMIT_BYTES = 4 * 1024 * 1024  # the longest header is a Returned of a whole batch
BODY_LIMIT_BYTES = 64 * 1024 * 1024  # a worker reports at FLUSH_BYTES, one task's share is at most a few INLINE_BYTES
_LENGTHS = struct.Struct("!II")


# ---------------------------------------------------------------------------------------------------- orders


@dataclass(frozen=True)
class Attach:
    """First order on a connection: who we are and what we have seen."""

    run: str
    """Unique id of the run, not its name; [0-9a-z-]+, it becomes a folder's name."""
    incarnation: int
    after: int = 0
    """The last `seq` of this run that is safely in the journal."""
    cpus: int | None = None
    """Slots that the inventory gives; None is what the host has."""
    memory_bytes: int | None = None
    version: int = VERSION
    gpus: int | None = None
    resources: dict[str, float] = field(default_factory=dict)
    """Custom ones that the inventory gives, by name."""
    max_load: float | None = None
    """This and the next ones: when the machine is left to others, see courtesy.py."""
    min_free_memory_bytes: int | None = None
    hours: list[list[int]] = field(default_factory=list)
    """Windows of [start, stop] in minutes after midnight, by the host's clock; none is always."""
    min_idle_s: float | None = None
    when_busy: str = "wait"
    host: str = ""
    """What the run calls this machine: two names of one would take it from each other."""
    kind: ClassVar[str] = "attach"


@dataclass(frozen=True)
class Start:
    """Run a batch: tasks of one job, one after the other in one worker, reserving what they need once."""

    batch: int
    """Unique in the run; see core.events.batch_id."""
    cpus: float
    """This and the other amounts are whole thousandths."""
    memory_bytes: int
    time_s: float | None
    """Limit of each task, for the supervisor's own kill after a grace; None is none."""
    count: int
    body: bytes = b""
    """Work.encode()."""
    gpus: float = 0
    """Whole ones, or a share below 1 of one of them."""
    resources: dict[str, float] = field(default_factory=dict)
    isolate: bool = False
    """In a process that ran nothing before and runs nothing after it."""
    gpu_indexes: list[int] = field(default_factory=list)
    """Set by the supervisor when it hands the batch to a worker: it alone knows what all runs on its host hold."""
    kind: ClassVar[str] = "start"


@dataclass(frozen=True)
class Recall:
    """Give back what this batch has not started."""

    batch: int
    kind: ClassVar[str] = "recall"


@dataclass(frozen=True)
class Kill:
    """Stop this batch at once, guest and all; what it did not finish is Returned."""

    batch: int
    kind: ClassVar[str] = "kill"


@dataclass(frozen=True)
class Tail:
    """Tell what the guest that is at this task now has written since those places; once, and nothing where it is not
    at it."""

    batch: int
    task: int
    stdout_from: int
    """Bytes that are known already."""
    stderr_from: int
    kind: ClassVar[str] = "tail"


@dataclass(frozen=True)
class Acknowledge:
    """All reports up to `seq` are in the journal and their spooled files are fetched: forget them."""

    seq: int
    kind: ClassVar[str] = "acknowledge"


@dataclass(frozen=True)
class Detach:
    """The run ended (for this host): kill what it still has here and forget it."""

    kind: ClassVar[str] = "detach"


# --------------------------------------------------------------------------------------------------- reports


@dataclass(frozen=True)
class Attached:
    """The answer to Attach."""

    supervisor: str
    """Random id: another one means that all batches the scheduler knew are gone."""
    boot: str
    cpus: int
    memory_bytes: int
    spool: str
    """Absolute folder on the host for this run: `BATCH/INDEX/{stdout,stderr,out/PATH}`."""
    batches: list[int] = field(default_factory=list)
    """What it has of this run: queued, running, or over with reports that are not acknowledged, which follow now."""
    warnings: list[str] = field(default_factory=list)
    version: int = VERSION
    gpus: int = 0
    rules: list[str] = field(default_factory=list)
    """What the owner of the machine allows, a line each, for people."""
    busy: str = ""
    """As Beat has it."""
    left: list[int] = field(default_factory=list)
    """Of each of `batches`, in that order: tasks of which a report is still to come, or comes now."""
    kind: ClassVar[str] = "attached"


@dataclass(frozen=True)
class Refused:
    """The answer to an Attach that can't be served: another version, an owner who does not allow it."""

    code: str
    text: str
    version: int = VERSION
    kind: ClassVar[str] = "refused"


@dataclass(frozen=True)
class Finished:
    """Some attempts of a batch ended; a batch is over when every task in it is finished or returned."""

    batch: int
    count: int
    seq: int = 0
    """Set by the supervisor."""
    body: bytes = b""
    """Rows.encode()."""
    kind: ClassVar[str] = "finished"


@dataclass(frozen=True)
class Returned:
    """These tasks of a batch were not started and never will be; `why` is for people."""

    batch: int
    tasks: list[int]
    """Their indexes in the job."""
    why: str = ""
    seq: int = 0
    kind: ClassVar[str] = "returned"


@dataclass(frozen=True)
class Output:
    """The answer to Tail. Not numbered: it is repeated in the task's report."""

    batch: int
    task: int
    stdout_from: int
    """As asked for."""
    stderr_from: int
    stdout_bytes: int
    """How much of the body is stdout; the rest is stderr."""
    body: bytes = b""
    kind: ClassVar[str] = "output"


@dataclass(frozen=True)
class Beat:
    """Sent every few seconds, and a sample of the machine: silence means something."""

    load: float
    """1-minute load average."""
    memory_available_bytes: int
    cpus_busy: int
    """Slots taken by all runs."""
    running: int
    """Batches of this run in a worker now."""
    queued: int
    disk_free_bytes: int = 0
    busy: str = ""
    """Why this run starts nothing here now: what was measured, and the bound that it passed. '' where it may start."""
    suspended: int = 0
    """Batches of this run whose workers are stopped until the host is free again."""
    cpu_share: float | None = None
    """Of the machine's processors that anybody used since the beat before, 0 to 1; None where that is not known."""
    memory_bytes: int = 0
    """That the machine has; 0 where nothing tells."""
    kind: ClassVar[str] = "beat"


Message = Union[
    Attach, Start, Recall, Kill, Tail, Acknowledge, Detach, Attached, Refused, Finished, Returned, Output, Beat
]
_KINDS: dict[str, type[Any]] = {c.kind: c for c in Message.__args__}  # type: ignore[attr-defined]


def encode(message: Message) -> bytes:
    """One frame."""
    fields = {"k": message.kind}
    for name in message.__dataclass_fields__:
        if name != "body":
            fields[name] = getattr(message, name)
    header = json.dumps(fields, separators=(",", ":")).encode()
    body = getattr(message, "body", b"")
    if len(header) > HEADER_LIMIT_BYTES or len(body) > BODY_LIMIT_BYTES:
        raise ProtocolError(f"{message.kind}: {len(header)} + {len(body)} bytes are over the frame's limit")
    return b"".join((_LENGTHS.pack(len(header), len(body)), header, body))


def decode(header: bytes, body: bytes) -> Message:
    """The message of one frame; every field has its declared type or ProtocolError is raised."""
    try:
        fields = json.loads(header)
        cls = _KINDS[fields.pop("k")]
        known = _fields_of(cls)
        values = {name: value for name, value in fields.items() if name in known}
        for name, value in values.items():
            if not known[name](value):
                raise ProtocolError(f"{cls.kind}: field {name} is {value!r:.80}")
        if "body" in known:
            values["body"] = body
        elif body:
            raise ProtocolError(f"{cls.kind} has a body")
        return cls(**values)  # type: ignore[no-any-return]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ProtocolError(f"not a message: {header[:80]!r} ({error})") from error


def _optional(check: Any) -> Any:
    return lambda value: value is None or check(value)


def _all(check: Any) -> Any:
    return lambda value: type(value) is list and all(map(check, value))


_CHECKS = {
    "int": is_whole,
    "str": is_text,
    "float": is_number,
    "bytes": lambda value: False,  # never in a header
    "bool": lambda value: type(value) is bool,
    "int | None": _optional(is_whole),
    "float | None": _optional(is_number),
    "list[int]": _all(is_whole),
    "list[list[int]]": _all(_all(is_whole)),
    "list[str]": _all(is_text),
    "dict[str, float]": lambda value: type(value) is dict and all(map(is_number, value.values())),
}
_FIELDS: dict[type[Any], dict[str, Any]] = {}


def _fields_of(cls: type[Any]) -> dict[str, Any]:
    checks = _FIELDS.get(cls)
    if checks is None:
        checks = _FIELDS[cls] = {f.name: _CHECKS[str(f.type)] for f in dataclasses.fields(cls)}
    return checks


class Decoder:
    """Bytes as they come in, messages out; holds at most one unfinished frame."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Messages completed by `data`. Raises ProtocolError for a frame beyond the bounds or of no known kind."""
        buffer = self._buffer
        buffer += data
        messages: list[Message] = []
        at = 0
        while len(buffer) - at >= 8:
            header_length, body_length = _LENGTHS.unpack_from(buffer, at)
            if header_length > HEADER_LIMIT_BYTES or body_length > BODY_LIMIT_BYTES:
                raise ProtocolError(f"a frame of {header_length} + {body_length} bytes: this is not our protocol")
            end = at + 8 + header_length + body_length
            if len(buffer) < end:
                break
            middle = at + 8 + header_length
            messages.append(decode(bytes(buffer[at + 8 : middle]), bytes(buffer[middle:end])))
            at = end
        if at:
            del buffer[:at]
        return messages

    @property
    def empty(self) -> bool:
        """True between frames: an end of stream here is a clean one."""
        return not self._buffer
