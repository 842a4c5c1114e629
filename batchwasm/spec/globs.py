"""A glob among the outputs of a task: by the rules that the runner has for `outputs`, on paths instead of files."""

from __future__ import annotations

import functools
import re

MAGIC = frozenset("*?[")


def is_plain(pattern: str) -> bool:
    """Whether it means one path, or one folder."""
    return not MAGIC & set(pattern)


@functools.lru_cache(maxsize=256)
def compiled(pattern: str) -> re.Pattern[str]:
    """What paths a glob means; to be asked by `match`.

    As in a shell: `*` and `?` stay within a name and don't match a leading dot, `**` is any number of folders, `[a-z]`
    one character. A glob whose last name is plain may be a folder, and means all files in it. Raises ValueError for
    what is none, such as `[z-a]`.
    """
    names = [name for name in pattern.split("/") if name not in ("", ".")]
    expression = "".join(_name(name, last=n == len(names) - 1) for n, name in enumerate(names))
    below = "(?:/.*)?" if not names or is_plain(names[-1]) else ""
    try:
        return re.compile(rf"(?s:{expression}{below})\Z")
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a glob: {error.msg}") from None


def _name(name: str, *, last: bool) -> str:
    if name == "**":
        folders = r"(?:(?!\.)[^/]+/)*"
        return folders + r"(?!\.)[^/]+" if last else folders
    visible = r"(?!\.)" if name[0] in MAGIC else ""
    return visible + "".join(_parts(name)) + ("" if last else "/")


def _parts(name: str) -> list[str]:
    parts = re.findall(r"\[(?:!.|[^!])[^]]*\]|.", name, re.DOTALL)
    return [_part(part) for part in parts]


def _part(part: str) -> str:
    if part == "*":
        return "[^/]*"
    if part == "?":
        return "[^/]"
    if len(part) == 1:
        return re.escape(part)
    negated = part[1] == "!"
    letters = re.sub(r"([\\\[\]^&~|])", r"\\\1", part[1 + negated : -1])
    return f"[{'^/' if negated else ''}{letters}]"
