"""Values of secrets in what a guest printed become `***`: here before it leaves the worker, there before it is kept.

Only a value as it is, in UTF-8, is found: one that a guest encodes or splits is not.
Runs under Python 3.9: no match, no slots or kw_only.
"""

from __future__ import annotations

from collections.abc import Iterable

MARK = b"***"
LEAST_BYTES = 4
"""A shorter value is in many texts by chance: to replace it would spoil them, and show where it is."""


class Redaction:
    """Replaces the values of a job's secrets. False where there is none that can be."""

    def __init__(self, values: Iterable[str]) -> None:
        encoded = {value.encode("utf-8", "replace") for value in values}
        self._values = sorted(value for value in encoded if len(value) >= LEAST_BYTES)
        self._longest = max(map(len, self._values), default=0)

    def __bool__(self) -> bool:
        return bool(self._values)

    def __call__(self, data: bytes, *, cut_before: bool = False, cut_after: bool = False) -> bytes:
        """`data` without the values. Where it was cut out of something longer, without what is left of one there."""
        if not self._values:
            return data
        before = self._ends(data) if cut_before else ()
        after = self._starts(data) if cut_after else ()
        return self._replaced(data, len(data), edges=[*before, *after])[0]

    def text(self, text: str) -> str:
        """The same of a text."""
        found = text.encode("utf-8", "surrogatepass")
        redacted = self(found)
        return text if redacted is found else redacted.decode("utf-8", "surrogatepass")

    def stream(self) -> Stream:
        """For what comes in pieces: a value may begin in one and end in another."""
        return Stream(self)

    def _replaced(
        self, data: bytes, upto: int, covered: int = 0, edges: Iterable[tuple[int, int]] = ()
    ) -> tuple[bytes, int]:
        """The first `upto` bytes, of which `covered` are of a value that is replaced already, without those values that
        begin there; and how many bytes of them come after those."""
        spans = sorted([*self._spans(data, upto), *edges])
        if not spans and not covered:
            return data if upto == len(data) else data[:upto], 0
        parts, at = [], covered
        for start, end in spans:
            if start >= at:
                parts += [data[at:start], MARK]
            at = max(at, end)  # two values may overlap: then it is one mark for both
        parts.append(data[at:upto])
        return b"".join(parts), max(0, at - upto)

    def _spans(self, data: bytes, upto: int) -> Iterable[tuple[int, int]]:
        for value in self._values:
            last = upto + len(value) - 1
            at = data.find(value, 0, last)
            while at >= 0:
                yield at, at + len(value)
                at = data.find(value, at + 1, last)

    def _unsure(self, data: bytes) -> int:
        """How many bytes at its end begin a value that is not there in full: the most that do."""
        for count in range(min(len(data), self._longest - 1), 0, -1):
            end = data[-count:]
            if any(len(value) > count and value.startswith(end) for value in self._values):
                return count
        return 0

    def _ends(self, data: bytes) -> Iterable[tuple[int, int]]:
        """Where `data` begins with the end of a value."""
        for value in self._values:
            for count in range(len(value) - 1, LEAST_BYTES - 1, -1):
                if data.startswith(value[-count:]):
                    yield 0, count
                    break

    def _starts(self, data: bytes) -> Iterable[tuple[int, int]]:
        """Where `data` ends with the beginning of a value."""
        for value in self._values:
            for count in range(len(value) - 1, LEAST_BYTES - 1, -1):
                if data.endswith(value[:count]):
                    yield len(data) - count, len(data)
                    break


class Stream:
    """Redacts one output, fed in pieces; only what may be the beginning of a value waits for the next piece."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._held = b""
        self._covered = 0
        """Of what is held, bytes of a value that is replaced already."""

    def feed(self, data: bytes) -> bytes:
        """What can be told by now."""
        held = self._held + data
        upto = len(held) - self._redaction._unsure(held)
        told, covered = self._redaction._replaced(held, upto, min(self._covered, upto))
        self._covered = max(covered, self._covered - upto)
        self._held = held[upto:]
        return told

    def end(self, *, cut: bool = False) -> bytes:
        """The rest. `cut`: the output goes on, but not for us."""
        held, covered, self._held, self._covered = self._held, self._covered, b"", 0
        edges = self._redaction._starts(held) if cut else ()
        return self._redaction._replaced(held, len(held), covered, edges)[0]
