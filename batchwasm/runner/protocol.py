"""The messages between the scheduler, a supervisor and its workers: bytes in, messages out, no I/O.

A frame is two big-endian u32 (length of the header, length of the body), the header (a JSON object; `k` names the
message) and the body (bytes). Headers are small and read by everyone on the way; a body is read only by who it is
for: `Work` by a worker, `Rows` by the scheduler. The supervisor forwards bodies unread.

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
from typing import Any, ClassVar, NamedTuple, Union

VERSION = 1
HEADER_LIMIT_BYTES = 4 * 1024 * 1024  # the longest header is a Returned of a whole batch
BODY_LIMIT_BYTES = 64 * 1024 * 1024  # a worker reports at FLUSH_BYTES, one task's share is at most a few INLINE_BYTES
FLUSH_BYTES = 4 * 1024 * 1024
ROWS_LIMIT_BYTES = (
    16 * 1024 * 1024
)  # of their JSON: up to FLUSH_BYTES and one task's names; JSON grows twentyfold when read
INLINE_BYTES = 64 * 1024  # stdout, stderr and output files up to this travel in the body, larger ones by the spool
_LENGTHS = struct.Struct("!II")


class ProtocolError(Exception):
    """The other side sent what no version of us sends: drop the connection, trust nothing more from it."""


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
    kind: ClassVar[str] = "attach"


@dataclass(frozen=True)
class Start:
    """Run a batch: tasks of one job, one after the other in one worker, reserving cpus and memory once."""

    batch: int
    """Unique in the run; see core.events.batch_id."""
    cpus: int
    memory_bytes: int
    time_s: float | None
    """Limit of each task, for the supervisor's own kill after a grace; None is none."""
    count: int
    body: bytes = b""
    """Work.encode()."""
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
    kind: ClassVar[str] = "beat"


Message = Union[Attach, Start, Recall, Kill, Acknowledge, Detach, Attached, Refused, Finished, Returned, Beat]
_KINDS: dict[str, type[Any]] = {
    c.kind: c for c in (Attach, Start, Recall, Kill, Acknowledge, Detach, Attached, Refused, Finished, Returned, Beat)
}


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


def _whole(value: object) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63


def _optional(check: Any) -> Any:
    return lambda value: value is None or check(value)


def _all(check: Any) -> Any:
    return lambda value: type(value) is list and all(map(check, value))


def _text(value: object) -> bool:
    return type(value) is str


def _number(value: object) -> bool:
    return type(value) in (int, float) and abs(value) < 1e300  # type: ignore[arg-type]


_CHECKS = {
    "int": _whole,
    "str": _text,
    "float": _number,
    "bytes": lambda value: False,  # never in a header
    "int | None": _optional(_whole),
    "float | None": _optional(_number),
    "list[int]": _all(_whole),
    "list[str]": _all(_text),
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


# ---------------------------------------------------------------------------------------------- bodies: work


class TaskWork(NamedTuple):
    """One task of a batch. None means: as the batch's `Work` says."""

    task: int
    """The task's index in its job."""
    number: int
    """The attempt's number, from 1."""
    args: list[str] | None = None
    env: dict[str, str] | None = None
    stdin: str | None = None
    inputs: list[tuple[str, str]] | None = None
    """(to, digest) each, read-only in the task's folder; in addition to the batch's."""
    outputs: list[str] | None = None


@dataclass(frozen=True)
class Work:
    """A batch as a worker reads it: what its tasks share, then the tasks."""

    batch: int
    run: str
    """The run's name as BATCHWASM_RUN shows it."""
    job: str
    artifact: str
    """Digest; the file is in the host's cache already."""
    spool: str
    """Absolute folder on the host for what is too large for the body: `INDEX/...` below it. Made when first needed."""
    memory_bytes: int
    stdout_bytes: int
    disk_bytes: int
    files: int
    time_s: float | None = None
    args: list[str] = field(default_factory=list)
    """argv[1..]; argv[0] is the job's name."""
    env: dict[str, str] = field(default_factory=dict)
    """Without BATCHWASM_*, which the worker adds."""
    stdin: str | None = None
    """Digest of a file in the cache; None is empty."""
    inputs: list[tuple[str, str]] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    """Globs; one that ends in `?` may match nothing."""
    mounts: dict[str, str] = field(default_factory=dict)
    """Name -> absolute folder on the host, seen read-only at /mnt/NAME."""
    tasks: list[TaskWork] = field(default_factory=list)

    def encode(self) -> bytes:
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return json.dumps(fields, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, body: bytes) -> Work:
        fields = json.loads(body)
        fields["tasks"] = [TaskWork(*task) for task in fields["tasks"]]
        return cls(**fields)


# ---------------------------------------------------------------------------------------------- bodies: rows


class OutputFile(NamedTuple):
    """A file that a task left: its content is in the body (`inline`) or at `INDEX/out/PATH` of the batch's spool."""

    path: str
    bytes: int
    sha256: str
    inline: bool


class Detail(NamedTuple):
    """What only few attempts have; None for a plain success or a plain exit code."""

    code: str = ""
    """reason.code; '' for a success."""
    text: str = ""
    limit: float | None = None
    used: float | None = None
    outputs: list[OutputFile] = []  # noqa: RUF012 - never changed
    stdout_spooled: tuple[int, str] | None = None
    """(bytes, sha256) where stdout was over INLINE_BYTES and lies at `INDEX/stdout` of the batch's spool."""
    stderr_spooled: tuple[int, str] | None = None


class Row(NamedTuple):
    """How one attempt ended."""

    task: int
    """The task's index in its job."""
    number: int
    outcome: int
    """model.Outcome; LOST is a worker that died under the task."""
    exit_code: int | None
    started_at: float
    """Unix time of the guest's start by the host's clock."""
    wall_us: int
    cpu_us: int
    peak_memory_bytes: int
    stdout: bytes = b""
    stderr: bytes = b""
    detail: Detail | None = None
    files: tuple[bytes, ...] = ()
    """Contents of the inline outputs, in the order of `detail.outputs`."""


class Rows:
    """The body of a Finished: a JSON list of rows, then all their bytes one after another."""

    @staticmethod
    def encode(rows: list[Row]) -> bytes:
        heads: list[Any] = []
        blobs: list[bytes] = []
        for row in rows:
            head: list[Any] = [*row[:8], len(row.stdout), len(row.stderr)]
            if row.detail is not None:
                head.append(row.detail)
            heads.append(head)
            if row.stdout:
                blobs.append(row.stdout)
            if row.stderr:
                blobs.append(row.stderr)
            blobs.extend(row.files)
        head_bytes = json.dumps(heads, separators=(",", ":")).encode()
        return b"".join((struct.pack("!I", len(head_bytes)), head_bytes, *blobs))

    @staticmethod
    def decode(body: bytes) -> list[Row]:
        """Raises ProtocolError unless every count, type and length fits: the host is not trusted."""
        try:
            return _decode_rows(body)
        except (ValueError, TypeError, IndexError, struct.error, RecursionError) as error:
            raise ProtocolError(f"a report's rows can't be read ({error})") from error


def _decode_rows(body: bytes) -> list[Row]:
    (length,) = struct.unpack_from("!I", body)
    if length > ROWS_LIMIT_BYTES:
        raise ValueError(f"{length} bytes of JSON")
    at = 4 + length
    rows: list[Row] = []
    for head in json.loads(body[4:at]):
        index, number, outcome, exit_code, started_at, wall_us, cpu_us, peak, out, err = head[:10]
        whole = (index, number, outcome, wall_us, cpu_us, peak, out, err)
        if not all(type(n) is int and 0 <= n < 2**63 for n in whole) or not _number(started_at):
            raise ValueError(f"numbers are {head[:10]!r:.200}")
        if exit_code is not None and not _whole(exit_code):
            raise ValueError(f"exit code is {exit_code!r:.80}")
        detail = _detail(head[10]) if len(head) > 10 else None
        sizes = [out, err, *(f.bytes for f in detail.outputs if f.inline)] if detail else [out, err]
        blobs = []
        for size in sizes:
            if at + size > len(body):
                raise ValueError("lengths go beyond the frame")
            blobs.append(body[at : at + size])
            at += size
        stdout, stderr, *files = blobs
        rows.append(
            Row(
                index,
                number,
                outcome,
                exit_code,
                started_at,
                wall_us,
                cpu_us,
                peak,
                stdout,
                stderr,
                detail,
                tuple(files),
            )
        )
    if at != len(body):
        raise ValueError(f"{len(body) - at} bytes too many")
    return rows


def _detail(head: Any) -> Detail:
    code, text, limit, used, outputs, stdout, stderr = head
    files = [OutputFile(*entry) for entry in outputs]
    spooled = [None if s is None else (s[0], s[1]) for s in (stdout, stderr)]
    texts = [code, text, *(f.path for f in files), *(f.sha256 for f in files), *(s[1] for s in spooled if s)]
    sizes = [*(f.bytes for f in files), *(s[0] for s in spooled if s)]
    if not all(map(_text, texts)) or not all(type(n) is int and 0 <= n < 2**63 for n in sizes):
        raise ValueError(f"a detail is {head!r:.200}")
    if not all(type(f.inline) is bool for f in files) or not all(n is None or _number(n) for n in (limit, used)):
        raise ValueError(f"a detail is {head!r:.200}")
    return Detail(code, text, limit, used, files, spooled[0], spooled[1])
