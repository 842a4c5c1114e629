"""What two attempts of one task gave, side by side: what is the same, and what exactly is not.

Times, memory and hosts are not compared: they are never the same. What was written to stderr is told, not compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchwasm.core.events import Record
from batchwasm.errors import RunError
from batchwasm.functions.json_values import dumps
from batchwasm.functions.types import Type
from batchwasm.functions.values import decoder
from batchwasm.model import JobName, Outcome
from batchwasm.results import RunFolder

SHOWN = 120  # characters of a line or value


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One thing that is not the same."""

    what: str
    """outcome, exit_code, stdout, value, output."""
    text: str
    """In words, without `what`."""
    before: Any = None
    """As JSON has it; None where there was nothing, or where it is too much to be told."""
    after: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """What two attempts gave."""

    outcome: str
    """Of the first; that of the second is the same, or among the differences."""
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]
    """What is different, or can't be told, and does not count."""
    same: tuple[str, ...]
    """What is the same: `exit code 0`, `12 bytes of stdout`, ..."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where what is too large for a journal lies."""

    folder: RunFolder
    job: JobName
    index: int

    def stdout(self, record: Record) -> bytes:
        """Raises RunError."""
        return _read(self.folder.stdout(self.job, self.index)) if record.stdout is None else record.stdout

    def stderr(self, record: Record) -> bytes | None:
        """None where it is gone."""
        if record.stderr is not None:
            return record.stderr
        try:
            return _read(self.folder.stderr(self.job, self.index))
        except RunError:
            return None

    def value(self, record: Record) -> bytes | None:
        """None where it was not kept."""
        if record.value is not None or record.value_path is None:
            return record.value
        try:
            return _read(self.folder.path / record.value_path)
        except RunError:
            return None


def compare(before: Record, where: Place, after: Record, there: Place, result: Type | None) -> Compared:
    """`result` is the type of a function's value. Raises RunError where a file that the first attempt left is gone."""
    differences: list[Difference] = []
    notes: list[str] = []
    same: list[str] = []
    outcome, again = Outcome(before.outcome).word, Outcome(after.outcome).word
    if outcome != again:
        text = f"was {_told(before)}, is {_told(after)}"
        differences.append(Difference(what="outcome", text=text, before=outcome, after=again))
    elif (before.reason_code, before.reason_text) != (after.reason_code, after.reason_text):
        notes.append(f"the reason was {before.reason_text or 'none'!r}, is {after.reason_text or 'none'!r}")
    if before.exit_code != after.exit_code:
        text = f"was {_code(before)}, is {_code(after)}"
        differences.append(Difference(what="exit_code", text=text, before=before.exit_code, after=after.exit_code))
    elif before.exit_code is not None:
        same.append(f"exit code {before.exit_code}")
    old, new = where.stdout(before), there.stdout(after)
    if old != new:
        differences.append(_streams(old, new))
    elif old:
        same.append(f"{len(old):,} bytes of stdout")
    if result is not None and before.outcome == after.outcome == Outcome.SUCCEEDED:
        _values(where.value(before), there.value(after), result, differences, notes, same)
    differences += _outputs(before, after, same)
    if (told := _stderr(where.stderr(before), there.stderr(after))) is not None:
        notes.append(told)
    return Compared(outcome=outcome, differences=tuple(differences), notes=tuple(notes), same=tuple(same))


def _told(record: Record) -> str:
    word = Outcome(record.outcome).word.replace("_", " ")
    return f"{word} ({record.reason_text})" if record.reason_text else word


def _code(record: Record) -> str:
    return "none" if record.exit_code is None else str(record.exit_code)


# ------------------------------------------------------------------------------------------------------- streams


def _streams(old: bytes, new: bytes) -> Difference:
    """Where two texts part."""
    at = _first_difference(old, new)
    number = old.count(b"\n", 0, at) + 1
    start = old.rfind(b"\n", 0, at) + 1
    was, now = _line(old, start), _line(new, start)
    text = f"line {number} (byte {at:,}): was {_shown(was)}, is {_shown(now)}"
    if len(old) != len(new):
        text += f"; it had {len(old):,} bytes, and has {len(new):,}"
    return Difference(what="stdout", text=text, before=_text(was), after=_text(now))


def _first_difference(old: bytes, new: bytes) -> int:
    """Offset of the first byte that is not in both: halves are compared, so that long ones are no loop in Python."""
    low, high = 0, min(len(old), len(new))
    if old[:high] == new[:high]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if old[low:middle] == new[low:middle]:
            low = middle
        else:
            high = middle
    return low


def _line(data: bytes, start: int) -> bytes | None:
    """The line that starts there, with its end; None behind the last."""
    if start >= len(data):
        return None
    end = data.find(b"\n", start)
    return data[start : len(data) if end < 0 else end + 1]


def _text(line: bytes | None) -> str | None:
    return None if line is None else line.decode("utf-8", "replace")


def _shown(line: bytes | None) -> str:
    if line is None:
        return "the end"
    text = line.decode("utf-8", "backslashreplace")
    return repr(text) if len(text) <= SHOWN else f"{text[:SHOWN]!r}..."


def _stderr(old: bytes | None, new: bytes | None) -> str | None:
    if old == new:
        return None
    if old is None or new is None:
        return "stderr can't be compared: it is gone from the run folder"
    return f"stderr is different (not compared): {_streams(old, new).text}"


# -------------------------------------------------------------------------------------------------------- values


def _values(
    old: bytes | None,
    new: bytes | None,
    result: Type,
    differences: list[Difference],
    notes: list[str],
    same: list[str],
) -> None:
    if old is None or new is None:
        notes.append("its value was not kept, so that is not compared")
    elif old == new:
        same.append(f"value {_short(_json(result, old))}")
    else:
        was, now = _json(result, old), _json(result, new)
        text = f"was {_short(was)}, is {_short(now)}"
        differences.append(Difference(what="value", text=text, before=json.loads(was), after=json.loads(now)))


def _json(result: Type, encoded: bytes) -> str:
    return dumps(result, decoder(result)(encoded))


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text):,} characters)"


# ------------------------------------------------------------------------------------------------------- outputs


def _outputs(before: Record, after: Record, same: list[str]) -> Iterator[Difference]:
    old, new = _by_path(before), _by_path(after)
    for path in sorted(old.keys() | new.keys()):
        was, now = old.get(path), new.get(path)
        if was is None and now is not None:
            text = f"{path} is new, with {now['bytes']:,} bytes"
        elif now is None and was is not None:
            text = f"{path} is missing; it had {was['bytes']:,} bytes"
        elif was != now:
            assert was is not None
            assert now is not None
            text = f"{path} changed: had {was['bytes']:,} bytes (sha256 {was['sha256'][:12]}...), has "
            text += f"{now['bytes']:,} (sha256 {now['sha256'][:12]}...)"
        else:
            continue
        yield Difference(what="output", text=text, before=was, after=now)
    equal = sum(new.get(path) == output for path, output in old.items())
    if equal:
        same.append("1 output" if equal == 1 else f"{equal:,} outputs")


def _by_path(record: Record) -> dict[str, dict[str, Any]]:
    return {output["path"]: output for output in json.loads(record.outputs or "[]")}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RunError(f"{path} can't be read: {error.strerror}; was it removed from the run folder?") from error
