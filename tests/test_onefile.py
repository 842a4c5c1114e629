"""The start of a one-file program by itself, around a tree of a shell script. tests/test_dist.py has the whole."""

from __future__ import annotations

import fcntl
import os
import pty
import resource
import shlex
import signal
import stat
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from scripts.onefile import build

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount, and give a folder away")


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It waits for others longer than one of them takes on a busy machine."""
    return compiled(tmp_path_factory.mktemp("start"), patience="10s")


@pytest.fixture(scope="module")
def hasty_start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It all but doesn't wait for others."""
    return compiled(tmp_path_factory.mktemp("hasty-start"), patience="0.1s")


def compiled(folder: Path, *, patience: str) -> Path:
    build.compile_start(folder / "start", f"-X main.patience={patience}")
    return folder / "start"


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """A one-file program, its user's cache, and the temporary folder that is the last resort."""

    path: Path
    cache: Path
    elsewhere: Path

    @property
    def environment(self) -> Mapping[str, str]:
        return {**os.environ, "XDG_CACHE_HOME": str(self.cache), "TMPDIR": str(self.elsewhere)}

    def __call__(self, *args: str | Path, **given: Any) -> subprocess.CompletedProcess[str]:
        settings = {"env": self.environment, "umask": 0o022, **given}
        return subprocess.run(
            [self.path, *args], **settings, capture_output=True, text=True, errors="replace", check=False, timeout=60
        )

    def started(self, *args: str | Path, **given: Any) -> subprocess.Popen[str]:
        return subprocess.Popen([self.path, *args], env=self.environment, text=True, **given)

    @property
    def trees(self) -> list[Path]:
        """All that lies where its trees do, in the cache."""
        return folders(self.cache / "batchwasm/program")


def folders(where: Path) -> list[Path]:
    return [path for path in where.glob("*") if path.is_dir()]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


SCRIPT = "#!/bin/sh\necho WORD\n"
TREES = tuple(f"{number:016x}" for number in range(4))  # as they are named
ZEROS = 64 << 20  # takes long enough to unpack for being stopped in the middle of it


@dataclass(frozen=True, kw_only=True, slots=True)
class Maker:
    start: Path
    folder: Path

    def __call__(self, word: str, *, script: str = SCRIPT, zeros: int = 0) -> Program:
        tree = self.folder / f"tree-{word}"
        for name in ("bin", "lib"):
            (tree / name).mkdir(parents=True)
        (tree / "bin/it").write_text(script.replace("WORD", word))
        (tree / "bin/it").chmod(0o755)
        (tree / "lib/part").write_text("a part")
        (tree / "lib/link").symlink_to("part")
        if zeros:
            (tree / "zeros").touch()
            os.truncate(tree / "zeros", zeros)
        (tree / "lock").touch()
        build.write(self.folder / word, tree, self.start, name="program", run="bin/it", level=1)
        elsewhere = self.folder / "elsewhere"
        elsewhere.mkdir(exist_ok=True)
        return Program(path=self.folder / word, cache=self.folder / "cache", elsewhere=elsewhere)


@pytest.fixture
def make(start: Path, tmp_path: Path) -> Iterator[Maker]:
    yield Maker(start=start, folder=tmp_path)
    for path in tmp_path.rglob("zeros"):  # of which pytest would keep those of three sessions
        path.unlink()


@pytest.fixture
def one(make: Maker) -> Program:
    """It says `one`."""
    return make("one")


@pytest.fixture
def versions(make: Maker, one: Program) -> tuple[Program, Program]:
    """Two programs that say `one` and `two`."""
    return one, make("two")


@contextmanager
def mounted(where: Path, *options: str) -> Iterator[Path]:
    where.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", *options, where], check=True)
    try:
        yield where
    finally:
        subprocess.run(["umount", "--lazy", where], check=True)


def until_unpacking(process: subprocess.Popen[str], folder: Path) -> None:
    """Until the tree with zeros is being unpacked in a folder of trees."""
    while not list(folder.glob("*.new-*/zeros")):
        assert process.poll() is None
        time.sleep(0.005)


def until_open(process: subprocess.Popen[str], path: Path) -> None:
    """Until the process has opened the file."""
    while str(path) not in opened(process):
        assert process.poll() is None
        time.sleep(0.005)


def opened(process: subprocess.Popen[str]) -> Iterator[str]:
    for link in Path(f"/proc/{process.pid}/fd").iterdir():
        try:
            yield os.readlink(link)
        except OSError:
            pass


def test_a_tree_that_a_cleaner_of_caches_went_through_is_unpacked_anew(
    one: Program,
) -> None:
    assert one().stdout == "one\n"
    [tree] = one.trees
    (tree / "bin/it").unlink()
    assert (one().stdout, one().returncode) == ("one\n", 0)
    (tree / "bin/it").write_bytes(b"")
    assert one().stdout == "one\n"
    assert one.trees == [tree]


@pytest.mark.parametrize("harm", ["gone", "shorter", "list gone"])
def test_all_files_of_a_tree_are_looked_at_that_was_not_started_for_a_day(one: Program, harm: str) -> None:
    one()
    [tree] = one.trees
    part = tree / "lib/part"
    inode = tree.stat().st_ino
    os.utime(tree, (0, 0))
    assert one().stdout == "one\n"
    assert tree.stat().st_ino == inode  # all were there
    assert tree.stat().st_mtime > 0  # and are taken to be for a day
    if harm == "shorter":
        part.write_text("a")
    else:
        (part if harm == "gone" else tree / "files").unlink()
    os.utime(tree, (0, 0))
    assert one().stdout == "one\n"
    assert one.trees == [tree]
    assert part.read_text() == "a part"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, an ext4 in a file."""
    try:
        open("/dev/loop-control", "rb").close()
    except OSError as error:
        pytest.skip(f"a disk in a file needs a loop device, which root of a container may not have: {error}")
    image = tmp_path / "image"
    image.touch()
    os.truncate(image, 16 << 20)
    subprocess.run(["/sbin/mkfs.ext4", "-q", "-F", image], check=True)
    with mounted(tmp_path / "disk", "-o", "loop", str(image)):
        yield tmp_path / "disk"


EXT4_IOC_SHUTDOWN = 0x8004587D
NOLOGFLUSH = 2


@contextmanager
def after_power_cut(disk: Path) -> Iterator[Path]:
    """What is only in memory is lost. So much time has passed before that all names are on the disk.

    The disk is mounted anew as a copy: others, with mounts of their own, may still have the first one for a moment.
    """
    with open(disk / "other", "w") as file:
        file.write("of somebody else")
        file.flush()
        os.fsync(file)
    folder = os.open(disk, os.O_RDONLY)
    fcntl.ioctl(folder, EXT4_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
    os.close(folder)
    copy = disk.with_name("image-after")
    subprocess.run(["cp", "--sparse=always", disk.with_name("image"), copy], check=True)
    with mounted(disk.with_name("disk-after"), "-o", "loop", str(copy)) as after:
        yield after


@root_only
@pytest.mark.parametrize("way", ["cache", "choice"])
def test_after_a_power_cut_a_tree_is_whole_or_not_there(one: Program, disk: Path, way: str) -> None:
    arguments = ["--unpack-to", str(disk / "opt")] if way == "choice" else []
    assert one(*arguments, env={**one.environment, "XDG_CACHE_HOME": str(disk)}).returncode == 0
    with after_power_cut(disk) as after:
        [part] = after.rglob("lib/part")
        assert part.read_text() == "a part"
        assert part.with_name("link").read_text() == "a part"
        assert "echo one" in (part.parent.parent / "bin/it").read_text()
        assert (part.parent.parent / "bin/it").stat().st_mode & 0o100
        if way == "choice":
            said = subprocess.run([after / "opt/bin/it"], capture_output=True, text=True, check=True).stdout
            assert said == "one\n"


def test_a_folder_of_ones_choice_gets_what_is_newer_and_all_may_start_it(
    versions: tuple[Program, Program], tmp_path: Path
) -> None:
    one, two = versions
    folder = tmp_path / "opt"
    folder.mkdir()
    assert one("--unpack-to", folder, umask=0o077).returncode == 0
    assert stat.S_IMODE((folder / "bin/it").stat().st_mode) == 0o755
    for path in (folder / "bin", folder / "versions", *folders(folder / "versions"), *folder.glob("versions/*/bin")):
        assert stat.S_IMODE(path.stat().st_mode) == 0o755
    assert two(f"--unpack-to={folder}/").returncode == 0
    assert subprocess.run([folder / "bin/it"], capture_output=True, text=True, check=True).stdout == "two\n"
    assert len(folders(folder / "versions")) == 1
    assert [path.name for path in tmp_path.iterdir() if "opt" in path.name] == ["opt"]


def test_a_version_that_runs_stays_beside_the_one_that_replaces_it(
    versions: tuple[Program, Program], tmp_path: Path
) -> None:
    """A detached scheduler loads its modules as it needs them, for days."""
    one, two = versions
    folder = tmp_path / "opt"
    one("--unpack-to", folder)
    [old] = folders(folder / "versions")
    with open(old / "lock") as held:  # as python3.c does
        fcntl.flock(held, fcntl.LOCK_SH)
        said = two("--unpack-to", folder)
        assert said.returncode == 0
        assert f"the earlier version in {old} stays: programs of it may still run" in said.stderr
        assert subprocess.run([old / "bin/it"], capture_output=True, text=True, check=True).stdout == "one\n"
        assert subprocess.run([folder / "bin/it"], capture_output=True, text=True, check=True).stdout == "two\n"
    assert (two("--unpack-to", folder).stderr, old.exists()) == ("", False)
    assert subprocess.run([folder / "bin/it"], capture_output=True, text=True, check=True).stdout == "two\n"


@root_only
def test_a_version_stays_until_the_next_one_is_there_however_old_it_is(make: Maker, tmp_path: Path) -> None:
    one, two = make("one"), make("two", zeros=8 << 20)
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=4m", "none") as small:
        one("--unpack-to", small / "opt")
        [tree] = folders(small / "opt/versions")
        os.utime(tree, (0, 0))
        assert "no space left on device" in two("--unpack-to", small / "opt").stderr
        done = subprocess.run([small / "opt/bin/it"], capture_output=True, text=True, check=True)
        assert done.stdout == "one\n"


def test_a_tree_in_a_folder_of_ones_choice_is_mended(one: Program, tmp_path: Path) -> None:
    one("--unpack-to", tmp_path / "opt")
    [part] = tmp_path.glob("opt/versions/*/lib/part")
    part.unlink()
    assert one("--unpack-to", tmp_path / "opt").returncode == 0
    assert part.read_text() == "a part"


def test_a_folder_with_other_things_in_it_is_left_alone(one: Program, tmp_path: Path) -> None:
    folder = tmp_path / "opt"
    folder.mkdir()
    (folder / "mine").touch()
    done = one("--unpack-to", folder)
    assert done.returncode == 3
    assert f"{folder} is there, and not what --unpack-to makes" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["mine"]


def test_a_folder_with_a_program_of_that_name_and_other_things_is_left_alone(one: Program, tmp_path: Path) -> None:
    folder = tmp_path / "local"  # as ~/.local is after `pip install --user`
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/it").write_text("of pip")
    assert one("--unpack-to", folder).returncode == 3
    (folder / "lock").touch()
    (folder / "share").mkdir()
    assert one("--unpack-to", folder).returncode == 3
    assert (folder / "bin/it").read_text() == "of pip"
    assert (folder / "share").is_dir()


FOREIGN = (
    "versions/node",
    "versions/node.old-1",
    "versions/v1.new-2",
    "versions/0123456789abcde",
    "versions/0123456789abcdef.bak",
    "versions/0123456789abcdef.old-",
    "versions/0123456789abcdef.new-x",
    "versions/lock",
    "bin/it",
)


@pytest.mark.parametrize("name", FOREIGN)
def test_a_folder_in_which_another_program_keeps_its_versions_is_left_alone(
    one: Program, tmp_path: Path, name: str
) -> None:
    """One named `versions` and no other is what `n`, for one, makes of its prefix for versions of node."""
    folder = tmp_path / "opt"
    (folder / name).mkdir(parents=True)
    (folder / name / "work").write_text("of years")
    done = one("--unpack-to", folder)
    assert (done.returncode, f"{folder} is there, and not what --unpack-to makes" in done.stderr) == (3, True)
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("work")) == [f"{name}/work"]
    assert [path.name for path in folder.iterdir()] == [name.split("/")[0]]


@pytest.mark.parametrize("name", ["versions", "bin"])
def test_a_folder_with_links_to_others_is_left_alone(one: Program, tmp_path: Path, name: str) -> None:
    (tmp_path / "others" / TREES[0]).mkdir(parents=True)
    (tmp_path / "opt").mkdir()
    for target in ("../others", "../nothing"):
        (tmp_path / "opt" / name).symlink_to(target)
        assert one("--unpack-to", tmp_path / "opt").returncode == 3
        assert [path.name for path in (tmp_path / "others").iterdir()] == [TREES[0]]
        assert not (tmp_path / "nothing").exists()
        (tmp_path / "opt" / name).unlink()


def test_what_killed_starts_left_in_a_folder_of_ones_choice_goes(one: Program, tmp_path: Path) -> None:
    folder = tmp_path / "opt/versions"
    for name in (TREES[0], f"{TREES[1]}.new-123", f"{TREES[1]}.old-45"):
        (folder / name / "lib").mkdir(parents=True)
    (folder / "lock").touch()
    links = tmp_path / "opt/bin"
    links.mkdir()
    for name in ("it.new-1", "it.new-2", "alias"):
        (links / name).symlink_to(f"../versions/{TREES[0]}/bin/it")
        os.utime(links / name, (0, 0) if name != "it.new-2" else None, follow_symlinks=False)
    assert one("--unpack-to", tmp_path / "opt").returncode == 0
    [tree] = folders(folder)
    assert (tree / "lib/part").read_text() == "a part"
    assert {path.name for path in links.iterdir()} == {"it", "it.new-2", "alias"}  # one may be about to be named


@pytest.mark.parametrize("arguments", [["--unpack-to", ""], ["--unpack-to="]])
def test_an_empty_name_is_not_that_of_the_folder_one_is_in(one: Program, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "here").mkdir()
    done = one(*arguments, cwd=tmp_path / "here")
    assert (done.returncode, list((tmp_path / "here").iterdir())) == (2, [])
    assert done.stderr == "one: --unpack-to: the folder's name is empty; write one, such as /opt/batchwasm\n"


@pytest.mark.parametrize("arguments", [["--unpack-to"], ["--no-color", "--unpack-to", "x"], ["--unpack-to=x", "runs"]])
def test_unpacking_beside_something_else_says_how_it_is_asked_for(
    one: Program, tmp_path: Path, arguments: list[str]
) -> None:
    (tmp_path / "here").mkdir()
    done = one(*arguments, cwd=tmp_path / "here")
    assert (done.returncode, list((tmp_path / "here").iterdir())) == (2, [])
    said = "--unpack-to wants a folder, and nothing else beside it: --unpack-to /opt/batchwasm"
    assert done.stderr == f"one: {said}\n"


def test_what_a_command_calls_its_own_arguments_is_its_own_business(one: Program) -> None:
    assert one("run", "--unpack-to", "x").stdout == "one\n"


def test_what_is_no_folder_is_left_alone(one: Program, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    for name in ("file", "link", "dangling"):
        done = one("--unpack-to", tmp_path / name)
        assert (done.returncode, (tmp_path / "file").read_text()) == (3, "mine"), done.stderr
    assert (tmp_path / "link").is_symlink()


def test_starts_at_once_unpack_once(make: Maker) -> None:
    one = make("one", zeros=ZEROS)
    trees = one.cache / "batchwasm/program"
    with one.started(stdout=subprocess.DEVNULL) as first:
        until_unpacking(first, trees)
        first.send_signal(signal.SIGSTOP)
        [scratch] = trees.glob("*.new-*")
        inode = scratch.stat().st_ino
        with one.started(stdout=subprocess.PIPE) as second:
            until_open(second, trees / "lock")
            first.send_signal(signal.SIGCONT)
            assert second.communicate()[0] == "one\n"
        assert first.wait() == 0
    [tree] = one.trees
    assert tree.stat().st_ino == inode


def test_what_another_start_unpacked_meanwhile_stays(make: Maker, hasty_start: Path, tmp_path: Path) -> None:
    """Hosts that share a home are sent a Python at once; who is stopped in the middle of unpacking it holds up none."""
    one, folder = replace(make, start=hasty_start)("one", zeros=ZEROS), tmp_path / "opt"
    with one.started("--unpack-to", folder) as slow:
        until_unpacking(slow, folder / "versions")
        slow.send_signal(signal.SIGSTOP)
        assert not (folder / "bin").exists()
        assert one("--unpack-to", folder).returncode == 0
        first = (folder / "bin/it").stat().st_ino
        slow.send_signal(signal.SIGCONT)
        assert slow.wait() == 0
    assert (folder / "bin/it").stat().st_ino == first
    assert len(folders(folder / "versions")) == 1


def test_what_a_killed_start_left_goes_with_the_next(make: Maker) -> None:
    one = make("one", zeros=ZEROS)
    with one.started(stdout=subprocess.DEVNULL) as first:
        until_unpacking(first, one.cache / "batchwasm/program")
        first.kill()
    assert len(one.trees) == 1
    assert one().stdout == "one\n"
    assert [path.suffix for path in one.trees] == [""]


@pytest.mark.parametrize(("by", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_an_unpacking_that_leaves_nothing(make: Maker, by: signal.Signals, code: int) -> None:
    one = make("one", zeros=ZEROS)
    with one.started(stdout=subprocess.PIPE, stderr=subprocess.PIPE) as first:
        until_unpacking(first, one.cache / "batchwasm/program")
        first.send_signal(by)
        out, err = first.communicate()
    assert (first.returncode, out, err) == (code, "", "one: interrupted; nothing was started\n")
    assert one.trees == []


def test_a_signal_ends_the_wait_for_another_start(one: Program) -> None:
    trees = one.cache / "batchwasm/program"
    trees.mkdir(parents=True)
    with open(trees / "lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with one.started(stderr=subprocess.PIPE) as waiting:
            until_open(waiting, trees / "lock")
            waiting.send_signal(signal.SIGINT)
            assert waiting.wait() == 130


def test_a_signal_that_is_ignored_stays_so(make: Maker) -> None:
    """As nohup and shells do for what they start in the background."""
    one = make("one", zeros=ZEROS, script="#!/bin/sh\ngrep SigIgn /proc/$$/status\n")
    command = f"trap '' INT HUP; exec {shlex.quote(str(one.path))}"
    with subprocess.Popen(["sh", "-c", command], env=one.environment, stdout=subprocess.PIPE, text=True) as first:
        until_unpacking(first, one.cache / "batchwasm/program")
        first.send_signal(signal.SIGINT)
        first.send_signal(signal.SIGHUP)
        out, _ = first.communicate()
    assert first.returncode == 0
    ignored = int(out.split()[1], 16)
    for one_of_them in (signal.SIGINT, signal.SIGHUP):
        assert ignored & 1 << (one_of_them - 1)


def test_the_program_takes_the_place_of_its_start(make: Maker) -> None:
    """Its process, its exit code, its arguments, its limits."""
    script = '#!/bin/sh\necho $$ $(ulimit -Sn) $(ulimit -Hn) "$@"\nexit 7\n'
    one = make("one", script=script)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    command = f"ulimit -Sn 200; exec {shlex.quote(str(one.path))} a '' 'b c'"
    for _ in range(2):
        with subprocess.Popen(["sh", "-c", command], env=one.environment, stdout=subprocess.PIPE, text=True) as started:
            out, _ = started.communicate()
        assert (out, started.returncode) == (f"{started.pid} 200 {hard} a  b c\n", 7)


@pytest.mark.parametrize("name", ["", "-", "/", "x" * 3000])
def test_it_starts_whatever_it_is_called(one: Program, name: str) -> None:
    done = subprocess.run([name], executable=one.path, env=one.environment, capture_output=True, text=True, check=True)
    assert done.stdout == "one\n"


def test_it_starts_by_a_link_from_path_and_with_closed_streams(one: Program, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    (tmp_path / "links/other").symlink_to(one.path)
    env = {**one.environment, "PATH": f"{tmp_path}/links:{os.environ['PATH']}"}
    for command in ("other", "other <&-", "other <&- 2>&-", "other <&- >&- 2>&-; echo one"):
        done = subprocess.run(["sh", "-c", command], env=env, capture_output=True, text=True, check=False)
        assert (done.stdout, done.stderr) == ("one\n", ""), command


def test_names_that_a_terminal_would_obey_are_shown_harmless(one: Program, tmp_path: Path) -> None:
    folder = tmp_path / "a\x1b[31m"
    folder.mkdir()
    (folder / "mine").touch()
    for name in (str(one.path), "\x1b]0;x\x07"):
        args = [name, "--unpack-to", str(folder)]
        done = subprocess.run(args, executable=one.path, env=one.environment, capture_output=True, check=False)
        assert done.returncode == 3
        assert b"\x1b" not in done.stderr
        assert rb"a\x1b[31m" in done.stderr


def test_it_runs_under_any_umask(one: Program) -> None:
    assert one(umask=0o077).stdout == "one\n"
    assert stat.S_IMODE((one.cache / "batchwasm/program").stat().st_mode) == 0o700
    assert one(umask=0).stdout == "one\n"


def test_a_version_that_nobody_started_for_long_goes_without_another_being_unpacked(one: Program) -> None:
    """Whatever else lies there is somebody else's, and stays."""
    one()
    [tree] = one.trees
    old, used, new = TREES[:3]
    foreign = ("mydata", "mydata.old-1", "mydata.new-1", f"{old}.bak", f"{old}.old-x", f"{old}.new-")
    for name in (old, used, new, *foreign):
        (tree.parent / name).mkdir()
        (tree.parent / name / "lock").touch()
        os.utime(tree.parent / name, (0, 0) if name != new else None)
    os.utime(tree, (0, 0))  # that is, for the first time today
    with open(tree.parent / used / "lock") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        one()
    assert {path.name for path in one.trees} == {tree.name, used, new, *foreign}


@root_only
@pytest.mark.parametrize(
    "why", ["full", "noexec", "read-only", "no folder", "somebody else's", "his home", "a colon in its name"]
)
def test_where_the_cache_cant_be_it_goes_elsewhere(make: Maker, tmp_path: Path, why: str) -> None:
    one, cache = make("one", zeros=8 << 20), tmp_path / "cache"
    options = {"full": "size=4m", "noexec": "noexec", "read-only": "ro"}
    if why == "no folder":
        cache.write_text("in the way")
    elif why == "somebody else's":
        (cache / "batchwasm").mkdir(parents=True)
        os.chown(cache / "batchwasm", 12345, 12345)
    elif why == "his home":  # as sudo may leave HOME: he could not write what root makes there
        cache.mkdir()
        os.chown(cache, 12345, 12345)
    elif why == "a colon in its name":
        cache = tmp_path / "a:b"
    with mounted(cache, "-t", "tmpfs", "-o", options[why], "none") if why in options else contextmanager(iter)([cache]):
        for _ in range(2):
            done = one(env={**one.environment, "XDG_CACHE_HOME": str(cache)})
            assert (done.stdout, done.stderr, done.returncode) == ("one\n", "", 0)
        assert not folders(cache / "batchwasm/program")
        assert why != "his home" or not list(cache.iterdir())
    [tree] = folders(one.elsewhere / f"batchwasm-{os.getuid()}/program")
    assert (tree / "zeros").stat().st_size == 8 << 20


def entered(root: Path, program: Path, *steps: str, args: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """A program run in an empty root, after `steps` of this machine's shell in the root's folder."""
    for name in ("proc", "tmp", "home", "var/tmp"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "it").write_bytes(program.read_bytes())
    (root / "it").chmod(0o755)
    inner = f"PATH=$PATH:/usr/sbin; cd {shlex.quote(str(root))}; mount -t proc proc proc; " + "; ".join(steps)
    shell = ["sh", "-ec", f'{inner}; exec env -i HOME=/home "$(command -v chroot)" . /it "$@"', "sh", *args]
    command = ["unshare", "--mount", "--propagation", "private", *shell]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@root_only
def test_nothing_is_made_behind_a_link_that_somebody_put_into_tmp(one: Program, tmp_path: Path) -> None:
    root = tmp_path / "root"
    entered(root, one.path, "touch home/.cache", "mkdir home/mine", "ln -s /home/mine tmp/batchwasm-0")
    assert list((root / "home/mine").iterdir()) == []
    assert len(folders(root / "var/tmp/batchwasm-0/program")) == 1


@root_only
def test_where_it_can_be_nowhere_it_says_why_for_each_place(make: Maker, tmp_path: Path) -> None:
    program = make("one", zeros=8 << 20).path
    mounts = (
        "mount -t tmpfs -o noexec none home",
        "mount -t tmpfs -o size=4m none tmp",
        "mount -t tmpfs -o ro none var/tmp",
    )
    done = entered(tmp_path / "root", program, *mounts)
    assert (done.stdout, done.returncode) == ("", 3)
    assert done.stderr == (
        "it: can't unpack itself: "
        "/home/.cache/batchwasm/program: no program may run from there (it is mounted noexec); "
        "/tmp/batchwasm-0/program: no space left on device; /var/tmp/batchwasm-0/program: read-only file system; "
        "set XDG_CACHE_HOME to a folder of your own with 300 MB of room, where programs may run\n"
    )


@root_only
def test_a_choice_that_cant_be_is_told_and_left_as_it_was(make: Maker, tmp_path: Path) -> None:
    one = make("one", zeros=8 << 20)
    with mounted(tmp_path / "small", "-t", "tmpfs", "-o", "size=4m", "none") as small:
        done = one("--unpack-to", small / "opt")
        assert (done.returncode, list(small.iterdir())) == (3, [])
        assert "no space left on device" in done.stderr
    with mounted(tmp_path / "noexec", "-t", "tmpfs", "-o", "noexec", "none") as folder:
        done = one("--unpack-to", folder / "opt")
        assert (done.returncode, list(folder.iterdir())) == (3, [])
        assert "no program may run from there" in done.stderr
    done = one("--unpack-to", tmp_path / "a:b")
    assert (done.returncode, (tmp_path / "a:b").exists()) == (3, False)
    assert "nothing can run in a folder with ':' in its name" in done.stderr


def test_a_file_that_is_not_whole_says_so(one: Program) -> None:
    whole = one.path.read_bytes()
    payload = whole.rindex(b"\x1f\x8b\x08")
    about = whole.index(b'{"Name"')
    digest = whole.index(b'"Digest": "') + 11
    harmed = [
        *(whole[:length] for length in (len(whole) - 1, len(whole) - 20, about, about - 1, payload + 5, payload)),
        *(
            whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
            for at in (payload + 1, payload + 12, about - 3, about - 40, about, digest, len(whole) - 12, len(whole) - 1)
        ),
        whole[:about] + whole[about:].replace(b"Digest", b"Digess"),
    ]
    for content in harmed:
        one.path.write_bytes(content)
        done = one()
        assert (done.returncode, done.stdout) == (3, ""), done.stderr
        assert done.stderr == "one: this file is not whole (cut off or damaged in copying): copy or fetch it again\n"
        assert one.trees == []
    one.path.write_bytes(whole)
    assert one().stdout == "one\n"


def test_a_terminal_is_told_what_takes_long(one: Program) -> None:
    trees = one.cache / "batchwasm/program"
    trees.mkdir(parents=True)
    leader, follower = pty.openpty()
    with open(trees / "lock", "w") as held, open(leader, "rb", buffering=0) as terminal:
        fcntl.flock(held, fcntl.LOCK_EX)
        with one.started(stdout=subprocess.PIPE, stderr=follower) as waiting:
            os.close(follower)
            said = terminal.read(1000).decode()
            held.close()
            assert waiting.communicate()[0] == "one\n"
    [tree] = one.trees
    assert said == f"one: unpacking to {tree}, once\r\n"
