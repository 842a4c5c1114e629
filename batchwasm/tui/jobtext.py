"""A job in words and bars: how far it is, what failed and why, how long its attempts take, what they need. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from textual.content import Content

from batchwasm.core.sizing import Sizing
from batchwasm.escape import visible
from batchwasm.tui.gauges import gauge
from batchwasm.tui.marks import FAINT, mark, word
from batchwasm.tui.panes import content_of, faint, head, lines
from batchwasm.tui.said import PHASES, marked, tally
from batchwasm.tui.shapes import bar
from batchwasm.tui.tasklist import Wanted, params_text
from batchwasm.tui.tasktext import used_of
from batchwasm.units import count_text, duration_text, size_text
from batchwasm.views.model import FailureGroup, JobLine, JobView, TaskLine


def heading(line: JobLine, width: int) -> Content:
    """Its name, its phase, a bar by state with its numbers, and why it waits."""
    tasks = line.row.tasks
    title = Content.assemble(
        ("job ", FAINT),
        (visible(line.row.name), "bold"),
        "  ",
        content_of(marked(PHASES.get(line.phase, ("·", "plain")), visible(line.phase))),
        f"  {count_text(tasks.done)} of {count_text(tasks.total)} done",
        f", {duration_text(line.mean_s)} each" if line.mean_s is not None else "",
        f", {count_text(line.retried)} tried again" if line.retried else "",
    )
    detail = [Content.styled(visible(line.detail), "$warning")] if line.detail else []
    return lines(title, content_of(bar(tasks, width)), content_of(tally(tasks, width)), *detail)


def no_tasks(wanted: Wanted) -> str:
    if wanted.states or wanted.text:
        return "  no task is like that: t shows other states, / another text"
    return "  it has no tasks yet"


def no_failure(done: int, total: int) -> str:
    if not done:
        return "no task has failed; none has ended yet"
    return "no task has failed" if done == total else f"no task has failed; {count_text(total - done)} are left"


def group_text(group: FailureGroup) -> Content:
    found = mark(group.outcome)
    what = visible(group.text or "") or "without a reason"
    hosts = sorted(group.by_host, key=lambda host: -group.by_host[host])
    where = ", ".join(f"{visible(host)} {group.by_host[host]:,}" for host in hosts[:3])
    more = f" and {len(hosts) - 3} more" if len(hosts) > 3 else ""
    tasks = ", ".join(f"{index:,}" for index in group.examples[:5])
    return Content.assemble(
        (f"{found.glyph} {count_text(group.count)} {word(group.outcome)}", found.style),
        f": {what}\n",
        (f"  tasks {tasks}{'; on ' + where + more if where else ''}", FAINT),
    )


def slow_text(row: TaskLine) -> Content:
    found = mark(row.state)
    took = "-" if row.wall_s is None else duration_text(row.wall_s)
    return Content.assemble(
        (found.glyph, found.style),
        f" {row.index:>9,}  {took:>11}  {visible(row.host or '-'):<12} ",
        (params_text(row), FAINT),
    )


def durations_text(job: JobView, width: int) -> Content:
    if not job.durations:
        return faint("no attempt has ended yet")
    labels = [f"{duration_text(low)} – {duration_text(high)}" for low, high, _ in job.durations]
    most = max(count for _, _, count in job.durations)
    wide, numbers = max(map(len, labels)), len(count_text(most))
    room = max(4, width - wide - numbers - 4)
    rows = [
        Content.assemble(f"{label:>{wide}}  ", gauge(count / max(most, 1), room), f"  {count_text(count):>{numbers}}")
        for label, (_, _, count) in zip(labels, job.durations, strict=True)
    ]
    slowest = [Content(""), head("slowest")] if job.slowest else []
    return lines(head("how long attempts took"), *rows, *slowest)


def usage_text(job: JobView, width: int) -> Content:
    usage = job.line.row.usage
    if usage is None:
        return faint("nothing has ended, so nothing is known")
    advice = [Content(f"• {visible(sentence)}") for sentence in job.advice] or [faint("what it asks for is right")]
    return lines(*_measures(usage, max(6, min(30, width - 44))), Content(""), *advice)


def _measures(usage: Sizing, width: int) -> Iterator[Content]:
    """`memory  ███───  120 MiB of 512 MiB  23 %`."""
    rows = (
        ("cpus", usage.cpus, lambda number: f"{number:.2g}"),
        ("memory", usage.memory_bytes, size_text),
        ("time", usage.time_s, duration_text),
        ("disk", usage.disk_bytes, size_text),
    )
    yield faint(f"most that {count_text(usage.attempts)} attempts took, of what is asked for")
    for name, measure, text in rows:
        yield used_of(name, measure.used, measure.asked, text, width)
