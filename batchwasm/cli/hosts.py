"""`hosts add | check | list | trust | drain | undrain | clean`: the machines of an inventory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from batchwasm.cli import complete
from batchwasm.cli.commands import Commands
from batchwasm.cli.options import PATH, inventory_options, json_option, live_run_option
from batchwasm.model import TRANSPORTS

if TYPE_CHECKING:
    from batchwasm.model import Host

F = TypeVar("F", bound=Callable[..., Any])


def host_options(command: F) -> F:
    """Which hosts are meant: `names`, `inventory`, `hosts`."""
    names = click.argument("names", nargs=-1, metavar="[HOST]...", shell_complete=complete.hosts)
    return names(inventory_options(command))


@click.group("hosts", cls=Commands)
def command() -> None:
    """Add, check, list, trust, drain and clean the machines of an inventory.

    HOST names some of them (lab[01-04] is four); without it all are meant.
    """


@command.command("add")
@click.argument("targets", nargs=-1, required=True, metavar="[USER@]HOST...", shell_complete=complete.ssh_hosts)
@click.option(
    "-i",
    "--inventory",
    type=PATH,
    metavar="FILE",
    shell_complete=complete.toml_files,
    help="Where to write them; default: the inventory that is found here, else ~/.config/batchwasm/inventory.toml.",
)
@click.option("--name", metavar="NAME", help="What to call it, where that is not its address; a list for several.")
@click.option("--port", type=click.IntRange(1, 65_535), help="Of its sshd.")
@click.option("--label", "labels", multiple=True, metavar="LABEL", help="May be given again.")
@click.option("--transport", type=click.Choice(TRANSPORTS), help="Default: ssh, or another one that works.")
@click.option("--workdir", metavar="PATH", help="Where the runner and its cache go there.")
@click.option("--python", metavar="PATH", help="Its Python, where the one that is found will not do.")
@click.option("--yes", is_flag=True, help="Accept host keys without asking, and make a key of yours if there is none.")
@click.option("--password-stdin", is_flag=True, help="Read the password from stdin, if one is needed.")
@click.option("--anyway", is_flag=True, help="Write down hosts, too, that something is wrong with.")
@json_option
def add_command(targets: tuple[str, ...], inventory: Path | None, name: str | None, **given: Any) -> int:
    """Log in to new hosts, probe them, and write them into the inventory.

    \b
      batchwasm hosts add alice@lab01
      batchwasm hosts add 'alice@lab[01-12]' --label fast

    Host keys that are not known are shown and accepted once. Where no key of yours is known, a password is asked for,
    used to put one there, and not kept. The inventory is written at the end, and only hosts that work are; what is in
    it stays as it is, and hosts that are in it get a key all the same. Exit 2 where something is wrong with what was
    given, or a host key was not accepted; 3 where a host was not added, or is in it and does not work.
    """
    from batchwasm.cli import hosts_add
    from batchwasm.cli.hosts_login import Answers
    from batchwasm.spec.adding import wanted

    keys = {key: given[key] for key in ("port", "transport", "workdir", "python") if given[key] is not None}
    labels = {"labels": list(given["labels"])} if given["labels"] else {}
    answers = Answers(**{key: given[key] for key in ("yes", "password_stdin", "anyway", "as_json")})
    return hosts_add.run(wanted(targets, name, {**keys, **labels}), inventory, answers)


@command.command("list")
@host_options
@json_option
def list_command(names: tuple[str, ...], inventory: Path | None, hosts: str | None, as_json: bool) -> None:
    """What the inventory says; nobody is asked."""
    from batchwasm.cli.render import Column, print_json, print_table
    from batchwasm.spec.quantities import amount_text
    from batchwasm.units import size_text

    found = chosen(names, inventory, hosts)
    if as_json:
        print_json(map(_listed, found))
        return
    titles = (
        *("host", "transport", "address", "user", "port", "cpus", "memory", "gpus"),
        *("labels", "resources", "workdir", "mounts"),
    )
    cells = (
        [
            *(host.name, host.transport, host.address, host.user or "", str(host.port or ""), str(host.cpus or "")),
            *(
                "" if host.memory_bytes is None else size_text(host.memory_bytes),
                "" if host.gpus is None else str(host.gpus),
            ),
            " ".join(sorted(host.labels)),
            " ".join(f"{name}={amount_text(number)}" for name, number in host.resources.items()),
            host.workdir or "",
            " ".join(f"{name}={path}" for name, path in host.mounts.items()),
        ]
        for host in found
    )
    print_table([Column(title=title, right=title in ("port", "cpus", "memory", "gpus")) for title in titles], cells)


def _listed(host: Host) -> dict[str, Any]:
    fields = {name: getattr(host, name) for name in host.__dataclass_fields__}
    fields |= {"mounts": dict(host.mounts), "labels": sorted(host.labels), "resources": dict(host.resources)}
    return {"schema": "host/1", **fields, "address": host.address or None, "courtesy": asdict(host.courtesy)}


@command.command("check")
@host_options
@click.option("--wide", is_flag=True, help="All columns in full, however narrow the terminal.")
@json_option
def check_command(names: tuple[str, ...], inventory: Path | None, hosts: str | None, wide: bool, as_json: bool) -> int:
    """Log in to every host and say what is wrong with it; installs nothing but a Python where there is none.

    Exit 3 where a host is bad. Where its transport can't log in and another one may, that is tried, and named if it
    works.
    """
    from batchwasm.cli import hosts_check

    return hosts_check.run(chosen(names, inventory, hosts), as_json=as_json, wide=wide)


@command.command("trust")
@host_options
@click.option("--yes", is_flag=True, help="Accept without asking, for networks where you know who answers.")
def trust_command(names: tuple[str, ...], inventory: Path | None, hosts: str | None, yes: bool) -> int:
    """Show the unknown host keys of all hosts, and accept them once.

    Compare the fingerprints with what the machines' owners say. Keys that changed are never accepted here.

    \b
      ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub      on the machine itself
    """
    from batchwasm.cli import hosts_trust

    return hosts_trust.run(chosen(names, inventory, hosts), yes=yes)


_LIVE_HOSTS = click.argument("names", nargs=-1, required=True, metavar="HOST...", shell_complete=complete.live_hosts)


@command.command("drain")
@_LIVE_HOSTS
@live_run_option
@click.option("--why", default="", metavar="TEXT", help="The reason, which status shows; default: by whom.")
@json_option
def drain_command(names: tuple[str, ...], run: str | None, why: str, as_json: bool) -> int:
    """Give hosts nothing new, in all runs that go on; what runs there ends.

    The runs wait if need be, and use the hosts again after 'batchwasm hosts undrain'. Exit 2 for a host that no run has
    (nothing is done then), 3 where no run goes on.
    """
    from batchwasm.cli import hosts_drain

    return hosts_drain.run(names, run, drained=True, why=why, as_json=as_json)


@command.command("undrain")
@_LIVE_HOSTS
@live_run_option
@json_option
def undrain_command(names: tuple[str, ...], run: str | None, as_json: bool) -> int:
    """Use hosts again: drained ones, and those that a run set aside because too much failed there."""
    from batchwasm.cli import hosts_drain

    return hosts_drain.run(names, run, drained=False, as_json=as_json)


@command.command("clean")
@host_options
@click.option("--force", is_flag=True, help="Also where a run is using the host; its tasks there are lost.")
@json_option
def clean_command(names: tuple[str, ...], inventory: Path | None, hosts: str | None, force: bool, as_json: bool) -> int:
    """Remove all that batchwasm put on the hosts: runner, cache, idle supervisors."""
    from batchwasm.cli import hosts_clean

    return hosts_clean.run(chosen(names, inventory, hosts), force=force, as_json=as_json)


def chosen(names: Sequence[str], inventory: Path | None, hosts: str | None) -> Sequence[Host]:
    """The hosts that are meant. Raises SpecError."""
    from batchwasm import spec

    wanted = (*names, *([hosts] if hosts is not None else ()))  # --hosts "" names none: it must not mean all
    return spec.load_inventory(Path.cwd(), inventory=inventory, hosts=",".join(wanted) if wanted else None).hosts
