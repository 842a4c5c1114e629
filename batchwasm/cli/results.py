"""`results`: the outcome of every task, and with --files what they left."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchwasm.cli import complete
from batchwasm.cli.options import PATH, json_option, run_option
from batchwasm.model import Outcome

if TYPE_CHECKING:
    from batchwasm.results import RunFolder
    from batchwasm.rows import ResultRow

WORDS = tuple(outcome.word for outcome in Outcome)
PARAMS_WIDTH = 20  # where rows are shown as they come
FAILED = tuple(word for word in WORDS if word not in ("succeeded", "cancelled", "skipped"))


@click.command("results")
@click.argument("task", required=False, metavar="[TASK]", shell_complete=complete.tasks)
@run_option
@click.option("--job", metavar="JOB", shell_complete=complete.jobs, help="Only tasks of this job.")
@click.option("--outcome", "outcomes", multiple=True, type=click.Choice(WORDS), help="Only such; repeatable.")
@click.option("--failed", is_flag=True, help="Only tasks that failed in whatever way.")
@click.option("-f", "--follow", is_flag=True, help="Go on with those that end from now on, until the run is over.")
@click.option("--usage", is_flag=True, help="Of each job instead: what it asked for, used, and should ask for.")
@click.option("--files", type=PATH, metavar="DIR", help="Write outputs, stdout and stderr to DIR/tasks/JOB/INDEX.")
@json_option
def command(
    task: str | None,
    run: str | None,
    job: str | None,
    outcomes: tuple[str, ...],
    failed: bool,
    follow: bool,
    usage: bool,
    files: Path | None,
    as_json: bool,
) -> None:
    """The outcome of every task that has ended, by job and index; with -f in the order in which they end."""
    from batchwasm import results
    from batchwasm.cli.render import print_json

    folder = results.find(run, Path.cwd())
    if usage:
        _show_usage(folder, job, as_json, given=(task, *outcomes, failed or None, follow or None, files))
        return
    wanted = dict.fromkeys((*outcomes, *(FAILED if failed else ())))
    rows = _rows(folder, task, job, tuple(wanted), follow=follow)
    if files is not None:
        rows = _export(folder, rows, files)
    if as_json:
        print_json(row.as_dict() for row in rows)
    elif files is None:
        _show(rows, sample=_sample(folder) if follow else None)
    else:
        deque(rows, maxlen=0)


def _show_usage(folder: RunFolder, job: str | None, as_json: bool, given: Sequence[object]) -> None:
    """Of all jobs, or one; `given` are arguments that go with tasks alone."""
    from batchwasm import api
    from batchwasm.cli import usage
    from batchwasm.cli.render import print_json
    from batchwasm.cli.tasks import known_job

    if any(item is not None for item in given):
        raise click.UsageError(
            "--usage is about jobs: of TASK, --outcome, --failed, --follow and --files it takes none"
        )
    status = api.status(folder)
    if job is not None:
        known_job(job, {row.name: row.tasks.total for row in status.jobs})
    jobs = [row for row in status.jobs if job in (None, row.name)]
    if as_json:
        print_json(usage.as_dict(status.run, row) for row in jobs)
    else:
        usage.show(jobs)


def _rows(
    folder: RunFolder, task: str | None, job: str | None, outcomes: Sequence[str], *, follow: bool
) -> Iterator[ResultRow]:
    """Rows of `task`, of `job`, or all. Raises RunError where there is no such task or job."""
    from batchwasm import api
    from batchwasm.cli.tasks import known_job, parse

    index = None
    if task is not None or job is not None:
        jobs = {row.name: row.tasks.total for row in api.status(folder).jobs}
        if job is not None:
            known_job(job, jobs)
        if task is not None:
            job, index = parse(task, jobs if job is None else {job: jobs[job]})
    if follow:
        return _as_they_end(folder, job, index, outcomes)
    return api.results(folder, job=job, index=index, outcome=outcomes)


def _as_they_end(folder: RunFolder, job: str | None, index: int | None, outcomes: Sequence[str]) -> Iterator[ResultRow]:
    from batchwasm import following
    from batchwasm.cli.follow import Looks

    with following.Following(folder) as run:
        yield from following.results(run, Looks(run), job=job, index=index, outcome=outcomes)


def _export(folder: RunFolder, rows: Iterable[ResultRow], dest: Path) -> Iterator[ResultRow]:
    """The same rows; before each is given, what its task left is in `dest`."""
    from batchwasm.cli.streams import reader
    from batchwasm.escape import say
    from batchwasm.units import count_text

    files = 0
    with reader(folder) as streams:
        for row in rows:
            written = streams.read(row.job, row.index)
            inline = {} if written is None else {"stdout": written.stdout, "stderr": written.stderr}
            small = {name: stream for name, stream in inline.items() if isinstance(stream, bytes)}
            files += folder.export_task(dest, row.job, row.index, **small)
            yield row
    what = "1 file" if files == 1 else f"{count_text(files)} files"
    say(f"{what} in {dest / 'tasks'}" if files else "no task left a file")


def _sample(folder: RunFolder) -> list[list[str]]:
    """Cells as wide as those of rows that are still to come, as far as one can tell."""
    from batchwasm import api

    now = api.status(folder)
    tasks = [f"{job.name}/{max(0, job.tasks.total - 1)}" for job in now.jobs]
    hosts = [host.name for host in now.hosts]
    widest = (max(words, key=len, default="") for words in (tasks, hosts))
    task, host = widest
    return [[task, "x" * PARAMS_WIDTH, "out_of_memory", host, "2 min 05 s", "1.5 GiB", ""]]


def _show(rows: Iterable[ResultRow], sample: Sequence[Sequence[str]] | None) -> None:
    from batchwasm.cli.render import Column, print_table
    from batchwasm.escape import say
    from batchwasm.units import taken_text

    columns = [
        Column(title="task"),
        Column(title="params"),
        Column(title="outcome", words=True),
        Column(title="host"),
        Column(title="wall", right=True),
        Column(title="memory", right=True),
        Column(title="output, or why not"),
    ]
    by_run = Counter[str | None]()
    print_table(columns, map(_cells, _counted(rows, by_run)), sample=sample)
    if not by_run:
        say("there is no such result")
    taken = Counter({run: count for run, count in by_run.items() if run is not None})
    if taken:
        say(taken_text(taken))


def _counted(rows: Iterable[ResultRow], by_run: Counter[str | None]) -> Iterator[ResultRow]:
    """The same rows, counted by the run that each was taken from; None is this one."""
    for row in rows:
        by_run[None if row.taken_from is None else row.taken_from.split(" ")[0]] += 1
        yield row


def _cells(row: ResultRow) -> list[str]:
    from batchwasm.model import text_of
    from batchwasm.units import duration_text, size_text

    return [
        f"{row.job}/{row.index}",
        " ".join(f"{name}={text_of(value)}" for name, value in row.params.items()),
        row.outcome,
        row.host or ("" if row.taken_from is None else f"(from {row.taken_from.split(' ')[0]})"),
        "" if row.wall_s is None else duration_text(row.wall_s),
        "" if row.peak_memory_bytes is None else size_text(row.peak_memory_bytes),
        _says(row),
    ]


def _says(row: ResultRow) -> str:
    """Why it did not succeed, else its value, else the first line of what it printed."""
    if row.reason is not None:
        return row.reason.text
    if row.value is not None:
        from batchwasm.cli.render import json_line

        return json_line(row.value)[:200]
    if row.stdout is None:
        return f"in {row.stdout_path}" if row.stdout_path else ""
    first, _, rest = row.stdout.strip("\n").partition("\n")
    return f"{first[:200]} ..." if rest else first[:200]
