"""The parts of a report's page, one function each, from top to bottom. All say in tables what the charts show."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from batchwasm.core.sizing import Measure, duration_key, size_key
from batchwasm.report.events import cut
from batchwasm.report.facts import Failures, HostFacts, Report, Timeline
from batchwasm.report.markup import Column, Markup, lines, table, tag
from batchwasm.rows import JobRow
from batchwasm.units import count_text, duration_text, size_text

OUTCOMES = {
    "succeeded": ("good", "✓"),
    "failed": ("bad", "✕"),
    "trapped": ("bad", "▲"),
    "timed_out": ("bad", "◷"),
    "out_of_memory": ("bad", "■"),
    "limit_exceeded": ("bad", "◆"),
    "invalid": ("bad", "?"),
    "mismatch": ("bad", "≠"),
    "lost": ("bad", "○"),
    "cancelled": ("idle", "–"),
    "skipped": ("idle", "»"),
    "running": ("run", "▶"),
    "waiting": ("wait", "·"),
}
"""How each looks: its colour, and its sign, which tells it apart without colour."""
STATES = {"finished": ("good", "✓"), "running": ("run", "▶"), "stopped": ("warn", "■")}
HOST_STATES = {
    "ready": ("good", "✓"),
    "unused": ("idle", "–"),
    "connecting": ("wait", "·"),
    "down": ("bad", "✕"),
    "lost": ("bad", "○"),
}
WEIGHTS = (("wait", "·", "news"), ("warn", "!", "note"), ("bad", "✕", "trouble"))
ROWS_OVER_TIME = 12
ADVICE = 50  # sentences


def mark(word: str, looks: dict[str, tuple[str, str]]) -> Markup:
    kind, sign = looks.get(word, ("warn", "!"))
    return tag("span", tag("i", sign, aria_hidden="true"), word.replace("_", " "), class_=f"mark {kind}")


# ----------------------------------------------------------------------------------------------------------- top


def head(report: Report) -> Markup:
    status = report.status
    began = _date(report.axis.first_at)
    ended = _date(report.axis.first_at + report.axis.span_s)
    when = f"began {began}, {'as of' if status.state == 'running' else 'ended'} {ended}"
    again = "" if report.incarnations < 2 else f", in {report.incarnations} lives of its scheduler"
    said = [
        tag("h1", status.run),
        tag("p", mark(status.state, STATES), Markup(" "), tag("span", f"{when}{again}", class_="soft")),
    ]
    if status.reason:
        why = cut(status.reason, 1000)
        said.append(tag("pre", lines(why)) if "\n" in why else tag("p", why))  # a compiler says several lines
    if status.paused is not None:
        said.append(tag("p", f"paused: {status.paused}" if status.paused else "paused"))
    return tag("header", *said, _tiles(report), _share(report))


def _tiles(report: Report) -> Markup:
    tasks, used = report.status.tasks, report.flow.utilisation
    worked = [host for host in report.status.hosts if host.done]
    rate = tasks.done / report.status.wall_s if report.status.wall_s else 0.0
    peak = max(report.flow.cpus)
    found = (
        ("tasks", count_text(tasks.total), ""),
        ("done", count_text(tasks.done), f"{_percent(tasks.done / tasks.total)}" if tasks.total else ""),
        ("wall time", duration_text(report.status.wall_s), ""),
        ("rate", f"{rate:.3g}", "tasks/s"),
        ("hosts at work", count_text(len(worked)), f"of {count_text(len(report.status.hosts))}"),
        ("cpus", count_text(round(peak)), "at most"),
        ("utilisation", "-" if used is None else _percent(used), ""),
        ("ran again", count_text(report.again), f"of {count_text(report.attempts)}"),
    )
    cells = (tag("div", tag("dt", name), tag("dd", value, " ", tag("small", unit))) for name, value, unit in found)
    return tag("dl", *cells, class_="tiles")


def _share(report: Report) -> Markup:
    """How the tasks ended, as a bar and in numbers."""
    tasks = report.status.tasks
    counts = {**report.status.by_outcome, "running": tasks.running, "waiting": tasks.waiting}
    shown = [(word, count) for word, count in counts.items() if count]
    parts = [
        tag("i", class_=f"fill {OUTCOMES[word][0]}", style=f"flex:{count} 1 0", title=f"{word}: {count:,}")
        for word, count in shown
    ]
    keys = [tag("li", mark(word, OUTCOMES), " ", tag("b", count_text(count))) for word, count in shown]
    return Markup(tag("div", *parts, class_="share", aria_hidden="true") + tag("ul", *keys, class_="keys"))


# ---------------------------------------------------------------------------------------------------- over time


def _figure(name: str, said: str, *, zoom: bool = False, tools: Markup | None = None) -> Markup:
    buttons = []
    if zoom:
        for factor, word, what in (("0.5", "+", "zoom in"), ("2", "−", "zoom out"), ("0", "All", "the whole run")):
            buttons.append(
                tag("button", word, type="button", data_chart=name, data_zoom=factor, title=what, aria_label=what)
            )
        buttons.insert(0, tag("span", class_="shown soft", aria_live="polite"))
    bar = tag("div", *([tools] if tools is not None else []), *buttons, class_="tools right" if zoom else "tools")
    return tag(
        "figure",
        bar,
        tag("div", id=f"chart-{name}", class_="chart", role="img", aria_label=said),
        tag("figcaption", said),
    )


def picture(report: Report) -> Markup:
    found = report.picture
    if isinstance(found, Timeline):
        if not found.hosts:
            return _none("No host has worked on this run.")
        if found.attempts:
            said = "Each attempt on each host, by job. One with a red foot did not succeed. Hatched: not connected."
        else:
            said = "What each job had of the cpus of each host, one above the other. Hatched: not connected."
        return _figure("timeline", said, zoom=True)
    rows = len(found.rows)
    which = (
        "a row for each host"
        if rows == len(report.status.hosts)
        else f"neighbours in the inventory share one of {rows} rows"
    )
    said = f"How busy the hosts were: {which}. Empty where none was connected."
    scale = tag("p", "idle", tag("span", class_="scale"), "all cpus busy", class_="soft")
    return Markup(_figure("heatmap", said, zoom=True) + scale)


def utilisation(report: Report) -> Markup:
    said = "Cpus of the hosts that were connected, those reserved by attempts, and the processor time that guests used."
    flow = report.flow
    rows = (
        [*map(_mean, (cpus, busy, worked)), _percent(min(1.0, busy / cpus)) if cpus else "-"]
        for cpus, busy, worked in _spans(flow.cpus, flow.busy, flow.worked)
    )
    shown = _over_time(report, ("connected", "reserved", "used", "utilisation"), rows)
    return Markup(_figure("utilisation", said, zoom=True) + shown)


def queue(report: Report) -> Markup:
    flow = report.flow
    rows = ([*map(_mean, means)] for means in _spans(flow.waiting, flow.running, flow.done))
    shown = _over_time(report, ("waiting", "running", "done"), rows)
    return Markup(_figure("queue", "How many tasks waited, ran and were done.", zoom=True) + shown)


def _spans(*flows: Sequence[float]) -> Iterator[list[float]]:
    """Means of ROWS_OVER_TIME spans."""
    step = len(flows[0]) // ROWS_OVER_TIME
    for first in range(0, step * ROWS_OVER_TIME, step):
        yield [sum(flow[first : first + step]) / step for flow in flows]


def _over_time(report: Report, titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """What a chart shows, for who can't see it."""
    span_s = report.axis.span_s / ROWS_OVER_TIME
    columns = [Column(title, True) for title in ("from", "to", *titles)]
    timed = ([duration_text(n * span_s), duration_text((n + 1) * span_s), *row] for n, row in enumerate(rows))
    return tag("details", tag("summary", "As a table"), table(columns, timed, "means of each span"))


# --------------------------------------------------------------------------------------------------------- jobs


def durations(report: Report) -> Markup:
    if not report.durations:
        return _none("No task has succeeded.")
    options = (tag("option", each.job, value=n) for n, each in enumerate(report.durations))
    choice = Markup(
        tag("label", "job ", tag("select", *options, id="job"))
        if len(report.durations) > 1
        else tag("span", f"job {report.durations[0].job}")
    )
    columns = [Column("job"), *(Column(title, True) for title in _DURATIONS)]
    rows = (
        [
            each.job,
            count_text(each.count),
            *(map(duration_text, (each.least_s, each.median_s, each.mean_s, each.p95_s, each.most_s, each.total_s))),
        ]
        for each in report.durations
    )
    said = "How long the tasks of a job took that succeeded; each bar is wider than the one before by the same factor."
    return Markup(
        _figure("durations", said, tools=choice) + table(columns, rows) + _more(report.more_durations, "job", "jobs")
    )


_DURATIONS = ("succeeded", "least", "median", "mean", "p95", "most", "all together")


def failures(report: Report) -> Markup:
    if not report.failures and not report.untold:
        return _none("Every attempt succeeded." if report.attempts else "No attempt has ended.")
    groups = [_group(each, report.status.run) for each in report.failures]
    rows = ([mark(each.outcome, OUTCOMES), count_text(each.tasks), each.text] for each in report.untold)
    untold = (
        table(
            [Column("outcome"), Column("tasks", True), Column("why", words=True)], rows, "without an attempt's own word"
        )
        if report.untold
        else Markup("")
    )
    more = _more(report.more_failures, "group", "groups")
    ways = _more(report.more_ways, "attempt", "attempts", " that failed in still other ways")
    skipped = _more(report.more_untold, "job", "jobs", " that were skipped")
    return Markup("".join((*groups, more, ways, untold, skipped)))


def _group(found: Failures, run: str) -> Markup:
    """One line, which unfolds."""
    reason = found.reason.replace("_", " ") + (f" {found.exit_code}" if found.exit_code else "")
    again = found.attempts - found.final
    counted = f"{_counted(found.attempts, 'attempt')} on {_counted(found.hosts, 'host')}"
    summary = tag(
        "summary",
        mark(found.outcome, OUTCOMES),
        tag("b", found.job),
        tag("span", reason or found.message, class_="grow"),
        tag("span", counted + (f", {count_text(again)} ran again" if again else ""), class_="soft"),
    )
    examples = ", ".join(f"{each.task} on {each.host}" for each in found.examples)
    inside = [tag("p", found.message)] if found.message else []
    inside.append(tag("p", tag("span", "for example ", class_="soft"), examples))
    if found.stderr.strip():
        inside += [tag("span", "the first one's stderr", class_="soft"), tag("pre", lines(found.stderr.strip("\n")))]
    first = found.examples[0].task
    inside.append(tag("p", *(tag("code", f"batchwasm {word} {first} -r {run}") for word in ("explain", "logs"))))
    return tag("details", summary, *inside, class_="group")


def sizing(report: Report) -> Markup:
    jobs = [job for job in report.status.jobs if job.usage is not None]
    if not jobs:
        return _none("Nothing has ended yet.")
    advice = report.status.advice[:ADVICE]
    said = tag("ul", *(tag("li", each) for each in advice), class_="advice") if advice else Markup("")
    said = Markup(said + _more(len(report.status.advice) - ADVICE, "sentence", "sentences", " like these"))
    columns = [Column("job"), Column("")]
    columns += [Column(what, True) for what in ("attempts", "cpus", "memory", "time", "disk")]
    shown = jobs[:50]
    rows = [row for job in shown for row in _sized(job)]
    return Markup(said + table(columns, rows) + _more(len(jobs) - len(shown), "job", "jobs"))


def _sized(job: JobRow) -> Iterator[list[str]]:
    """What it asked for, what its attempts took at most, and what would do."""
    usage = job.usage
    assert usage is not None
    cpus, memory, limit, disk = usage.cpus, usage.memory_bytes, usage.time_s, usage.disk_bytes

    def asked(measure: Measure, said: str) -> str:
        return "-" if measure.asked is None else said

    yield [
        *(job.name, "asked for", ""),
        asked(cpus, f"{cpus.asked:.3g}"),
        asked(memory, size_text(memory.asked or 0)),
        asked(limit, duration_text(limit.asked or 0)),
        asked(disk, size_text(disk.asked or 0)),
    ]
    yield [
        *("", "used", count_text(usage.attempts)),
        *(f"{cpus.used:.2g}", size_text(memory.used), duration_text(limit.used), size_text(disk.used)),
    ]
    yield [
        *("", "next time", ""),
        *(f"{cpus.next:.3g}", size_key(memory.next), duration_key(limit.next), size_key(disk.next)),
    ]


# ------------------------------------------------------------------------------------------------ hosts and events


def hosts(report: Report) -> Markup:
    columns = [Column("host"), Column("state")]
    columns += [
        Column(title, True) for title in ("cpus", "memory", "attempts", "succeeded", "otherwise", "lost", "utilisation")
    ]
    columns += [Column("what it is, or what is wrong", words=True)]
    more = _more(report.more_hosts, "host", "hosts", "; those with trouble come first" if report.more_hosts else "")
    return Markup(table(columns, map(_host, report.hosts)) + more)


def _host(found: HostFacts) -> list[object]:
    used = found.utilisation
    numbers = (found.attempts, found.succeeded, found.other, found.lost)
    return [
        tag("b", found.name),
        mark(found.state, HOST_STATES),
        "-" if found.cpus is None else f"{found.cpus:g}",
        size_text(found.memory_bytes) if found.memory_bytes else "-",
        *(count_text(number) if number else "-" for number in numbers),
        "-" if used is None else _percent(used),
        found.reason or found.what,
    ]


def events(report: Report) -> Markup:
    if not report.said:
        return _none("Nothing has happened yet.")
    first_at = report.axis.first_at
    is_long = _date(first_at)[:10] != _date(first_at + report.axis.span_s)[:10]
    rows = (
        [
            duration_text(max(0.0, each.at - first_at)),
            _date(each.at) if is_long else _date(each.at)[11:],
            tag(
                "span",
                tag("i", WEIGHTS[each.weight][1], aria_hidden="true"),
                WEIGHTS[each.weight][2],
                class_=f"mark {WEIGHTS[each.weight][0]}",
            ),
            each.text,
        ]
        for each in report.said
    )
    columns = [Column("after", True), Column("at", True), Column("weight"), Column("what happened", words=True)]
    more = _more(report.more_said, "event", "events", " of less weight, or later; the journal has all")
    return Markup(table(columns, rows) + more)


# --------------------------------------------------------------------------------------------------- what it was


def versions(report: Report) -> Markup:
    made = table(
        [Column("made with"), Column("", words=True)], ([name, value] for name, value in report.versions.items())
    )
    columns = [
        Column("job"),
        Column("language"),
        Column("toolchain"),
        Column("size", True),
        Column("artifact (sha256)"),
    ]
    rows = (
        [each.job, each.language, each.toolchain, size_text(each.bytes), tag("code", each.digest)]
        for each in report.artifacts
    )
    built = table(columns, rows) if report.artifacts else _none("No artifact was built.")
    return Markup(made + built + _more(report.more_artifacts, "artifact", "artifacts"))


def inventory(report: Report) -> Markup:
    if not report.inventory.strip():
        return _none("The run has no inventory but this machine.")
    more = f"{size_text(report.more_inventory_bytes)} more are in inventory.toml of the run folder"
    return Markup(
        tag("pre", lines(report.inventory)) + (tag("p", more, class_="soft") if report.more_inventory_bytes else "")
    )


# -------------------------------------------------------------------------------------------------------- words


def _none(said: str) -> Markup:
    return tag("p", said, class_="none")


def _more(count: int, one: str, many: str, rest: str = "") -> Markup:
    """What is not shown, in one line."""
    return tag("p", f"and {_counted(count, one, many)} more{rest}", class_="soft") if count > 0 else Markup("")


def _counted(count: int, one: str, many: str = "") -> str:
    return f"1 {one}" if count == 1 else f"{count_text(count)} {many or one + 's'}"


def _percent(part: float) -> str:
    return f"{100 * part:.0f} %"


def _mean(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _date(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
