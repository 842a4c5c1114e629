"""Running a compiler: its environment, its failures, and what is kept."""

from __future__ import annotations

import errno
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from batchwasm.errors import SourceError
from batchwasm.model import Source
from batchwasm.toolchains import TOOLCHAINS, Tool, compile_source, prune
from batchwasm.toolchains.base import Request, Step
from batchwasm.toolchains.compile import ERROR_BYTES, KEEP_S, environment


def failing(tmp_path: Path, *scripts: str) -> str:
    """What is told when these shell scripts are the compiler's commands, all at the same time."""
    source = Source(language="c", paths=(tmp_path / "a.c",))
    tool = Tool(name="sh", version="1", argv=("/bin/sh", "-c"), path=Path("/bin/sh"), stamp="")
    language = replace(TOOLCHAINS["c"], recipe=lambda request: [Step(argv=(*request.tool.argv, x)) for x in scripts])
    with pytest.raises(SourceError) as caught:
        compile_source("job", source, language, tool, cache=tmp_path / "cache", talk=print, stop=threading.Event())
    return str(caught.value)


def test_all_commands_that_failed_are_told_in_their_order(tmp_path: Path) -> None:
    text = failing(tmp_path, "echo one; exit 1", "echo fine", "echo two >&2; exit 2")
    assert text.splitlines()[1:] == ["one", "two"]


def test_a_compiler_that_is_killed_or_silent_is_told(tmp_path: Path) -> None:
    assert "killed by signal 9" in failing(tmp_path, "kill -9 $$")
    assert "exit code 4 without a word" in failing(tmp_path, "exit 4")


def test_a_compiler_and_what_it_started_end_when_nobody_wants_the_module_any_more(tmp_path: Path) -> None:
    """It blocks on a pipe that is never written; so does the child that it started."""
    os.mkfifo(tmp_path / "never")
    script = f"echo $$ > {tmp_path}/pid; cat {tmp_path}/never & cat {tmp_path}/never"
    source = Source(language="c", paths=(tmp_path / "a.c",))
    tool = Tool(name="sh", version="1", argv=("/bin/sh", "-c"), path=Path("/bin/sh"), stamp="")
    language = replace(TOOLCHAINS["c"], recipe=lambda request: [Step(argv=(*tool.argv, script))])
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(SourceError, match="killed by signal 9"):
        compile_source("job", source, language, tool, cache=tmp_path / "cache", talk=print, stop=stop)
    group = (tmp_path / "pid").read_text().strip()
    stats = [path.read_text().rsplit(")", 1)[1].split() for path in Path("/proc").glob("[0-9]*/stat") if path.exists()]
    assert [stat for stat in stats if stat[2] == group and stat[0] != "Z"] == []  # orphans wait for init to bury them


def test_a_compiler_that_ended_as_it_was_killed_is_no_error_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """macOS says EPERM of a group in which only zombies are."""
    kill = os.killpg

    def refused(group: int, number: int) -> None:
        kill(group, number)
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "killpg", refused)
    test_a_compiler_and_what_it_started_end_when_nobody_wants_the_module_any_more(tmp_path)


def test_endless_messages_are_cut(tmp_path: Path) -> None:
    text = failing(tmp_path, f"head -c {ERROR_BYTES + 1000} /dev/zero | tr '\\0' x; exit 1")
    assert text.endswith("... and 1000 bytes more")


def test_a_compiler_that_writes_no_module_is_told(tmp_path: Path) -> None:
    assert failing(tmp_path, "true") == "job: sh 1 ended well but wrote no module"


def request(tmp_path: Path) -> Request:
    tool = Tool(name="go", version="1", argv=(), path=tmp_path, stamp="")
    source = Source(language="go", paths=(tmp_path / "a.go",))
    return Request(source=source, tool=tool, scratch=tmp_path / "scratch", cache=tmp_path / "cache")


def test_a_users_own_caches_are_used_and_ours_only_where_the_home_is_unusable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOCACHE", "CARGO_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", str(tmp_path / "mine"))
    env = environment({}, request(tmp_path))
    assert env["ZIG_GLOBAL_CACHE_DIR"] == str(tmp_path / "mine")
    assert "GOCACHE" not in env
    monkeypatch.setenv("HOME", str(tmp_path / "missing"))
    monkeypatch.delenv("ZIG_GLOBAL_CACHE_DIR")
    env = environment({}, request(tmp_path))
    for name, folder in (("ZIG_GLOBAL_CACHE_DIR", "zig"), ("GOCACHE", "go"), ("CARGO_HOME", "cargo-home")):
        assert env[name] == str(tmp_path / "cache" / folder)
        assert Path(env[name]).is_dir()


def test_a_step_can_take_a_variable_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUSTFLAGS", "-C target-cpu=native")
    env = environment({"RUSTFLAGS": None, "X": "1"}, request(tmp_path))
    assert ("RUSTFLAGS" in env, env["X"]) == (False, "1")


def test_what_cargo_kept_of_a_forgotten_project_goes(tmp_path: Path) -> None:
    built = 1_000_000.0
    for name, made in (("old", built), ("new", built + KEEP_S)):
        release = tmp_path / "cargo" / name / "target/wasm32-wasip1/release"
        release.mkdir(parents=True)
        for path in (release, tmp_path / "cargo" / name):
            os.utime(path, (made, made))
    prune(tmp_path, now=built + KEEP_S + 1)
    assert [path.name for path in (tmp_path / "cargo").iterdir()] == ["new"]
