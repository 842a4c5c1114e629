"""A run's files together: read both, check one against the other, tell all problems at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from batchwasm.errors import SpecError
from batchwasm.model import Inventory, Job, RunSpec
from batchwasm.spec import agreement, document, inputs
from batchwasm.spec import inventory as inventories
from batchwasm.spec import jobs as job_files
from batchwasm.spec.lines import KeyPath

CheckJob = Callable[[Job, RunSpec], Iterable[tuple[KeyPath, str]]]
"""What else is wrong with a job of a run, as far as that can be said before it is compiled: each key's path, and
words."""


def load(
    jobs: Path,
    *,
    inventory: Path | None = None,
    hosts: str | None = None,
    check_job: CheckJob | None = None,
) -> tuple[RunSpec, Inventory]:
    """The spec at `jobs` and the inventory it runs on. Raises SpecError with all problems of both files."""
    found = document.read(jobs, str(jobs))
    return checked(found, jobs, inventory=inventory, hosts=hosts, check_job=check_job)


def checked(
    found: document.Document,
    path: Path,
    *,
    inventory: Path | None,
    hosts: str | None,
    check_job: CheckJob | None,
) -> tuple[RunSpec, Inventory]:
    """The same for a jobs file that is read already."""
    spec = job_files.read(found, Path(os.path.abspath(path)))
    machines = inventories.find(path.parent, inventory=inventory, hosts=hosts)
    if spec:
        inputs.check(spec, found.report)
    for job in spec.jobs if spec else ():
        for key, wrong in check_job(job, spec) if spec and check_job else ():
            found.report.add_to_job(job.name, key, wrong)
    if spec and machines.inventory:
        agreement.check(spec, machines.inventory, machines.names, found.report)
    problems = [*found.report.problems, *machines.problems]
    if problems or spec is None or machines.inventory is None:
        raise SpecError(problems)
    return spec, _as_run(machines.inventory, hosts)


def load_inventory(jobs_folder: Path | None, *, inventory: Path | None, hosts: str | None) -> Inventory:
    """The inventory alone, for commands about hosts; `jobs_folder` is where one may lie beside jobs.toml."""
    found = inventories.find(jobs_folder, inventory=inventory, hosts=hosts)
    if found.inventory is None:
        raise SpecError(found.problems)
    return _as_run(found.inventory, hosts)


def this_machine() -> Inventory:
    """The embedded default."""
    return Inventory(hosts=(inventories.THIS_MACHINE,))


def _as_run(inventory: Inventory, hosts: str | None) -> Inventory:
    """Where `--hosts` says which, they are these and no others, whatever becomes of the file."""
    return inventory if hosts is None else replace(inventory, path=None, picked=hosts)
