"""Whether a host, as the inventory states it, can ever hold one task of a job; if none can, which is nearest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from batchwasm.model import Host, Job, Request
from batchwasm.spec.lines import KeyPath
from batchwasm.spec.nodes import Report, did_you_mean
from batchwasm.spec.quantities import amount_text, in_units

_COUNTED = ("cpus", "gpus")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """One thing that a task asks for."""

    key: KeyPath
    amount: float
    stated: Sequence[float | None]
    """What each host has of it; None where the inventory does not say, which may be enough."""
    unit: str
    """`cpus`; '' for memory."""

    def fits(self, host: int) -> bool:
        stated = self.stated[host]
        return stated is None or stated >= self.amount

    @property
    def fits_none(self) -> bool:
        return not any(map(self.fits, range(len(self.stated))))

    def text(self, amount: float) -> str:
        """`0.5 gpus`, `8 GiB`."""
        if not self.unit:
            return in_units(int(amount))
        return f"{amount_text(amount)} {self.unit[:-1] if amount == 1 and self.unit in _COUNTED else self.unit}"


def check(job: Job, hosts: Sequence[Host], its: str, of: str, report: Report) -> None:
    """Write into the book why none of these hosts can hold a task; one alternative is enough.

    `its` is " it may use" where the inventory, "of lab.toml", has others that might.
    """
    able = [host.name for host in hosts if any(_holds(host, request) for request in job.requests)]
    if able:
        if len(able) < job.verify:
            many = f"{job.verify} different hosts"
            text = f"{job.verify} runs each task on {many}, and only {' and '.join(able)} {of} can take one"
            report.add_to_job(job.name, ("verify",), text)
        return
    asked = [_parts(request, hosts) for request in job.requests]
    for number, parts in enumerate(asked):
        within: KeyPath = () if len(asked) == 1 else ("any", number)
        missing = [part for part in parts if part.fits_none]
        for part in missing:
            report.add_to_job(job.name, within or part.key, _too_much(part, hosts, its, of))
        if not missing:
            report.add_to_job(job.name, within, _not_together(parts, hosts, its))


def _holds(host: Host, request: Request) -> bool:
    return all(part.fits(0) for part in _parts(request, [host]))


def _parts(request: Request, hosts: Sequence[Host]) -> list[_Part]:
    parts = [
        _Part(key=("cpus",), amount=request.cpus, stated=[h.cpus for h in hosts], unit="cpus"),
        _Part(key=("memory",), amount=request.memory_bytes, stated=[h.memory_bytes for h in hosts], unit=""),
        _Part(key=("gpus",), amount=request.gpus, stated=[h.gpus for h in hosts], unit="gpus"),
    ]
    for name, amount in sorted(request.resources.items()):
        stated = [h.resources.get(name, 0) for h in hosts]  # nobody finds these: what is not stated is not there
        parts.append(_Part(key=("resources", name), amount=amount, stated=stated, unit=name))
    return parts


def _too_much(part: _Part, hosts: Sequence[Host], its: str, of: str) -> str:
    """What no host has by itself."""
    most = max(range(len(hosts)), key=lambda host: part.stated[host] or 0)
    has = part.stated[most] or 0
    if not has and part.key[0] == "resources":
        known = sorted({name for host in hosts for name in host.resources})
        near = did_you_mean(part.unit, known) or f"; write resources = {{ {part.unit} = N }} into a host's table there"
        return f"no host {of}{its and ' that'}{its} has the resource {part.unit!r}{near}"
    verb = "is" if not part.unit or part.amount == 1 else "are"
    nearest = f"{hosts[most].name} with {amount_text(has) if part.unit else in_units(int(has))}"
    where = of.removeprefix("of ")
    return f"{part.text(part.amount)} {verb} more than any host{its} has; the nearest is {nearest} ({where})"


def _not_together(parts: Sequence[_Part], hosts: Sequence[Host], its: str) -> str:
    """Each part is somewhere, but not all on one host."""
    lacking = [[part for part in parts if not part.fits(host)] for host in range(len(hosts))]
    nearest = min(range(len(hosts)), key=lambda host: len(lacking[host]))
    scarce = [part for part in parts if not all(map(part.fits, range(len(hosts))))]
    *most, last = [part.text(part.amount) for part in scarce]
    has = " and ".join(part.text(part.stated[nearest] or 0) for part in lacking[nearest])
    return f"no host{its} has both {', '.join(most)} and {last}; the nearest is {hosts[nearest].name}, which has {has}"
