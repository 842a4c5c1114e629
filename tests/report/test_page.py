"""A report's page: what is foreign stays text, nothing is loaded, and it does not grow with the run."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from batchwasm import report
from batchwasm.core.events import HostRefused, RunFinished, RunPlanned, RunStopped
from batchwasm.core.plans import AfterJob, HostPlan, JobPlan
from batchwasm.errors import WorldError
from batchwasm.model import Outcome
from batchwasm.report import gather, markup, page
from batchwasm.report.facts import Timeline
from batchwasm.report.failing import GROUPS
from batchwasm.report.picture import PIECES
from batchwasm.report.tally import FEW_HOSTS
from batchwasm.results import RunFolder
from benchmarks.report import make
from tests.report.runs import built, ended, finished, folder, joined, placed, planned, troubled

USUAL_BYTES, MOST_BYTES = 1_000_000, 2_000_000
"""Of a report; 600 KB of it are the library that draws."""


class Parsed(HTMLParser):
    """Elements of a page, and its text without scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text += data

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""


def test_foreign_text_is_text_wherever_it_stands(tmp_path: Path) -> None:
    text = page.html(gather.report(troubled(tmp_path / "run-1")))
    parsed = Parsed(text)
    assert len(parsed.scripts) == 3  # the data, the library, ours
    assert not [tag for tag, _ in parsed.tags if tag in ("img", "iframe", "object", "form")]
    assert not [name for _, given in parsed.tags for name in given if name.startswith("on")]
    assert parsed.text.count('<img src="http://x.test/a.png" onerror="alert(1)"> & \\x1b[31m \\u202eback') >= 6
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", text)


def test_data_for_the_script_can_not_end_its_element() -> None:
    value = ["</script><b>", "<!--<script>", "]]>", "\u2028"]
    written = markup.data(value, "x")
    [script] = Parsed(written).scripts
    assert json.loads(script) == value
    assert "<" not in script
    assert "\u2028" not in script


def test_only_our_scripts_may_run_and_nothing_may_be_loaded(tmp_path: Path) -> None:
    parsed = Parsed(page.html(gather.report(troubled(tmp_path / "run-1"))))
    [policy] = [given["content"] for tag, given in parsed.tags if given.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    for source in parsed.scripts[1:]:
        assert base64.b64encode(hashlib.sha256(source.encode()).digest()).decode() in policy
    links = [given.get("src") or given.get("href") for _, given in parsed.tags if given.get("src") or given.get("href")]
    assert all(link and link.startswith(("#", "data:")) for link in links)


def test_a_table_says_what_the_charts_show(tmp_path: Path) -> None:
    said = Parsed(page.html(gather.report(troubled(tmp_path / "run-1")))).text
    for words in (
        "exit code 3",
        "ran again",
        "utilisation",
        "pi/1 on h1",
        "zig 1",
        "50.0.1",
        "1.2.3",
        "host h1: drained",
    ):
        assert words in said


def test_a_large_run_makes_no_large_page(tmp_path: Path) -> None:
    few = page.html(gather.report(make(tmp_path / "few-1", hosts=10, tasks=1000)))
    many = page.html(gather.report(make(tmp_path / "many-1", hosts=1000, tasks=8000)))
    assert len(many.encode()) < USUAL_BYTES
    assert len(few.encode()) < USUAL_BYTES
    assert "and 900 hosts more" in many
    assert len(re.findall("<tr>", many)) < 500


def test_thousands_of_jobs_and_a_huge_inventory_are_cut_in_words(tmp_path: Path) -> None:
    run = folder(
        tmp_path / "wide-1", planned({f"job-{n}": 1 for n in range(3000)}), inventory="# a comment\n" * 200_000
    )
    text = page.html(gather.report(run))
    assert len(text.encode()) < USUAL_BYTES
    assert "and 2,950 artifacts more" in text
    assert "2.3 MiB more are in inventory.toml" in text


def test_the_worst_that_guests_hosts_and_files_can_say_makes_no_huge_page(tmp_path: Path) -> None:
    """Every character of it is six in HTML."""
    bad = '"' * 100_000
    names = [f"h{n}" for n in range(300)]
    failed = [ended(n, 5, 1, Outcome.FAILED, reason=(f"code-{n}", bad), stderr=bad.encode()) for n in range(60)]
    run = folder(
        tmp_path / "bad-1",
        [
            *planned({"a": 60}, hosts=names),
            *((2, HostRefused(host=name, code="key", text=bad, waiting_may_help=False)) for name in names[1:]),
            (3, joined("h0")),
            (4, placed(1, 0, "h0", range(60))),
            (9, finished(1, 0, "h0", *failed)),
            (10, RunStopped(code="interrupted", text=bad)),
        ],
        inventory=f"# {bad}\n",
    )
    assert USUAL_BYTES < len(page.html(gather.report(run)).encode()) < MOST_BYTES


def test_few_hosts_that_do_many_things_at_once_make_no_huge_timeline(tmp_path: Path) -> None:
    dice = random.Random(1)
    names = [f"h{n}" for n in range(FEW_HOSTS)]
    jobs, each = 12, 400
    events = [*planned({f"job-{n}": each for n in range(jobs)}, hosts=names), *((2, joined(name, 4)) for name in names)]
    for job in range(jobs):
        for first in range(0, each, 10):
            host, batch = dice.choice(names), 1 + job * each + first
            tasks = range(first, first + 10)
            records = [ended(task, dice.uniform(3, 900), dice.uniform(1, 60)) for task in tasks]
            events += [(2.5, placed(batch, job, host, tasks)), (1000, finished(batch, job, host, *records))]
    found = gather.report(folder(tmp_path / "busy-1", events))
    assert isinstance(found.picture, Timeline)
    assert not found.picture.attempts
    assert 1000 < len(found.picture.pieces) <= PIECES
    assert len(page.html(found).encode()) < USUAL_BYTES


def test_a_report_is_written_whole_into_the_run_folder_or_where_it_is_wanted(tmp_path: Path) -> None:
    run = troubled(tmp_path / "run-1")
    written = report.write(run)
    assert written.as_dict() == {
        "schema": "report/1",
        "run": "made-1",
        "folder": str(run.path),
        "path": str(run.path / "report.html"),
        "bytes": (run.path / "report.html").stat().st_size,
    }
    elsewhere = report.write(run, tmp_path / "a b.html")
    assert elsewhere.path == str(tmp_path / "a b.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a b.html", "run-1"]
    with pytest.raises(WorldError, match="No such file or directory; choose another place"):
        report.write(run, tmp_path / "not there" / "a.html")


def test_two_reports_written_at_once_do_not_share_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nobody who may write into a shared folder knows beforehand where it will be."""
    run = troubled(tmp_path / "run-1")
    target = tmp_path / "shared" / "report.html"
    target.parent.mkdir()
    replaced: list[Path] = []

    def replace(path: Path, other: Path) -> Path:
        replaced.append(path)
        if len(replaced) == 1:
            report.write(run, target)
        os.replace(path, other)
        return other

    monkeypatch.setattr(Path, "replace", replace)
    report.write(run, target)
    assert len(set(replaced)) == 2
    assert [path.name for path in target.parent.iterdir()] == ["report.html"]
    mask = os.umask(0o22)
    os.umask(mask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~mask


def test_failures_beyond_what_is_told_apart_and_jobs_that_were_skipped_are_counted_in_words(tmp_path: Path) -> None:
    tasks = GROUPS + 5
    failed = [ended(n, 5, 1, Outcome.FAILED, reason=(f"code-{n}", "no")) for n in range(tasks)]
    first = JobPlan(name="a", tasks=tasks)
    after = [JobPlan(name=f"b{n}", tasks=1, after=(AfterJob(job=0),)) for n in range(200)]
    run = folder(
        tmp_path / "run-1",
        [
            (0, RunPlanned(run="1", name="run-1", jobs=(first, *after), hosts=(HostPlan(name="h1"),))),
            (1, built(0)),
            (3, joined("h1")),
            (4, placed(1, 0, "h1", range(tasks))),
            (9, finished(1, 0, "h1", *failed)),
            (10, RunFinished()),
        ],
    )
    text = Parsed(page.html(gather.report(run))).text
    assert "and 960 groups more" in text
    assert "and 5 attempts more that failed in still other ways" in text
    assert "and 150 jobs more that were skipped" in text


def test_a_run_without_a_manifest_or_an_inventory_is_reported(tmp_path: Path) -> None:
    run: RunFolder = troubled(tmp_path / "run-1")
    run.manifest.unlink()
    run.inventory.unlink()
    assert "no inventory but this machine" in page.html(gather.report(run))


def test_a_source_that_does_not_compile_is_told_in_its_lines(tmp_path: Path) -> None:
    why = "pi does not compile:\npi.c:1: error\n    1 | int <x>"
    stopped = [*planned({"pi": 1})[:2], (1, RunStopped(code="compile", text=why))]
    said = page.html(gather.report(folder(tmp_path / "run-1", stopped)))
    assert "pi does not compile:\npi.c:1: error\n    1 | int &lt;x&gt;</pre>" in said
    assert "No attempt has ended." in said
    assert r"\x0a" not in said
