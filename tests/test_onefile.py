"""The start of a one-file program by itself, around a tree of a shell script. tests/test_dist.py has the whole."""

from __future__ import annotations

import importlib.util
import os
import signal
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.command import ROOT

Program = Callable[..., subprocess.CompletedProcess[str]]


def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("onefile_build", ROOT / "scripts/onefile/build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("start") / "start"
    command = [build().Tools.go(), "build", "-o", path, ROOT / "scripts/onefile/start.go"]
    subprocess.run(command, check=True, env={**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"})
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def versions(start: Path, tmp_path: Path, cache: Path) -> tuple[Program, Program]:
    """Two programs that say `one` and `two`."""

    def made(word: str) -> Program:
        tree = tmp_path / f"tree-{word}"
        (tree / "bin").mkdir(parents=True)
        (tree / "bin/it").write_text(f"#!/bin/sh\necho {word}\n")
        (tree / "bin/it").chmod(0o755)
        (tree / "lock").touch()
        path = tmp_path / word
        build().write(path, tree, start, name="program", run="bin/it", level=1)

        def run(*args: str | Path, umask: int = 0o022) -> subprocess.CompletedProcess[str]:
            env = {**os.environ, "XDG_CACHE_HOME": str(cache)}
            return subprocess.run(
                [path, *args], env=env, umask=umask, capture_output=True, text=True, check=False, timeout=60
            )

        return run

    return made("one"), made("two")


def test_a_tree_that_a_cleaner_of_caches_went_through_is_unpacked_anew(
    versions: tuple[Program, Program], cache: Path
) -> None:
    one, _ = versions
    assert one().stdout == "one\n"
    (program,) = cache.glob("batchwasm/program/*/bin/it")
    program.unlink()
    assert (one().stdout, one().returncode) == ("one\n", 0)
    program.write_bytes(b"")  # a power cut
    assert one().stdout == "one\n"
    assert len(list(cache.glob("batchwasm/program/*"))) == 1


def test_a_folder_of_ones_choice_gets_what_is_newer_and_all_may_start_it(
    versions: tuple[Program, Program], tmp_path: Path
) -> None:
    one, two = versions
    folder = tmp_path / "opt"
    folder.mkdir()
    assert one("--unpack-to", folder, umask=0o077).returncode == 0
    assert stat.S_IMODE((folder / "bin/it").stat().st_mode) == 0o755
    assert stat.S_IMODE((folder / "bin").stat().st_mode) == 0o755
    assert two("--unpack-to", f"{folder}/").returncode == 0
    assert subprocess.run([folder / "bin/it"], capture_output=True, text=True, check=True).stdout == "two\n"
    assert [path.name for path in tmp_path.iterdir() if "opt" in path.name] == ["opt"]


def test_a_folder_with_other_things_in_it_is_left_alone(versions: tuple[Program, Program], tmp_path: Path) -> None:
    one, _ = versions
    folder = tmp_path / "opt"
    folder.mkdir()
    (folder / "mine").touch()
    done = one("--unpack-to", folder)
    assert done.returncode == 3
    assert f"{folder} is there, and nothing that --unpack-to made" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["mine"]


def test_a_folder_with_a_program_of_that_name_and_other_things_is_left_alone(
    versions: tuple[Program, Program], tmp_path: Path
) -> None:
    one, _ = versions
    folder = tmp_path / "local"  # as ~/.local is after `pip install --user`
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/it").write_text("of pip")
    assert one("--unpack-to", folder).returncode == 3
    (folder / "lock").touch()
    (folder / "share").mkdir()
    assert one("--unpack-to", folder).returncode == 3
    assert (folder / "bin/it").read_text() == "of pip"
    assert (folder / "share").is_dir()


def test_what_is_no_folder_is_left_alone(versions: tuple[Program, Program], tmp_path: Path) -> None:
    one, _ = versions
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name in ("file", "link"):
        done = one("--unpack-to", tmp_path / name)
        assert (done.returncode, (tmp_path / "file").read_text()) == (3, "mine"), done.stderr
    assert (tmp_path / "link").is_symlink()


def test_what_another_start_unpacked_meanwhile_stays(start: Path, tmp_path: Path) -> None:
    """Hosts that share a home are sent a Python at once, and the first of them runs it while others still unpack."""
    tree = tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    (tree / "bin/it").write_text("it")
    (tree / "lock").touch()
    (tree / "zeros").write_bytes(bytes(256 << 20))  # long enough to be stopped in the middle of it
    path, folder = tmp_path / "program", tmp_path / "opt"
    build().write(path, tree, start, name="program", run="bin/it", level=1)
    command = [path, "--unpack-to", folder]
    with subprocess.Popen(command) as slow:
        while not list(tmp_path.glob("opt.new-*/zeros")):
            assert slow.poll() is None
        slow.send_signal(signal.SIGSTOP)
        assert not folder.exists()
        subprocess.run(command, check=True)
        first = folder.stat().st_ino
        slow.send_signal(signal.SIGCONT)
        assert slow.wait() == 0
    assert folder.stat().st_ino == first
    assert not list(tmp_path.glob("opt.new-*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_a_cache_below_somebody_elses_folder_is_not_trusted(versions: tuple[Program, Program], cache: Path) -> None:
    one, _ = versions
    (cache / "batchwasm").mkdir(parents=True)
    os.chown(cache / "batchwasm", 12345, 12345)
    assert one().stdout == "one\n"
    assert not list(cache.glob("batchwasm/program/*"))
