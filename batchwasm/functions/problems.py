"""Why a function can't be called from outside: found in its source, before anything is compiled."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class NoFunction(ValueError):
    """The function is not there, or its type is not one that can be passed; `problems` has one sentence for each cause.

    Each says where (file and line), what (function, parameter, type), and what would do:
    `stats.cpp:12: mean: parameter xs is std::list<double>, which can't be passed; take a std::vector<double>`.
    """

    def __init__(self, problems: Sequence[str], names: Sequence[str] = ()) -> None:
        self.problems = tuple(problems)
        self.names = tuple(names)
        """Of the functions that are there, where none has the name that was asked for."""
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
    return NoFunction([f"{where}: there is no function {name}; {hint}"], there)


class BadArgument(ValueError):
    """A value does not fit the parameter it is given for; the text says where, what was found and what would be right.

    `xs[3]: 300 does not fit u8 (0 to 255)`. `path` is `xs[3]`, '' where no single argument is meant.
    """

    def __init__(self, text: str, path: str = "") -> None:
        self.text = text
        self.path = path
        super().__init__(text)

    def inside(self, part: str) -> BadArgument:
        """The same problem, seen from one step further out: `raise error.inside("[3]")`."""
        self.path = part + self.path
        return self

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" if self.path else self.text


class BadValue(ValueError):
    """What a module gave back is not what its signature says: `byte 3: expected f64, found a text string`."""


def shown(value: object) -> str:
    """What was found, for a sentence: short values as Python writes them, others by what they are."""
    match value:
        case None | bool():
            return repr(value)
        case int() if value.bit_length() > 256:  # Python refuses to write the longest ones
            return f"an integer of {value.bit_length()} bits"
        case int() | float() | str() | bytes():
            text = repr(float(value) if isinstance(value, float) else value)  # NumPy's say that they are its
            return text if len(text) <= 60 else f"{text[:57]}..."
        case _:
            name = type(value).__name__
            return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """`; did you mean mass?`, or '' where no name is near."""
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""
