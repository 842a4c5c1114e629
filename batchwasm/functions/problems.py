"""Why a function can't be called from outside: found in its source, before anything is compiled."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class NoFunction(ValueError):
    """The function is not there, or its type is not one that can be passed; `problems` has one sentence for each cause.

    Each says where (file and line), what (function, parameter, type), and what would do:
    `stats.cpp:12: mean: parameter xs is std::list<double>, which can't be passed; take a std::vector<double>`.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


def no_such(name: str, where: str, names: Iterable[str]) -> NoFunction:
    """There is no function of that name; `names` are those that are there."""
    there = sorted(set(names))
    near = difflib.get_close_matches(name, there, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    elif there:
        hint = f"there are {', '.join(there[:8])}" + (" and others" if len(there) > 8 else "")
    else:
        hint = "there is none at all"
    return NoFunction([f"{where}: there is no function {name}; {hint}"])
