"""Run batches of WebAssembly on pools of lab machines, over plain SSH.

    import batchwasm

    with batchwasm.Fleet("lab.toml") as fleet:      # Fleet() is this machine alone
        mean = fleet.function("stats.cpp", "mean")  # compiled here, shipped with its first call
        mean([1.0, 2.0])                            # -> 1.5
        list(fleet.map(mean, rows))                 # in order, lazy, a bounded number on the way

`batchwasm.api` runs a jobs.toml and reads what runs left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batchwasm.version import __version__

if TYPE_CHECKING:
    from batchwasm.errors import BatchwasmError, SourceError, SpecError, TaskFailed, WorldError
    from batchwasm.fleet import AsyncFleet, Fleet, Function
    from batchwasm.functions.values import BadArgument

__all__ = [
    "AsyncFleet",
    "BadArgument",
    "BatchwasmError",
    "Fleet",
    "Function",
    "SourceError",
    "SpecError",
    "TaskFailed",
    "WorldError",
    "__version__",
]
_FROM = {
    "fleet": ("AsyncFleet", "Fleet", "Function"),
    "functions.values": ("BadArgument",),
    "errors": ("BatchwasmError", "SourceError", "SpecError", "TaskFailed", "WorldError"),
}


def __getattr__(name: str) -> Any:
    """Loaded when first asked for: `batchwasm --help` needs none of it."""
    import importlib

    for module, names in _FROM.items():
        if name in names:
            return getattr(importlib.import_module(f"batchwasm.{module}"), name)
    raise AttributeError(f"module 'batchwasm' has no attribute {name!r}")
