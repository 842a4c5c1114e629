"""What Tab offers: commands and options (click knows them), files, runs, tasks and hosts (these functions).

A shell calls the program at every Tab, so an answer is quick, bounded, and never an error: where nothing can be found
out, nothing is offered.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import click
from click.shell_completion import CompletionItem, shell_complete

from batchwasm.errors import BatchwasmError

VARIABLE = "_BATCHWASM_COMPLETE"
OFFERS = 200  # more is no help to a person, and a sweep may have a million tasks
SOURCES = (".rs", ".cpp", ".cc", ".c", ".go", ".zig", ".wat", ".wasm")
_ANY_FILE = CompletionItem("", type="file")


def answer(group: click.Group, instruction: str) -> int:
    """Do what the shell's script asks for in `instruction`, such as `bash_complete`."""
    try:
        return shell_complete(group, {}, "batchwasm", VARIABLE, instruction)
    except Exception:  # half a command line can be anything; a traceback in the middle of typing helps nobody
        return 1


def script(shell: str) -> str:
    """What `shell` (bash, zsh, fish) must source."""
    from click.shell_completion import get_completion_class

    completion = get_completion_class(shell)
    if completion is None:
        raise click.UsageError(f"no completion for {shell}; there is one for bash, zsh and fish")
    if shell == "bash":
        # click's own source() starts a bash to ask its version, and fails where none is found.
        template = completion({}, {}, "batchwasm", VARIABLE)  # type: ignore[arg-type]
        return template.source_template % template.source_vars()
    return completion({}, {}, "batchwasm", VARIABLE).source()  # type: ignore[arg-type]


def jobs_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """*.toml, and sources."""
    return _files(incomplete, (".toml", *SOURCES))


def toml_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _files(incomplete, (".toml",))


def source_files(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _files(incomplete, SOURCES)


def runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of runs here, then of the index."""
    from batchwasm import results

    found = _offer(results.names(Path.cwd()), incomplete)
    return found or [CompletionItem("", type="dir")]


def jobs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Jobs of the run that -r names, else of the newest."""
    return _offer((name for name, _ in _jobs_of_run(ctx)), incomplete)


def tasks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """JOB/INDEX of the run that -r names, else of the newest; JOB alone where it has one task."""
    job, slash, index = incomplete.partition("/")
    found = [(name, total) for name, total in _jobs_of_run(ctx) if (name == job if slash else name.startswith(job))]
    return _offer((task for name, total in found for task in _tasks_of(name, total, index, slash)), incomplete)


def _tasks_of(job: str, total: int, index: str, slash: str) -> Iterator[str]:
    if total == 1 and not slash:
        yield job
        return
    # Before the slash a few of each job will do: the shell then inserts what they share, JOB/.
    yield from (f"{job}/{number}" for number in islice(_starting_with(index, total), OFFERS if slash else 20))


def hosts(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Host names of the inventory; of a list such as `lab01,lab` the last is completed."""
    from batchwasm import spec

    try:
        inventory = spec.load_inventory(Path.cwd(), inventory=ctx.params.get("inventory"), hosts=None)
    except (BatchwasmError, OSError):
        return []
    before, comma, last = incomplete.rpartition(",")
    return _offer((f"{before}{comma}{host.name}" for host in inventory.hosts), before + comma + last)


def _offer(words: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(word) for word in islice((w for w in words if w.startswith(incomplete)), OFFERS)]


def _files(incomplete: str, suffixes: tuple[str, ...]) -> list[CompletionItem]:
    """Files in the folder that `incomplete` has got to; where none fits, the shell's own completion (for folders)."""
    folder, name = os.path.split(incomplete)
    try:
        entries = sorted(os.listdir(os.path.expanduser(folder) or "."))
    except OSError:
        return [_ANY_FILE]
    found = [os.path.join(folder, entry) for entry in entries if entry.startswith(name) and entry.endswith(suffixes)]
    # The scripts of click insert a word as it is; a name that needs quotes is left to the shell.
    plain = all(path.replace("/", "").replace(".", "").replace("-", "").replace("_", "").isalnum() for path in found)
    return [CompletionItem(path) for path in found[:OFFERS]] if found and plain else [_ANY_FILE]


def _jobs_of_run(ctx: click.Context) -> Iterator[tuple[str, int]]:
    """Name and number of tasks of each job."""
    from batchwasm import api, results

    try:
        status = api.status(results.find(ctx.params.get("run"), Path.cwd()))
    except (BatchwasmError, OSError):
        return
    yield from ((job.name, job.tasks.total) for job in status.jobs)


def _starting_with(digits: str, total: int) -> Iterator[int]:
    """The numbers below `total` whose decimal form starts with `digits`, without going through a million."""
    if not digits:
        yield from range(min(total, OFFERS))
        return
    if not digits.isdecimal() or (digits[0] == "0" and digits != "0"):
        return
    low, width = int(digits), 1
    while low < total:
        yield from range(low, min(low + width, total))
        if digits == "0":
            return
        low, width = low * 10, width * 10
