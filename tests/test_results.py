"""The run folder: made, found, and never left by a path that a host sends."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from batchwasm import results
from batchwasm.errors import HostLost, RunError, WorldError
from batchwasm.results import RunFolder


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index of the test's own."""
    folder = tmp_path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    monkeypatch.delenv("BATCHWASM_RUNS", raising=False)
    return folder / "batchwasm" / "runs"


def started(spec_name: str, runs_dir: Path) -> RunFolder:
    folder = results.create(spec_name, runs_dir)
    folder.journal.touch()
    return folder


# ------------------------------------------------------------------------------------------------- made, removed


def test_runs_of_one_name_are_numbered_in_order_and_private(tmp_path: Path) -> None:
    first, second, other = (results.create(name, tmp_path / "runs") for name in ("tour", "tour", "tour-2"))
    assert [first.name, second.name, other.name] == ["tour-1", "tour-2", "tour-2-1"]
    assert stat.S_IMODE(first.path.stat().st_mode) == 0o700
    assert list(first.path.iterdir()) == []


def test_the_number_is_above_the_highest_even_where_runs_were_removed_before(tmp_path: Path) -> None:
    (tmp_path / "tour-9").mkdir()
    (tmp_path / "tour-010").mkdir()
    assert results.create("tour", tmp_path).name == "tour-10"


def test_many_runs_that_start_at_once_get_a_folder_and_an_index_entry_each(tmp_path: Path, state: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: results.create("tour", tmp_path), range(40)))
    assert len({folder.path for folder in folders}) == 40
    assert len(list(state.iterdir())) == 40


def test_a_name_cannot_leave_the_runs_folder(tmp_path: Path) -> None:
    for name in ("../x", "a/b", ".", "..", "-x", "nul\0"):
        assert results.create(name, tmp_path / "runs").path.parent == tmp_path / "runs"


def test_a_runs_folder_that_cannot_be_made_says_where_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorldError, match=r"file.*--runs-dir"):
        results.create("tour", tmp_path / "file" / "runs")


def test_removing_the_only_run_leaves_nothing(tmp_path: Path, state: Path) -> None:
    folder = started("tour", tmp_path / "batchwasm-runs")
    folder.remove()
    assert not (tmp_path / "batchwasm-runs").exists()
    assert list(state.iterdir()) == []


def test_removing_a_run_leaves_the_others(tmp_path: Path) -> None:
    kept, removed = started("tour", tmp_path), started("tour", tmp_path)
    removed.remove()
    assert kept.journal.exists()
    assert not removed.path.exists()


def test_a_run_needs_no_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    folder = started("tour", tmp_path)
    assert results.find(str(folder.path), tmp_path).path == folder.path
    folder.remove()


# ------------------------------------------------------------------------------------------------------- found


def test_the_newest_run_of_this_folder_is_meant_by_default(tmp_path: Path) -> None:
    older, newer = (started(name, tmp_path / "batchwasm-runs") for name in ("b", "a"))
    started("elsewhere", tmp_path / "else")
    os.utime(older.path, (1, 1))
    assert results.find(None, tmp_path).path == newer.path
    newer.jobs.touch()
    os.utime(newer.jobs, (0, 0))
    assert results.find(None, tmp_path).path == older.path


def test_the_newest_of_the_index_is_meant_where_there_is_none_here(tmp_path: Path, state: Path) -> None:
    older, newer = started("a", tmp_path / "x"), started("a", tmp_path / "y")
    for age, folder in enumerate((newer, older)):
        (entry,) = (entry for entry in state.iterdir() if entry.read_text() == str(folder.path))
        os.utime(entry, (1000 - age, 1000 - age))
    assert results.find(None, tmp_path / "nowhere").path == newer.path


def test_a_folder_without_a_journal_is_not_a_run(tmp_path: Path) -> None:
    results.create("tour", tmp_path / "batchwasm-runs")
    with pytest.raises(RunError, match="start one with 'batchwasm run"):
        results.find(None, tmp_path)


def test_entries_whose_folder_is_gone_are_passed_over(tmp_path: Path, state: Path) -> None:
    kept, gone = started("a", tmp_path / "x"), started("b", tmp_path / "x")
    gone.journal.unlink()
    (state / "junk@1").write_bytes(b"\xff\xfe relative")
    (state / "junk@2").mkdir()
    assert results.find(None, tmp_path).path == kept.path
    assert results.names(tmp_path) == ["a-1"]


def test_a_run_is_found_by_name_from_anywhere_and_by_path(tmp_path: Path) -> None:
    folder = started("tour", tmp_path / "x" / "batchwasm-runs")
    (tmp_path / "other").mkdir()
    for run in ("tour-1", str(folder.path), "../x/batchwasm-runs/tour-1", "../x/batchwasm-runs/tour-1/"):
        assert results.find(run, tmp_path / "other").path == folder.path
    assert results.find(".", folder.path).path == folder.path


def test_a_name_here_is_one_run_although_the_index_knows_it_too(tmp_path: Path) -> None:
    folder = started("tour", tmp_path / "batchwasm-runs")
    (tmp_path / "link").symlink_to(tmp_path)
    assert results.find("tour-1", tmp_path / "link").path == tmp_path / "link" / "batchwasm-runs" / folder.name


def test_what_the_file_system_does_not_let_us_look_at_is_no_run(tmp_path: Path) -> None:
    """As are the runs of somebody else beside ours; here it is a name that is too long."""
    folder = started("tour", tmp_path / "batchwasm-runs")
    with pytest.raises(RunError, match="there is no run named"):
        results.find("x" * 300, tmp_path)
    assert results.reference(folder, tmp_path / ("y" * 300)) == "tour-1"


def test_an_ambiguous_name_lists_all_its_runs(tmp_path: Path) -> None:
    folders = [started("tour", tmp_path / place / "batchwasm-runs") for place in ("x", "y")]
    with pytest.raises(RunError) as caught:
        results.find("tour-1", tmp_path / "x")
    assert all(str(folder.path) in str(caught.value) for folder in folders)
    assert caught.value.exit_code == 2


def test_a_run_is_referred_to_by_its_name_and_by_its_path_where_others_have_that_name(tmp_path: Path) -> None:
    folder = started("tour", tmp_path / "it's x" / "batchwasm-runs")
    assert results.reference(folder, tmp_path) == "tour-1"
    started("tour", tmp_path / "y")
    assert results.reference(folder, folder.path.parent.parent) == "batchwasm-runs/tour-1"
    assert results.reference(folder, tmp_path) == r"it\'s\ x/batchwasm-runs/tour-1"
    assert results.find("it's x/batchwasm-runs/tour-1", tmp_path).path == folder.path


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    started("tour", tmp_path / "batchwasm-runs")
    with pytest.raises(RunError, match="did you mean 'tour-1'"):
        results.find("tuor-1", tmp_path)
    with pytest.raises(RunError, match="not a run folder"):
        results.find("./tour-1", tmp_path)


def test_the_variable_says_where_runs_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHWASM_RUNS", str(tmp_path / "here"))
    assert results.runs_dir(tmp_path / "jobs") == tmp_path / "here"
    folder = started("tour", tmp_path / "here")
    started("tour", tmp_path / "batchwasm-runs")
    assert results.find(None, tmp_path).path == folder.path


# ------------------------------------------------------------------------------------------- what hosts send


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return results.create("tour", tmp_path / "runs")


@pytest.mark.parametrize("path", ["a", "a/b c/ü", "..a/b..", "...", "a\nb", "\\..\\x", "x" * 255])
def test_an_output_stays_where_the_host_says_below_its_task(folder: RunFolder, path: str) -> None:
    assert folder.output("pi", 3, path) == folder.path / "tasks/pi/3/out" / path


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/etc/passwd", "..", "../x", "a/../../x", ".", "./a", "a//b", "a/", "nul\0", "a/\0/b"),
        *("x" * 256, "ü" * 128, "a/" * 2500 + "a", "\udc80", "a/\ud800/b"),
    ],
)
def test_an_output_outside_its_task_is_refused(folder: RunFolder, path: str) -> None:
    with pytest.raises(HostLost) as caught:
        folder.output("pi", 3, path)
    assert len(str(caught.value)) < 1000
    str(caught.value).encode("ascii")  # what a host sent is told in a form that harms no terminal


def test_an_output_does_not_go_through_a_link(folder: RunFolder, tmp_path: Path) -> None:
    out = folder.outputs("pi", 3)
    out.mkdir(parents=True)
    (out / "folder").symlink_to(tmp_path)
    (out / "file").symlink_to(tmp_path / "target")
    for path in ("folder/x", "file"):
        with pytest.raises(HostLost, match="symbolic link"):
            folder.output("pi", 3, path)


# ----------------------------------------------------------------------------------------------- files of a run


def test_the_manifest_is_written_whole(folder: RunFolder) -> None:
    folder.write_manifest({"schema": "manifest/1", "name": "ü"})
    folder.write_manifest({"schema": "manifest/1"})
    assert json.loads(folder.manifest.read_text()) == {"schema": "manifest/1"}
    assert [path.name for path in folder.path.iterdir()] == ["manifest.json"]


def test_text_is_kept_byte_for_byte(folder: RunFolder) -> None:
    folder.write_text(folder.jobs, "a = 1\r\nü\r")
    assert folder.jobs.read_bytes() == "a = 1\r\nü\r".encode()


def test_a_file_that_cannot_be_written_is_the_worlds_fault(folder: RunFolder) -> None:
    folder.manifest.mkdir()
    with pytest.raises(WorldError, match=r"manifest\.json can't be written"):
        folder.write_manifest({})
    with pytest.raises(WorldError, match=r"pi\.wasm can't be written"):
        folder.add_wasm("pi", folder.path / "missing")


def test_wasm_is_kept_under_its_jobs_name(folder: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "digest").write_bytes(b"\0asm")
    folder.add_wasm("pi", tmp_path / "digest")
    assert (folder.path / "wasm" / "pi.wasm").read_bytes() == b"\0asm"


def test_exporting_a_task_gives_the_tree_of_the_run_folder(folder: RunFolder, tmp_path: Path) -> None:
    for path in ("a.bin", "deep/b c"):
        target = folder.output("pi", 3, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"\0" + path.encode())
    folder.stderr("pi", 3).write_bytes(b"large")
    dest = tmp_path / "dest"
    assert folder.export_task(dest, "pi", 3, stdout=b"small", stderr=b"") == 4
    found = {str(path.relative_to(dest)): path.read_bytes() for path in results.files_below(dest)}
    assert found == {
        "tasks/pi/3/stdout": b"small",
        "tasks/pi/3/stderr": b"large",
        "tasks/pi/3/out/a.bin": b"\0a.bin",
        "tasks/pi/3/out/deep/b c": b"\0deep/b c",
    }


def test_a_task_that_left_nothing_makes_no_folder(folder: RunFolder, tmp_path: Path) -> None:
    assert folder.export_task(tmp_path / "dest", "pi", 0) == 0
    assert not (tmp_path / "dest").exists()


def test_exporting_to_where_one_cannot_write_says_so(folder: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "dest").touch()
    with pytest.raises(RunError, match="can't be written"):
        folder.export_task(tmp_path / "dest", "pi", 0, stdout=b"x")


def test_runs_of_calls_are_found_by_name_and_only_the_newest_stay(home: Path) -> None:
    calls = results.calls_dir()
    assert calls is not None
    folders = [results.create("call", calls, indexed=False) for _ in range(4)]
    for folder in folders:
        folder.journal.touch()
        folder.write_text(folder.jobs, "")
    with folders[0].held():
        results.prune_calls(2)
    assert [folder.path.exists() for folder in folders] == [True, False, True, True]
    assert results.find("call-3", home) == folders[2]
    with pytest.raises(RunError):
        results.find(None, home)
