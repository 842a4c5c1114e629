"""Foreign text made harmless for a terminal: what a guest, host, file name or compiler wrote is shown, not obeyed.

A terminal obeys control characters (escape sequences set titles, move the cursor, hide lines) and reorders text at
Unicode's bidirectional marks. Each becomes its Python escape, such as `\\x1b`. What is piped stays as it is.
"""

from __future__ import annotations

import codecs
import os
import re
import sys
from typing import BinaryIO, TextIO

# C0 and C1 controls and DEL; line and paragraph separators; bidirectional marks, embeddings, overrides and isolates;
# lone surrogates, which stdout's encoder would refuse.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_UNSAFE_IN_TEXT = re.compile(_UNSAFE.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))
_CHUNK_BYTES = 64 * 1024


def visible(text: str) -> str:
    """`text` for one line of a terminal: every control character, line ends too, as a Python escape."""
    return _UNSAFE.sub(_escape, text)


def visible_text(text: str) -> str:
    """`text` for several lines of a terminal: line ends and tabs stay, CR LF counts as a line end."""
    return _UNSAFE_IN_TEXT.sub(_escape, text.replace("\r\n", "\n"))


def for_stream(text: str, stream: TextIO) -> str:
    """`text` as it may be written to `stream`: harmless on a terminal, and never more than it can encode elsewhere."""
    if stream.isatty():
        return visible_text(text)
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def say(text: str) -> None:
    """A line of talk on stderr."""
    print(for_stream(text, sys.stderr), file=sys.stderr, flush=True)


def copy(source: BinaryIO, stream: TextIO) -> None:
    """All of `source` to `stream`: as it is where that is a pipe or a file, harmless where it is a terminal."""
    copying = Copying(stream)
    copying.take(source)
    copying.end()


class Copying:
    """The same of what comes in pieces."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace") if stream.isatty() else None
        self._last = "\n"

    def take(self, source: BinaryIO) -> None:
        """All of `source`, which is out when this returns."""
        self._stream.flush()
        while chunk := source.read(_CHUNK_BYTES):
            if self._decoder is None:
                _write_all(self._stream.fileno(), chunk)
            else:
                self._show(self._decoder.decode(chunk))
        self._stream.flush()

    def end(self) -> None:
        """What is still open of a character, and of a terminal's line."""
        if self._decoder is not None:
            self._show(self._decoder.decode(b"", final=True))
            if self._last != "\n":
                self._stream.write("\n")  # else the shell's prompt hides the last line
            self._last = "\n"
            self._decoder.reset()
        self._stream.flush()

    def _show(self, text: str) -> None:
        shown = visible_text(text)
        self._stream.write(shown)
        self._last = shown[-1:] or self._last


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
