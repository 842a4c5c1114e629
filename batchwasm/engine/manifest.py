"""A run's manifest: all that is needed to run the same again, with versions and digests."""

from __future__ import annotations

import json
import platform
import socket
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from batchwasm.engine.loop import Loop
from batchwasm.engine.plan import Plan
from batchwasm.functions import to_json
from batchwasm.results import RunFolder
from batchwasm.spec import stored

SCHEMA = "manifest/1"


def write(folder: RunFolder, plan: Plan, loop: Loop) -> None:
    """As far as the run is by now. Raises WorldError where the disk refuses."""
    manifest = {
        "schema": SCHEMA,
        "run": folder.name,
        "id": plan.run,
        "batchwasm": plan.version,
        "python": platform.python_version(),
        "wasmtime": version("wasmtime"),
        "made_on": {"machine": socket.gethostname(), "platform": platform.platform()},
        "folder": str(plan.spec.folder),
        "inventory": {
            "path": None if plan.inventory.path is None else str(plan.inventory.path),
            "hosts": plan.inventory.picked,
        },
        "jobs": [_job(loop, n) for n in range(len(loop.jobs))],
        "hosts": {name: dict(loop.facts.get(name, {})) for name in loop.state.hosts},
    }
    folder.write_manifest(manifest)


def _job(loop: Loop, n: int) -> dict[str, Any]:
    job, artifact = loop.jobs[n], loop.artifacts.get(n)
    limits = {name: getattr(job.limits, name) for name in job.limits.__dataclass_fields__}
    signature = loop.signatures.get(n)
    return {
        "name": job.name,
        "tasks": loop.state.jobs[n].plan.tasks if n < len(loop.state.jobs) else 0,
        "language": job.source.language,
        "sources": [str(path) for path in job.source.paths],
        "build": {
            "flags": job.source.build.flags,
            "defines": dict(job.source.build.defines),
            "include": [str(path) for path in job.source.build.include],
            "optimize": job.source.build.optimize,
        },
        "function": job.source.function,
        "signature": None if signature is None else json.loads(to_json(signature)),
        "env": {name: list(template.parts) for name, template in job.env.items()},
        "mounts": list(job.mounts),
        "reuse": job.reuse,
        "artifact": None if artifact is None else artifact.digest,
        "toolchain": None if artifact is None else artifact.toolchain,
        "cpus": job.request.cpus,
        "requests": [asdict(request) for request in job.requests],
        "labels": job.labels,
        "hosts": None if job.hosts is None else sorted(job.hosts),
        "exclude": sorted(job.exclude),
        "priority": job.priority,
        "after": [asdict(after) for after in job.after],
        "max_parallel": job.max_parallel,
        "max_parallel_by_label": dict(job.max_parallel_by_label),
        "retries": {**asdict(job.retries), "on": sorted(job.retries.on)},
        "isolate": job.isolate,
        "verify": job.verify,
        "cache": job.cache,
        "deterministic": job.deterministic,
        "secret": list(job.secret),
        "limits": limits,
        "sweep": stored.to_json(job.sweep),  # type: ignore[arg-type]
    }
