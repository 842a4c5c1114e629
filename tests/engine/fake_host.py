"""A host as a script: what its runner says is written in the test. It stands at the seam of deploy and transports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from batchwasm.engine import session as sessions
from batchwasm.errors import HostError, HostLost
from batchwasm.model import Outcome
from batchwasm.runner.protocol import (
    Attached,
    Decoder,
    Detail,
    Finished,
    Message,
    Redaction,
    Row,
    Rows,
    Start,
    Work,
    encode,
)


class FakeFacts:
    def as_dict(self) -> dict[str, Any]:
        return {"os": "fake"}


@dataclass
class FakeDepot:
    """Keeps what is put; gives what the test laid out in `remote`."""

    remote: dict[str, bytes] = field(default_factory=dict)
    stored: list[tuple[str, str]] = field(default_factory=list)
    facts: FakeFacts = field(default_factory=FakeFacts)

    async def put(self, kind: str, digest: str, path: Path, on_sent: Callable[[int], None] | None = None) -> bool:
        if not _exists(path):
            raise HostError("input", f"can't send {path}: No such file or directory")
        if (kind, digest) in self.stored:
            return False
        self.stored.append((kind, digest))
        return True

    async def get(
        self, remote: str, local: Path, size: int, sha256: str, *, within: str = "", redact: Redaction | None = None
    ) -> None:
        content = self.remote[remote]
        _write(local, content if redact is None else redact(content))

    async def close(self) -> None: ...


def _exists(path: Path) -> bool:
    return path.exists()


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


class FakeRunner:
    """A process whose far end is the test: `orders` are what it was sent, `say` is what it answers."""

    def __init__(self, host: str = "") -> None:
        self.host = host
        self.orders: list[Message] = []
        self._decoder = Decoder()
        self._incoming: asyncio.Queue[bytes] = asyncio.Queue()
        self._arrived = asyncio.Event()
        self.stderr_tail = ""
        self._seq = 0

    async def read(self, limit: int) -> bytes:
        return await self._incoming.get()

    async def write(self, data: bytes) -> None:
        self.orders += self._decoder.feed(data)
        self._arrived.set()

    async def close(self) -> int | None:
        self._incoming.put_nowait(b"")
        return 0

    def say(self, *messages: Message | bytes) -> None:
        for message in messages:
            self._incoming.put_nowait(message if isinstance(message, bytes) else encode(message))

    async def finish(self, outcome: int = Outcome.SUCCEEDED, *, detail: Detail | None = None, wall_us: int = 5) -> Work:
        """Takes the next batch and says that all its tasks ended so; what they were."""
        start = await self.order(Start)
        work = Work.decode(start.body)
        self._seq += 1
        rows = [Row(task.task, task.number, outcome, 0, 1.0, wall_us, 5, 65536, detail=detail) for task in work.tasks]
        self.say(Finished(start.batch, len(rows), seq=self._seq, body=Rows.encode(rows)))
        return work

    async def order(self, kind: type[Message]) -> Any:
        """The first order of this kind; waits for it."""
        async with asyncio.timeout(10):
            while True:
                for order in self.orders:
                    if isinstance(order, kind):
                        self.orders.remove(order)
                        return order
                self._arrived.clear()
                await self._arrived.wait()


class FakeTransport:
    async def connect(self) -> None: ...

    async def close(self) -> None: ...


@dataclass(frozen=True)
class FakePrepared:
    depot: FakeDepot
    runner: FakeRunner


class FakeHost:
    """Takes the place of the real way to a host; each connection is a new FakeRunner in `lives`."""

    def __init__(self, monkeypatch: Any) -> None:
        self.depot = FakeDepot()
        self.lives: asyncio.Queue[FakeRunner] = asyncio.Queue()
        self.one_machine = False
        """All names lead to the same supervisor."""
        self.error: HostError | HostLost | None = None
        self.errors: dict[str, HostError] = {}
        """Why a host of that name can't be reached; `error` is for the others."""
        monkeypatch.setattr(sessions.transports, "make", lambda host: FakeTransport())
        monkeypatch.setattr(sessions, "prepare", self._prepare)
        monkeypatch.setattr(sessions, "RETRY_S", 0.001)
        monkeypatch.setattr(sessions, "GOODBYE_S", 0.5)

    async def _prepare(self, host: Any, transport: Any, on_shipped: Any) -> FakePrepared:
        error = self.errors.get(host.name, self.error)
        if error is not None:
            raise error
        runner = FakeRunner(host.name)
        self.lives.put_nowait(runner)
        return FakePrepared(self.depot, runner)

    async def life(self, attached: Attached | None = None) -> FakeRunner:
        """The next connection, attached."""
        async with asyncio.timeout(10):
            runner = await self.lives.get()
        said = attached or Attached("s1", "boot", 2, 8 * 1024**3, "/spool/run")
        runner.say(said if self.one_machine else replace(said, supervisor=f"{said.supervisor} of {runner.host}"))
        return runner


async def until(condition: Callable[[], bool]) -> None:
    """Lets the loop work until something is so."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - any condition, which has no event to wait for
            await asyncio.sleep(0.001)
