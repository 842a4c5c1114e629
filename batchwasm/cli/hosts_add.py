"""`hosts add`: key, login and probe of new hosts, step by step, then their tables in the inventory.

Nothing is written into the inventory before the last step. What a person is asked for on the way (keys of hosts, a
password) is asked for once for all hosts, and only on a terminal.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click import Abort

from batchwasm.cli.render import print_json
from batchwasm.errors import EXIT_BAD_INPUT, EXIT_SUCCEEDED, EXIT_WORLD, BatchwasmError, HostError, WorldError
from batchwasm.escape import say
from batchwasm.model import Host, HostName

if TYPE_CHECKING:
    from batchwasm.cli.hosts_login import Answers
    from batchwasm.engine.check import Check
    from batchwasm.spec.adding import Keys, Plan

FINAL = ("auth", "penalty", "unreachable", "timeout", "permission")
"""What a login ended with that a probe would only hear again, after as long a wait."""


def run(wanted: Mapping[HostName, Keys], inventory: Path | None, answers: Answers) -> int:
    """The exit code: 2 where nobody accepted a key, 3 where a host was not added. Raises SpecError."""
    from batchwasm.cli import hosts_check, hosts_login
    from batchwasm.spec import adding

    plan = adding.plan(Path.cwd(), inventory, wanted)
    for host in plan.there:
        say(f"{host.name} is in {plan.shown} already, and its entry stays as it is")
    if plan.hosts:
        _look_for_room(plan)
    named = [*plan.there, *plan.hosts]
    fixed = {name for name, keys in wanted.items() if "transport" in keys} | {host.name for host in plan.there}
    try:
        came = hosts_login.through(named, fixed=fixed, answers=answers)
    except (KeyboardInterrupt, Abort):
        say(f"nothing was written into {plan.shown}")
        raise
    if came is None:
        say(f"nothing was written into {plan.shown}")
        if answers.as_json:
            print_json(_unasked(plan, host, host in plan.there) for host in named)
        return EXIT_BAD_INPUT
    hosts = [each.host for each in came.values()]
    refused = {name: one.error for name, one in came.items() if one.error and one.error.code in FINAL}
    checks = hosts_check.asked(hosts, shown=not answers.as_json, refused=refused)
    if not answers.as_json:
        hosts_check.show(hosts, checks)
    errors = {name: came[name].error or check.error for name, check in zip(came, checks, strict=True)}
    new = {host.name for host in plan.hosts}
    kept = {one.name: one.transport for one in hosts if one.name in new and (answers.anyway or not errors[one.name])}
    installed = {name: each.installed for name, each in came.items()}
    try:
        done = _write(adding.revised(plan, kept)) if kept else plan
    except BatchwasmError:
        _print(plan, checks, {}, installed, answers)  # which keys were put where is to be known all the same
        raise
    _tell(done, kept, errors, answers)
    _print(done, checks, kept, installed, answers)
    return EXIT_WORLD if any(errors.values()) and not answers.anyway else EXIT_SUCCEEDED


def _look_for_room(plan: Plan) -> None:
    """Before a password is used. Raises WorldError."""
    path = Path(os.path.realpath(plan.path))
    if path.exists() and not (path.stat().st_mode & 0o222 and os.access(path, os.W_OK)):
        raise _unwritable(plan, "it is read-only")
    folder = next(above for above in path.parents if above.exists())
    try:
        tempfile.TemporaryFile(dir=folder).close()  # as it will be written: a file beside it that takes its place
    except OSError as error:
        raise _unwritable(plan, error.strerror) from error


def _unwritable(plan: Plan, why: str | None) -> WorldError:
    return WorldError(f"{plan.shown}: can't be written: {why}; name another one with -i")


def _write(plan: Plan) -> Plan:
    """All of it or nothing; a link is followed, the file's mode stays."""
    from batchwasm.spec import adding

    path = Path(os.path.realpath(plan.path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, aside = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with open(descriptor, "wb") as file:
                file.write(adding.with_tables(plan).encode())
                file.flush()
                os.fsync(file.fileno())
            os.chmod(aside, _mode(path))
            os.replace(aside, path)
        except BaseException:
            os.unlink(aside)
            raise
    except OSError as error:
        raise _unwritable(plan, error.strerror) from error
    return plan


def _mode(path: Path) -> int:
    """Of the file that is there, else what the user's umask leaves."""
    if path.exists():
        return path.stat().st_mode & 0o7777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _tell(
    plan: Plan, kept: Mapping[HostName, str], errors: Mapping[HostName, HostError | None], answers: Answers
) -> None:
    from batchwasm.spec import adding
    from batchwasm.spec.hostlist import fold

    left = {name: error for name, error in errors.items() if error and name not in kept}
    there = [host.name for host in plan.there if host.name in left]
    out = [name for name in left if name not in there]
    if kept:
        what = "1 host was" if len(kept) == 1 else f"{len(kept)} hosts were"
        say(f"\n{what} added to {plan.shown}:")
        say("".join(f"  {line}".rstrip() + "\n" for line in adding.tables(plan.keys).splitlines()))
    if left and not sys.stdout.isatty():  # a terminal has had all of it below the table
        for name, error in left.items():
            say(f"{name}: {error.beside(name)}")
    if there:
        say(f"{fold(there)}: in {plan.shown}, but can't be used yet")
    if out:
        say(f"{fold(out)}: not added; run this again when that is mended, or with --anyway to add it as it is")
    if len(left) < len(errors):
        _next(plan)


def _next(plan: Plan) -> None:
    """What one does then, as it can be typed."""
    from batchwasm.spec import adding

    found, _ = adding.place(Path.cwd(), None)
    option = "" if os.path.abspath(found) == os.path.abspath(plan.path) else f" -i {_quoted(plan.shown)}"
    jobs = "run jobs.toml" if Path("jobs.toml").exists() else "run SOURCE"
    say(f"next: batchwasm {jobs}{option}")
    say(f"      batchwasm hosts check{option}     at any time, to see how they are")


def _quoted(text: str) -> str:
    import shlex

    return shlex.quote(text)


def _print(
    plan: Plan,
    checks: Iterable[Check],
    kept: Mapping[HostName, str],
    installed: Mapping[HostName, str],
    answers: Answers,
) -> None:
    if answers.as_json:
        print_json(_checked(plan, check, kept, installed) for check in checks)


def _checked(
    plan: Plan, check: Check, kept: Mapping[HostName, str], installed: Mapping[HostName, str]
) -> dict[str, Any]:
    from batchwasm.cli.hosts_check import as_dict, error_dict

    there = check.host in {host.name for host in plan.there}
    state = "there" if there else "added" if check.host in kept else "not_added"
    row = _row(plan, check.host, kept.get(check.host, check.transport), state)
    key = installed.get(check.host) or None
    return {**row, "installed_key": key, "error": error_dict(check.error), "check": as_dict(check)}


def _unasked(plan: Plan, host: Host, there: bool) -> dict[str, Any]:
    from batchwasm.cli.hosts_check import error_dict

    error = HostError("key", f"{host.name}: host keys were shown and not accepted", "--yes accepts them")
    row = _row(plan, host.name, host.transport, "there" if there else "not_added")
    return {**row, "error": error_dict(error)}


def _row(plan: Plan, name: HostName, transport: str, state: str) -> dict[str, Any]:
    return {
        "schema": "host-add/1",
        "host": name,
        "state": state,
        "inventory": os.path.abspath(plan.path),
        "transport": transport,
        "installed_key": None,
        "error": None,
        "check": None,
    }
