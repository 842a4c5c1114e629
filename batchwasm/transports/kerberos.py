"""Kerberos as the system's ssh uses it: what keeps a ticket of the user's from opening a host that takes tickets.

ssh tells it to who wants to hear everything only, in Kerberos's own words; so it is asked to log in once more, where
there is a ticket that it may show. What else there is to say is known without: sshd counts the logins that it refuses.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass

from batchwasm.transports import gates
from batchwasm.transports.openssh_client import LOCAL_S, NOTHING, Client, Options, is_there, run

METHOD = "gssapi-with-mic"
ALLOW = "GSSAPIAuthentication yes"
DIAGNOSIS_S = 15.0  # a Kerberos server that is there answers at once; one that is not keeps ssh for half a minute
_TRIES = f"Next authentication method: {METHOD}"
_NO_TICKET = re.compile(r"no (kerberos )?credentials|credentials? (cache )?.*not found", re.I)
_NO_KDC = "no Kerberos server answers: look at the network (a VPN?) and at /etc/krb5.conf"
_CURES = (
    (re.compile(r"expired", re.I), "your Kerberos ticket expired; get a new one: kinit"),
    (
        re.compile(r"not found in kerberos database|server not found", re.I),
        "Kerberos knows it by another name: write its full name as HostName into ~/.ssh/config",
    ),
    (re.compile(r"clock skew", re.I), "set the clock here, or there: Kerberos allows 5 minutes between them"),
    (re.compile(r"\bkdc\b", re.I), _NO_KDC),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Useless:
    """A ticket that does not open a host, or none."""

    said: str
    """By Kerberos; empty where there is no ticket, as on every machine that knows nothing of Kerberos."""
    cure: str


async def useless(client: Client, options: Options, gate: str) -> Useless | None:
    """Why no ticket of ours opens the host, which takes them; None where this ssh was built without Kerberos.

    `gate` is the machine that is connected to first. Where ssh_config says no, nothing is shown there, not even to try.
    """
    allowed = options.one("gssapiauthentication")  # not there where it was built without
    if not allowed:
        return None
    if not await held():
        then = "" if allowed == "yes" else f", and write {ALLOW} into ~/.ssh/config"
        return Useless(said="", cure=f"get a Kerberos ticket with kinit{then}")
    if allowed != "yes":
        said = "your ticket is not shown there, as ssh_config has GSSAPIAuthentication no"
        return Useless(said=said, cure=f"if it may be shown there, write {ALLOW} into ~/.ssh/config")
    async with gates.again(gate):
        # What is tried is whether the ticket opens it: nothing is left there for who is in, whatever ssh_config says.
        line = client.alone("-oLogLevel=DEBUG1", "-oGSSAPIDelegateCredentials=no", command=NOTHING)
        ran = await run(line, DIAGNOSIS_S)
    if ran.code is None:
        return Useless(said=f"no end of it within {DIAGNOSIS_S:.0f} s", cure=_NO_KDC)
    if _TRIES not in ran.words or ran.code == 0:  # it opens meanwhile
        return None
    return _why(_said(ran.words), options)


async def held() -> bool:
    """Whether there is a ticket here, one that expired too; without `klist`, whether one was announced."""
    program = shutil.which("klist")
    if program is not None:
        async with gates.local():
            return (await run([program], LOCAL_S)).code == 0
    return "KRB5CCNAME" in os.environ or is_there(f"/tmp/krb5cc_{os.getuid()}")


def _why(said: str, options: Options) -> Useless:
    if _NO_TICKET.search(said):
        return Useless(said="", cure="get a Kerberos ticket with kinit")
    for pattern, cure in _CURES:
        if pattern.search(said):
            return Useless(said=said, cure=cure)
    if said:
        return Useless(said=said, cure="look at your Kerberos ticket: klist; a new one: kinit")
    user = options.one("user")
    cure = f"is the Kerberos principal that klist shows one of {user}'s there? if not: kinit, or User in ~/.ssh/config"
    return Useless(said="your ticket is refused", cure=cure)


def _said(words: str) -> str:
    """What Kerberos said, on a line of its own among those of ssh."""
    tried = words.rpartition(_TRIES)[2].partition("debug1: Authentications that can continue")[0]
    tried = tried.partition("debug1: Next authentication method")[0]
    lines = [line.strip() for line in tried.splitlines() if line.strip() and not line.startswith("debug")]
    return lines[0] if lines else ""
