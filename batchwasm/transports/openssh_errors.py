"""Why the system's ssh did not log in: from its words to cause and cure, with the key that a host showed.

ssh says which key it did not accept to a person only, and nothing at all about a gateway's. So where it failed, who
failed is looked for again, gateway by gateway, and the key is fetched the way that ssh itself goes.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from batchwasm.errors import HostError
from batchwasm.transports import gates, kerberos, penalties, reaching
from batchwasm.transports.openssh_client import (
    GATEWAYS_DEEP,
    NOTHING,
    Client,
    Options,
    Ran,
    config_fault,
    configuration,
    folder,
    last_line,
    methods,
    new_name,
    quoted,
    run,
)
from batchwasm.transports.ssh_config import Endpoint

DIAGNOSIS_S = 60.0  # for a login that tells more than the one that failed
_ASKING = {"password", "keyboard-interactive"}
_KINDS = {
    "ED25519": "ssh-ed25519",
    "ECDSA": "ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521",
    "RSA": "rsa-sha2-512,rsa-sha2-256",
}


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


DROPPED = _pattern(r"kex_exchange_identification: |^Connection (closed|reset) by|banner exchange: .*(reset|closed)")
_KEY = _pattern("Host key verification failed|host key .*(has changed|was revoked)|no .* host key is known")
_CONFIG = _pattern(r"bad configuration option|terminating, \d+ bad|line \d+: |bad owner or permissions|^command-line:")
_REFUSED = _pattern("permission denied|authentication failures")
_PIN = _pattern(r"pin required|need pin entry|signing failed for [\w-]+-SK\b")
_REACH = (
    (_pattern("could not resolve hostname"), "no such name", "set its address in the inventory or in ~/.ssh/config"),
    (_pattern("connection refused"), "connection refused", "is sshd running there, and is the port right?"),
    (_pattern("no route to host"), "no route to it", "look at the network, the address and the port"),
    (_pattern("network is unreachable"), "its network is not reached", "look at the network and the address"),
    (_pattern("timed? ?out during banner exchange"), reaching.SILENT, reaching.LOOK_AT_SSHD),
    (_pattern("timed? ?out"), "no answer within {timeout:.0f} s", "is it on, and no firewall between?"),
    (
        _pattern("stdio forwarding|open failed"),
        "the gateway can't reach it",
        "is it on, and is its address known there?",
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """A login that failed: who tried where, and what ssh said."""

    name: str
    gate: str
    """The machine that is connected to first on the way to the host itself; see gates.turn."""
    target: Client
    """For the host itself."""
    client: Client
    """For it, or for a gateway on the way."""
    options: Options
    words: str

    @property
    def dropped(self) -> bool:
        """Before the server began to talk, which a server does that has too many logins."""
        return bool(DROPPED.search(last_line(self.words))) and not self.options.proxied and not _KEY.search(self.words)


async def why(failed: Failed, depth: int = 0) -> HostError:
    """The error for it; logs in again where the words do not tell."""
    if failed.options.proxied and depth < GATEWAYS_DEEP:
        gateway = await _gateway(failed, depth)
        if gateway is not None:
            return gateway
    return await _target(failed)


async def _gateway(failed: Failed, depth: int) -> HostError | None:
    """What is wrong with a machine on the way, outermost first."""
    before: tuple[str, ...] = ()
    for jump in failed.client.via or failed.options.jumps:
        client = Client(endpoint=Endpoint.parse(jump), via=before)
        options = await client.says(failed.name)
        client = client.undoing(options)
        ran = await _try(client, failed.gate)
        if ran.code == 255 or ran.code is None:
            return await why(replace(failed, client=client, options=options, words=ran.words), depth + 1)
        before = (*before, jump)
    return None


async def _try(client: Client, gate: str, *options: str) -> Ran:
    async with gates.turn(gate):
        return await run(client.alone(*options, command=NOTHING), DIAGNOSIS_S)


async def _target(failed: Failed) -> HostError:
    words, options, name = failed.words, failed.options, failed.name
    if options.proxied:  # with a master, what gateways say is thrown away
        again = await _try(failed.client, failed.gate)
        words = again.words or words
    settings = options.settings(failed.client.endpoint)
    said = last_line(words)
    where = f"{name}: {options.host} port {options.port}" + (" (through its gateway)" if options.proxied else "")
    if _CONFIG.search(words):
        return HostError("config", f"{name}: {config_fault(words)}", "mend it; try: ssh -G HOST")
    if _KEY.search(words):
        return await _key(failed, words)
    if "unable to negotiate" in words.lower():
        return HostError("protocol", f"{name}: {said}", "its sshd is too old, or ~/.ssh/config asks too much")
    if _REFUSED.search(words):
        return await _refused(failed, words)
    for pattern, cause, cure in _REACH:
        if pattern.search(words):
            return HostError("unreachable", f"{where}: {cause.format(timeout=options.connect_timeout_s)}", cure)
    if DROPPED.search(said) and options.proxied and not options.jumps:
        cause = f"{name}: {options.host} port {options.port}: its ProxyCommand does not reach it"
        first = words.strip().splitlines()[0].strip()
        return HostError("unreachable", f"{cause} ({first})", "ssh -G HOST shows the command: try it by itself")
    if DROPPED.search(said):
        if not options.proxied:
            await penalties.check(name, settings)
        return reaching.dropped(name, settings, said)
    return HostError("unreachable", f"{where}: {said or 'ssh ended without a word'}", "try: ssh HOST true")


class Asks(HostError):
    """HostError `auth` of a host, or a gateway, that wants an answer which a person could give."""

    def __init__(self, cause: str, cure: str) -> None:
        super().__init__("auth", cause, cure)


async def _refused(failed: Failed, words: str) -> HostError:
    from batchwasm.transports.ssh_keys import own_keys, refused

    offered = set(methods(words))
    settings = failed.options.settings(failed.client.endpoint)
    mine = own_keys(settings)
    token = failed.options.one("pkcs11provider", "none")
    if token != "none":
        mine = replace(mine, files=[*mine.files, token])
    told = [line for line in words.splitlines() if _REFUSED.search(line)]
    error = await refused(failed.name, settings, mine, last_line("\n".join(told)))
    ticket = None
    if kerberos.METHOD in offered:
        ticket = await kerberos.useless(failed.client, failed.options, failed.gate)
    cause = f"{error.cause}; Kerberos: {ticket.said}" if ticket is not None and ticket.said else error.cause
    cures = _by_a_person(failed, offered, words, token)
    asks = bool(cures or mine.locked)
    if token != "none" and not cures:
        cures.append(f"is the token in? its keys: ssh-keygen -D {shlex.quote(token)}")
    if "publickey" in offered or not offered or not (cures or ticket):
        cures.append(error.cure)
    if ticket is not None:  # many a host takes tickets whose users know of none, and has then nothing to say of them
        cures.insert(0 if ticket.said else len(cures), ticket.cure)
    cure = "; or: ".join(cures)
    return Asks(cause, cure) if asks else HostError("auth", cause, cure)


def _by_a_person(failed: Failed, offered: set[str], words: str, token: str) -> list[str]:
    """What somebody at a terminal can do who has the password, the code, the PIN."""
    # To the host itself: on the way there a gateway asks as well, and only that connection is looked for.
    log_in = f"log in once yourself: {by_hand(failed.target)}"
    if _PIN.search(words):
        to_agent = [f"give it to the agent: ssh-add -s {shlex.quote(token)}"] if token != "none" else []
        return [f"the token wants its PIN or a touch: {log_in}", *to_agent]
    if _ASKING & offered:
        return [f"where it asks for a password or a code, {log_in}"]
    return []


def by_hand(client: Client) -> str:
    """What a person types once in a terminal; the connection stays, and is found by us. See Client.shared."""
    at = client.endpoint
    port = [f"-p{at.port}"] if at.port is not None else []
    user = [f"-l{at.user}"] if at.user is not None else []
    stays = ("-o", "ControlMaster=auto", "-o", "ControlPersist=8h", "-S", standing(client))
    ours = ("-o", "RemoteCommand=none", "-o", "ClearAllForwardings=yes", *client.undo)
    return shlex.join(["ssh", *configuration(), *stays, *ours, *port, *user, at.name, NOTHING])


def standing(client: Client) -> str:
    """Where a connection listens that a person made for us.

    What a name stands for is up to ~/.ssh/config: with another one it may be another machine.
    """
    at = client.endpoint
    config = Path.home() / ".ssh/config"
    known = config.read_bytes() if config.is_file() else b""
    digest = hashlib.sha256(f"{config}\n{at.user}@{at.name}:{at.port}\n".encode() + known).hexdigest()
    return str(folder() / digest[:12])


async def _key(failed: Failed, words: str) -> HostError:
    import asyncssh

    from batchwasm.transports.ssh_keys import HostKeys

    settings = failed.options.settings(failed.client.endpoint)
    judge = HostKeys(settings)
    if "revoked" not in words:
        line = await _fetched(failed.client, failed.gate, words)
        if line is None:
            return HostError("key", f"{failed.name}: {last_line(words)}", "try: ssh HOST true")
        judge.offered = asyncssh.import_public_key(line)
    return judge.error(failed.name)


async def _fetched(client: Client, gate: str, words: str) -> str | None:
    """`ssh-ed25519 AAAA...` as the host shows it, by a login that ends when its key was seen."""
    path = folder() / new_name()
    shown = re.search(r"fingerprint for the (\w+) key", words)
    kind = [f"-oHostKeyAlgorithms={_KINDS[shown[1]]}"] if shown and shown[1] in _KINDS else []
    options = (
        *("-oStrictHostKeyChecking=accept-new", f"-oUserKnownHostsFile={quoted(path)}"),
        *("-oGlobalKnownHostsFile=/dev/null", "-oHashKnownHosts=no", "-oCheckHostIP=no", *kind),
        *("-oPreferredAuthentications=none", "-oUpdateHostKeys=no"),
    )
    try:
        await _try(client, gate, *options)
        lines = path.read_text().splitlines() if path.is_file() else []
    finally:
        path.unlink(missing_ok=True)
    return " ".join(lines[-1].split()[1:3]) if lines else None
