"""jobs.toml: from its values to model.RunSpec, with every problem of it in the book."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from batchwasm.model import MIB, Job, JobName, Limits, RunSpec, Source
from batchwasm.spec import axes, graph, settings, sources, template
from batchwasm.spec.document import Document
from batchwasm.spec.keys import Keys
from batchwasm.spec.nodes import NAME_LENGTH, Node, present, wrong_name
from batchwasm.spec.quantities import failures, in_units, shown
from batchwasm.spec.references import References, Sibling
from batchwasm.spec.settings import JOB_KEYS
from batchwasm.spec.sweep import Combinations

TOP_KEYS = ("name", "max_failures", "defaults", "jobs")
# Below these a module of the language does not even start (measured; see the guest's memory in docs).
SMALLEST_MEMORY = {"go": 4 * MIB}
SMALLEST_MEMORY_OTHERS = 2 * MIB


def read(document: Document, path: Path) -> RunSpec | None:
    """The spec of a document that stands at `path` (absolute); None where it is no TOML. Problems are in its report."""
    root = document.root
    if root is None:
        return None
    folder = path.parent
    top = root.known(TOP_KEYS)
    defaults = top["defaults"].known(JOB_KEYS) if "defaults" in top else {}
    tables = top["jobs"].fields if "jobs" in top else {}
    siblings = {name: _sibling(table, defaults) for name, table in tables.items()}
    if "defaults" in top:
        whole = Keys(table=top["defaults"], own=defaults, defaults={})
        settings.read(whole, frozenset(), References(siblings=siblings))
    if top.get("jobs") is None or top["jobs"].value == {}:
        root.report.add((), "has no job; write [jobs.NAME] and its source")
    jobs = _jobs(tables, defaults, siblings, folder)
    tasks = sum(map(len, jobs))
    return RunSpec(
        name=present(top, "name", lambda node: node.name("a run"), run_name(path.stem)),
        folder=folder,
        jobs=tuple(jobs),
        max_failures=present(top, "max_failures", lambda node: node.quantity(lambda v: failures(v, tasks)), None),
        text=document.text,
    )


def run_name(stem: str) -> str:
    """A name for what a file is called: characters that no name can have become '-'."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem)[:NAME_LENGTH].strip("-") or "run"


def _sibling(table: Node, defaults: Mapping[str, Node]) -> Sibling:
    """What a table says at a glance; nothing of it is checked yet."""
    keys = {name: node.value for name, node in defaults.items()}
    keys |= table.value if isinstance(table.value, dict) else {}
    return Sibling(has_function="function" in keys, has_outputs=bool(keys.get("outputs")))


def _jobs(
    tables: Mapping[str, Node], defaults: Mapping[str, Node], siblings: Mapping[JobName, Sibling], folder: Path
) -> list[Job]:
    """All jobs, and what each waits for."""
    found: list[Job] = []
    references: dict[JobName, References] = {}
    unsure: set[JobName] = set()
    for name, table in tables.items():
        wrong = wrong_name(name, "a job")
        if wrong:
            table.wrong(wrong)
        if not isinstance(table.value, dict):
            table.wants(f"a job; write [jobs.{name}] and its source")
            continue
        keys = Keys(table=table, own=table.known(JOB_KEYS), defaults=defaults)
        sweep = axes.read(keys.all, folder)
        if sweep is None:
            unsure.add(name)
        references[name] = References(siblings=siblings)
        found.append(_job(name, keys, sweep, references[name], folder))
    return graph.linked(found, references, unsure)


def _job(name: str, keys: Keys, sweep: Combinations | None, references: References, folder: Path) -> Job:
    """One job. With problems in the book it may be made of stand-ins, so that the rest of it is checked as well."""
    names = frozenset((*(sweep.names if sweep else ()), *template.RESERVED))
    said = settings.read(keys, names, references)
    source = None
    if "source" in keys.all:
        source = sources.read(keys.all["source"], keys.merged("build"), folder)
    else:
        keys.table.wrong('has no source; write source = "FILE"')
    if source is not None:
        _check_memory(said.limits, source.language, keys)
    if source is not None and sweep is not None:  # a function can't be checked against stand-ins
        source = replace(source, function=present(keys.all, "function", Node.text, None))
    policy = said.policy
    return Job(
        name=name,
        source=source or Source(language="", paths=()),
        sweep=sweep or Combinations(axes=()),
        args=said.args,
        values=said.values,
        reuse=said.reuse,
        env=said.env,
        stdin=said.stdin if sweep is not None else None,  # without a sweep, nobody knows which braces are names
        inputs=said.inputs if sweep is not None else (),
        mounts=said.mounts,
        outputs=said.outputs,
        requests=said.requests,
        limits=said.limits,
        hosts=said.hosts,
        exclude=said.exclude,
        labels=policy.labels,
        priority=policy.priority,
        after=said.after,
        max_parallel=policy.max_parallel,
        max_parallel_by_label=policy.max_parallel_by_label,
        retries=policy.retries,
        isolate=policy.isolate,
        verify=policy.verify,
        cache=policy.cache,
        deterministic=said.deterministic,
        secret=said.secret,
    )


def _check_memory(limits: Limits, language: str, keys: Keys) -> None:
    least = SMALLEST_MEMORY.get(language, SMALLEST_MEMORY_OTHERS)
    if limits.memory_bytes < least:
        node = keys.all["memory"]
        node.wrong(f"{shown(node.value)} is too little: a {language} module needs {in_units(least)} to start")
