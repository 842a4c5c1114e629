"""What the jobs ask of the inventory, as far as the two files tell: host names, labels, mounts."""

from __future__ import annotations

from collections.abc import Sequence

from batchwasm.model import Host, HostName, Inventory, Job, RunSpec
from batchwasm.spec import capacity
from batchwasm.spec.nodes import Report, did_you_mean


def check(spec: RunSpec, inventory: Inventory, names: frozenset[HostName], report: Report) -> None:
    """Write into the book of the jobs file what this inventory can never give; `names` are those of all its hosts."""
    for job in spec.jobs:
        if not _known_hosts(job, names, inventory, report):
            continue
        hosts = [host for host in inventory.hosts if _allowed(job, host)]
        if not hosts:
            report.add_to_job(job.name, _key(job), f"leave no host {_of(inventory)}; allow more")
        elif _labelled(job, hosts, inventory, report):
            hosts = [host for host in hosts if _has_labels(job, host)]
            if _offered(job, hosts, inventory, report):
                hosts = [host for host in hosts if _mounted(job, host)]
                its = " it may use" if len(hosts) < len(inventory.hosts) else ""
                capacity.check(job, hosts, its, _of(inventory), report)


def _known_hosts(job: Job, known: frozenset[HostName], inventory: Inventory, report: Report) -> bool:
    """Whether all hosts that the job names are there."""
    there = True
    for key, names in (("hosts", job.hosts or frozenset()), ("exclude", job.exclude)):
        for name in sorted(names - known):
            there = False
            report.add_to_job(job.name, (key,), f"{name!r} is no host {_of(inventory)}{_nearest(name, sorted(known))}")
    return there


def _nearest(name: str, known: Sequence[str]) -> str:
    return did_you_mean(name, known) or f"; hosts are {', '.join(known[:8])}{', ...' if len(known) > 8 else ''}"


def _of(inventory: Inventory) -> str:
    return f"of {inventory.path}" if inventory.path else "of this run (there is no inventory file)"


def _key(job: Job) -> tuple[str]:
    return ("exclude",) if job.hosts is None else ("hosts",)


def _allowed(job: Job, host: Host) -> bool:
    return (job.hosts is None or host.name in job.hosts) and host.name not in job.exclude


def _has_labels(job: Job, host: Host) -> bool:
    return all(label[1:] not in host.labels if label.startswith("!") else label in host.labels for label in job.labels)


def _labelled(job: Job, hosts: Sequence[Host], inventory: Inventory, report: Report) -> bool:
    """Whether a host has all the labels that the job wants, and none of those that it does not."""
    if any(_has_labels(job, host) for host in hosts):
        return True
    there = {label for host in hosts for label in host.labels}
    missing = [label for label in job.labels if not label.startswith("!") and label not in there]
    for label in missing:
        near = did_you_mean(label, sorted(there)) or "; write labels = [...] into a host's table there"
        report.add_to_job(job.name, ("labels",), f"no host {_of(inventory)} has the label {label!r}{near}")
    if not missing:
        whole = ", ".join(job.labels)
        report.add_to_job(job.name, ("labels",), f"no host {_of(inventory)} agrees with all of {whole}; ask for fewer")
    return False


def _mounted(job: Job, host: Host) -> bool:
    return set(job.mounts) <= set(host.mounts)


def _offered(job: Job, hosts: Sequence[Host], inventory: Inventory, report: Report) -> bool:
    """Whether a host offers all the job's mounts."""
    if any(_mounted(job, host) for host in hosts):
        return True
    offered = sorted({name for host in hosts for name in host.mounts})
    missing = [name for name in job.mounts if name not in offered]
    for name in missing:
        near = did_you_mean(name, offered) or "; write [hosts.NAME.mounts] there"
        report.add_to_job(job.name, ("mounts",), f"no host {_of(inventory)} offers {name!r}{near}")
    if not missing:
        report.add_to_job(job.name, ("mounts",), f"no host {_of(inventory)} offers all of {', '.join(job.mounts)}")
    return False
