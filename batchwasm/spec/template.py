"""`{name}` in texts: parsed once, against the names that a job knows.

    {n}       the value of n                {unknown}, {"json": 1}     as written
    {{n}}     the text {n}                  {{{n}}}                    the value between braces

Braces around a known name count in pairs, as in Python's format strings; all others are literal.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from batchwasm.model import Template

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_BRACED = re.compile(rf"(\{{+)({IDENTIFIER.pattern})(\}}+)", re.ASCII)


def parse(text: str, names: Collection[str]) -> Template:
    """The template that `text` is to a job which knows `names`."""
    parts = [""]
    end = 0
    for match in _BRACED.finditer(text):
        if match[2] not in names:
            continue
        parts[-1] += text[end : match.start()]
        end = match.end()
        _braced(parts, match[1], match[2], match[3])
    parts[-1] += text[end:]
    return Template(parts=tuple(parts))


def _braced(parts: list[str], opening: str, name: str, closing: str) -> None:
    """Append a name with the braces around it; those without a partner are literal, and stand outside."""
    pairs = min(len(opening), len(closing))
    before = "{" * (len(opening) - pairs + pairs // 2)
    after = "}" * (len(closing) - pairs + pairs // 2)
    parts[-1] += before
    if pairs % 2:
        parts += [name, after]
    else:
        parts[-1] += name + after


def constant(text: str) -> Template:
    """The template that is always `text`."""
    return Template(parts=(text,))


RESERVED = {"job": "the job's name", "index": "the task's number"}


def wrong_parameter(name: str) -> str | None:
    """What is wrong with a parameter's name, or None."""
    if name in RESERVED:
        return f"{name!r} always means {RESERVED[name]}; take another name"
    if not IDENTIFIER.fullmatch(name):
        return f"{name!r} can't be written as {{name}}; use letters, digits and '_', not starting with a digit"
    return None
