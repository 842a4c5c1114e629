"""A command that tells its pid before anything else, so that another command can kill its group."""

from __future__ import annotations

import re

EARLY_BYTES = 64 * 1024  # where the line with the pid must have come on stderr
_PID = re.compile(rb"batchwasm-pid (\d{1,9})\r?\n")


def announced(script: str) -> str:
    """The script, telling its pid first; it keeps it through every `exec`, and leads a process group (by sshd)."""
    return f'echo "batchwasm-pid $$" >&2; {script}'


def killing(pid: int) -> str:
    """The command line that kills the group of such a script."""
    return f"kill -KILL -{pid}"


class PidLine:
    """Takes that line out of a command's stderr; it may come in pieces, after a profile's complaints.

    Where a profile sends stderr to stdout, it is found there, and left there among what else the profile printed.
    """

    def __init__(self) -> None:
        self.pid: int | None = None
        """None until it is known; 0 where it never came."""
        self._early = b""
        self._out = b""

    def look(self, data: bytes) -> None:
        """This is the next of stdout."""
        if not self.pid and len(self._out) < EARLY_BYTES:
            self._out += data[:EARLY_BYTES]
            found = _PID.search(self._out)
            if found is not None:
                self.pid, self._out = int(found[1]), b""

    def without(self, data: bytes) -> bytes:
        """What of stderr is the command's own, as far as that can be told yet."""
        if self.pid is not None:
            return data
        self._early += data
        found = _PID.search(self._early)
        if found is None and len(self._early) < EARLY_BYTES:
            return b""
        early, self._early = self._early, b""
        self.pid = int(found[1]) if found else 0
        return early[: found.start()] + early[found.end() :] if found else early

    def and_early(self, tail: str) -> str:
        """The tail of stderr with what came while the line was waited for."""
        return "\n".join(filter(None, (self._early.decode("utf-8", "replace").strip(), tail)))
