"""A folder with a jobs.toml, an inventory.toml and what they name, as a test writes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from batchwasm import spec
from batchwasm.errors import SpecError
from batchwasm.model import Host, Inventory, Job, RunSpec


@dataclass(frozen=True)
class Folder:
    path: Path

    def write(self, name: str, text: str = "") -> Path:
        """A file below the folder."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    @property
    def jobs(self) -> Path:
        return self.path / "jobs.toml"

    def load(self, text: str, *, hosts: str | None = None, inventory: Path | None = None) -> tuple[RunSpec, Inventory]:
        self.write("jobs.toml", text)
        return spec.load(self.jobs, hosts=hosts, inventory=inventory)

    def run(self, text: str) -> RunSpec:
        return self.load(text)[0]

    def job(self, keys: str, source: str = "a.c") -> Job:
        """The one job that has these keys beside its source."""
        if not (self.path / source).exists():
            self.write(source)
        return self.run(f'[jobs.j]\nsource = "{source}"\n{keys}').jobs[0]

    def hosts(self, text: str) -> dict[str, Host]:
        """The hosts of an inventory, by name and in order."""
        found = spec.load_inventory(None, inventory=self.write("inventory.toml", text), hosts=None)
        return {host.name: host for host in found.hosts}

    def wrong(self, text: str, **options: str) -> list[str]:
        """What is wrong with a jobs.toml (and the inventory beside it): `LINE: KEY: TEXT` of each problem."""
        with pytest.raises(SpecError) as caught:
            self.load(text, **options)  # type: ignore[arg-type]
        return [f"{p.line}: {p.key}: {p.text}" for p in caught.value.problems]

    def wrong_job(self, keys: str, source: str = "a.c") -> list[str]:
        """What is wrong with a job of these keys, which start on line 3."""
        if not (self.path / source).exists():
            self.write(source)
        return self.wrong(f'[jobs.j]\nsource = "{source}"\n{keys}')

    def wrong_hosts(self, text: str) -> list[str]:
        with pytest.raises(SpecError) as caught:
            self.hosts(text)
        return [f"{p.line}: {p.key}: {p.text}" for p in caught.value.problems]
