"""Which of a task's files are its outputs, and how they get out of its folder."""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

from .box import Box, Entry
from .protocol import INLINE_BYTES, OutputFile
from .trees import open_folder

INLINE_TOGETHER_BYTES = 1024 * 1024  # of one task; what is more goes to the spool, file by file
NAMES_BYTES = 4 * 1024 * 1024  # of one task's outputs together, as JSON: a report must fit into a frame
_CHUNK_BYTES = 1024 * 1024


class Collected(NamedTuple):
    """A task's outputs."""

    outputs: list[OutputFile]
    contents: tuple[bytes, ...]
    """Of the inline ones, in the same order."""
    missing: list[str]
    """Patterns that had to match something and did not."""
    dropped: int
    """Outputs that were left out, because their names alone would not fit into a report."""


NOTHING = Collected([], (), [], 0)


def collect(box: Box, patterns: Sequence[str], spool: str, most: int) -> Collected:
    """Take the outputs out of the folder: small ones into memory, the others to `spool`/PATH.

    Looks at `most` files. Raises OSError where the spool's disk is full.
    """
    wanted = [_compile(pattern) for pattern in patterns]
    chosen: list[Entry] = []
    hit = [False] * len(wanted)
    for entry in [] if box.untouched() else box.files(most):
        found = False
        for number, (expression, _) in enumerate(wanted):
            if expression.match(entry.path):
                hit[number] = found = True
        if found:
            chosen.append(entry)
    missing = [pattern for pattern, (_, must), seen in zip(patterns, wanted, hit) if must and not seen]
    kept = _that_fit(chosen)
    outputs, contents = _take(box, kept, spool)
    return Collected(outputs, tuple(contents), missing, len(chosen) - len(kept))


def _that_fit(chosen: list[Entry]) -> list[Entry]:
    left = NAMES_BYTES
    for number, entry in enumerate(chosen):
        left -= 6 * len(entry.path) + 120  # \uXXXX for each letter, size, digest and punctuation
        if left < 0:
            return chosen[:number]
    return chosen


def _take(box: Box, chosen: list[Entry], spool: str) -> tuple[list[OutputFile], list[bytes]]:
    """A guest that was given up may still wake and change what is here: no link is followed, sizes are bounded."""
    outputs, contents = [], []
    room = INLINE_TOGETHER_BYTES
    for entry in chosen:
        folder, name = _open_parent(box.path, entry.path)
        try:
            inline = entry.size <= min(INLINE_BYTES, room)
            if inline:
                with _open_file(name, folder) as file:
                    content = file.read(entry.size)
                room -= len(content)
                contents.append(content)
                size, digest = len(content), hashlib.sha256(content).hexdigest()
            else:
                target = os.path.join(spool, entry.path)
                _move(name, folder, target)
                size, digest = _digest(target)
        finally:
            os.close(folder)
        outputs.append(OutputFile(entry.path, size, digest, inline))
    return outputs, contents


def _open_parent(root: str, path: str) -> tuple[int, str]:
    """A descriptor of the folder that a file is in, and the file's name."""
    *folders, name = path.split("/")
    at = open_folder(root)
    for folder in folders:
        try:
            inner = open_folder(folder, at)
        finally:
            os.close(at)
        at = inner
    return at, name


def _open_file(name: str, folder: int | None = None) -> BinaryIO:
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    return open(fd, "rb")


def _digest(path: str) -> tuple[int, str]:
    """Size and sha256, in bounded memory."""
    digest = hashlib.sha256()
    size = 0
    with _open_file(path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def _move(name: str, folder: int, target: str) -> None:
    os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
    try:
        os.rename(name, target, src_dir_fd=folder)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with _open_file(name, folder) as source, open(target, "xb") as copy:
            shutil.copyfileobj(source, copy, _CHUNK_BYTES)
        os.unlink(name, dir_fd=folder)


# ------------------------------------------------------------------------------------------------- patterns


@functools.lru_cache(maxsize=256)
def _compile(pattern: str) -> tuple[re.Pattern[str], bool]:
    """What paths a pattern means, and whether there must be one (it does not end in `?`).

    As in a shell: `*` and `?` stay within a name and don't match a leading dot, `**` is any number of folders, `[a-z]`
    one character. A pattern whose last name is plain may be a folder, and means all files in it.
    """
    must = not pattern.endswith("?")
    text = pattern if must else pattern[:-1]
    segments = [part for part in text.split("/") if part not in ("", ".")]
    expression = "".join(_segment(part, last) for part, last in _with_last(segments))
    below = "" if segments and set(segments[-1]) & set("*?[") else "(?:/.*)?"
    return re.compile(rf"(?s:{expression}{below})\Z"), must


def _with_last(segments: list[str]) -> list[tuple[str, bool]]:
    return [(segment, number == len(segments) - 1) for number, segment in enumerate(segments)]


def _segment(segment: str, last: bool) -> str:
    if segment == "**":
        folders = r"(?:(?!\.)[^/]+/)*"
        return folders + r"(?!\.)[^/]+" if last else folders
    visible = r"(?!\.)" if segment[0] in "*?[" else ""
    return visible + _name(segment) + ("" if last else "/")


def _name(segment: str) -> str:
    """One name of a pattern as a regular expression."""
    out = []
    at = 0
    while at < len(segment):
        letter = segment[at]
        at += 1
        if letter == "*":
            out.append("[^/]*")
        elif letter == "?":
            out.append("[^/]")
        elif letter == "[" and (end := segment.find("]", at + 1 + (segment[at : at + 1] == "!"))) > 0:
            out.append(_class(segment[at:end]))
            at = end + 1
        else:
            out.append(re.escape(letter))
    return "".join(out)


def _class(inside: str) -> str:
    """`[!a-z]` as `[^a-z]`; all other letters stand for themselves."""
    negated = inside.startswith("!")
    letters = re.sub(r"([\\\[\]^&~|])", r"\\\1", inside[negated:])
    return f"[{'^/' if negated else ''}{letters}]"
