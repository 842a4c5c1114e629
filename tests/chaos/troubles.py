"""What goes wrong on a host or on the way to it, and how each is mended. Which, where and how long is drawn."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

from tests.chaos.nets import NetHost, command
from tests.sshd import _kill

Mend = Callable[[], None]


class Kind(NamedTuple):
    """One way to go wrong."""

    start: Callable[[NetHost, random.Random], Mend | None]
    """Makes it go wrong; None where there was nothing to hit."""
    weight: float
    short_s: tuple[float, float]
    """How long it lasts; mended after that."""
    long_s: tuple[float, float] | None = None
    """How long it lasts one time in six, where that is another matter: a connection that was silent for 30 s is given
    up, one that was so for 5 s is not."""


def link_down(host: NetHost, dice: random.Random) -> Mend:
    command("ip", "link", "set", host.link, "down")
    return lambda: command("ip", "link", "set", host.link, "up")


def drop(host: NetHost, dice: random.Random) -> Mend:
    """Packets vanish, both ways."""
    return _rules(["INPUT", "-s", host.address, "-j", "DROP"], ["OUTPUT", "-d", host.address, "-j", "DROP"])


def drop_to(host: NetHost, dice: random.Random) -> Mend:
    """It hears nothing of us."""
    return _rules(["OUTPUT", "-d", host.address, "-j", "DROP"])


def drop_from(host: NetHost, dice: random.Random) -> Mend:
    """We hear nothing of it, though it hears us."""
    return _rules(["INPUT", "-s", host.address, "-j", "DROP"])


def reset(host: NetHost, dice: random.Random) -> Mend:
    """Connections are reset, and new ones refused, as by a firewall that was restarted."""
    how = ["-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset"]
    return _rules(["INPUT", "-s", host.address, *how], ["OUTPUT", "-d", host.address, *how])


def slow(host: NetHost, dice: random.Random) -> Mend:
    """A thin line both ways."""
    rate = ["tbf", "rate", f"{dice.choice([64, 256, 1024])}kbit", "burst", "8kb", "latency", "400ms"]
    command("tc", "qdisc", "add", "dev", host.link, "root", *rate)
    host.inside("tc", "qdisc", "add", "dev", "eth0", "root", *rate)

    def mend() -> None:
        command("tc", "qdisc", "delete", "dev", host.link, "root")
        host.inside("tc", "qdisc", "delete", "dev", "eth0", "root")

    return mend


def restart_sshd(host: NetHost, dice: random.Random) -> Mend:
    """The listener is away; one time in two its connections are cut as well."""
    if dice.random() < 0.5:
        host.drop_connections()
    host.stop()
    return host.start


def drop_connections(host: NetHost, dice: random.Random) -> Mend:
    host.drop_connections()
    return nothing


def kill_relays(host: NetHost, dice: random.Random) -> Mend | None:
    return _killed(host.runners("relay"))


def kill_worker(host: NetHost, dice: random.Random) -> Mend | None:
    return _killed(dice.sample(workers, 1) if (workers := host.runners("worker")) else [])


def kill_supervisor(host: NetHost, dice: random.Random) -> Mend | None:
    return _killed(host.runners("supervisor"))


def stall_supervisor(host: NetHost, dice: random.Random) -> Mend | None:
    """It does nothing for a while, as on a machine that swaps: connected, and silent."""
    stalled = host.runners("supervisor")
    _signal(stalled, signal.SIGSTOP)
    return (lambda: _signal(stalled, signal.SIGCONT)) if stalled else None


def reboot(host: NetHost, dice: random.Random) -> Mend:
    host.power_off()
    return host.power_on


KINDS: Mapping[str, Kind] = {
    "link down": Kind(link_down, 3, (0.5, 6), (32, 45)),
    "packets dropped": Kind(drop, 2, (0.5, 6), (32, 45)),
    "packets to it dropped": Kind(drop_to, 2, (0.5, 6), (32, 45)),
    "packets from it dropped": Kind(drop_from, 2, (0.5, 6), (32, 45)),
    "connections reset": Kind(reset, 3, (0.2, 2)),
    "link slow": Kind(slow, 3, (2, 10)),
    "sshd restarted": Kind(restart_sshd, 3, (0, 3)),
    "connections killed": Kind(drop_connections, 3, (0, 0)),
    "relays killed": Kind(kill_relays, 4, (0, 0)),
    "worker killed": Kind(kill_worker, 3, (0, 0)),
    "supervisor killed": Kind(kill_supervisor, 2, (0, 0)),
    "supervisor stalled": Kind(stall_supervisor, 2, (1, 12), (32, 36)),
    "host rebooted": Kind(reboot, 1, (0.5, 5)),
}


class Trouble(NamedTuple):
    """One that was drawn."""

    name: str
    host: NetHost
    seconds: float


def draw(hosts: list[NetHost], dice: random.Random, *, longest_s: float) -> Trouble:
    """Some trouble for one of these hosts."""
    name = dice.choices(list(KINDS), [kind.weight for kind in KINDS.values()])[0]
    kind = KINDS[name]
    span = kind.long_s if kind.long_s is not None and dice.random() < 1 / 6 else kind.short_s
    return Trouble(name, dice.choice(hosts), min(dice.uniform(*span), longest_s))


def _rules(*rules: list[str]) -> Mend:
    for rule in rules:
        command("iptables", "-w", "-A", *rule)

    def mend() -> None:
        for rule in rules:
            command("iptables", "-w", "-D", *rule)

    return mend


def _killed(pids: list[int]) -> Mend | None:
    _kill(pids)
    return nothing if pids else None


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def nothing() -> None:
    """Mends what is over at once."""
