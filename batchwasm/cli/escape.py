"""Foreign text made harmless for a terminal: what a guest, host, file name or compiler wrote is shown, not obeyed.

A terminal obeys control characters (escape sequences set titles, move the cursor, hide lines) and reorders text at
Unicode's bidirectional marks. Each becomes its Python escape, such as `\\x1b`. What is piped stays as it is.
"""

from __future__ import annotations

import codecs
import os
import sys
from typing import BinaryIO, TextIO

from batchwasm.visible import visible as visible
from batchwasm.visible import visible_text as visible_text

_CHUNK_BYTES = 64 * 1024


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
