"""Hostlists, Slurm's grammar: `lab[01-12,15],gpu1` is fourteen names. Text to names and back, and nothing else."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

LONGEST = (
    10_000  # names of one hostlist; twenty times the largest pool we mean to serve, and a typo can't eat the memory
)
_PIECE = re.compile(r"\[([^\[\]]*)\]|([^\[\]]+)")
_RANGE = re.compile(r"([0-9]+)(?:-([0-9]+))?")
_LAST_NUMBER = re.compile(r"(.*?)([0-9]*)([^0-9]*)", re.ASCII | re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*", re.ASCII)
_NAME_LENGTH = 200  # a host's name becomes part of file names; most file systems stop at 255 bytes


def expand(text: str) -> list[str]:
    """The names of a hostlist in order, each once. Raises ValueError saying what is wrong with it."""
    names: dict[str, None] = {}
    for item in items(text):
        for name in _names(item):
            names.setdefault(name)
            if len(names) > LONGEST:
                raise ValueError(f"{text!r} is more than {LONGEST:,} hosts")
    return list(names)


def fold(names: Iterable[str]) -> str:
    """A hostlist of all the names, as short as their last numbers allow; `expand` gives the same names."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name in dict.fromkeys(names):
        prefix, digits, suffix = _LAST_NUMBER.fullmatch(name).groups()  # type: ignore[union-attr]
        groups.setdefault((prefix, suffix), []).append(digits)
    return ",".join(f"{prefix}{_folded(numbers)}{suffix}" for (prefix, suffix), numbers in groups.items())


def _folded(numbers: list[str]) -> str:
    """`[01-12,15]`; a lone number as it is."""
    if len(numbers) == 1:
        return numbers[0]
    runs: list[list[str]] = []
    for number in sorted(numbers, key=lambda digits: (int(digits), len(digits))):
        if runs and number == f"{int(runs[-1][-1]) + 1:0{len(runs[-1][0])}d}":
            runs[-1].append(number)
        else:
            runs.append([number])
    return f"[{','.join(run[0] if len(run) == 1 else f'{run[0]}-{run[-1]}' for run in runs)}]"


def is_range(text: str) -> bool:
    """Whether a name is written as several, such as `lab[02-40]`."""
    return "[" in text or "]" in text or "," in text


def check_name(name: str) -> str | None:
    """What is wrong with a host's name, or None: it must not look like an option or a path to anybody."""
    if not _NAME.fullmatch(name):
        return f"{name!r} is not a host name; use letters, digits, '.', '_' and '-', a letter or digit first"
    if len(name) > _NAME_LENGTH:
        return f"a host name has at most {_NAME_LENGTH} characters, this has {len(name)}"
    return None


def items(text: str) -> list[str]:
    """Items between the commas that are not in brackets."""
    found: list[str] = []
    depth = start = 0
    for at, character in enumerate(text):
        depth += (character == "[") - (character == "]")
        if depth not in (0, 1):
            raise ValueError(f"{text!r} has a bracket too many; write a hostlist such as 'lab[01-12,15]'")
        if character == "," and depth == 0:
            found.append(text[start:at].strip())
            start = at + 1
    found.append(text[start:].strip())
    if depth:
        raise ValueError(f"{text!r} has a '[' that is never closed; write a hostlist such as 'lab[01-12,15]'")
    if not all(found):
        raise ValueError(f"{text!r} has an empty name; write a hostlist such as 'lab[01-12,15]'")
    return found


def _names(item: str) -> Iterator[str]:
    """Names of one item: the product of its brackets, the last one varying fastest."""
    pieces = [[fixed] if fixed else _numbers(item, inside) for inside, fixed in _PIECE.findall(item)]
    for parts in itertools.product(*pieces):
        name = "".join(parts)
        wrong = check_name(name)
        if wrong:
            raise ValueError(wrong)
        yield name


def _numbers(item: str, inside: str) -> list[str]:
    """`01-03,15` as ["01", "02", "03", "15"]; the first number's width is kept."""
    found: list[str] = []
    for part in inside.split(","):
        match = _RANGE.fullmatch(part.strip())
        if not match or len(part) > 2 * 18:
            raise ValueError(f"'[{inside}]' in {item!r} is not a list of numbers; write such as 'lab[01-12,15]'")
        first, last = match[1], match[2] or match[1]
        if int(first) > int(last):
            raise ValueError(f"'{first}-{last}' in {item!r} goes down; write '{last}-{first}'")
        if int(last) - int(first) + len(found) >= LONGEST:
            raise ValueError(f"{item!r} is more than {LONGEST:,} hosts")
        found += [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
    return found
