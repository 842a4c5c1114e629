"""Figures of a run as families of metrics, named and measured by Prometheus' conventions; docs/metrics.md lists them.

The one importer of prometheus_client but for its server: it escapes label values, which are users' words.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from batchwasm.core.state import CODES
from batchwasm.journalrows import Sample
from batchwasm.model import Outcome
from batchwasm.rows import TaskCounts
from batchwasm.telling.metrics import BUCKETS_S, NAMED_JOBS, Figures, JobFigures, Seen, Tasks
from batchwasm.version import __version__

OTHERS = "(others)"
"""In place of the names of jobs beyond the first ones; no job can be called so."""
_STATES = ("waiting", "running", "succeeded", "failed", "cancelled", "skipped")
_JOBS: tuple[tuple[str, str, Callable[[JobFigures], float]], ...] = (
    ("batchwasm_retries_total", "Attempts without success whose task is tried again.", lambda job: job.retried),
    ("batchwasm_results_known_total", "Results that were taken from earlier runs.", lambda job: job.known),
    ("batchwasm_attempt_cpu_seconds_total", "Processor time that attempts used.", lambda job: job.cpu_s),
    ("batchwasm_output_files_total", "Files that were brought back.", lambda job: job.output_files),
    ("batchwasm_output_bytes_total", "Size of the files that were brought back.", lambda job: job.output_bytes),
)
_SAMPLED: tuple[tuple[str, str, Callable[[Sample], float | None]], ...] = (
    ("batchwasm_host_load1", "Load average of 1 minute.", lambda sample: sample.load),
    (
        "batchwasm_host_memory_available_bytes",
        "Memory to be had.",
        lambda sample: sample.memory_available_bytes or None,
    ),
    ("batchwasm_host_disk_free_bytes", "Free space where tasks work.", lambda sample: sample.disk_free_bytes),
    ("batchwasm_host_cpus_busy", "Slots that are taken, by all runs together.", lambda sample: sample.cpus_busy),
    ("batchwasm_host_batches_running", "Batches of this run that a worker is at.", lambda sample: sample.running),
    ("batchwasm_host_batches_queued", "Batches of this run that wait there.", lambda sample: sample.queued),
    ("batchwasm_host_heard_timestamp_seconds", "When it last told of itself (unix time).", lambda sample: sample.at),
)


def families(figures: Figures) -> Iterator[Metric]:
    """All of them; those that need the state come once there was a look at it."""
    yield _info("batchwasm_build_info", "The program.", version=__version__, python=platform.python_version())
    yield _info("batchwasm_run_info", "The run, by the name of its folder.", run=figures.run)
    yield _by("batchwasm_shipped_bytes_total", "Bytes sent to hosts that did not have them.", "kind", figures.shipped)
    if figures.seen is not None:
        yield from _of_run(figures.seen)
        yield from _of_jobs(figures)
        yield from _of_hosts(figures, figures.seen)


def _of_run(seen: Seen) -> Iterator[Metric]:
    yield GaugeMetricFamily("batchwasm_run_start_time_seconds", "When the run began (unix time).", seen.first_at)
    yield GaugeMetricFamily("batchwasm_run_paused", "Whether a person has paused it.", float(seen.paused))
    yield _by("batchwasm_hosts", "Hosts by what keeps them from being given tasks.", "state", seen.words)


def _of_jobs(figures: Figures) -> Iterator[Metric]:
    jobs = _named(figures)
    tasks = GaugeMetricFamily("batchwasm_tasks", "Tasks by state.", labels=["job", "state"])
    attempts = CounterMetricFamily("batchwasm_attempts_total", "Attempts that ended.", labels=["job", "outcome"])
    took = HistogramMetricFamily(
        "batchwasm_attempt_duration_seconds", "How long attempts ran, from the guest's start.", labels=["job"]
    )
    for now, counted in jobs:
        states = TaskCounts.of(now.codes)
        for state in _STATES:
            tasks.add_metric([now.job, state], getattr(states, state))
        for outcome in Outcome:
            lost = now.lost if outcome is Outcome.LOST else 0
            attempts.add_metric([now.job, outcome.word], counted.ended[outcome] + lost)
        bounds = [*map(str, BUCKETS_S), "+Inf"]
        took.add_metric([now.job], list(zip(bounds, accumulate(counted.buckets), strict=True)), counted.wall_s)
    yield from (tasks, attempts, took)
    for name, text, figure in _JOBS:
        family = CounterMetricFamily(name, text, labels=["job"])
        for now, counted in jobs:
            family.add_metric([now.job], figure(counted))
        yield family


def _named(figures: Figures) -> list[tuple[Tasks, JobFigures]]:
    """Each job that has a name here, and the others as one."""
    assert figures.seen is not None
    jobs = figures.seen.jobs
    found = [(job, figures.jobs.get(n) or JobFigures()) for n, job in enumerate(jobs[:NAMED_JOBS])]
    rest = jobs[NAMED_JOBS:]
    if rest:
        codes = [sum(job.codes[code] for job in rest) for code in range(CODES)]
        others = Tasks(OTHERS, codes, sum(job.lost for job in rest))
        found.append((others, figures.jobs.get(NAMED_JOBS) or JobFigures()))
    return found


def _of_hosts(figures: Figures, seen: Seen) -> Iterator[Metric]:
    connected = GaugeMetricFamily("batchwasm_host_connected", "Whether we have a connection to it.", labels=["host"])
    cpus = GaugeMetricFamily("batchwasm_host_cpus", "Slots that it offers.", labels=["host"])
    done = CounterMetricFamily("batchwasm_host_attempts_total", "Attempts that ended there.", labels=["host"])
    gone = CounterMetricFamily("batchwasm_host_disconnects_total", "Connections that were lost.", labels=["host"])
    for host in seen.hosts:
        connected.add_metric([host.name], float(host.connected))
        cpus.add_metric([host.name], host.cpus)
        done.add_metric([host.name], host.done)
        gone.add_metric([host.name], figures.disconnects.get(host.name, 0))
    yield from (connected, cpus, done, gone)
    samples = [figures.samples[host.name] for host in seen.hosts if host.connected and host.name in figures.samples]
    for name, text, figure in _SAMPLED:
        family = GaugeMetricFamily(name, text, labels=["host"])
        for sample in samples:
            if (value := figure(sample)) is not None:
                family.add_metric([sample.host], value)
        yield family


def _info(name: str, text: str, **labels: str) -> Metric:
    family = GaugeMetricFamily(name, text, labels=list(labels))
    family.add_metric(list(labels.values()), 1.0)
    return family


def _by(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = (CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily)(name, text, labels=[label])
    for word, value in sorted(values.items()):
        family.add_metric([word], value)
    return family
