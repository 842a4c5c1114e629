"""Writing to known_hosts: one line a key, names hashed where ssh_config asks for it. Reading it is asyncssh's."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Sequence
from typing import Protocol

from batchwasm.transports.ssh_config import Settings


class PublicKey(Protocol):
    def export_public_key(self, format_name: str = ...) -> bytes: ...


def append(options: Settings, keys: Sequence[PublicKey]) -> None:
    """Add these keys of the host to its known_hosts file; makes the file (0600) and its folder (0700)."""
    path = options.user_known_hosts
    if path is None:
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = "".join(f"{_name(options)} {_text(key)}\n" for key in keys)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    with open(descriptor, "r+b", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        unfinished = size and os.pread(descriptor, 1, size - 1) != b"\n"
        file.write((b"\n" if unfinished else b"") + lines.encode())


def _text(key: PublicKey) -> str:
    kind, data = key.export_public_key("openssh").decode().split()[:2]  # without its comment
    return f"{kind} {data}"


def _name(options: Settings) -> str:
    return hashed(options.known_name, os.urandom(20)) if options.hash_known_hosts else options.known_name


def hashed(name: str, salt: bytes) -> str:
    """As HashKnownHosts does: `|1|SALT|HMAC-SHA1 of the name|`."""
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"
