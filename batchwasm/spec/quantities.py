"""Sizes, durations and shares as people write them: text or number in, bytes, seconds or a number out."""

from __future__ import annotations

import math
import re
from decimal import Decimal

UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
LARGEST = 2**63 - 1  # what a journal's integer and a C int64 hold
LONGEST_S = 9_000_000_000  # 285 years; what is left of it as nanoseconds in a C int64
LARGEST_AMOUNT = 10**12  # a float still holds each thousandth of it
_NUMBER = r"[0-9]{1,19}(?:\.[0-9]{1,18})?"
_SIZE = re.compile(rf"({_NUMBER}) *({'|'.join(UNITS)})?", re.ASCII)
_DURATION = re.compile("".join(rf"(?:({_NUMBER}){unit})?" for unit in SECONDS), re.ASCII)
_PERCENT = re.compile(rf"({_NUMBER}) *%", re.ASCII)

SIZE_PATTERN = rf"^{_NUMBER} *({'|'.join(UNITS)})?$"
DURATION_PATTERN = rf"^({_NUMBER}|(?=.)" + "".join(rf"({_NUMBER}{unit})?" for unit in SECONDS) + ")$"
PERCENT_PATTERN = rf"^{_NUMBER} *%$"


def size_bytes(value: object) -> int:
    """Bytes of `1024`, `"512MiB"` or `"1.5 GB"`. Raises ValueError saying what would be right."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST:
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match:
        found = Decimal(match[1]) * UNITS[match[2] or "B"]
        if found <= LARGEST:
            return int(found)
    raise ValueError(f"{shown(value)} is not a size; write bytes or a size such as '256MiB'{_size_hint(value)}")


def _size_hint(value: object) -> str:
    """Which unit somebody who wrote `256m` or `1TB` may have meant."""
    match = re.fullmatch(r"([0-9.]+)\s*([a-zA-Z]+)", value.strip()) if isinstance(value, str) else None
    if not match:
        return ""
    letter = match[2][0].upper()
    unit = {"B": "B", "K": "KiB", "M": "MiB", "G": "GiB"}.get(letter)
    if unit:
        return f" (did you mean '{match[1]}{unit}'?)"
    return f" (units are {', '.join(UNITS)})"


def duration_s(value: object) -> float:
    """Seconds of `90`, `1.5`, `"90s"`, `"15m"`, `"1h30m"`, `"2d"`. Raises ValueError saying what would be right."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LONGEST_S:
        return float(value)
    text = value if isinstance(value, str) else ""
    match = _DURATION.fullmatch(text + "s" if re.fullmatch(_NUMBER, text, re.ASCII) else text) if text else None
    if match:
        parts = zip(match.groups(), SECONDS.values(), strict=True)
        found = float(sum(Decimal(number) * seconds for number, seconds in parts if number))
        if found <= LONGEST_S:
            return found
    raise ValueError(
        f"{shown(value)} is not a duration; write seconds or a duration such as '90s', '15m', '1h30m', '2d'"
    )


def failures(value: object, tasks: int) -> int:
    """How many tasks `10` or `"5%"` of `tasks` is, at least one. Raises ValueError saying what would be right."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST:
        return value
    match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if match and 0 < Decimal(match[1]) <= 100:
        return max(1, math.ceil(Decimal(match[1]) * tasks / 100))
    raise ValueError(f"{shown(value)} is neither a number of tasks from 1 up nor a share such as '5%'")


def amount(value: object) -> float:
    """`4` or `0.25` of something: above 0, in whole thousandths, so that sums are exact; 4.0 becomes 4.

    Raises ValueError saying what would be right.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LARGEST_AMOUNT:
        raise ValueError(f"{shown(value)} is not a number above 0; write such as 4 or 0.25")
    if Decimal(str(value)) * 1000 % 1:
        raise ValueError(f"{shown(value)} is finer than a thousandth; write such as 0.25")
    return int(value) if value == int(value) else value


def amount_or_none(value: object) -> float:
    """The same, or 0. Raises ValueError."""
    return 0 if value == 0 and not isinstance(value, bool) else amount(value)


def amount_text(value: float) -> str:
    """`4`, `0.25`: an amount as people write it."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def in_units(count: int) -> str:
    """Bytes in the largest unit that gives a whole number."""
    for unit, size in ((name, UNITS[name]) for name in ("GiB", "MiB", "KiB")):
        if count and count % size == 0:
            return f"{count // size} {unit}"
    return f"{count} B"


def shown(value: object) -> str:
    """A value as an error shows it: as TOML would write it, cut where it is long."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() > 128:
        return "a number of many digits"  # Python itself refuses to write out very long ones
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    text = repr(value) if isinstance(value, str | int | float) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."
