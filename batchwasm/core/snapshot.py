"""A State as bytes and back, so that a reader need not replay a whole journal. Derived, versioned, disposable.

What follows from the rest (the queue, the room of hosts, who waits for whom) is not in it but made anew.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import zlib
from typing import Any

from batchwasm.core import eventcodec, events
from batchwasm.core.events import Event
from batchwasm.core.hoststate import Batch, HostState
from batchwasm.core.jobstate import CODES, JobState, Retry, Usage
from batchwasm.core.room import Offer, Room
from batchwasm.core.state import State
from batchwasm.core.taskset import TaskSet

VERSION = 8
_JOB_FIELDS = (
    *("digest", "ready_at", "blockers", "mean_s", "argument_bytes", "good_host", "placed_at", "by_label"),
    "taken",
)
_HOST_FIELDS = (
    *("reason", "code", "answered", "waiting_may_help", "done", "drained", "removed", "busy", "silent", "streak"),
    *("aside_until", "aside_text", "asides", "reserved", "reserved_bytes", "supervisor"),
)
_BATCH_FIELDS = ("id", "job", "host", "placed_at", "since", "need", "memory_bytes", "gpus", "firm", "recalled")
_BATCH_FLAGS = ("double", "superseded")


def dump(state: State) -> bytes:
    """About a byte for every few hundred tasks that ended the same way; JSON, compressed."""
    fields = {
        "run": state.run,
        "name": state.name,
        "max_failures": state.max_failures,
        "fail_fast": state.fail_fast,
        "open": state.open,
        "paused": state.paused,
        "forgiven": state.forgiven,
        "incarnation": state.incarnation,
        "times": [state.opened_at, state.first_at, state.last_at],
        "idle_s": state.idle_s,
        "finished": state.finished,
        "events": [_event(event) for event in (state.opened, state.cancelled, state.stopped)],
        "jobs": [_job(job) for job in state.jobs],
        "hosts": [_host(host) for host in state.hosts.values()],
        "batches": [_batch(batch) for batch in state.batches.values()],
    }
    return zlib.compress(json.dumps(fields, separators=(",", ":")).encode(), 1)


def load(data: bytes) -> State:
    """The State that `dump` was given. The caller checks VERSION, which is stored beside the bytes."""
    fields: dict[str, Any] = json.loads(zlib.decompress(data))
    state = State()
    state.run, state.name = fields["run"], fields["name"]
    state.max_failures, state.fail_fast = fields["max_failures"], fields["fail_fast"]
    state.open, state.paused, state.forgiven = fields["open"], fields["paused"], fields["forgiven"]
    state.incarnation = fields["incarnation"]
    state.opened_at, state.first_at, state.last_at = fields["times"]
    state.idle_s = fields.get("idle_s", 0.0)  # earlier versions did not count it
    state.finished = fields["finished"]
    opened, cancelled, stopped = (_load_event(event) for event in fields["events"])
    state.opened, state.cancelled, state.stopped = opened, cancelled, stopped  # type: ignore[assignment]
    hosts = [_load_host(host) for host in fields["hosts"]]
    jobs = [_load_job(job) for job in fields["jobs"]]
    state.restore(jobs, hosts, [_load_batch(batch, jobs) for batch in fields["batches"]])
    return state


def _event(event: Event | None) -> list[Any] | None:
    return None if event is None else [type(event).__name__, eventcodec.encode(event)]


def _load_event(pair: list[Any] | None) -> Event | None:
    return None if pair is None else eventcodec.decode(pair[0], pair[1])


def _job(job: JobState) -> dict[str, Any]:
    return {
        **{name: getattr(job, name) for name in _JOB_FIELDS},
        "plan": dataclasses.asdict(job.plan),
        "codes": base64.b64encode(zlib.compress(job.codes, 1)).decode(),
        "ready": _startable(job).ranges,
        "retries": [(task, *retry) for task, retry in job.retries.items()],
        "tries": list(job.tries.items()),
        "losses": list(job.losses.items()),
        "spared": list(job.spared.items()),
        "gave": list(job.gave.items()),
        "because": [(*reason, tasks.ranges) for reason, tasks in job.because.items()],
        "unwanted": sorted(job.unwanted),
        "doubles": list(job.doubles.items()),
        "usage": dataclasses.asdict(job.usage),
    }


def _startable(job: JobState) -> TaskSet:
    """What nobody has looked up yet may start, for all that a later life of a scheduler knows."""
    found = TaskSet(job.ready.ranges)
    for start, stop in job.unseen.ranges:
        found.add(start, stop)
    return found


def _load_job(fields: dict[str, Any]) -> JobState:
    job = JobState.new(eventcodec.job_plan(fields["plan"]))
    job.codes = bytearray(zlib.decompress(base64.b64decode(fields["codes"])))
    job.counts = [job.codes.count(code) for code in range(CODES)]
    for name in _JOB_FIELDS:
        setattr(job, name, fields[name])
    job.ready = TaskSet(tuple((start, stop) for start, stop in fields["ready"]))
    job.retries = {task: Retry(*retry) for task, *retry in fields["retries"]}
    job.tries, job.losses = dict(fields["tries"]), dict(fields["losses"])
    job.spared = dict(fields["spared"])
    job.gave = {task: tuple((host, digest) for host, digest in gave) for task, gave in fields["gave"]}
    job.because = {(code, text): TaskSet(tuple(map(tuple, ranges))) for code, text, ranges in fields["because"]}
    job.unwanted = set(fields["unwanted"])
    job.doubles = {task: (first, second) for task, (first, second) in fields["doubles"]}
    job.usage = Usage(**fields["usage"])
    return job


def _host(host: HostState) -> dict[str, Any]:
    return {
        **{name: getattr(host, name) for name in _HOST_FIELDS},
        "plan": dataclasses.asdict(host.plan),
        "connected": host.connected,
        "limits": host.limits,
        "warm": sorted(host.warm),
    }


def _load_host(fields: dict[str, Any]) -> HostState:
    host = HostState(eventcodec.host_plan(fields["plan"]))
    for name in _HOST_FIELDS:
        setattr(host, name, fields[name])
    if fields["limits"] is not None:
        cpus, memory, gpus, resources = fields["limits"]
        host.limits = Offer(cpus, memory, gpus, tuple((name, count) for name, count in resources))
    if fields["connected"]:
        assert host.limits is not None
        host.room = Room(host.limits)
    host.warm = set(fields["warm"])
    return host


def _batch(batch: Batch) -> dict[str, Any]:
    return {
        **{name: getattr(batch, name) for name in (*_BATCH_FIELDS, *_BATCH_FLAGS)},
        "remaining": events.ranges_of(list(batch.remaining)),
        "numbers": {str(task): number for task, number in batch.remaining.items() if number != 1},
    }


def _load_batch(fields: dict[str, Any], jobs: list[JobState]) -> Batch:
    numbers = fields["numbers"]
    remaining = {task: numbers.get(str(task), 1) for task in events.indexes(fields["remaining"])}
    amount = jobs[fields["job"]].amount(fields["need"], fields["memory_bytes"])
    found = {**{name: fields[name] for name in (*_BATCH_FIELDS, *_BATCH_FLAGS)}, "gpus": tuple(fields["gpus"])}
    return Batch(remaining=remaining, amount=amount, **found)
