"""ProxyCommand of ~/.ssh/config: a command whose stdio is the way to a host, as a socket for who speaks SSH over it."""

from __future__ import annotations

import socket
import subprocess
from dataclasses import dataclass

from batchwasm.transports import groups


@dataclass(frozen=True, slots=True)
class Proxy:
    """The command while it runs; `link` is our end."""

    process: subprocess.Popen[bytes]
    link: socket.socket

    @classmethod
    def start(cls, command: str) -> Proxy:
        """As ssh starts it, with a shell; ssh is what says why it fails, so its stderr goes nowhere."""
        ours, theirs = socket.socketpair()
        with theirs:
            end = theirs.fileno()
            line = ["/bin/sh", "-c", f"exec {command}"]
            process = subprocess.Popen(line, stdin=end, stdout=end, stderr=subprocess.DEVNULL, start_new_session=True)
        return cls(process, ours)

    def close(self) -> None:
        """Ends it with all that it started."""
        self.link.close()
        groups.kill(self.process.pid)
        self.process.wait()
