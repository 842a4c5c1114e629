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
    _check_value(row, detail, called=check is not None)
    found = _plain(row, detail)
    return found if check is None or row.value is None else _valued(found, row.value, check)


def _check_value(row: Row, detail: Detail, called: bool) -> None:
    """A program has no value, and a call that succeeded has one."""
    has_value = row.value is not None or detail.value_spooled is not None
    if has_value and not called:
        raise HostError("protocol", "its runner sent a value of a program, which has none")
    if called and not has_value and row.outcome == Outcome.SUCCEEDED:
        raise HostError("protocol", "its runner sent a call that succeeded without its value")


def _valued(found: Record, value: bytes, check: Check) -> Record:
    """The record, which may have this value, unless that is not one of the function's type."""
    wrong = check(value) if found.outcome == Outcome.SUCCEEDED else None
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
            found = _valued(found, target.read_bytes(), check)
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
