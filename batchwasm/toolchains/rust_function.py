"""The crate of a Rust function: its glue has copies of the crate's files, one of which exports the function.

rustc is told to begin at the copy of the first file, to call all copies by the names of the user's files, and to be
silent about lints: what is generated must not fail by a `#![forbid(unsafe_code)]` that the user meant for own code.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from batchwasm.toolchains.base import Request

FOLDER = "batchwasm-function"
"""Where all that is compiled of a glue is; any path with it is a copy, of this build or of another at the same time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Crate:
    root: Path
    """The user's first file of the crate."""
    copies: Path
    """The folder that has copies of the crate's files, with the same paths as beside `root`."""
    name: str
    """What the folder of `root` is called from where the compiler is started: `src`."""
    _target: tuple[str, ...]

    @staticmethod
    def of(request: Request) -> Crate | None:
        """None for a program."""
        if request.glue is None:
            return None
        plan = json.loads(request.glue.files["plan.json"])
        return Crate(
            root=request.folder / plan["folder"] / plan["root"],
            copies=request.glue_folder / FOLDER / "crate",
            name="" if plan["folder"] == "." else plan["folder"],
            _target=tuple(plan["target"]),
        )

    @property
    def copy(self) -> Path:
        return self.copies / self.root.name

    @property
    def wrapper(self) -> Path:
        return self.copies.parent / "cargo-rustc.sh"

    @property
    def flags(self) -> list[str]:
        """For rustc."""
        return ["--cap-lints=allow", f"--remap-path-prefix={self.copies}={self.name}"]

    def target(self, flags: Sequence[str]) -> tuple[str, ...]:
        """How cargo is told which crate it is; nothing where the user's flags do."""
        chosen = any(flag == "--bin" or flag.startswith("--bin=") for flag in flags)
        return () if chosen and self._target[0] == "--bin" else self._target

    def swap(self, out: Path) -> list[str]:
        """What cargo hands to the wrapper, for this crate alone. `out` gets the module."""
        pairs = {"root": self.root, "copy": self.copy, "out": out}
        return [part for name, path in pairs.items() for part in (f"--batchwasm-{name}", str(path))]


def without_copies(request: Request, files: set[Path]) -> set[Path]:
    """The user's files instead of their copies, and without what is generated."""
    crate = Crate.of(request)
    assert crate is not None
    originals = {
        crate.root.parent / path.relative_to(crate.copies) for path in files if path.is_relative_to(crate.copies)
    }
    return originals | {path for path in files if FOLDER not in path.parts}
