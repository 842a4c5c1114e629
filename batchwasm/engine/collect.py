"""What an attempt left on its host becomes a record and files of the run folder, everything checked on the way."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from batchwasm.core.events import Record
from batchwasm.engine.depot import Depot
from batchwasm.errors import HostError, HostLost, WorldError
from batchwasm.model import JobName, Outcome
from batchwasm.results import RunFolder
from batchwasm.runner.protocol import INLINE_BYTES, Detail, OutputFile, Row

Check = Callable[[bytes], str | None]
"""What is wrong with a function's answer, or None."""
REPORTABLE = frozenset(Outcome) - {Outcome.MISMATCH, Outcome.CANCELLED, Outcome.SKIPPED}
"""What a host may say of an attempt; the others are the scheduler's own words."""
REASON_LIMIT = 4096  # characters: a backtrace fits, a flood does not


def has_files(row: Row) -> bool:
    detail = row.detail
    return detail is not None and bool(
        detail.outputs or detail.stdout_spooled or detail.stderr_spooled or detail.value_spooled
    )


def record(row: Row, check: Check | None = None) -> Record:
    """A row without files; `check` is that of a function's answers.

    Raises HostError where no runner of ours would say that.
    """
    if row.outcome not in REPORTABLE:
        raise HostError("protocol", f"its runner reported outcome {row.outcome}, which is not its to tell")
    if len(row.stdout) > INLINE_BYTES or len(row.stderr) > INLINE_BYTES:
        raise HostError("protocol", "its runner sent more output in a report than fits there")
    detail = row.detail or _PLAIN
    found = _plain(row, detail)
    if check is None:
        if row.value is not None or detail.value_spooled is not None:
            raise HostError("protocol", "its runner sent a value of a program, which has none")
    elif row.value is not None:
        return with_value(found, row.value, check)
    elif row.outcome == Outcome.SUCCEEDED and detail.value_spooled is None:
        raise HostError("protocol", "its runner sent a call that succeeded without its value")
    return found


def with_value(found: Record, value: bytes, check: Check) -> Record:
    """The record with its value, if that is one of the function's type."""
    if found.outcome != Outcome.SUCCEEDED:
        return found
    wrong = check(value)
    if wrong is None:
        return found._replace(value=value)
    text = f"what it gave is not what its signature says: {wrong}"
    return found._replace(outcome=int(Outcome.FAILED), reason_code="bad_value", reason_text=text)


def _plain(row: Row, detail: Detail) -> Record:
    return Record(
        task=row.task,
        number=row.number,
        outcome=row.outcome,
        final=True,
        exit_code=row.exit_code,
        started_at=float(row.started_at),
        queued_s=0.0,
        wall_s=row.wall_us / 1e6,
        cpu_s=row.cpu_us / 1e6,
        peak_memory_bytes=row.peak_memory_bytes,
        stdout=row.stdout,
        stderr=row.stderr,
        reason_code=_text(detail.code[:64]),
        reason_text=_text(detail.text[:REASON_LIMIT]),
        limit=None if detail.limit is None else float(detail.limit),
        used=None if detail.used is None else float(detail.used),
    )


_PLAIN = Detail()


def _text(text: str) -> str | None:
    """As SQLite takes it: JSON can hold halves of characters, too."""
    return text.encode("utf-8", "replace").decode() or None


async def collect(
    row: Row, job: JobName, folder: RunFolder, depot: Depot, spool: str, check: Check | None = None
) -> Record:
    """A row with files: they are in the run folder, whole and by their digests, when this returns.

    `spool` is the batch's folder on the host. Raises HostError where the host sends something else than it announced,
    WorldError where the disk here refuses.
    """
    found = record(row, check)
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
        await _get(depot, spool, f"{row.task}/stdout", target, *detail.stdout_spooled)
        found = found._replace(stdout=None, stdout_path=str(target.relative_to(folder.path)))
    if detail.stderr_spooled is not None:
        target = folder.stderr(job, row.task)
        await _get(depot, spool, f"{row.task}/stderr", target, *detail.stderr_spooled)
        found = found._replace(stderr=None, stderr_path=str(target.relative_to(folder.path)))
    if detail.value_spooled is not None and check is not None:
        target = folder.value(job, row.task)
        await _get(depot, spool, f"{row.task}/value", target, *detail.value_spooled)
        with _on_disk(target):
            found = with_value(found, target.read_bytes(), check)
        path = str(target.relative_to(folder.path)) if found.outcome == Outcome.SUCCEEDED else None
        found = found._replace(value=None, value_path=path)
    return found


def _target(folder: RunFolder, job: JobName, task: int, path: str) -> Path:
    try:
        return folder.output(job, task, path)
    except HostLost as error:
        raise HostError("protocol", error.cause) from error


async def _get(depot: Depot, spool: str, path: str, target: Path, size: int, sha256: str) -> None:
    with _on_disk(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        await depot.get(f"{spool}/{path}", target, size, sha256, within=spool)


def _write(target: Path, content: bytes, output: OutputFile) -> None:
    if hashlib.sha256(content).hexdigest() != output.sha256:
        raise HostError("protocol", f"its runner sent an output that is not what it announced: {output.path[:200]!a}")
    part = target.with_name(f".{output.sha256[:16]}.part")
    with _on_disk(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        os.replace(part, target)


@contextmanager
def _on_disk(target: Path) -> Iterator[None]:
    try:
        yield
    except (FileExistsError, NotADirectoryError, IsADirectoryError, FileNotFoundError) as error:
        cause = f"its runner sent {target.name[:200]!a} twice, or as a file and as a folder"
        raise HostError("protocol", cause) from error
    except OSError as error:
        raise WorldError(f"{target} can't be written: {error.strerror}") from error
