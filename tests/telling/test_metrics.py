"""Figures of a run, as Prometheus gets them: parsed by its own parser, and linted as promtool does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from batchwasm.core.events import BatchPlaced, FileShipped, HostAway, HostLeft, TasksFinished, TasksKnown
from batchwasm.journalrows import Sample
from batchwasm.model import Outcome
from batchwasm.telling.families import OTHERS, families
from batchwasm.telling.metrics import BUCKETS_S, NAMED_HOSTS, NAMED_JOBS, Metrics
from tests.telling.told import OK, OUTPUTS, begun, placed, state_of

SAMPLE = Sample(12.5, "h", 0.75, 1 << 30, 1, 1, 3, 1 << 31)


def parsed(metrics: Metrics) -> dict[str, Metric]:
    """As text, and back."""

    class Collector:
        def collect(self) -> Iterator[Metric]:
            return families(metrics.figures())

    registry = CollectorRegistry()
    registry.register(Collector())
    text = generate_latest(registry).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def values(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """Of the samples of that name, by the values of their labels in alphabetical order of those."""
    found = [sample for family in parsed(metrics).values() for sample in family.samples if sample.name == name]
    return {tuple(sample.labels[label] for label in sorted(sample.labels)): sample.value for sample in found}


def full() -> Metrics:
    """One that has something to say in every family."""
    metrics = Metrics()
    metrics.run = "run-1"
    records = [
        OK._replace(outputs=OUTPUTS),
        OK._replace(task=1, outcome=Outcome.FAILED, final=False, wall_s=70.0),
        OK._replace(task=2, outcome=Outcome.LOST, final=False),
    ]
    events = [
        *begun(),
        placed(1, 0, 1, 2),
        placed(2, 3, 4),
        FileShipped(host="h", kind="wasm", digest="d", bytes=11),
        FileShipped(host="h", kind="wasm", digest="e", bytes=4),
        TasksFinished(batch=1, job=0, host="h", records=records),
        TasksKnown(job=0, records=[]),
    ]
    metrics.journaled(events, len(events), 1.0)
    metrics.sampled(SAMPLE)
    metrics.passed(state_of(*events))
    return metrics


def test_tasks_are_told_by_job_and_state() -> None:
    assert values(full(), "batchwasm_tasks") == {
        ("a", "waiting"): 2,  # one is tried again, and one was lost
        ("a", "running"): 2,
        ("a", "succeeded"): 1,
        ("a", "failed"): 0,
        ("a", "cancelled"): 0,
        ("a", "skipped"): 0,
    }


def test_attempts_are_counted_by_job_and_outcome_and_so_is_what_was_lost() -> None:
    metrics = full()
    ended = {word: count for (_, word), count in values(metrics, "batchwasm_attempts_total").items() if count}
    assert ended == {"succeeded": 1, "failed": 1, "lost": 1}
    assert values(metrics, "batchwasm_retries_total") == {("a",): 1}


def test_attempts_that_are_lost_with_their_host_are_counted() -> None:
    metrics, gone = Metrics(), HostLeft(host="h", code="lost", text="gone")
    events = [*begun(), BatchPlaced(batch=1 << 40, job=0, host="h", ranges=((0, 3),)), gone]
    metrics.journaled(events, 5, 1.0)
    metrics.passed(state_of(*events))
    assert values(metrics, "batchwasm_attempts_total")["a", "lost"] == 3
    assert values(metrics, "batchwasm_host_disconnects_total") == {("h",): 1}
    assert values(metrics, "batchwasm_host_connected") == {("h",): 0}
    assert values(metrics, "batchwasm_hosts") == {("lost",): 1}


def test_a_host_is_disconnected_once_however_its_end_is_told() -> None:
    metrics, away = Metrics(), HostAway(host="h", code="lost", text="no route")
    left = [HostLeft(host=name, code="lost", text="gone") for name in ("h", "never")]
    again, removed = begun()[-1], HostLeft(host="h", code="removed", text="")
    metrics.passed(state_of(*begun()))
    metrics.journaled([*begun(), away, *left], 7, 1.0)
    assert values(metrics, "batchwasm_host_disconnects_total") == {("h",): 1}
    metrics.journaled([again, removed], 9, 1.0)
    assert values(metrics, "batchwasm_host_disconnects_total") == {("h",): 1}
    metrics.journaled([again, away, again, left[0]], 13, 1.0)
    assert values(metrics, "batchwasm_host_disconnects_total") == {("h",): 3}


def test_durations_are_a_histogram_a_job() -> None:
    metrics = full()
    buckets = values(metrics, "batchwasm_attempt_duration_seconds_bucket")
    assert [buckets["a", bound] for bound in ("0.1", "0.5", "60.0", "300.0", "+Inf")] == [0, 1, 1, 2, 2]
    assert values(metrics, "batchwasm_attempt_duration_seconds_count") == {("a",): 2}
    assert values(metrics, "batchwasm_attempt_duration_seconds_sum") == {("a",): 70.2}
    assert list(BUCKETS_S) == sorted(BUCKETS_S)


def test_bytes_are_counted_that_were_sent_and_brought_back() -> None:
    metrics = full()
    assert values(metrics, "batchwasm_shipped_bytes_total") == {("wasm",): 15}
    assert values(metrics, "batchwasm_output_bytes_total") == {("a",): 12}
    assert values(metrics, "batchwasm_output_files_total") == {("a",): 2}


def test_hosts_are_told_as_they_told_last() -> None:
    metrics = full()
    told = {
        name.removeprefix("batchwasm_host_"): values(metrics, name)["h",]
        for name in parsed(metrics)
        if name.startswith("batchwasm_host_") and not name.endswith(("attempts", "disconnects"))
    }
    assert told == {
        "connected": 1,
        "cpus": 2,
        "load1": 0.75,
        "memory_available_bytes": 1 << 30,
        "disk_free_bytes": 1 << 31,
        "cpus_busy": 1,
        "batches_running": 1,
        "batches_queued": 3,
        "heard_timestamp_seconds": 12.5,
    }


def test_what_a_host_cannot_tell_is_left_out() -> None:
    metrics = Metrics()
    metrics.sampled(SAMPLE._replace(memory_available_bytes=0))
    metrics.passed(state_of(*begun()))
    assert values(metrics, "batchwasm_host_memory_available_bytes") == {}
    assert values(metrics, "batchwasm_host_load1") == {("h",): 0.75}


def test_what_a_host_told_is_not_told_of_one_that_is_away() -> None:
    metrics = Metrics()
    metrics.sampled(SAMPLE)
    metrics.passed(state_of(*begun(), HostAway(host="h", code="lost", text="gone")))
    assert values(metrics, "batchwasm_host_load1") == {}
    assert values(metrics, "batchwasm_host_connected") == {("h",): 0}


def test_there_are_figures_before_anything_has_happened() -> None:
    metrics = Metrics()
    metrics.run = "run-1"
    assert set(parsed(metrics)) == {"batchwasm_build_info", "batchwasm_run_info", "batchwasm_shipped_bytes"}
    assert values(metrics, "batchwasm_run_info") == {("run-1",): 1}


def test_names_of_users_come_back_as_they_are() -> None:
    metrics, name = Metrics(), 'a"b\\c\nd\u202e\x1b'
    metrics.passed(state_of(*begun(hosts=[name])))
    assert values(metrics, "batchwasm_host_connected") == {(name,): 1}


def test_jobs_and_hosts_beyond_a_number_are_summed_or_left_out() -> None:
    metrics = Metrics()
    jobs = [f"j{n}" for n in range(NAMED_JOBS + 3)]
    metrics.passed(state_of(*begun(jobs, [f"h{n}" for n in range(NAMED_HOSTS + 5)], tasks=2)))
    for job in (0, NAMED_JOBS, NAMED_JOBS + 2):
        metrics.journaled([TasksFinished(batch=1, job=job, host="h0", records=[OK])], 1, 1.0)
    waiting = {job: count for (job, state), count in values(metrics, "batchwasm_tasks").items() if state == "waiting"}
    assert (len(waiting), waiting["j0"], waiting[OTHERS]) == (NAMED_JOBS + 1, 2, 6)
    assert values(metrics, "batchwasm_attempts_total")[OTHERS, "succeeded"] == 2
    assert len(values(metrics, "batchwasm_host_cpus")) == NAMED_HOSTS
    assert values(metrics, "batchwasm_hosts") == {("ready",): NAMED_HOSTS + 5}


def test_names_units_and_help_follow_the_conventions() -> None:
    """What `promtool check metrics` looks at."""
    for name, family in parsed(full()).items():
        assert re.fullmatch(r"batchwasm_[a-z0-9_]+", name)
        assert family.documentation.endswith(".")
        told = {sample.name for sample in family.samples}
        match family.type:
            case "counter":
                assert told == {f"{name}_total"}
            case "histogram":
                assert told == {f"{name}_{end}" for end in ("bucket", "sum", "count")}
                assert name.endswith("_seconds")
            case _:
                assert told == {name}
                assert family.type == "gauge"
                assert not name.endswith(("_total", "_count", "_sum", "_bucket"))
        assert not re.search(r"_(ms|milliseconds|minutes|kb|kib|mb|mib|gauge|counter|s)(_|$)", name)
        labels = {label for sample in family.samples for label in sample.labels}
        assert labels <= {"job", "state", "outcome", "host", "kind", "run", "version", "python", "le"}


def test_the_document_has_every_metric_with_its_type_and_labels() -> None:
    text = (Path(__file__).parents[2] / "docs/metrics.md").read_text()
    rows = dict(re.findall(r"^\| `(batchwasm_\w+)` \| (.*?) \|", text, re.MULTILINE))
    found = {}
    for name, family in parsed(full()).items():
        labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
        told = f"{name}_total" if family.type == "counter" else name
        found[told] = ", ".join([family.type, *(f"`{label}`" for label in labels)])
    assert rows == found
    queried = set(re.findall(r"\b(batchwasm_\w+)", text)) - {f"batchwasm_{word}" for word in ("runs",)}
    ends = {f"{name}_{end}" for name in found for end in ("bucket", "sum", "count")}
    assert queried <= found.keys() | ends
