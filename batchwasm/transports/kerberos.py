"""Kerberos as the system's ssh uses it: what keeps a ticket of the user's from opening a host that takes tickets.

ssh tells it to who wants to hear everything only, in Kerberos's own words; so it is asked to log in once more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from batchwasm.transports.openssh_client import DIAGNOSIS_S, NOTHING, Client, Options, run

METHOD = "gssapi-with-mic"
_TRIES = f"Next authentication method: {METHOD}"
_NO_TICKET = re.compile(r"no (kerberos )?credentials|credentials? (cache )?.*not found", re.I)
_CURES = (
    (re.compile(r"expired", re.I), "your Kerberos ticket expired; get a new one: kinit"),
    (
        re.compile(r"not found in kerberos database|server not found", re.I),
        "Kerberos knows it by another name: write its full name as HostName into ~/.ssh/config",
    ),
    (re.compile(r"clock skew", re.I), "set the clock here, or there: Kerberos allows 5 minutes between them"),
    (re.compile(r"\bkdc\b", re.I), "no Kerberos server answers: look at the network (a VPN?) and at /etc/krb5.conf"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Useless:
    """A ticket that does not open a host, or none."""

    said: str
    """By Kerberos; empty where there is no ticket, as on every machine that knows nothing of Kerberos."""
    cure: str


async def useless(client: Client, options: Options) -> Useless | None:
    """Why no ticket of ours opens the host, which takes them; None where this ssh was built without Kerberos."""
    line = client.alone("-oLogLevel=DEBUG1", "-oGSSAPIAuthentication=yes", command=NOTHING)
    ran = await run(line, DIAGNOSIS_S)
    if _TRIES not in ran.words:
        return None
    if ran.code == 0 and options.one("gssapiauthentication") != "yes":
        return Useless(said="a ticket would do", cure="write GSSAPIAuthentication yes into ~/.ssh/config")
    said = _said(ran.words)
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
