"""What the bodies of Start and Finished carry: a batch's work for a worker, rows of attempts for the scheduler.

A body is a big-endian u32 (length of its JSON), the JSON, columns of numbers (little-endian, 8 bytes each) and bytes,
all one after another. Columns are what calls of functions travel as: JSON of each would cost more than the call itself.
The scheduler trusts no host: it takes rows only where every count, type and length fits.

The tuples and dataclasses are append-only; protocol.VERSION is theirs too.
Runs under Python 3.9: no match, no slots or kw_only.
"""

from __future__ import annotations

import dataclasses
import json
import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, groupby, islice, repeat
from typing import Any, NamedTuple

FLUSH_BYTES = 4 * 1024 * 1024
ROWS_LIMIT_BYTES = 16 * 1024 * 1024
"""Of rows' JSON and columns: up to FLUSH_BYTES and one task's names. Read, JSON grows twentyfold, a column tenfold."""
INLINE_BYTES = 64 * 1024  # stdout, stderr and output files up to this travel in the body, larger ones by the spool
VALUE_INLINE_BYTES = 1024 * 1024  # what a function gave, likewise
SUCCEEDED = 2
"""model.Outcome, which this package can't import."""


class ProtocolError(Exception):
    """The other side sent what no version of us sends: drop the connection, trust nothing more from it."""


def is_whole(value: object) -> bool:
    """A number that SQLite and C can hold."""
    return type(value) is int and -(2**63) <= value < 2**63


def is_number(value: object) -> bool:
    """Finite, and no bool."""
    return type(value) in (int, float) and abs(value) < 1e300  # type: ignore[arg-type]


def is_text(value: object) -> bool:
    """Perhaps with halves of characters, which JSON can hold."""
    return type(value) is str


# --------------------------------------------------------------------------------------------------- columns


def _packed(kinds: str, columns: Sequence[Sequence[float]]) -> bytes:
    """Columns of equal length, one after another; `kinds` has a letter for each: q whole numbers, d floats."""
    count = len(columns[0])
    form = "<" + "".join(f"{count}{kind}" for kind in kinds)
    return struct.pack(form, *(number for column in columns for number in column))


def _unpacked(kinds: str, count: int, body: bytes, at: int) -> list[tuple[Any, ...]]:
    """The reverse. Raises ValueError where they go beyond the body, or a number is negative or not finite."""
    if at + 8 * count * len(kinds) > len(body):
        raise ValueError("columns go beyond the body")
    columns = []
    for kind in kinds:
        column = struct.unpack_from(f"<{count}{kind}", body, at)
        at += 8 * count
        if not all(map(math.isfinite, column)) or not (min(column) >= 0 and max(column) < 1e300):
            raise ValueError("a column has numbers that can't be")
        columns.append(column)
    return columns


def _slices(body: bytes, at: int, sizes: Sequence[int]) -> tuple[list[bytes], int]:
    """The bytes of each size from `at` on, and where they end. Raises ValueError beyond the body's end."""
    if at + sum(sizes) > len(body):
        raise ValueError("lengths go beyond the body")
    ends = list(accumulate(sizes, initial=at))
    return [body[start:end] for start, end in zip(ends, ends[1:])], ends[-1]


def _cut(body: bytes) -> tuple[Any, int]:
    """The body's JSON, read, and where it ends. Raises ValueError."""
    end = 4 + int.from_bytes(body[:4], "big")
    if len(body) < 4 or end > len(body):
        raise ValueError("the body is cut short")
    return json.loads(body[4:end]), end


def _body(head: Any, columns: bytes, blobs: Iterable[bytes]) -> bytes:
    head_bytes = json.dumps(head, separators=(",", ":")).encode()
    return b"".join((struct.pack("!I", len(head_bytes)), head_bytes, columns, *blobs))


# ------------------------------------------------------------------------------------------------------ work


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
    arguments: bytes | None = None
    """Of a call: a CBOR array."""
    arguments_file: str | None = None
    """The same as a file in the host's cache: its digest."""


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
    call: bool = False
    """The artifact is a function's module, and each task a call of it (docs/abi.md); without `args`."""
    reuse: bool = False
    """Calls may share an instance, as long as nothing goes wrong in it."""
    deterministic: bool = False
    """Clocks and random numbers are those of `fixed`, and a NaN has the same bits everywhere."""
    secret: list[str] = field(default_factory=list)
    """Names of variables in `env` whose values are left out of what is reported, and of files in the spool."""

    def encode(self) -> bytes:
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        fields["tasks"], columns, blobs = _tasks_out(self.tasks)
        return _body(fields, columns, blobs)

    @classmethod
    def decode(cls, body: bytes) -> Work:
        """Raises ValueError, TypeError or KeyError for what `encode` does not give."""
        fields, at = _cut(body)
        fields["tasks"] = _tasks_in(fields["tasks"], body, at)
        return cls(**fields)


_TASK_COLUMNS = "qqq"  # task, number, length of the arguments


def _tasks_out(tasks: list[TaskWork]) -> tuple[Any, bytes, Sequence[bytes]]:
    """For JSON: tasks with the length of their arguments, or how many there are in columns; columns; arguments."""
    fields = list(zip(*tasks))
    if not fields:
        return [], b"", ()
    arguments = fields[7]
    if None not in arguments and all(column.count(None) == len(tasks) for column in (*fields[2:7], fields[8])):
        return len(tasks), _packed(_TASK_COLUMNS, (fields[0], fields[1], list(map(len, arguments)))), arguments
    sized = [(*task[:7], None if task.arguments is None else len(task.arguments), task[8]) for task in tasks]
    return sized, b"", [one for one in arguments if one is not None]


def _tasks_in(found: Any, body: bytes, at: int) -> list[TaskWork]:
    if type(found) is int and found > 0:
        indexes, numbers, sizes = _unpacked(_TASK_COLUMNS, found, body, at)
        arguments, end = _slices(body, at + 8 * found * len(_TASK_COLUMNS), sizes)
        no = repeat(None)
        tasks = _all_of(TaskWork, zip(indexes, numbers, no, no, no, no, no, arguments, no))
    else:
        named = [TaskWork(*task) for task in found]
        sizes = tuple(task.arguments for task in named if task.arguments is not None)
        if not all(type(size) is int and size >= 0 for size in sizes):
            raise ValueError("lengths of arguments are no lengths")
        arguments, end = _slices(body, at, sizes)
        own = iter(arguments)
        tasks = [task if task.arguments is None else task._replace(arguments=next(own)) for task in named]
    if end != len(body):
        raise ValueError(f"{len(body) - end} bytes too many")
    return tasks


def _all_of(kind: Any, fields: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Named tuples of all their fields, at half the price of calling `kind`."""
    return list(map(tuple.__new__, repeat(kind), fields))


# ------------------------------------------------------------------------------------------------------ rows


class OutputFile(NamedTuple):
    """A file that a task left: its content is in the body (`inline`) or at `INDEX/out/PATH` of the batch's spool."""

    path: str
    bytes: int
    sha256: str
    inline: bool


class Detail(NamedTuple):
    """What only few attempts have; None for a plain success or a plain exit code of one that wrote no file."""

    code: str = ""
    """reason.code; '' for a success."""
    text: str = ""
    limit: float | None = None
    used: float | None = None
    outputs: list[OutputFile] = []  # noqa: RUF012 - never changed
    stdout_spooled: tuple[int, str] | None = None
    """(bytes, sha256) where stdout was over INLINE_BYTES and lies at `INDEX/stdout` of the batch's spool."""
    stderr_spooled: tuple[int, str] | None = None
    value_spooled: tuple[int, str] | None = None
    """The same of a value over VALUE_INLINE_BYTES: `INDEX/value`."""
    disk_bytes: int = 0
    """What was in its folder at its end, but for the inputs."""


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
    value: bytes | None = None
    """What the function gave, CBOR; None for a program, a call that did not succeed, and a value in the spool."""


_ROW_COLUMNS = "qqdqqqq"  # task, number, started_at, wall_us, cpu_us, peak_memory_bytes, length of the value
_NOTHING = (b"", b"", None, ())


def _is_plain(row: Row) -> bool:
    """A call that gave a value, and nothing else to tell."""
    return row[8:12] == _NOTHING and row.value is not None and row.outcome == SUCCEEDED and row.exit_code is None


class Rows:
    """The body of a Finished. Its JSON is a list in the order of the rows: a row, or how many plain ones come next.

    Those are in the columns; the bytes are their values, then all bytes of the other rows.
    """

    @staticmethod
    def encode(rows: list[Row]) -> bytes:
        heads: list[Any] = []
        plain: list[Row] = []
        blobs: list[bytes] = []
        for is_plain, group in groupby(rows, _is_plain):
            if is_plain:
                before = len(plain)
                plain.extend(group)
                heads.append(len(plain) - before)
                continue
            for row in group:
                heads.append(_head(row))
                blobs += [row.stdout, row.stderr, row.value or b"", *row.files]
        if not plain:
            return _body(heads, b"", blobs)
        fields = list(zip(*plain))
        values: tuple[bytes, ...] = fields[12]
        columns = _packed(_ROW_COLUMNS, (*fields[:2], *fields[4:8], list(map(len, values))))
        return _body(heads, columns, (*values, *blobs))

    @staticmethod
    def decode(body: bytes) -> list[Row]:
        """Raises ProtocolError unless every count, type and length fits: the host is not trusted."""
        try:
            return _rows_in(body)
        except (ValueError, TypeError, IndexError, struct.error, RecursionError) as error:
            raise ProtocolError(f"a report's rows can't be read ({error})") from error


def _head(row: Row) -> list[Any]:
    head: list[Any] = [*row[:8], len(row.stdout), len(row.stderr)]
    if row.value is not None:
        head += [row.detail, len(row.value)]
    elif row.detail is not None:
        head.append(row.detail)
    return head


def _rows_in(body: bytes) -> list[Row]:
    length = int.from_bytes(body[:4], "big")
    if length > ROWS_LIMIT_BYTES:
        raise ValueError(f"{length} bytes of JSON")
    heads, at = _cut(body)
    counts = [head for head in heads if type(head) is int]
    if counts and min(counts) < 1:
        raise ValueError("a count of rows is none")
    plain, at = _plain_in(sum(counts), body, at)
    rows: list[Row] = []
    for head in heads:
        if type(head) is int:
            rows.extend(islice(plain, head))
        else:
            row, at = _row_in(head, body, at)
            rows.append(row)
    if at != len(body):
        raise ValueError(f"{len(body) - at} bytes too many")
    return rows


def _plain_in(count: int, body: bytes, at: int) -> tuple[Iterable[Row], int]:
    """Plain rows from `at` on, and where they end."""
    if not count:
        return iter(()), at
    size = 8 * count * len(_ROW_COLUMNS)
    if size > ROWS_LIMIT_BYTES:
        raise ValueError(f"{count} rows")
    task, number, started, wall, cpu, peak, sizes = _unpacked(_ROW_COLUMNS, count, body, at)
    if max(sizes) > VALUE_INLINE_BYTES:
        raise ValueError(f"a value of {max(sizes)} bytes")
    values, end = _slices(body, at + size, sizes)
    no, empty = repeat(None), repeat(b"")
    fields = zip(task, number, repeat(SUCCEEDED), no, started, wall, cpu, peak, empty, empty, no, repeat(()), values)
    return iter(_all_of(Row, fields)), end


def _row_in(head: Any, body: bytes, at: int) -> tuple[Row, int]:
    """A row of its own from its JSON and the bytes from `at` on, and where those end."""
    if len(head) not in (10, 11, 12):
        raise ValueError(f"a row is {head!r:.200}")
    index, number, outcome, exit_code, started_at, wall_us, cpu_us, peak, out, err = head[:10]
    value = head[11] if len(head) > 11 else None
    given = 0 if value is None else value
    whole = (index, number, outcome, wall_us, cpu_us, peak, out, err, given)
    if not all(type(n) is int and 0 <= n < 2**63 for n in whole) or not is_number(started_at):
        raise ValueError(f"numbers are {head[:10]!r:.200}")
    if exit_code is not None and not is_whole(exit_code):
        raise ValueError(f"exit code is {exit_code!r:.80}")
    if given > VALUE_INLINE_BYTES:
        raise ValueError(f"a value of {given} bytes")
    detail = _detail(head[10]) if len(head) > 10 and head[10] is not None else None
    files_at = at + out + err + given
    files, end = _slices(body, files_at, [f.bytes for f in detail.outputs if f.inline]) if detail else ([], files_at)
    if end > len(body):
        raise ValueError("lengths go beyond the body")
    row = Row(
        index,
        number,
        outcome,
        exit_code,
        started_at,
        wall_us,
        cpu_us,
        peak,
        body[at : at + out],
        body[at + out : at + out + err],
        detail,
        tuple(files),
        None if value is None else body[files_at - given : files_at],
    )
    return row, end


def _detail(head: Any) -> Detail:
    code, text, limit, used, outputs, *rest, disk_bytes = head
    if len(rest) != 3:
        raise ValueError(f"a detail is {head!r:.200}")
    files = [OutputFile(*entry) for entry in outputs]
    out, err, value = spooled = [None if s is None else (s[0], s[1]) for s in rest]
    texts = [code, text, *(f.path for f in files), *(f.sha256 for f in files), *(s[1] for s in spooled if s)]
    sizes = [*(f.bytes for f in files), *(s[0] for s in spooled if s), disk_bytes]
    if not all(map(is_text, texts)) or not all(type(n) is int and 0 <= n < 2**63 for n in sizes):
        raise ValueError(f"a detail is {head!r:.200}")
    if not all(type(f.inline) is bool for f in files) or not all(n is None or is_number(n) for n in (limit, used)):
        raise ValueError(f"a detail is {head!r:.200}")
    return Detail(code, text, limit, used, files, out, err, value, disk_bytes)
