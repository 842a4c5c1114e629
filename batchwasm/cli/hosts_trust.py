"""`hosts trust`: unknown host keys are shown all together and accepted once, by a person."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from batchwasm.cli.asking import confirmed, told_when_slow
from batchwasm.cli.hosts_pool import each, untold
from batchwasm.cli.render import Column, cells, print_table, terminal_width
from batchwasm.errors import EXIT_BAD_INPUT, EXIT_SUCCEEDED, EXIT_WORLD, HostError
from batchwasm.escape import say, visible
from batchwasm.model import Host, HostName

if TYPE_CHECKING:
    from batchwasm.engine.trust import Login, Trusted
    from batchwasm.transports import Offer

Key = tuple[str, str]
"""Address and fingerprint: what a person accepts."""
TITLES = ("host", "known as", "key")


def run(hosts: Sequence[Host], *, yes: bool) -> int:
    """The exit code: 2 where keys were shown and not accepted, 3 where a host's key could not be had."""
    settled = settle(hosts, yes=yes)
    return EXIT_BAD_INPUT if settled is None else _told(*settled)


def settle(
    hosts: Sequence[Host], *, yes: bool, stream: TextIO | None = None, login: Login | None = None
) -> tuple[list[Trusted], set[Key]] | None:
    """How far each host came once its keys were accepted, and which those were; None where somebody said no."""
    accepted: set[Key] = set()
    answers: dict[HostName, Trusted] = {}
    left = list(hosts)
    while True:
        # A gateway's key comes first; the keys behind it are seen in the next round.
        answers |= {answer.host: answer for answer in asyncio.run(_round(left, accepted, login))}
        offers = [answer.declined for answer in answers.values() if answer.declined is not None]
        unknown = {_key(answer.declined): answer for answer in answers.values() if answer.declined is not None}
        if not unknown:
            return [answers[host.name] for host in hosts], accepted
        _show(unknown, stream or sys.stdout)
        if not (yes or _agreed(len(unknown))):
            say("nothing was accepted" if not accepted else "the other keys were not accepted")
            return None
        accepted |= set(unknown)
        for offer in offers:  # at once: a connection that ends where a key is unknown counts against us at its sshd
            with suppress(HostError):  # the next round comes upon the same, and tells it
                offer.accept()
        left = [host for host in hosts if _over_a_key(answers[host.name])]  # who is in, or is off, stays so


def _over_a_key(answer: Trusted) -> bool:
    """It came no further than to an unknown key."""
    return answer.declined is not None or (answer.error is not None and answer.error.code == "key")


async def _round(hosts: Sequence[Host], accepted: set[Key], login: Login | None) -> list[Trusted]:
    from batchwasm.engine.trust import log_in, trust

    whom = hosts[0].name if len(hosts) == 1 else f"{len(hosts)} hosts"
    what = (
        f"logging in to {whom}" if accepted else f"asking {whom} for {'its key' if len(hosts) == 1 else 'their keys'}"
    )
    with told_when_slow(f"{what} ..."):
        # Only what was shown and agreed to: a host that shows another key the second time is asked about again.
        return await each(
            hosts, lambda host: trust(host, lambda offer: _key(offer) in accepted, login or log_in), untold
        )


def _key(offer: Offer) -> Key:
    return offer.address, offer.fingerprint


def _show(unknown: dict[Key, Trusted], stream: TextIO) -> None:
    """Whole, however narrow the terminal: half a fingerprint can't be compared."""
    rows = [[answer.host, address, fingerprint] for (address, fingerprint), answer in unknown.items()]
    if stream.isatty() and _width(rows) > terminal_width():
        for host, address, fingerprint in rows:
            known_as = f", known as {address}" if address != host else ""
            stream.write(f"{visible(host + known_as)}\n  {visible(fingerprint)}\n")
    else:
        print_table([Column(title=title) for title in TITLES], rows, stream)
    stream.flush()


def _width(rows: Sequence[Sequence[str]]) -> int:
    """Of their table, if nothing is cut."""
    return sum(max(map(cells, column)) + 2 for column in zip(TITLES, *rows, strict=True)) - 2


def _agreed(count: int) -> bool:
    if not sys.stdin.isatty():
        say("nobody can be asked here; --yes accepts the keys above")
        return False
    which = "this key" if count == 1 else f"these {count} keys"
    return confirmed(f"Are they those of the machines themselves? Accept {which}", default=False)


def _told(answers: Iterable[Trusted], accepted: set[Key]) -> int:
    code = EXIT_SUCCEEDED
    for answer in answers:
        if answer.error is not None:
            say(f"{answer.host}: {'its key is known, but: ' if answer.known else ''}{answer.error.beside(answer.host)}")
        if not answer.known:
            code = EXIT_WORLD
    written = f"{len(accepted)} keys accepted" if len(accepted) != 1 else "1 key accepted"
    say(written if accepted else "no unknown keys")
    return code
