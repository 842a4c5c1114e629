"""The columns of jobs, hosts and events on the first screen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from rich.cells import cell_len

from batchwasm.escape import visible
from batchwasm.tui.said import (
    PHASES,
    TONES,
    ago_text,
    amount,
    marked,
    mean_text,
    of_text,
    percent,
    standing_mark,
    standing_order,
)
from batchwasm.tui.shapes import SHAPES, bar
from batchwasm.tui.table import Column
from batchwasm.tui.words import Words, foreign, words
from batchwasm.units import count_text
from batchwasm.views.model import HostLine, JobLine, Said

# ------------------------------------------------------------------------------------------------------------- jobs


def _name_of_job(job: JobLine, now: float, width: int) -> Words:
    return foreign(job.row.name, "strong")


def _phase(job: JobLine, now: float, width: int) -> Words:
    if job.phase == "done":
        worst = next((word for word in ("failed", "cancelled", "skipped") if getattr(job.row.tasks, word)), None)
        if worst is not None:
            return marked(SHAPES[worst], "done")
    return marked(PHASES.get(job.phase, ("·", "plain")), visible(job.phase))


def _done(job: JobLine) -> str:
    tasks = job.row.tasks
    return f"{count_text(tasks.done)}/{count_text(tasks.total)}"


def _number(value: int) -> Words:
    return words(count_text(value)) if value else words("-", "dim")


def _failed(job: JobLine, now: float, width: int) -> Words:
    failed = job.row.tasks.failed
    return words(count_text(failed), "bad") if failed else words("-", "dim")


def _notes(job: JobLine, now: float, width: int) -> Words:
    return foreign("; ".join(_note(job)))


def _note(job: JobLine) -> Iterator[str]:
    if job.detail:
        yield job.detail
    if job.retried:
        yield f"{count_text(job.retried)} tried again"
    for word in ("cancelled", "skipped"):
        if number := getattr(job.row.tasks, word):
            yield f"{count_text(number)} {word}"


JOBS: tuple[Column[JobLine], ...] = (
    Column(
        title="job",
        cell=_name_of_job,
        width=6,
        measured=lambda job: cell_len(visible(job.row.name)),
        most=22,
        order=lambda job: job.row.name,
    ),
    Column(
        title="state",
        cell=_phase,
        width=11,
        rank=2,
        order=lambda job: list(PHASES).index(job.phase) if job.phase in PHASES else len(PHASES),
    ),
    Column(title="tasks", cell=lambda job, now, width: bar(job.row.tasks, width), width=12, grows=True),
    Column(
        title="",
        cell=lambda job, now, width: words(percent(job.row.tasks.done, job.row.tasks.total)),
        width=4,
        right=True,
        rank=6,
        order=lambda job: job.row.tasks.done / max(1, job.row.tasks.total),
        largest_first=True,
    ),
    Column(
        title="done",
        cell=lambda job, now, width: words(_done(job)),
        width=7,
        right=True,
        measured=lambda job: 2 * len(count_text(job.row.tasks.total)) + 1,
        order=lambda job: job.row.tasks.done,
        largest_first=True,
    ),
    Column(
        title="run",
        cell=lambda job, now, width: _number(job.row.tasks.running),
        width=5,
        right=True,
        rank=1,
        order=lambda job: job.row.tasks.running,
        largest_first=True,
    ),
    Column(
        title="failed",
        cell=_failed,
        width=6,
        right=True,
        order=lambda job: job.row.tasks.failed,
        largest_first=True,
    ),
    Column(
        title="mean",
        cell=lambda job, now, width: words(mean_text(job.mean_s), "plain" if job.mean_s is not None else "dim"),
        width=9,
        right=True,
        rank=4,
        order=lambda job: job.mean_s,
        largest_first=True,
    ),
    Column(title="notes", cell=_notes, width=24, rank=5, grows=True),
)


def text_of_job(job: JobLine) -> str:
    return f"{job.row.name} {job.phase} {job.detail or ''}"


# ------------------------------------------------------------------------------------------------------------ hosts


def _standing(host: HostLine, now: float, width: int) -> Words:
    return marked(standing_mark(host), visible(host.row.state))


def _cpus(host: HostLine, now: float, width: int) -> Words:
    if host.cpus is None:
        return words("-", "dim")
    return words(f"{amount(host.cpus_busy or 0.0)}/{amount(host.cpus)}")


def _share(host: HostLine, now: float, width: int) -> Words:
    return words(percent(host.cpu_share, 1.0)) if host.cpu_share is not None else words("-", "dim")


def _load(host: HostLine, now: float, width: int) -> Words:
    return words(f"{host.load:.1f}") if host.load is not None else words("-", "dim")


def _used_bytes(host: HostLine) -> int | None:
    if host.memory_bytes is None or host.memory_available_bytes is None:
        return None
    return max(0, host.memory_bytes - host.memory_available_bytes)


def _memory(host: HostLine, now: float, width: int) -> Words:
    text = of_text(_used_bytes(host), host.memory_bytes)
    return words(text, "dim" if text == "-" else "plain")


def _gpus(host: HostLine, now: float, width: int) -> Words:
    taken = sum(job is not None for job in host.gpus)
    return words(f"{taken}/{len(host.gpus)}") if host.gpus else words("-", "dim")


def _heard(host: HostLine, now: float, width: int) -> Words:
    text = ago_text(host.heard_at, now)
    return words(text, "dim" if text in ("now", "-") else "warning")


def _what(host: HostLine, now: float, width: int) -> Words:
    """Why it is not simply at work; then what occupies it."""
    jobs = sorted(host.by_job.items(), key=lambda item: (-item[1], item[0]))
    parts = [host.row.reason or "", ", ".join(f"{job} {count_text(number)}" for job, number in jobs)]
    if host.suspended:
        parts.append(f"{count_text(host.suspended)} suspended")
    if host.is_past and any(parts[1:]):
        parts[1] = f"at the end: {parts[1]}"
    return foreign("; ".join(filter(None, parts)))


def _then(cell: Callable[[HostLine, float, int], Words]) -> Callable[[HostLine, float, int], Words]:
    """What is not so any more is faint."""

    def cell_then(host: HostLine, now: float, width: int) -> Words:
        line = cell(host, now, width)
        return tuple((text, "dim") for text, _ in line) if host.is_past else line

    return cell_then


HOSTS: tuple[Column[HostLine], ...] = (
    Column(
        title="host",
        cell=lambda host, now, width: foreign(host.row.name, "strong"),
        width=6,
        measured=lambda host: cell_len(visible(host.row.name)),
        most=22,
        order=lambda host: host.row.name,
    ),
    Column(
        title="state",
        cell=_standing,
        width=12,
        order=lambda host: standing_order(host.row.state),
        largest_first=True,
    ),
    Column(
        title="cpus",
        cell=_then(_cpus),
        width=5,
        right=True,
        measured=lambda host: 2 * len(amount(host.cpus)) + 1,
        most=11,
        order=lambda host: host.cpus_busy,
        largest_first=True,
    ),
    Column(
        title="cpu",
        cell=_then(_share),
        width=4,
        right=True,
        rank=2,
        order=lambda host: host.cpu_share,
        largest_first=True,
    ),
    Column(
        title="load", cell=_then(_load), width=5, right=True, rank=4, order=lambda host: host.load, largest_first=True
    ),
    Column(title="memory", cell=_then(_memory), width=11, right=True, rank=3, order=_used_bytes, largest_first=True),
    Column(
        title="gpus",
        cell=_then(_gpus),
        width=4,
        right=True,
        rank=5,
        order=lambda host: len(host.gpus),
        largest_first=True,
    ),
    Column(
        title="done",
        cell=lambda host, now, width: _number(host.row.done),
        width=7,
        right=True,
        rank=6,
        order=lambda host: host.row.done,
        largest_first=True,
    ),
    Column(title="heard", cell=_heard, width=6, right=True, rank=1, order=lambda host: host.heard_at),
    Column(title="what it does", cell=_then(_what), width=14, grows=True),
)


def text_of_host(host: HostLine) -> str:
    return f"{host.row.name} {host.row.state} {host.row.reason or ''} {' '.join(host.by_job)}"


# ----------------------------------------------------------------------------------------------------------- events


def _at(said: Said, now: float, width: int) -> Words:
    return words(time.strftime("%H:%M:%S", time.localtime(said.at)), "dim")


def _sentence(said: Said, now: float, width: int) -> Words:
    mark, role = TONES[said.tone]
    return ((f"{mark} ", role), *foreign(said.text, "plain" if said.tone == "plain" else role))


EVENTS: tuple[Column[Said], ...] = (
    Column(title="events", cell=_at, width=10),
    Column(title="", cell=_sentence, width=20, grows=True),
)


def text_of_event(said: Said) -> str:
    return said.text
