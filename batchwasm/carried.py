"""What a one-file program (`make dist`) carries, and where it lies: its own Python, and one for hosts that have none.

Owns the marks by which they are known. After `pip install` nothing is carried; a Python for hosts may still lie in
the user's data folder.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"bw1file\n"
"""The end of every one-file program; see scripts/onefile/start.go."""
_END = struct.Struct("<Q8s")


def tree() -> Path | None:
    """The unpacked folder of the one-file program that this is; None in any other installation."""
    found = Path(sys.prefix)
    return found if (found / "lib/batchwasm").is_file() else None  # the loader that all its programs are started by


def interpreter() -> str | None:
    """The Python that the one-file program brought: the machine may have none, nor a shell that would find one."""
    return sys.executable if tree() is not None else None


@dataclass(frozen=True, kw_only=True, slots=True)
class HostPython:
    """A one-file Python for hosts that have none of their own."""

    path: Path
    digest: str
    """Of what it unpacks."""
    size: int
    """Of the file, in bytes."""


def name_for(system: str) -> str:
    """The file's name; `system` is what `uname -sm` says: `Linux x86_64`."""
    return f"batchwasm-python-{system.strip().lower().replace(' ', '-')}"


def host_python(system: str) -> HostPython | None:
    """The one for hosts of that system: carried, or put into ~/.local/share/batchwasm by the user."""
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    own = tree()
    for folder in (*([own / "lib"] if own else []), Path(data, "batchwasm")):
        found = _read(folder / name_for(system))
        if found is not None:
            return found
    return None


def _read(path: Path) -> HostPython | None:
    """None where it is not there or not whole."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(-_END.size, os.SEEK_END)
            length, magic = _END.unpack(file.read(_END.size))
            if magic != MAGIC or length > size - _END.size:
                return None
            file.seek(-_END.size - length, os.SEEK_END)
            about = json.loads(file.read(length))
            return HostPython(path=path, digest=str(about["Digest"])[:16], size=size)
    except (OSError, ValueError, KeyError, TypeError):
        return None
