"""The first screen: how far the run is, its jobs, its hosts, what happened last."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Footer, Static

from batchwasm.tui.screen import RunScreen, foreign
from batchwasm.views.model import Overview


class OverviewScreen(RunScreen):
    """How far the run is."""

    def compose(self) -> ComposeResult:
        yield Static("looking at the run ...", id="state")
        yield Static(id="jobs")
        yield Static(id="hosts")
        yield Footer()

    def show(self, overview: Overview, answer: Any) -> None:
        status = overview.status
        self.query_one("#state", Static).update(foreign(f"{status.run} {status.state}"))
        jobs = [foreign(f"{job.row.name} {job.row.tasks.done}/{job.row.tasks.total}") for job in overview.jobs]
        self.query_one("#jobs", Static).update(Text("\n").join(jobs))
        hosts = [foreign(f"{host.row.name} {host.row.state}") for host in overview.hosts]
        self.query_one("#hosts", Static).update(Text("\n").join(hosts))
