"""The depot: files there and back by digest, whole or not at all, and what a host may not do to us."""

from __future__ import annotations

import asyncio
import filecmp
import glob
import hashlib
import os
import resource
import shutil
import stat
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from batchwasm.engine import depot as client
from batchwasm.engine.depot import Depot
from batchwasm.errors import HostError, HostLost
from batchwasm.runner.depot import Refusal, expand
from batchwasm.runner.protocol import Redaction
from batchwasm.transports import make
from tests.engine.depots import depot_on, executable, here, python_that_mounts
from tests.homes import lose
from tests.sshd import Sshd

MB = 1024 * 1024


def file_of(path: Path, data: bytes) -> tuple[str, Path]:
    """(digest, path) of a new file with this content."""
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest(), path


def everything_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def refused(host_python: str | None, workdir: Path) -> HostError:
    """What starting a depot with this Python says."""
    with pytest.raises(HostError) as caught:
        async with depot_on(here(workdir, host_python)):
            pass
    assert str(caught.value).startswith("here: ")
    return caught.value


# ----------------------------------------------------------------------------------------------------- facts


async def test_facts_are_what_this_machine_says_of_itself(weird_tmp_path: Path) -> None:
    async with depot_on(here(weird_tmp_path / "w")) as depot:
        facts = depot.facts
    assert facts.workdir == str(weird_tmp_path / "w")
    assert (facts.os, facts.machine, facts.hostname) == (sys.platform, os.uname().machine, os.uname().nodename)
    assert facts.cpus == len(os.sched_getaffinity(0))
    assert facts.disk_free_bytes == pytest.approx(shutil.disk_usage(weird_tmp_path).free, rel=0.2)
    assert facts.bits == 64
    assert facts.writable
    assert facts.file_system
    assert not os.listdir(weird_tmp_path)  # looking is not making


async def test_the_default_workdir_is_in_the_hosts_cache_folder(ssh_pool: list[Sshd]) -> None:
    async with depot_on(ssh_pool[0].host) as depot:
        assert depot.facts.workdir == str(ssh_pool[0].workdir)


async def test_a_workdir_is_expanded_on_the_host_and_must_be_absolute(home: Path) -> None:
    async with depot_on(here(Path("~/some where"))) as depot:
        assert depot.facts.workdir == f"{home}/some where"
    with pytest.raises(HostError, match="not an absolute path") as caught:
        async with depot_on(here(Path("some/where"))):
            pass
    assert caught.value.code == "workdir"


def test_a_workdir_in_a_home_that_nobody_knows_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    lose(monkeypatch)
    monkeypatch.delenv("XDG_CACHE_HOME")
    with pytest.raises(Refusal, match="neither HOME nor a line in /etc/passwd") as caught:
        expand("")
    assert "set the variable HOME there" in client.CURES[caught.value.code]


async def test_the_hosts_clock_is_ours_here(tmp_path: Path) -> None:
    async with depot_on(here(tmp_path)) as depot:
        latency, skew = await depot.clock()
    assert 0 < latency < 5
    assert abs(skew) < 5


# --------------------------------------------------------------------------------------------- there and back


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 3 * MB + 7])
async def test_a_file_comes_back_as_it_went(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    digest, path = file_of(tmp_path / "a", data)
    async with depot_on(here(tmp_path / "w")) as depot:
        assert await depot.put("files", digest, path)
        await depot.get(f"{depot.facts.workdir}/cache/files/{digest}", tmp_path / "b", size, digest)
    assert (tmp_path / "b").read_bytes() == data


async def test_a_file_is_fetched_without_the_values_of_secrets_wherever_they_are_in_it(tmp_path: Path) -> None:
    """Its digest is that of what lies there; a value may begin in one frame and end in the next."""
    data = b"0123456789ab" * (MB // 4)
    digest, path = file_of(tmp_path / "a", data)
    async with depot_on(here(tmp_path / "w")) as depot:
        await depot.put("files", digest, path)
        remote = f"{depot.facts.workdir}/cache/files/{digest}"
        await depot.get(remote, tmp_path / "b", len(data), digest, redact=Redaction(["23456789"]))
        with pytest.raises(HostError):
            await depot.get(remote, tmp_path / "c", len(data), "0" * 64, redact=Redaction(["23456789"]))
    assert (tmp_path / "b").read_bytes() == b"01***ab" * (MB // 4)
    assert not (tmp_path / "c").exists()


async def test_a_file_goes_to_a_server_and_back(ssh_pool: list[Sshd], tmp_path: Path) -> None:
    data = os.urandom(20 * MB)
    digest, path = file_of(tmp_path / "a", data)
    sent: list[int] = []
    received: list[int] = []
    async with depot_on(ssh_pool[0].host) as depot:
        assert await depot.put("wasm", digest, path, sent.append)
        remote = f"{depot.facts.workdir}/cache/wasm/{digest}"
        await depot.get(remote, tmp_path / "b", len(data), digest, on_received=received.append)
    assert (tmp_path / "b").read_bytes() == data
    assert sum(sent) == sum(received) == len(data)


async def test_what_is_stored_is_read_only_in_folders_that_are_ours_alone(tmp_path: Path) -> None:
    digest, path = file_of(tmp_path / "a", b"x")
    async with depot_on(here(tmp_path / "w")) as depot:
        await depot.put("files", digest, path)
    assert stat.S_IMODE((tmp_path / f"w/cache/files/{digest}").stat().st_mode) == 0o444
    for folder in ("w", "w/cache", "w/cache/files"):
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700


WHOSE = ["writable by all", "a link", *(["somebody else's"] if os.geteuid() == 0 else [])]
"""Only root can give a folder away."""


@pytest.mark.parametrize("whose", WHOSE)
@pytest.mark.parametrize("name", ["runner", "cache"])
async def test_folders_that_others_may_have_filled_are_not_used(tmp_path: Path, name: str, whose: str) -> None:
    folder = tmp_path / "w" / name
    (folder if whose != "a link" else tmp_path / "elsewhere").mkdir(parents=True)
    if whose == "writable by all":
        folder.chmod(0o777)
    elif whose == "a link":
        folder.parent.mkdir()
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        os.chown(folder, 65534, 65534)
    digest, path = file_of(tmp_path / "a", b"x")
    async with depot_on(here(tmp_path / "w")) as depot:
        with pytest.raises(HostError, match=f"{name} is not ours alone") as caught:
            await (depot.runners() if name == "runner" else depot.put("files", digest, path))
    assert caught.value.code == "permission"


@pytest.mark.parametrize("size", [10, 2 * MB])
async def test_what_is_there_is_not_sent_again(tmp_path: Path, size: int) -> None:
    digest, path = file_of(tmp_path / "a", os.urandom(size))
    async with depot_on(here(tmp_path / "w")) as depot:
        assert await depot.put("files", digest, path)
        assert not await depot.put("files", digest, path, lambda _: pytest.fail("sent again"))
        assert await depot.has("files", [digest, "0" * 64]) == {digest}
        assert await depot.has("wasm", [digest]) == set()
    async with depot_on(here(tmp_path / "w")) as depot:
        assert not await depot.put("files", digest, path)


async def test_many_at_once_take_turns(tmp_path: Path) -> None:
    files = [file_of(tmp_path / f"{i}", os.urandom(1 + i * 10_000)) for i in range(40)]

    backs: list[Path] = []

    async def there_and_back(depot: Depot, digest: str, path: Path) -> None:
        await depot.put("files", digest, path)
        remote, local = f"{depot.facts.workdir}/cache/files/{digest}", path.with_suffix(".back")
        await depot.get(remote, local, 1 + int(path.name) * 10_000, digest)
        backs.append(local)

    async with depot_on(here(tmp_path / "w")) as depot, asyncio.TaskGroup() as group:
        for digest, path in files:
            group.create_task(there_and_back(depot, digest, path))
    assert [path.read_bytes() for _, path in files] == [path.with_suffix(".back").read_bytes() for _, path in files]
    assert len(backs) == 40


async def test_small_files_that_wait_together_go_together(tmp_path: Path) -> None:
    files = [file_of(tmp_path / f"{i}", b"%d" % i) for i in range(200)]
    files.append(("0" * 64, tmp_path / "0"))  # one is refused, which is no matter of the others
    async with depot_on(here(tmp_path / "w")) as depot:
        assert depot._process is not None
        write, writes = depot._process.write, []

        async def counted(data: bytes) -> None:
            writes.append(len(data))
            await write(data)

        depot._process.write = counted  # type: ignore[method-assign]
        puts = [asyncio.create_task(depot.put("files", digest, path)) for digest, path in files]
        puts[50].cancel()
        results = await asyncio.gather(*puts, return_exceptions=True)
        assert [result for result in results if isinstance(result, bool)] == [True] * 199
        assert isinstance(results[50], asyncio.CancelledError)
        assert isinstance(results[200], HostError)
        assert len(writes) < 20
        there = await depot.has("files", [digest for digest, _ in files])
        assert {digest for digest, _ in files} - there <= {files[50][0], "0" * 64}


async def test_a_request_that_is_cancelled_half_way_hurts_no_other(ssh_pool: list[Sshd], tmp_path: Path) -> None:
    big, big_path = file_of(tmp_path / "big", os.urandom(60 * MB))
    small, small_path = file_of(tmp_path / "small", b"small")
    under_way = asyncio.Event()
    async with depot_on(ssh_pool[0].host) as depot:
        put = asyncio.create_task(depot.put("files", big, big_path, lambda _: under_way.set()))
        await under_way.wait()
        waiting = asyncio.create_task(depot.put("files", small, small_path))
        put.cancel()
        with pytest.raises(asyncio.CancelledError):
            await put
        assert await waiting
        assert await depot.has("files", [big, small]) == {small}
        assert await depot.put("files", big, big_path)
        assert everything_in(ssh_pool[0].workdir / "cache/new") == []


@pytest.mark.long
async def test_a_gigabyte_goes_there_and_back_in_bounded_memory(ssh_pool: list[Sshd], tmp_path: Path) -> None:
    size, digest = 1024 * MB, gigabyte(tmp_path / "a")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with depot_on(ssh_pool[0].host) as depot:
        await depot.put("files", digest, tmp_path / "a")
        await depot.get(f"{depot.facts.workdir}/cache/files/{digest}", tmp_path / "b", size, digest)
        peaks = [_peak_kib(pid) for pid in ssh_pool[0].processes()]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024
    assert 0 < max(peaks) < 100 * 1024
    assert filecmp.cmp(tmp_path / "a", tmp_path / "b", shallow=False)


def gigabyte(path: Path) -> str:
    """Makes such a file; its digest."""
    sha256 = hashlib.sha256()
    with open(path, "wb") as file:
        for _ in range(1024):
            chunk = os.urandom(MB)
            sha256.update(chunk)
            file.write(chunk)
    return sha256.hexdigest()


def _peak_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


# -------------------------------------------------------------------------------------- refused, and mended


@pytest.mark.parametrize("size", [10, 2 * MB])
async def test_a_file_that_is_not_what_its_digest_says_is_refused_and_leaves_nothing(tmp_path: Path, size: int) -> None:
    _, path = file_of(tmp_path / "a", os.urandom(size))
    async with depot_on(here(tmp_path / "w")) as depot:
        with pytest.raises(HostError, match="sha256") as caught:
            await depot.put("files", "0" * 64, path)
        assert caught.value.code == "digest"
        assert await depot.has("files", ["0" * 64]) == set()  # and the wire is in order
    assert everything_in(tmp_path / "w") == []


async def test_a_file_that_is_gone_here_says_so(tmp_path: Path) -> None:
    async with depot_on(here(tmp_path / "w")) as depot:
        with pytest.raises(HostError, match="No such file") as caught:
            await depot.put("files", "0" * 64, tmp_path / "gone")
        assert caught.value.code == "input"


async def test_a_digest_that_is_a_path_is_refused(tmp_path: Path) -> None:
    _, path = file_of(tmp_path / "a", b"x")
    async with depot_on(here(tmp_path / "w")) as depot:
        with pytest.raises(HostError, match="not a digest"):
            await depot.put("files", "../../../escaped", path)
    assert everything_in(tmp_path / "w") == []


async def test_a_full_disk_says_where_and_how_much_and_leaves_nothing(tmp_path: Path) -> None:
    workdir = tmp_path / "w"
    python = python_that_mounts(tmp_path / "python", workdir, "-t tmpfs -o size=1m none")
    digest, path = file_of(tmp_path / "a", os.urandom(3 * MB))
    async with depot_on(here(workdir, python)) as depot:
        with pytest.raises(HostError) as caught:
            await depot.put("files", digest, path)
        assert caught.value.code == "disk"
        assert str(workdir) in caught.value.cause
        assert "3 MiB needed" in caught.value.cause
        assert "workdir" in caught.value.cure
        small, small_path = file_of(tmp_path / "b", os.urandom(500_000))
        assert await depot.put("files", small, small_path)  # all of the other is gone


async def test_a_read_only_disk_says_so(tmp_path: Path) -> None:
    python = python_that_mounts(tmp_path / "python", tmp_path / "w", "-t tmpfs -o ro none")
    digest, path = file_of(tmp_path / "a", b"x")
    async with depot_on(here(tmp_path / "w", python)) as depot:
        assert not depot.facts.writable
        with pytest.raises(HostError, match="Read-only file system") as caught:
            await depot.put("files", digest, path)
    assert caught.value.code == "permission"


async def test_a_workdir_below_a_file_says_so(tmp_path: Path) -> None:
    digest, path = file_of(tmp_path / "a", b"x")
    async with depot_on(here(tmp_path / "a/w")) as depot:
        with pytest.raises(HostError, match="Not a directory") as caught:
            await depot.put("files", digest, path)
    assert caught.value.code == "permission"


async def test_what_died_in_the_middle_long_ago_is_removed(tmp_path: Path) -> None:
    aside = tmp_path / "w/cache/new"
    (aside / "old-folder").mkdir(parents=True)
    for name in ("old", "fresh"):
        (aside / name).write_bytes(b"half")
    for name in ("old", "old-folder"):
        os.utime(aside / name, (0, 0))
    digest, path = file_of(tmp_path / "a", b"x")
    async with depot_on(here(tmp_path / "w")) as depot:
        await depot.put("files", digest, path)
    assert [path.name for path in aside.iterdir()] == ["fresh"]


# ------------------------------------------------------------------------------------------------- fetching


async def test_only_regular_files_below_the_folder_asked_for_are_fetched(tmp_path: Path) -> None:
    spool, secret = tmp_path / "spool", tmp_path / "secret"
    (spool / "0/out").mkdir(parents=True)
    digest, _ = file_of(secret, b"secret")
    (spool / "0/out/link").symlink_to(secret)
    (spool / "0/folder").symlink_to(tmp_path)
    os.mkfifo(spool / "0/out/fifo")
    async with depot_on(here(tmp_path / "w")) as depot:
        for path in ("0/out/link", "0/folder/secret", "0/out/fifo", "0/out", "../secret", ".", "0/../../secret"):
            with pytest.raises(HostError) as caught:
                await depot.get(f"{spool}/{path}", tmp_path / "got", 6, digest, within=str(spool))
            assert caught.value.code == "permission", path
        with pytest.raises(HostError) as caught:
            await depot.get(f"{spool}/0/out/none", tmp_path / "got", 6, digest, within=str(spool))
        assert caught.value.code == "gone"
        await depot.get(str(secret), tmp_path / "got", 6, digest)
    assert (tmp_path / "got").read_bytes() == b"secret"


@pytest.mark.parametrize(("size", "digest"), [(5, None), (7, None), (6, "0" * 64)])
async def test_a_file_that_is_not_what_was_reported_never_appears(
    tmp_path: Path, size: int, digest: str | None
) -> None:
    true, path = file_of(tmp_path / "a", b"result")
    (tmp_path / "out").mkdir()
    async with depot_on(here(tmp_path / "w")) as depot:
        with pytest.raises(HostError, match="not what was reported") as caught:
            await depot.get(str(path), tmp_path / "out/b", size, digest or true)
        assert caught.value.code == "digest"
        assert await depot.has("files", []) == set()
    assert list((tmp_path / "out").iterdir()) == []


# --------------------------------------------------------------------------------- Pythons and login shells


async def test_every_python_from_3_9_on_will_do(tmp_path: Path) -> None:
    for python, version in _pythons().items():
        digest, path = file_of(tmp_path / version, python.encode())
        async with depot_on(here(tmp_path / "w", python)) as depot:
            assert depot.facts.python == version
            assert await depot.put("files", digest, path)


def _pythons() -> dict[str, str]:
    """Versions of those on PATH and of pyenv's, by path."""
    names = [f"python3.{minor}" for minor in range(9, 16)]
    folders = glob.glob(f"{os.environ.get('PYENV_ROOT', '/root/.pyenv')}/versions/3.*/bin")
    paths = [sys.executable, *(path for name in names for path in (shutil.which(name), *_in(folders, name)) if path)]
    tell = "import sys; print(sys.version.split()[0])"
    found = {path: subprocess.run([path, "-c", tell], capture_output=True, text=True) for path in paths}
    return {path: done.stdout.strip() for path, done in found.items() if done.returncode == 0}


def _in(folders: list[str], name: str) -> list[str]:
    return [f"{folder}/{name}" for folder in folders if os.path.exists(f"{folder}/{name}")]


async def test_a_python_that_is_too_old_is_named_with_its_version(tmp_path: Path) -> None:
    old = executable(tmp_path / "python3", 'case "$2" in *exit*) exit 1 ;; esac; echo 3.6.8')
    error = await refused(old, tmp_path / "w")
    assert error.code == "python"
    assert f"(found: {old} is 3.6.8)" in error.cause
    assert "inventory" in error.cure


async def test_a_python_without_its_standard_library_is_none(tmp_path: Path) -> None:
    hidden = "import importlib.util as u, sys; f = u.find_spec; u.find_spec = lambda n: None if n == 'ctypes' else f(n)"
    path = tmp_path / "python3"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{hidden}; exec(sys.argv[2])" "$@"\n')
    path.chmod(0o755)
    error = await refused(str(path), tmp_path / "w")
    version = ".".join(map(str, sys.version_info[:3]))
    assert f"(found: {path} is {version} without all of its standard library)" in error.cause


async def test_pythons_that_are_none_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(tmp_path / "python3", "exit 1")
    old = executable(tmp_path / "python3.9", 'case "$2" in *exit*) exit 1 ;; esac; echo 3.6.8')
    monkeypatch.setenv("PATH", f"{tmp_path}:/nowhere")
    monkeypatch.setattr("batchwasm.engine.python.PYTHONS", ("python3", "python3.9"))
    error = await refused(None, tmp_path / "w")
    assert f"(found: {tmp_path}/python3 has no version, {old} is 3.6.8)" in error.cause


async def test_a_mac_without_its_developer_tools_is_not_asked_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started, its python3 would open a window in front of whoever sits there."""
    window = tmp_path / "window"
    offer = executable(tmp_path / "python3", f": >{window}; exit 1")
    executable(tmp_path / "xcode-select", "echo 'unable to get active developer directory' >&2; exit 2")
    executable(tmp_path / "uname", "echo Darwin arm64")
    monkeypatch.setenv("PATH", f"{tmp_path}:/nowhere")
    monkeypatch.setattr("batchwasm.engine.python.XCODES", offer)
    monkeypatch.setattr("batchwasm.engine.python.PYTHONS", ("python3", offer))
    error = await refused(None, tmp_path / "w")
    assert f"(found: {offer} is none before its developer tools are installed)" in error.cause
    assert "xcode-select --install" in error.cure
    assert not window.exists()


async def test_a_mac_with_its_developer_tools_has_their_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = executable(tmp_path / "python3", f'exec {sys.executable} "$@"')
    executable(tmp_path / "xcode-select", "echo /Library/Developer/CommandLineTools")
    monkeypatch.setenv("PATH", f"{tmp_path}:/nowhere")
    monkeypatch.setattr("batchwasm.engine.python.XCODES", theirs)
    async with depot_on(here(tmp_path / "w")) as depot:
        assert depot.facts.os == sys.platform


async def test_a_python_that_is_not_there_is_named(tmp_path: Path) -> None:
    error = await refused("/no/such/python", tmp_path / "w")
    assert error.code == "python"
    assert "/no/such/python" in error.cause


async def test_the_first_python_that_is_new_enough_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(tmp_path / "python3", 'case "$2" in *exit*) exit 1 ;; esac; echo 3.6.8')
    (tmp_path / "python3.11").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", f"{tmp_path}:/nowhere")
    async with depot_on(here(tmp_path / "w")) as depot:
        assert depot.facts.python == ".".join(map(str, sys.version_info[:3]))


async def test_modules_in_the_folder_it_starts_in_are_not_taken_for_pythons_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "hashlib", "struct", "typing"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('wrong module')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with depot_on(here(tmp_path / "w")) as depot:
        assert depot.facts.os == sys.platform


async def test_what_a_profile_prints_first_is_passed_over(ssh_pool: list[Sshd]) -> None:
    profile = ssh_pool[0].home / ".bashrc"
    profile.write_text("echo 'Welcome! Maintenance on Monday.'; printf 'no newline'; head -c 50000 /dev/zero\n")
    try:
        async with depot_on(ssh_pool[0].host) as depot:
            assert depot.facts.workdir == str(ssh_pool[0].workdir)
    finally:
        profile.unlink()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("exec yes", "prints more than 64 KiB before it starts anything; have its profile"),
        ("head -c 100000 /dev/zero", "prints more than 64 KiB before it starts anything; have its profile"),
        ("read x", "takes what is sent to the command that it starts; have its profile"),
        ("exit 3", "does not start /bin/sh (it ended with exit code 3); look at its profile"),
    ],
)
async def test_a_profile_that_keeps_a_shell_from_us_is_named_with_what_it_does(
    ssh_pool: list[Sshd], text: str, said: str
) -> None:
    profile = ssh_pool[0].home / ".bashrc"
    profile.write_text(f"{text}\n")
    try:
        with pytest.raises(HostError) as caught:
            async with depot_on(ssh_pool[0].host):
                pass
    finally:
        profile.unlink()
    assert caught.value.code == "shell"
    assert str(caught.value).startswith(f"{ssh_pool[0].name}: its login shell {said}")


# ------------------------------------------------------------------------------------------- a hostile host

FRAME = struct.Struct("!II")


@pytest.mark.parametrize(
    "answer",
    [
        b"GET / HTTP/1.0\r\n\r\n" * 100,
        FRAME.pack(0x7FFFFFFF, 0),
        FRAME.pack(9, 0) + b"not json!",
        FRAME.pack(7, 0) + b'{"a":1}',
        FRAME.pack(11, 0) + b'{"ok":"no"}',
        FRAME.pack(11, 0) + b'{"ok":{} }',
        b"\0\0",
        b"",
    ],
)
async def test_nonsense_instead_of_facts_is_a_lost_host(tmp_path: Path, answer: bytes) -> None:
    (tmp_path / "answer").write_bytes(client.MAGIC + answer)
    python = executable(tmp_path / "python3", f'[ "$1" = -c ] || cat {tmp_path}/answer')
    error = await refused(python, tmp_path / "w")
    assert isinstance(error, HostLost)


LIAR = """
import sys
text = sys.stdin.buffer.read(int(sys.stdin.buffer.readline())).decode()
exec(text.split("if __name__")[0])
class Liar(Depot):
    def has(self, kind, digests):
        return {"ok": [0, 7]}
    def get(self, path, within=""):
        self._wire.send({"ok": 6})
        for _ in range(100000):
            self._wire.send({}, b"x" * 100000)
Depot = Liar
main()
"""


async def test_a_host_that_sends_more_than_it_reported_fills_nothing_here(tmp_path: Path) -> None:
    (tmp_path / "liar.py").write_text(LIAR)
    liar = executable(
        tmp_path / "python3", f'[ "$1" = -c ] && exec {sys.executable} "$@"; exec {sys.executable} {tmp_path}/liar.py'
    )
    (tmp_path / "out").mkdir()
    transport = make(here(tmp_path / "w", liar))
    depot = await Depot.start("here", transport, python=liar, workdir=str(tmp_path / "w"))
    received: list[int] = []
    with pytest.raises(HostError, match="not what was reported"):
        await depot.get("/x", tmp_path / "out/x", 6, "0" * 64, on_received=received.append)
    assert sum(received) <= 2 * client.CHUNK_BYTES
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(HostLost, match="answers has"):
        await depot.has("files", ["0" * 64])
    await depot.close()
    await transport.close()


async def test_a_host_that_dies_during_a_request_is_lost(ssh_pool: list[Sshd], tmp_path: Path) -> None:
    digest, path = file_of(tmp_path / "a", os.urandom(60 * MB))
    transport = make(ssh_pool[0].host)
    await transport.connect()
    depot = await Depot.start("sshd-a", transport)
    with pytest.raises(HostLost, match="sshd-a: "):
        await depot.put("files", digest, path, lambda _: ssh_pool[0].kill())
    with pytest.raises(HostLost):
        await depot.has("files", [digest])
    await depot.close()
    await transport.close()
    assert not (ssh_pool[0].workdir / "cache/files" / digest).exists()
