"""Getting into new hosts: their keys, a transport that works, and a password once where they know no key of ours."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

import click

from batchwasm.cli import hosts_trust
from batchwasm.cli.asking import confirmed, hidden
from batchwasm.cli.hosts_pool import each, untold
from batchwasm.errors import HostError
from batchwasm.escape import say
from batchwasm.model import Host, HostName

if TYPE_CHECKING:
    from batchwasm.transports.own_key import PublicKey

TRIES = 3  # as ssh itself asks


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """What the command line says to questions."""

    yes: bool = False
    """Accept host keys, and make a key of our own where there is none."""
    password_stdin: bool = False
    anyway: bool = False
    """Write down hosts, too, that something is wrong with."""
    as_json: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Came:
    """How far we came with a host."""

    host: Host
    """With the transport that works."""
    error: HostError | None = None
    """Why nobody is logged in there."""
    installed: str = ""
    """Where the private half is of the key that was put there."""
    takes_password: bool | None = None
    """One would do; None is unknown."""


Hosts = dict[HostName, Came]
Put = tuple[Host, "PublicKey"]
"""A host, and the key that it shall know."""


def through(hosts: Sequence[Host], *, fixed: set[HostName], answers: Answers) -> Hosts | None:
    """In the order of `hosts`; those in `fixed` keep their transport. None where host keys were not accepted."""
    found = _known(hosts, answers)
    if found is None:
        return None
    for transport in ("openssh", "paramiko"):
        tried = [host for host in _others(found, transport) if host.name not in fixed]
        came = _known(tried, answers) if tried else {}
        if came is None:
            return None
        for name, one in came.items():
            found[name] = _better(found[name], one)
    refused = [came for came in found.values() if came.error is not None and came.error.code == "auth"]
    return found | _asked_for(refused, fixed, answers) if refused else found


def _better(came: Came, other: Came) -> Came:
    """By the other transport, where that gets in; else what is said of the one that it has."""
    if other.error is None:
        say(f'{came.host.name}: {came.host.transport} does not get in, transport = "{other.host.transport}" does')
        return other
    if other.error.code != "auth" or came.error is None:
        return came
    # ssh tells what else a server asks for, and how a person logs in once; who comes to the login came further.
    return replace(came, error=other.error) if came.error.code == "auth" else other


def _known(hosts: Sequence[Host], answers: Answers) -> Hosts | None:
    """After their keys were accepted."""
    from batchwasm.engine.install_key import keys_first
    from batchwasm.engine.trust import log_in
    from batchwasm.transports.ssh_password import Password

    would_do = {host.name: Password(after_keys=True) for host in hosts if host.transport == "ssh"}

    async def login(host: Host) -> HostError | None:
        password = would_do.get(host.name)
        return await log_in(host) if password is None else await keys_first(host, password)

    settled = hosts_trust.settle(hosts, yes=answers.yes, stream=sys.stderr, login=login)
    if settled is None:
        return None
    trusted, accepted = settled
    if accepted:
        say("1 key accepted" if len(accepted) == 1 else f"{len(accepted)} keys accepted")
    takes = {name: password.would_do for name, password in would_do.items()}
    return {
        host.name: Came(host=host, error=one.error, takes_password=takes.get(host.name))
        for host, one in zip(hosts, trusted, strict=True)
    }


def _others(found: Hosts, transport: str) -> list[Host]:
    """Those that are not in yet and may be by this transport."""
    from batchwasm.engine.ways import may_help

    left = {name: came.error for name, came in found.items() if came.error is not None}

    async def ask() -> list[bool]:
        return await asyncio.gather(*(may_help(transport, found[name].host, error) for name, error in left.items()))

    may = asyncio.run(ask()) if left else []
    return [replace(found[name].host, transport=transport) for name, it in zip(left, may, strict=True) if it]


# ------------------------------------------------------------------------------------------------- by password


def _asked_for(refused: Sequence[Came], fixed: set[HostName], answers: Answers) -> Hosts:
    """Where a password would do, it puts a key of ours there; where more is wanted, a person answers ssh itself."""
    from batchwasm.engine.install_key import takes_password
    from batchwasm.transports.openssh_errors import Asks
    from batchwasm.transports.ssh_keys import Locked
    from batchwasm.transports.ssh_password import AsksMore

    unknown = [one.host for one in refused if one.takes_password is None]
    found = dict(zip((host.name for host in unknown), asyncio.run(each(unknown, takes_password, untold)), strict=True))
    ask = [one for one in refused if one.takes_password or found.get(one.host.name)]
    done = {one.host.name: one for one in refused} | _by_password(ask, answers)
    # A code that comes after a password is seen only when that was given.
    more = [one.host for one in done.values() if isinstance(one.error, Asks | AsksMore | Locked)]
    free = [host for host in more if host.transport == "openssh" or host.name not in fixed]
    return done | _by_hand(free, answers)


def _by_hand(hosts: Sequence[Host], answers: Answers) -> Hosts:
    """Those that are in by ssh then; it asks in this terminal, if there is one."""
    from batchwasm.cli.logging_in import log_in

    if not hosts or answers.as_json or not sys.stdin.isatty():
        return {}
    tried = [replace(host, transport="openssh") for host in hosts]
    return {name: one for name, one in (_known(log_in(tried, refused=True), answers) or {}).items() if not one.error}


def _by_password(ask: Sequence[Came], answers: Answers) -> Hosts:
    done: Hosts = {}
    to_put = []
    keys = _keys([one.host for one in ask], answers)
    for one, key in zip(ask, keys, strict=True):
        if isinstance(key, HostError):
            done[one.host.name] = replace(one, error=key)
        else:
            to_put.append((one.host, key))
    for user, group in _by_user(to_put):
        try:
            _of_user(user, group, answers, done)
        except click.Abort:
            if not any(one.installed for one in done.values()):
                raise
            say("those that have your key now are written down all the same; to stop that, too: Ctrl-C")
            break
    return {host.name: Came(host=host, error=_unasked(host, answers)) for host, _ in to_put} | done


def _keys(hosts: Sequence[Host], answers: Answers) -> list[PublicKey | HostError]:
    """Of each host the key that it shall know; whether one may be made is asked once for all."""
    from batchwasm.engine.install_key import NEW_KEY, make_key

    found = [_own(host) for host in hosts]
    if not (answers.password_stdin or sys.stdin.isatty()):  # it would be made for nothing
        return [_unasked(host, answers) if key is None else key for host, key in zip(hosts, found, strict=True)]
    if None in found and _may_make(answers):
        try:
            make_key()
        except HostError as error:
            return [error if key is None else key for key in found]
        say(f"made a key of your own: {NEW_KEY} (without a passphrase, so that runs need nobody)")
        found = [_own(host) if key is None else key for host, key in zip(hosts, found, strict=True)]
    cure = f"--yes makes {NEW_KEY}; or ssh-keygen does, where ~/.ssh/config names another"
    return [
        HostError("auth", f"{host.name}: there is no key to put there", cure) if key is None else key
        for host, key in zip(hosts, found, strict=True)
    ]


def _own(host: Host) -> PublicKey | HostError | None:
    from batchwasm.transports.own_key import own_key

    try:
        return asyncio.run(own_key(host))
    except HostError as error:
        return error


def _may_make(answers: Answers) -> bool:
    from batchwasm.engine.install_key import NEW_KEY

    if answers.yes or not sys.stdin.isatty() or answers.password_stdin:
        return answers.yes
    return confirmed(f"You have no ssh key. Make {NEW_KEY}", default=True)


def _by_user(to_put: Sequence[Put]) -> Iterator[tuple[str, list[Put]]]:
    from batchwasm.transports import place

    def user(put: Put) -> str:
        return place(put[0]).rpartition("@")[0]

    for name, group in groupby(sorted(to_put, key=user), user):
        yield name, list(group)


def _of_user(user: str, group: Sequence[Put], answers: Answers, done: Hosts) -> None:
    """Into `done`. One password for all hosts of one user; on a terminal it is asked for again where it is wrong.

    Who has another one somewhere may have a third elsewhere: from then on each host gets what is typed for it alone, or
    the last of many would be given all that are those of others, and lock the user out.
    """
    left, wrong, apart = list(group), 0, False
    while left and wrong < TRIES:
        asked = left[:1] if apart else left
        password = _password(user, asked, answers)
        if password is None:  # they are left out; who has another one was given that of the others already
            done.update({host.name: Came(host=host, error=_unasked(host, answers)) for host, _ in asked})
            wrong, left = 1, left[len(asked) :]
            continue
        came = _one_first(asked, password)
        done.update(came)
        if any(map(_is_wrong, came.values())) and not any(one.installed for one in came.values()):
            wrong += 1
        else:  # the next has been given one: that which the others share
            wrong, apart = 1, True
        left = [put for put in left if put[0].name not in came or _is_wrong(came[put[0].name])]
        if answers.password_stdin:
            break
        if left and wrong < TRIES:
            say(f"not the password of {user} on {', '.join(name for name, one in came.items() if _is_wrong(one))}")
    for host, _ in left:
        done.setdefault(host.name, Came(host=host, error=_untried(host)))


def _one_first(group: Sequence[Put], password: str) -> Hosts:
    """On all once it was right on one: wrong on forty at once, it may lock the user out of all of them."""
    came: Hosts = {}
    for n, put in enumerate(group, 1):
        came |= (this := _tried([put], password))
        if any(map(_is_wrong, this.values())):
            break
        if any(one.installed for one in this.values()):
            return came | _tried(group[n:], password)
    return came


def _tried(group: Sequence[Put], password: str) -> Hosts:
    return {came.host.name: came for came in asyncio.run(_put(group, password))}


def _untried(host: Host) -> HostError:
    cause = f"{host.name}: the password was wrong on another host of this user, and was not tried here"
    return HostError("auth", cause, "add it again, with its password")


def _password(user: str, left: Sequence[Put], answers: Answers) -> str | None:
    from batchwasm.spec.hostlist import fold

    if answers.password_stdin:
        return sys.stdin.readline().rstrip("\r\n") or None
    if not sys.stdin.isatty():
        return None
    say(f"no key of yours is known to {fold(host.name for host, _ in left)}; {left[0][1].where} will be, by a password")
    skipped = "it" if len(left) == 1 else "them"
    return hidden(f"Password of {user} (Enter alone leaves {skipped} out; used once, not kept)") or None


def _unasked(host: Host, answers: Answers) -> HostError:
    cause = f"{host.name}: no key of yours is known there, and "
    if answers.password_stdin:
        return HostError("auth", f"{cause}stdin, where the password should be, is empty", "write it there, in a line")
    if sys.stdin.isatty():
        return HostError("auth", f"{cause}its password was not given", "add it again")
    cause += "nobody can be asked for a password here"
    return HostError("auth", cause, "run it on a terminal, or give the password with --password-stdin")


def _is_wrong(came: Came) -> bool:
    from batchwasm.transports.ssh_password import AsksMore

    is_refused = came.error is not None and came.error.code == "auth" and not came.installed
    return is_refused and not isinstance(came.error, AsksMore)


async def _put(group: Sequence[Put], password: str) -> list[Came]:
    """The key there, then a login by it."""
    from batchwasm.engine.install_key import install
    from batchwasm.engine.trust import trust

    keys = {host.name: key for host, key in group}

    async def one(host: Host) -> Came:
        key = keys[host.name]
        try:
            await install(host, password, key)
        except HostError as error:
            return Came(host=host, error=error)
        answer = await trust(host, lambda _: False)
        return Came(host=host, error=_refused_still(host, answer.error), installed=key.where)

    return await each([host for host, _ in group], one, _said)


def _said(_: int, came: Came) -> None:
    if came.installed and came.error is None:
        say(f"{came.host.name}: {came.installed} is known there now")


def _refused_still(host: Host, error: HostError | None) -> HostError | None:
    from batchwasm.transports.ssh_keys import too_many

    if error is None or error.code != "auth":
        return error
    cause = f"{host.name}: the key was put into ~/.ssh/authorized_keys there, and is refused all the same"
    if too_many(error.cause):  # those of an agent are shown before those in files
        return HostError("auth", cause, error.cure)
    return HostError("auth", cause, "may others write in that home, or does its sshd look elsewhere for keys?")
