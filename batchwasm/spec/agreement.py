"""What the jobs ask of the inventory, as far as the two files tell: host names, mounts, sizes no host has."""

from __future__ import annotations

from collections.abc import Sequence

from batchwasm.model import Host, HostName, Inventory, Job, RunSpec
from batchwasm.spec.nodes import Report, did_you_mean
from batchwasm.spec.quantities import in_units


def check(spec: RunSpec, inventory: Inventory, names: frozenset[HostName], report: Report) -> None:
    """Write into the book of the jobs file what this inventory can never give; `names` are those of all its hosts."""
    for job in spec.jobs:
        if _known_hosts(job, names, inventory, report):
            hosts = [host for host in inventory.hosts if _allowed(job, host)]
            if not hosts:
                report.add_to_job(job.name, _key(job), f"leave no host {_of(inventory)}; allow more")
            elif _offered(job, hosts, inventory, report):
                _fits(job, [host for host in hosts if _mounted(job, host)], inventory, report)


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


def _fits(job: Job, hosts: Sequence[Host], inventory: Inventory, report: Report) -> None:
    """One of the hosts must have room for one task; what a host does not state may be enough."""
    request = job.request
    many = [h for h in hosts if h.cpus is None or h.cpus >= request.cpus]
    large = [h for h in hosts if h.memory_bytes is None or h.memory_bytes >= request.memory_bytes]
    if not many:
        best = max(hosts, key=lambda h: h.cpus or 0)
        text = f"{request.cpus} cpus are more than any host has; the nearest is {best.name} with {best.cpus}"
        report.add_to_job(job.name, ("cpus",), f"{text} ({_of(inventory).removeprefix('of ')})")
    if not large:
        best = max(hosts, key=lambda h: h.memory_bytes or 0)
        text = f"{in_units(request.memory_bytes)} is more than any host has"
        nearest = f"the nearest is {best.name} with {in_units(best.memory_bytes or 0)}"
        report.add_to_job(job.name, ("memory",), f"{text}; {nearest} ({_of(inventory).removeprefix('of ')})")
    if many and large and not any(h in large for h in many):
        both = f"{request.cpus} cpus and {in_units(request.memory_bytes)}"
        report.add_to_job(job.name, (), f"no host has both {both}; the nearest is {many[0].name} by cpus")
