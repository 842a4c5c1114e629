"""`hosts trust`: the keys that hosts show are accepted once, by a person who saw their fingerprints."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from batchwasm import transports
from batchwasm.errors import HostError
from batchwasm.model import Host, HostName
from batchwasm.transports import Offer, UnknownKey

Login = Callable[[Host], Awaitable[HostError | None]]
GATEWAYS = 16  # more unknown keys than this on the way to one host is not a way


@dataclass(frozen=True, kw_only=True, slots=True)
class Trusted:
    """How it went with one host."""

    host: HostName
    accepted: tuple[Offer, ...]
    """What was written to known_hosts now: the host's key, those of gateways before it."""
    declined: Offer | None
    """The key that was not accepted; the way ends there."""
    error: HostError | None
    """Why its key was not even seen; or, after it was accepted, why the login fails all the same."""

    @property
    def known(self) -> bool:
        """Its key is in known_hosts now."""
        return self.declined is None and (self.error is None or self.error.code == "auth")


async def log_in(host: Host) -> HostError | None:
    """By the host's transport, and out again: why it fails."""
    return await tried(transports.make(host))


async def tried(transport: transports.Transport) -> HostError | None:
    try:
        await transport.connect()
    except HostError as error:
        return error
    finally:
        await transport.close()
    return None


async def trust(host: Host, accept: Callable[[Offer], bool], login: Login = log_in) -> Trusted:
    """Ask `accept` about each unknown key on the way to the host, and write down what it accepts.

    A key is shown before anybody is authenticated to it. A changed key is never asked about: it is the error.
    """
    accepted: list[Offer] = []
    for _ in range(GATEWAYS):
        error = await login(host)
        if not isinstance(error, UnknownKey):
            return Trusted(host=host.name, accepted=tuple(accepted), declined=None, error=error)
        if not accept(error.offer):
            return Trusted(host=host.name, accepted=tuple(accepted), declined=error.offer, error=None)
        try:
            error.offer.accept()
        except HostError as problem:
            return Trusted(host=host.name, accepted=tuple(accepted), declined=None, error=problem)
        accepted.append(error.offer)
    raise AssertionError("a key that was accepted is asked about again")
