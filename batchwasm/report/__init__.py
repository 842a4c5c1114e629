"""A run as one HTML file: what its hosts did, what waited, how long it took, what failed, what to ask for next time.

gather.py      a run folder -> Report: one pass over the attempts in the journal, and the few events that matter
  tally.py       the pass; load.py, durations.py, failing.py  what it adds up, in memory bounded by bins and groups
  pool.py        when which host was there;  queue.py  what waited;  picture.py  the timeline or the heatmap
  reading.py     the journal from end to end;  events.py   which of them are said, in the words of views/
facts.py       Report and all in it: frozen values
page.py        Report -> HTML: sections.py, charts.py (data for the script), markup.py (what can't be broken out of)
assets/        the page's style and script, and Apache ECharts, which draws (scripts/vendor-echarts)
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchwasm import disk
from batchwasm.errors import WorldError
from batchwasm.report import gather, page
from batchwasm.results import RunFolder

SCHEMA = "report/1"
FILE = "report.html"


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """A report that was written."""

    run: str
    folder: str
    path: str
    bytes: int

    def as_dict(self) -> dict[str, Any]:
        """What `report --json` prints."""
        return {"schema": SCHEMA, "run": self.run, "folder": self.folder, "path": self.path, "bytes": self.bytes}


def write(folder: RunFolder, output: Path | None = None) -> Written:
    """The report of a run, live or over, to `output`, or `report.html` in its folder.

    Raises WorldError where that can't be written, RunError where the journal can't be read.
    """
    target = (output or folder.path / FILE).absolute()
    found = gather.report(folder)
    data = page.html(found).encode()
    _write(target, data)
    return Written(run=found.status.run, folder=str(folder.path), path=str(target), bytes=len(data))


def html(folder: RunFolder) -> bytes:
    """The same, for who writes it. Raises RunError."""
    return page.html(gather.report(folder)).encode()


def _write(target: Path, data: bytes) -> None:
    """Whole or not at all where it is a file of its own; into what else is there, such as a device."""
    try:
        if target.is_symlink() or (target.exists() and not target.is_file()):
            target.write_bytes(data)
            return
        # A name that nobody knows beforehand, for who else writes a report here; open() gives it the mode of the umask.
        beside = target.with_name(f".report-{secrets.token_hex(8)}.part")
        try:
            with open(beside, "xb") as stream:
                stream.write(data)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        if error.errno in disk.FULL:
            raise disk.unwritable(target, error, size_bytes=len(data)) from error
        cure = "choose another place with -o" if target.name == FILE else "choose another place"
        raise WorldError(f"{target} can't be written: {error.strerror}; {cure}") from error
