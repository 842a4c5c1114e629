"""A larger run, made by the benchmark's generator: what is summed one way is the same summed another way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from batchwasm.journal import Journal
from batchwasm.results import RunFolder
from batchwasm.views import View, sums
from batchwasm.views import view as view_module
from benchmarks import large_run

TASKS, HOSTS = 4000, 12


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return large_run.make(tmp_path_factory.mktemp("large") / "run", TASKS, HOSTS, 0.7)


@pytest.fixture
def view(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> Iterator[View]:
    monkeypatch.setattr(sums, "PAGE_ROWS", 700)
    monkeypatch.setattr(view_module, "FEW", 50)
    with View(run) as view:
        view.look()
        yield view


@pytest.fixture(scope="module")
def attempts(run: RunFolder) -> list[tuple[int, str, int, int, int, float]]:
    journal = Journal.open(run.journal, read_only=True)
    found = journal.rows("SELECT job, host, task, outcome, final, wall_s FROM attempts")
    journal.close()
    return found  # type: ignore[return-value]


def test_what_is_counted_is_the_same_however_it_is_counted(view: View, attempts: list[tuple[object, ...]]) -> None:
    assert view.overview is not None
    for n, job in enumerate(view.overview.jobs):
        tasks, name = job.row.tasks, job.row.name
        cells: Counter[str] = Counter()
        for cell in view.cells(name, 37):
            cells.update(cell.counts)
        assert cells.total() == tasks.total
        assert (cells["waiting"], cells["running"], cells["succeeded"]) == (
            *(tasks.waiting, tasks.running, tasks.succeeded),
        )
        assert sum(group.count for group in view.failures(name)) == tasks.failed
        assert sum(count for *_, count in view.job(name).durations) == sum(row[0] == n for row in attempts)
        for state, count in cells.items():
            assert view.tasks(name, states=[state], limit=1)[1] == count
    assert {"sweep", "fit", "rank"} == {group.job for group in view.failures()} | {"rank"}


def test_pages_have_every_task_once(view: View) -> None:
    for how in ({}, {"descending": True}, {"sort": "wall_s"}, {"sort": "cpu_s", "descending": True}):
        seen = [
            line.index
            for offset in range(0, TASKS, 500)
            for line in view.tasks("sweep", offset=offset, limit=500, **how)[0]  # type: ignore[arg-type]
        ]
        assert sorted(seen) == list(range(int(TASKS * 0.7))), how


def test_the_slowest_are_the_slowest(view: View, attempts: list[tuple[object, ...]]) -> None:
    longest = sorted((row for row in attempts if row[0] == 0 and row[4]), key=lambda row: row[5], reverse=True)  # type: ignore[arg-type, return-value]
    expected = [row[2] for row in longest]
    assert [line.index for line in view.job("sweep").slowest] == expected[: sums.SLOWEST]
    lines, _ = view.tasks("sweep", sort="wall_s", descending=True, limit=20)
    assert [line.index for line in lines] == expected[:20]


def test_hosts_together_have_what_the_run_has(view: View, attempts: list[tuple[object, ...]]) -> None:
    assert view.overview is not None
    outcomes: Counter[str] = Counter()
    for host in view.overview.hosts:
        shown = view.host(host.row.name)
        outcomes.update(shown.by_outcome)
        assert shown.line.row == host.row
        assert sum(shown.line.by_job.values()) == host.row.running
    assert outcomes.total() == len(attempts)
    assert sum(host.row.done for host in view.overview.hosts) == len(attempts)
