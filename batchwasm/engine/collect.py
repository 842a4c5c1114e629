"""What an attempt left on its host becomes a record and files of the run folder, everything checked on the way."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from batchwasm import disk
from batchwasm.core.comparing import digest_of
from batchwasm.core.events import Record
from batchwasm.engine.depot import Depot
from batchwasm.errors import HostError, HostLost
from batchwasm.model import JobName, Outcome
from batchwasm.results import RunFolder
from batchwasm.runner.protocol import INLINE_BYTES, Detail, OutputFile, Redaction, Row


class Answers(NamedTuple):
    """What a function may give."""

    check: Callable[[bytes], str | None]
    """What is wrong with an answer, or None."""
    most_bytes: int
    """It was in the guest's memory."""


class Expected(NamedTuple):
    """How what a host says of a job's attempts is to be taken."""

    answers: Answers | None = None
    """What the function may give; None for a program."""
    redact: Redaction | None = None
    """Takes the values of the job's secrets out of what was printed; None where it has none."""
    compared: bool = False
    """Whether records have a digest of what was given."""


REPORTABLE = frozenset(Outcome) - {Outcome.MISMATCH, Outcome.CANCELLED, Outcome.SKIPPED}
"""What a host may say of an attempt; the others are the scheduler's own words."""
LONGEST_US = 100 * 365 * 86400 * 10**6  # a hundred years: longer ones are made up, and would spoil every mean
REASON_LIMIT = 4096  # characters: a backtrace fits, a flood does not


def has_files(row: Row) -> bool:
    detail = row.detail
    return detail is not None and bool(
        detail.outputs or detail.stdout_spooled or detail.stderr_spooled or detail.value_spooled
    )


def record(row: Row, answers: Answers | None = None, redact: Redaction | None = None, compared: bool = False) -> Record:
    """A row without files; `answers` are those of a function. What it printed is kept without what `redact` finds.

    Raises HostError where no runner of ours would say that.
    """
    if row.outcome not in REPORTABLE:
        raise HostError("protocol", f"its runner reported outcome {row.outcome}, which is not its to tell")
    if len(row.stdout) > INLINE_BYTES or len(row.stderr) > INLINE_BYTES:
        raise HostError("protocol", "its runner sent more output in a report than fits there")
    if not (0 <= row.wall_us <= LONGEST_US and 0 <= row.cpu_us <= LONGEST_US * 1000):
        raise HostError("protocol", f"its runner reported an attempt of {row.wall_us} us and {row.cpu_us} us of cpu")
    detail = row.detail or _PLAIN
    _check_value(row, detail, answers)
    found = _plain(row, detail)
    if answers is not None and row.value is not None and found.outcome == Outcome.SUCCEEDED:
        found = _judged(found, answers.check(row.value))
    found = found if redact is None else _redacted(found, redact)
    return found._replace(digest=_digest(found, row)) if compared and found.outcome == Outcome.SUCCEEDED else found


def _digest(found: Record, row: Row) -> str:
    """Of all that it gave; a file counts as what is in it."""
    detail = row.detail or _PLAIN
    outputs = sorted((output.path, output.sha256) for output in detail.outputs)
    value = "" if row.value is None else hashlib.sha256(row.value).hexdigest()
    return digest_of(
        detail.stdout_spooled[1] if detail.stdout_spooled else hashlib.sha256(found.stdout or b"").hexdigest(),
        detail.value_spooled[1] if detail.value_spooled else value,
        hashlib.sha256(json.dumps(outputs).encode()).hexdigest() if outputs else "",
    )


def _check_value(row: Row, detail: Detail, answers: Answers | None) -> None:
    """A program has no value, and a call that succeeded has one, no larger than its memory."""
    has_value = row.value is not None or detail.value_spooled is not None
    if has_value and answers is None:
        raise HostError("protocol", "its runner sent a value of a program, which has none")
    if answers is not None and not has_value and row.outcome == Outcome.SUCCEEDED:
        raise HostError("protocol", "its runner sent a call that succeeded without its value")
    if answers is not None and detail.value_spooled is not None and detail.value_spooled[0] > answers.most_bytes:
        raise HostError("protocol", f"its runner announced a value of {detail.value_spooled[0]} bytes")


def _judged(found: Record, wrong: str | None) -> Record:
    """The record of a call with its value, unless there is something wrong with that."""
    if wrong is None:
        return found
    text = f"what it gave is not what its signature says: {wrong}"
    return found._replace(outcome=int(Outcome.FAILED), reason_code="bad_value", reason_text=text, value=None)


def _plain(row: Row, detail: Detail) -> Record:
    """By position and in one go: it is made for every task."""
    task, number, outcome, exit_code, started_at, wall_us, cpu_us, memory_bytes, stdout, stderr, _, _, value = row
    code, text, limit, used = _NO_REASON if row.detail is None else _reason(detail)
    return Record(
        *(task, number, outcome, True, exit_code, float(started_at), 0.0, wall_us / 1e6, cpu_us / 1e6, memory_bytes),
        *(stdout, stderr, code, text, limit, used, None, None, None),
        value if outcome == Outcome.SUCCEEDED else None,
        None,
        detail.disk_bytes,
    )


def _redacted(found: Record, redact: Redaction) -> Record:
    return found._replace(
        stdout=None if found.stdout is None else redact(found.stdout),
        stderr=None if found.stderr is None else redact(found.stderr),
        reason_text=None if found.reason_text is None else redact.text(found.reason_text),
    )


def _reason(detail: Detail) -> tuple[str | None, str | None, float | None, float | None]:
    return (
        _text(detail.code[:64]),
        _text(detail.text[:REASON_LIMIT]),
        None if detail.limit is None else float(detail.limit),
        None if detail.used is None else float(detail.used),
    )


_NO_REASON = (None, None, None, None)
_PLAIN = Detail()


def _text(text: str) -> str | None:
    """As SQLite takes it: JSON can hold halves of characters, too."""
    return text.encode("utf-8", "replace").decode() or None


async def collect(
    row: Row,
    job: JobName,
    folder: RunFolder,
    depot: Depot,
    spool: str,
    answers: Answers | None = None,
    redact: Redaction | None = None,
    compared: bool = False,
) -> Record:
    """A row with files: they are in the run folder, whole and by their digests, when this returns.

    `spool` is the batch's folder on the host. Raises HostError where the host sends something else than it announced,
    WorldError where the disk here refuses.
    """
    found = record(row, answers, redact, compared)
    detail = row.detail or _PLAIN
    # Perhaps there is something of an attempt that was lost before its report was complete.
    shutil.rmtree(folder.task(job, row.task), ignore_errors=True)
    contents = iter(row.files)
    listed = []
    for output in detail.outputs:
        target = _target(folder, job, row.task, output.path)
        if output.inline:
            _write(target, next(contents), output)
        else:
            await _get(depot, spool, f"{row.task}/out/{output.path}", target, output.bytes, output.sha256)
        listed.append({"path": output.path, "bytes": output.bytes, "sha256": output.sha256})
    if listed:
        found = found._replace(outputs=json.dumps(listed, separators=(",", ":"), ensure_ascii=False))
    if detail.stdout_spooled is not None:
        target = folder.stdout(job, row.task)
        await _get(depot, spool, f"{row.task}/stdout", target, *detail.stdout_spooled, redact)
        found = found._replace(stdout=None, stdout_path=str(target.relative_to(folder.path)))
    if detail.stderr_spooled is not None:
        target = folder.stderr(job, row.task)
        await _get(depot, spool, f"{row.task}/stderr", target, *detail.stderr_spooled, redact)
        found = found._replace(stderr=None, stderr_path=str(target.relative_to(folder.path)))
    if detail.value_spooled is not None and answers is not None and found.outcome == Outcome.SUCCEEDED:
        target = folder.value(job, row.task)
        await _get(depot, spool, f"{row.task}/value", target, *detail.value_spooled)
        # In a thread: a hostile one of hundreds of MB takes minutes to look through.
        found = _judged(found, await asyncio.to_thread(_check_file, target, answers.check))
        if found.outcome == Outcome.SUCCEEDED:
            found = found._replace(value_path=str(target.relative_to(folder.path)))
        else:
            target.unlink(missing_ok=True)
    return found if redact is None else _redacted(found, redact)


def _check_file(path: Path, check: Callable[[bytes], str | None]) -> str | None:
    with _on_disk(path):
        return check(path.read_bytes())


def _target(folder: RunFolder, job: JobName, task: int, path: str) -> Path:
    try:
        return folder.output(job, task, path)
    except HostLost as error:
        raise HostError("protocol", error.cause) from error


async def _get(
    depot: Depot, spool: str, path: str, target: Path, size: int, sha256: str, redact: Redaction | None = None
) -> None:
    with _on_disk(target, size):
        target.parent.mkdir(parents=True, exist_ok=True)
        await depot.get(f"{spool}/{path}", target, size, sha256, within=spool, redact=redact)


def _write(target: Path, content: bytes, output: OutputFile) -> None:
    if hashlib.sha256(content).hexdigest() != output.sha256:
        raise HostError("protocol", f"its runner sent an output that is not what it announced: {output.path[:200]!a}")
    part = target.with_name(f".{output.sha256[:16]}.part")
    with _on_disk(target, len(content)):
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        os.replace(part, target)


@contextmanager
def _on_disk(target: Path, size_bytes: int = 0) -> Iterator[None]:
    try:
        yield
    except (FileExistsError, NotADirectoryError, IsADirectoryError, FileNotFoundError) as error:
        cause = f"its runner sent {target.name[:200]!a} twice, or as a file and as a folder"
        raise HostError("protocol", cause) from error
    except OSError as error:
        raise disk.unwritable(target, error, size_bytes=size_bytes) from error
