"""A run is worked on by one process at a time, and it can be seen which that is."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from batchwasm import holding
from batchwasm.errors import WorldError
from batchwasm.results import RunFolder

ELSEWHERE = {"pid": 4711, "machine": "lab07.example", "since": 1700000000.0, "version": "9.9"}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    path = tmp_path / "tour-1"
    path.mkdir()
    (path / "jobs.toml").touch()
    return RunFolder(path=path)


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system as some network ones are."""

    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)


def test_a_second_one_is_refused_with_process_and_machine_of_the_first(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "PATIENCE_S", 0.05)
    with folder.held():
        assert folder.is_held()
        said = rf"^tour-1 is worked on by process {os.getpid()} on {socket.gethostname()} since 20\d\d-"
        with pytest.raises(WorldError, match=said), folder.held():
            pass
        assert folder.holder() is not None
    assert folder.is_held() is False
    assert [path.name for path in folder.path.iterdir()] == ["jobs.toml"]


def test_a_reader_that_looks_for_a_moment_is_waited_for(folder: RunFolder) -> None:
    looking = os.open(folder.jobs, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    threading.Timer(0.1, os.close, [looking]).start()
    with folder.held():
        assert folder.is_held()


def test_a_process_that_dies_lets_go_and_what_it_said_counts_no_more(folder: RunFolder) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from batchwasm.results import RunFolder\n"
        "with RunFolder(path=Path(sys.argv[1])).held(): os.kill(os.getpid(), signal.SIGKILL)"
    )
    dead = subprocess.run([sys.executable, "-c", program, str(folder.path)], check=False)
    assert dead.returncode == -9
    left = folder.holder()
    assert left is not None
    assert left.machine == socket.gethostname()
    assert folder.is_held() is False
    with folder.held():
        now = folder.holder()
        assert now is not None
        assert now.pid == os.getpid()


def test_without_locks_the_file_alone_says_who_works_on_it(folder: RunFolder, no_locks: None) -> None:
    (folder.path / "scheduler.json").write_text(json.dumps(ELSEWHERE))
    said = r"worked on by process 4711 on lab07\.example since .*; where that is not so, remove .*scheduler\.json$"
    with pytest.raises(WorldError, match=said), folder.held():
        pass
    (folder.path / "scheduler.json").write_text(json.dumps({**ELSEWHERE, "machine": socket.gethostname(), "pid": 1}))
    with pytest.raises(WorldError, match="worked on by process 1 on"), folder.held():
        pass


def test_without_locks_a_process_of_this_machine_that_is_gone_is_in_nobody_s_way(
    folder: RunFolder, no_locks: None
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (folder.path / "scheduler.json").write_text(
        json.dumps({**ELSEWHERE, "machine": socket.gethostname(), "pid": gone.pid})
    )
    with folder.held():
        assert folder.is_held() is None
    assert folder.holder() is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": "x", "machine": 1, "since": null, "version": 0}', "\xff"])
def test_what_another_wrote_there_is_passed_over(folder: RunFolder, text: str) -> None:
    (folder.path / "scheduler.json").write_bytes(text.encode("latin-1"))
    assert folder.holder() is None
    with folder.held():
        pass


def test_a_folder_that_takes_no_file_says_so(folder: RunFolder) -> None:
    (folder.path / "scheduler.json").mkdir()
    with pytest.raises(WorldError, match=r"scheduler\.json can't be written"), folder.held():
        pass
    assert folder.is_held() is False
