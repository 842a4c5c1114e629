"""Events as JSON values and back, as the journal keeps them. Journals of earlier versions are read as well."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from batchwasm.core.events import (
    AfterJob,
    Event,
    HostAdded,
    HostJoined,
    HostPlan,
    JobAdded,
    JobPlan,
    Record,
    RunPlanned,
    TasksAdded,
    TasksFinished,
    TasksKnown,
)
from batchwasm.model import Request

KINDS: dict[str, type[Event]] = {cls.__name__: cls for cls in Event.__args__}


def encode(event: Event) -> dict[str, Any]:
    """The event's fields as JSON values, without those that the journal keeps as rows."""
    if isinstance(event, TasksFinished):
        return {"batch": event.batch, "job": event.job, "host": event.host}
    if isinstance(event, TasksKnown):
        return {"job": event.job}
    fields = {name: getattr(event, name) for name in event.__dataclass_fields__}
    match event:
        case RunPlanned():
            fields["jobs"] = [dataclasses.asdict(job) for job in event.jobs]
            fields["hosts"] = [dataclasses.asdict(host) for host in event.hosts]
        case HostAdded():
            fields["plan"] = dataclasses.asdict(event.plan)
        case JobAdded():
            fields["plan"] = dataclasses.asdict(event.plan)
        case TasksAdded():
            del fields["arguments"]
        case _:
            pass
    return fields


def decode(kind: str, fields: dict[str, Any], records: Sequence[Record] = ()) -> Event:
    """The event that `encode` wrote. Raises KeyError for a kind, TypeError for a field, of a later version."""
    match kind:
        case "TasksFinished":
            return TasksFinished(**fields, records=records)
        case "TasksKnown":
            return TasksKnown(**fields, records=records)
        case "HostJoined" if fields.get("batches") is not None:
            return HostJoined(**{**fields, "batches": tuple(fields["batches"])})
        case "RunPlanned":
            jobs, hosts = tuple(map(job_plan, fields["jobs"])), tuple(map(host_plan, fields["hosts"]))
            return RunPlanned(**{**fields, "jobs": jobs, "hosts": hosts})
        case "JobAdded":
            return JobAdded(plan=job_plan(fields["plan"]))
        case "HostAdded":
            return HostAdded(plan=host_plan(fields["plan"]))
        case "TasksWithdrawn":
            fields = {**fields, "tasks": tuple(fields["tasks"])}
    if "ranges" in fields:
        fields = {**fields, "ranges": tuple((start, stop) for start, stop in fields["ranges"])}
    return KINDS[kind](**fields)


def job_plan(fields: Mapping[str, Any]) -> JobPlan:
    """A JobPlan from its fields; journals of earlier versions have one need, as two fields."""
    found = dict(fields)
    if "needs" not in found:
        found["needs"] = ({"cpus": found.pop("cpus"), "memory_bytes": found.pop("memory_bytes")},)
    found["needs"] = tuple(Request(**need) for need in found["needs"])
    found["after"] = tuple(AfterJob(**after) for after in found.get("after", ()))
    for name in ("hosts", "exclude", "labels", "mounts", "retry_on"):
        if found.get(name) is not None:
            found[name] = tuple(found[name])
    return JobPlan(**found)


def host_plan(fields: Mapping[str, Any] | str) -> HostPlan:
    """A HostPlan from its fields; journals of earlier versions have the name alone."""
    if isinstance(fields, str):
        return HostPlan(name=fields)
    return HostPlan(**{**fields, "labels": tuple(fields["labels"]), "mounts": tuple(fields["mounts"])})
