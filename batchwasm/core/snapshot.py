"""A State as bytes and back, so that a reader need not replay a whole journal. Derived, versioned, disposable."""

from __future__ import annotations

import base64
import dataclasses
import json
import zlib
from typing import Any

from batchwasm.core import events
from batchwasm.core.events import Event
from batchwasm.core.state import CODES, Batch, HostState, JobState, State

VERSION = 4


def dump(state: State) -> bytes:
    """About a byte for every few hundred tasks that ended the same way; JSON, compressed."""
    fields = {
        "run": state.run,
        "name": state.name,
        "max_failures": state.max_failures,
        "fail_fast": state.fail_fast,
        "open": state.open,
        "incarnation": state.incarnation,
        "times": [state.opened_at, state.first_at, state.last_at],
        "finished": state.finished,
        "events": [_event(event) for event in (state.opened, state.cancelled, state.stopped)],
        "jobs": [_job(job) for job in state.jobs],
        "hosts": [_host(host) for host in state.hosts.values()],
        "batches": [
            [b.id, b.job, b.host, events.ranges_of(list(b.remaining)), b.placed_at, b.recalled]
            for b in state.batches.values()
        ],
    }
    return zlib.compress(json.dumps(fields, separators=(",", ":")).encode(), 1)


def load(data: bytes) -> State:
    """The State that `dump` was given. The caller checks VERSION, which is stored beside the bytes."""
    fields: dict[str, Any] = json.loads(zlib.decompress(data))
    state = State()
    state.run, state.name = fields["run"], fields["name"]
    state.max_failures, state.fail_fast = fields["max_failures"], fields["fail_fast"]
    state.open = fields["open"]
    state.incarnation = fields["incarnation"]
    state.opened_at, state.first_at, state.last_at = fields["times"]
    state.finished = fields["finished"]
    opened, cancelled, stopped = (_load_event(event) for event in fields["events"])
    state.opened, state.cancelled, state.stopped = opened, cancelled, stopped  # type: ignore[assignment]
    state.jobs = [_load_job(job) for job in fields["jobs"]]
    for host in fields["hosts"]:
        found = state.hosts[host["plan"]["name"]] = _load_host(host)
        state.slots += found.capacity[0] if found.capacity else 0
    for id_, job, name, remaining, placed_at, recalled in fields["batches"]:
        state.batches[id_] = Batch(id_, job, name, dict.fromkeys(events.indexes(remaining)), placed_at, recalled)
        state.hosts[name].batches.setdefault(job, set()).add(id_)
    return state


def _event(event: Event | None) -> list[Any] | None:
    return None if event is None else [type(event).__name__, events.encode(event)]


def _load_event(pair: list[Any] | None) -> Event | None:
    return None if pair is None else events.decode(pair[0], pair[1])


def _job(job: JobState) -> dict[str, Any]:
    return {
        "plan": dataclasses.asdict(job.plan),
        "codes": base64.b64encode(zlib.compress(job.codes, 1)).decode(),
        "digest": job.digest,
        "ready_at": job.ready_at,
        "next": job.next,
        "returned": list(job.returned),
        "tries": list(job.tries.items()),
        "losses": list(job.losses.items()),
        "mean_s": job.mean_s,
        "argument_bytes": job.argument_bytes,
        "unwanted": sorted(job.unwanted),
    }


def _load_job(fields: dict[str, Any]) -> JobState:
    plan = events.job_plan(fields["plan"])
    codes = bytearray(zlib.decompress(base64.b64decode(fields["codes"])))
    job = JobState(plan, codes, [codes.count(code) for code in range(CODES)])
    job.digest, job.ready_at = fields["digest"], fields["ready_at"]
    job.next, job.mean_s, job.argument_bytes = fields["next"], fields["mean_s"], fields["argument_bytes"]
    job.returned = dict.fromkeys(fields["returned"])
    job.tries, job.losses = dict(fields["tries"]), dict(fields["losses"])
    job.unwanted = set(fields["unwanted"])
    return job


def _host(host: HostState) -> dict[str, Any]:
    fields = {f.name: getattr(host, f.name) for f in dataclasses.fields(host) if f.name != "batches"}
    return {**fields, "plan": dataclasses.asdict(host.plan)}


def _load_host(fields: dict[str, Any]) -> HostState:
    host = HostState(**{**fields, "plan": events.host_plan(fields["plan"])})
    host.capacity = None if host.capacity is None else (host.capacity[0], host.capacity[1])
    host.limits = None if host.limits is None else (host.limits[0], host.limits[1])
    return host
