"""The hosts of a run, each with its session: some come and some go while it lasts.

A host that goes is given nothing new by the scheduler; here it is left when the last of its tasks has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from batchwasm.core.events import Event, HostLeft
from batchwasm.core.state import State
from batchwasm.engine.session import Session
from batchwasm.model import Host, HostName
from batchwasm.runner.protocol import Tail

END_S = 10.0  # for the hosts to stop their guests and say goodbye
LEFT = "the inventory has it no longer"

Spawn = Callable[[Callable[[], Coroutine[Any, Any, None]]], asyncio.Task[None]]
"""Starts a part of the run, whose errors end it."""


class Pool:
    """Hosts that take part."""

    def __init__(self, state: State, make: Callable[[Host], Session], post: Callable[[Event], None]) -> None:
        self._state, self._make, self._post = state, make, post
        self._sessions: dict[HostName, Session] = {}
        self._lives: dict[HostName, asyncio.Task[None]] = {}
        self._going: set[HostName] = set()
        """Given nothing new, and left as soon as nothing runs there."""
        self._left: set[HostName] = set()
        """Told to end, and not over yet."""
        self._again: dict[HostName, Host] = {}
        """To be met anew when it is over."""

    def __getitem__(self, name: HostName) -> Session:
        return self._sessions[name]

    def tail(self, name: HostName, order: Tail) -> None:
        """Ask it what a task has printed, if it is there."""
        if name in self._sessions:
            self._sessions[name].tail(order)

    def twin_of(self, name: HostName, supervisor: str) -> HostName | None:
        """Another host that takes part, and has this very supervisor."""
        for other, session in self._sessions.items():
            takes_part = other not in self._left and not self._lives[other].done()
            if other != name and session.supervisor == supervisor and takes_part:
                return other
        return None

    def add(self, host: Host, spawn: Spawn) -> bool:
        """`host` takes part from now on. False for one that was about to go: it stays, as the host that it was."""
        self._going.discard(host.name)
        if host.name in self._left:
            self._again[host.name] = host
        elif host.name in self._sessions:
            return False
        else:
            self._meet(host, spawn)
        return True

    def _meet(self, host: Host, spawn: Spawn) -> None:
        session = self._sessions[host.name] = self._make(host)
        self._lives[host.name] = spawn(lambda: self._live(session, spawn))

    async def _live(self, session: Session, spawn: Spawn) -> None:
        await session.run()
        if session.host.name in self._left:
            self._forget(session.host.name)
            again = self._again.pop(session.host.name, None)
            if again is not None:
                self._meet(again, spawn)

    def remove(self, name: HostName) -> None:
        """`name` takes part no longer; `settle` leaves it."""
        self._again.pop(name, None)
        self._going.add(name)

    def settle(self) -> None:
        """Leave the hosts that go and have nothing to do any more."""
        for name in list(self._going):
            host = self._state.hosts[name]
            if not host.removed or host.batches or name in self._left:
                continue  # it is not in the state yet, or not over
            self._going.discard(name)
            if name not in self._sessions:
                continue
            self._left.add(name)
            self._sessions[name].end(stop_guests=True)
            self._tell_left(name)  # now, lest it is given tasks if it comes back while it says goodbye
            if self._lives[name].done():  # it was hopeless
                self._forget(name)

    def _forget(self, name: HostName) -> None:
        self._left.discard(name)
        del self._sessions[name], self._lives[name]
        self._tell_left(name)

    def _tell_left(self, name: HostName) -> None:
        if self._state.hosts[name].capacity is not None:
            self._post(HostLeft(host=name, code="removed", text=LEFT))

    def renew(self) -> None:
        """Make all connections anew: this machine was asleep."""
        for session in self._sessions.values():
            session.renew()

    async def end(self, *, stop_guests: bool) -> list[HostName]:
        """Have all hosts stop what they still run for us, or leave it there; those that do not answer are given up.

        Names of those that may have something of the run, and could not be told that it is over.
        """
        self._again.clear()
        for session in self._sessions.values():
            session.end(stop_guests=stop_guests)
        if self._lives:
            _, late = await asyncio.wait(self._lives.values(), timeout=END_S)
            for task in late:
                task.cancel()
        return [name for name, session in self._sessions.items() if stop_guests and session.owes_goodbye]
