"""What Tab offers: commands and options (click knows them), files, runs, tasks and hosts (these functions).

A shell calls the program at every Tab, so an answer is quick, bounded, and never an error: where nothing can be found
out, nothing is offered.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class, shell_complete, split_arg_string

from batchwasm.errors import BatchwasmError

if TYPE_CHECKING:
    from batchwasm.rows import Status

VARIABLE = "_BATCHWASM_COMPLETE"
OFFERS = 200  # more is no help to a person, and a sweep may have a million tasks
SOURCES = (".rs", ".cpp", ".cc", ".c", ".go", ".zig", ".wat", ".wasm")
_ANY_FILE = CompletionItem("", type="file")


class _Bash(BashComplete):
    """A colon parts words for bash: FILE:FUNCTION comes in three, and only what is behind the colon is put in."""

    def get_completion_args(self) -> tuple[list[str], str]:
        words, current = split_arg_string(os.environ["COMP_WORDS"]), int(os.environ["COMP_CWORD"])
        whole: list[str] = []
        glued = False
        for word in [*words, ""][: current + 1]:
            colons = bool(word) and not word.strip(":")
            if whole and (colons or glued):
                whole[-1] += word
            else:
                whole.append(word)
            glued = colons
        return whole[1:-1], whole[-1]

    def format_completion(self, item: CompletionItem) -> str:
        _, incomplete = self.get_completion_args()
        before = incomplete[: incomplete.rfind(":") + 1]
        return f"{item.type},{item.value.removeprefix(before)}"


def answer(group: click.Group, instruction: str) -> int:
    """Do what the shell's script asks for in `instruction`, such as `bash_complete`."""
    add_completion_class(_Bash)
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


def source_or_function(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Sources; behind a colon the functions in that one."""
    file, colon, _ = incomplete.partition(":")
    return _offer(_functions(file), incomplete) if colon else _files(incomplete, SOURCES)


def functions(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """FILE:FUNCTION; where one source is left, its functions at once."""
    found = source_or_function(ctx, param, incomplete)
    if len(found) == 1 and found[0].type == "plain" and ":" not in found[0].value:
        return _offer(_functions(found[0].value), "") or found
    return found


def _functions(file: str) -> Iterator[str]:
    from batchwasm import functions as of_sources
    from batchwasm import spec

    try:
        run, _ = spec.from_source(Path(file).expanduser(), [], settings={"function": "?"})
        names = of_sources.names(run.jobs[0].source)
    except (BatchwasmError, OSError, ValueError):
        return
    yield from (f"{file}:{name}" for name in names)


def runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of runs here, then of the index."""
    from batchwasm import results

    found = _offer(results.names(Path.cwd()), incomplete)
    return found or [CompletionItem("", type="dir")]


def run_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The same, without those that are given already."""
    given = ctx.params.get("runs") or ()
    return [item for item in runs(ctx, param, incomplete) if item.value not in given]


def jobs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Jobs of the run that -r names, else of the newest."""
    return _offer((name for name, _ in _jobs_of_run(ctx)), incomplete)


def tasks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """JOB/INDEX of the run that -r names, else of the newest; JOB alone where it has one task."""
    job, slash, index = incomplete.partition("/")
    found = [(name, total) for name, total in _jobs_of_run(ctx) if (name == job if slash else name.startswith(job))]
    return _offer((task for name, total in found for task in _tasks_of(name, total, index, slash)), incomplete)


def jobs_and_tasks(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Jobs of the run that -r names, else of the newest; after a slash their tasks."""
    return (tasks if "/" in incomplete else jobs)(ctx, param, incomplete)


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


def ssh_hosts(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names that ~/.ssh/config and known_hosts have, behind `user@` too; those in the inventory are there already."""
    user, at, _ = incomplete.rpartition("@")
    there = {item.value for item in hosts(ctx, param, "")} | set(ctx.params.get("targets") or ())
    return _offer((f"{user}{at}{host}" for host in dict.fromkeys(_known_to_ssh()) if host not in there), incomplete)


def _known_to_ssh() -> Iterator[str]:
    ssh = Path("~/.ssh").expanduser()
    for line in _lines(ssh / "config"):
        word, *names = line.replace("=", " ").split() or [""]
        if word.lower() == "host":
            yield from (name for name in names if not set("*?!") & set(name))
    for line in _lines(ssh / "known_hosts"):
        known = line.split(" ")[0]
        if not known.startswith(("|", "#", "@", "[")):  # hashed ones tell nothing
            yield from known.split(",")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def live_runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of runs that go on."""
    return _offer((status.run for status in _going_on(None)), incomplete)


def live_hosts(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Hosts of the run that -r names, else of all that go on; for `undrain` those that get nothing new."""
    undrain = ctx.info_name == "undrain"
    found = (host for status in _going_on(ctx.params.get("run")) for host in status.hosts)
    there = (
        host.name for host in found if (host.state in ("drained", "aside") if undrain else host.state != "removed")
    )
    return _offer(dict.fromkeys(there), incomplete)


def run_hosts(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Hosts of the run that -r names, else of the newest, whether it goes on or not."""
    from batchwasm import api, results

    try:
        status = api.status(results.find(ctx.params.get("run"), Path.cwd()))
    except (BatchwasmError, OSError):
        return []
    return _offer((host.name for host in status.hosts), incomplete)


def _going_on(run: str | None) -> list[Status]:
    from batchwasm import api

    try:
        if run is not None:
            return [api.status(api.find(run))]
        return [status for _, status in api.going_on()]
    except (BatchwasmError, OSError):
        return []


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
