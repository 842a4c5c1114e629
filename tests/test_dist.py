"""What `make dist` builds: one file that works where there is nothing else, not even a C library or a shell."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from batchwasm.cli.commands import COMMANDS
from scripts.onefile import build
from tests import old_kernel
from tests.bare import Bare
from tests.command import Ended
from tests.guests import JOIN_WAT
from tests.sshd import Servers, Sshd, inventory_of

ROOT = Path(__file__).parent.parent
SYSTEM = "Linux x86_64"
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        (os.geteuid(), f"{os.uname().sysname} {os.uname().machine}") != (0, SYSTEM),
        reason="only root may change its root",
    ),
]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory, tool_caches: Path) -> Path:
    """The folder with all that is built; in BATCHWASM_TEST_DIST an earlier build is taken."""
    if given := os.environ.get("BATCHWASM_TEST_DIST"):
        return Path(given)
    folder = tmp_path_factory.mktemp("dist")
    for command in (["-m", "build", "--outdir", folder, ROOT], [ROOT / "scripts/onefile/build.py", folder]):
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Empty:
    """A root with the one file in it, and nothing else but /proc, /dev, /tmp and a home."""

    def __init__(self, root: Path, program: Path) -> None:
        self.root = root
        for name in ("proc", "dev", "tmp", "home"):
            (root / name).mkdir(parents=True)
        shutil.copy(program, root / "batchwasm")

    def __call__(self, *arguments: str, code: int = 0, env: Mapping[str, str] | None = None) -> Ended:
        """Calls the program there, in /. The shell that mounts and changes the root is this machine's."""
        root = shlex.quote(str(self.root))
        enter = f"mount -t proc proc {root}/proc; mount --bind /dev {root}/dev; exec chroot {root} "
        done = subprocess.run(
            [
                "unshare",
                "--mount",
                "--propagation",
                "private",
                "sh",
                "-ec",
                f'{enter} /batchwasm "$@"',
                "sh",
                *arguments,
            ],
            env={"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "HOME": "/home", "USER": "root", **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        ended = Ended(command=["batchwasm", *arguments], code=done.returncode, out=done.stdout, err=done.stderr)
        assert ended.code == code, str(ended)
        assert "Traceback" not in ended.err, str(ended)
        return ended

    @property
    def tree(self) -> Path:
        [tree] = (path for path in (self.root / "home/.cache/batchwasm/program").iterdir() if path.is_dir())
        return tree


@pytest.fixture
def empty(dist: Path, tmp_path: Path) -> Empty:
    return Empty(tmp_path / "root", dist / "batchwasm")


JOBS = """
[jobs.join]
source = "join.wat"
args = ["out.bin", "{n}", "in.bin"]
inputs = ["in.bin"]
outputs = ["out.bin"]
sweep = { n = { range = [0, 12] } }
memory = "4MiB"
"""
BYTES = bytes(range(256)) * 7


def put_jobs(root: Path) -> None:
    (root / "join.wat").write_text(JOIN_WAT)
    (root / "in.bin").write_bytes(BYTES)
    (root / "jobs.toml").write_text(JOBS)


def outputs_of(root: Path, run: str) -> list[bytes]:
    """Of all tasks, in order."""
    tasks = sorted((root / "batchwasm-runs" / run).rglob("out.bin"), key=lambda path: int(path.parent.parent.name))
    return [path.read_bytes() for path in tasks]


EXPECTED = [str(n).encode() + BYTES for n in range(12)]


def test_it_compiles_and_runs_jobs_where_there_is_nothing_else(empty: Empty) -> None:
    put_jobs(empty.root)
    empty("compile", "join.wat", "-o", "join.wasm")
    assert (empty.root / "join.wasm").read_bytes()[:4] == b"\0asm"
    empty("run", "jobs.toml")
    assert outputs_of(empty.root, "jobs-1") == EXPECTED
    empty("run", "--detach", "jobs.toml")
    empty("wait", "-r", "jobs-2")
    assert outputs_of(empty.root, "jobs-2") == EXPECTED
    status = json.loads(empty("status", "--json").out)
    assert (status["state"], status["tasks"]["succeeded"]) == ("finished", 12)
    empty("hosts", "check")
    empty("replay", "join/3")
    for command in COMMANDS:
        assert empty(command, "--help").out.startswith(f"Usage: batchwasm {command}")
    assert "pip" not in empty("toolchains").out
    assert sorted(path.name for path in empty.root.iterdir() if path.is_dir()) == [
        *("batchwasm-runs", "dev", "home", "proc", "tmp")
    ]


def test_it_runs_jobs_on_a_pool_over_ssh(empty: Empty, ssh_servers: Servers, ssh_pool: list[Sshd]) -> None:
    ssh_servers.client.install(empty.root / "home", ssh_pool)
    put_jobs(empty.root)
    (empty.root / "inventory.toml").write_text(inventory_of(ssh_pool, "cpus = 1"))
    empty("hosts", "check")
    empty("run", "jobs.toml")
    assert outputs_of(empty.root, "jobs-1") == EXPECTED
    rows = [json.loads(line) for line in empty("results", "--json").out.splitlines()]
    assert {row["host"] for row in rows} <= {server.name for server in ssh_pool}


def test_it_brings_a_python_to_a_host_that_has_none(empty: Empty, ssh_servers: Servers, bare_host: Bare) -> None:
    ssh_servers.client.install(empty.root / "home", [bare_host.server])
    put_jobs(empty.root)
    run = empty("run", "jobs.toml", "--hosts", "bare")
    assert "host bare: has no Python of 3.9 or later: it was sent one" in run.err
    assert outputs_of(empty.root, "jobs-1") == EXPECTED
    empty("hosts", "check", "--hosts", "bare")
    empty("hosts", "clean", "--hosts", "bare")
    assert not bare_host.workdir.exists()


def test_it_unpacks_once_and_takes_nothing_that_others_could_have_put_there(empty: Empty) -> None:
    empty("--version")
    tree = empty.tree
    made = tree.stat().st_ino
    empty("--version")
    assert empty.tree.stat().st_ino == made
    tree.chmod(0o777)
    empty("--version")
    assert empty.tree.stat().st_ino != made


def test_it_takes_a_folder_in_tmp_where_there_is_no_other_and_it_is_its_own(empty: Empty) -> None:
    (empty.root / "home/.cache").write_text("in the way")
    empty("--version")  # falls back to /tmp
    assert (empty.root / "tmp/batchwasm-0/program").is_dir()
    (empty.root / "tmp/batchwasm-0").chmod(0o777)  # as somebody else may have made it
    assert "can't unpack itself" in empty("--version", code=3).err


def test_a_version_that_nobody_started_for_long_goes_with_the_next(empty: Empty) -> None:
    folder = empty.root / "home/.cache/batchwasm/program"
    old, used, new = (f"{number:016x}" for number in range(3))  # as trees are named
    for name in (old, used, new):
        (folder / name).mkdir(parents=True)
        (folder / name / "lock").touch()
        os.utime(folder / name, (0, 0) if name != new else None)
    with open(folder / used / "lock") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        empty("--version")
    assert {used, new} < {path.name for path in folder.iterdir()}
    assert not (folder / old).exists()


def test_a_damaged_file_is_told(empty: Empty) -> None:
    with open(empty.root / "batchwasm", "r+b") as file:
        file.seek(20_000_000)
        file.write(b"damage")
    assert "not whole" in empty("--version", code=3).err
    with open(empty.root / "batchwasm", "r+b") as file:
        file.truncate(30_000_000)
    assert "not whole" in empty("--version", code=3).err


def test_it_can_be_unpacked_to_a_folder_for_all(empty: Empty) -> None:
    empty("--unpack-to", "/opt-batchwasm")
    done = subprocess.run([empty.root / "opt-batchwasm/bin/batchwasm", "--version"], capture_output=True, text=True)
    assert done.stdout.startswith("batchwasm ")


def test_what_runs_goes_on_when_a_later_version_is_unpacked_to_its_folder(dist: Path, tmp_path: Path) -> None:
    later = tmp_path / "later"
    (tmp_path / "tree/bin").mkdir(parents=True)
    (tmp_path / "tree/bin/batchwasm").write_text("#!/bin/sh\necho later\n")
    (tmp_path / "tree/bin/batchwasm").chmod(0o755)
    build.compile_start(tmp_path / "start", "")
    build.write(later, tmp_path / "tree", tmp_path / "start", name="program", run="bin/batchwasm")
    folder = tmp_path / "opt"
    subprocess.run([dist / "batchwasm", "--unpack-to", folder], check=True)
    [tree] = (path for path in (folder / "versions").iterdir() if path.is_dir())
    code = "print('up', flush=True); input(); import wave; print(wave.__file__)"
    command = [tree / "bin/python3", "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "up\n"
        said = subprocess.run([later, "--unpack-to", folder], capture_output=True, text=True, check=True).stderr
        assert f"the earlier version in {tree} stays" in said
        assert subprocess.run([folder / "bin/batchwasm"], capture_output=True, text=True).stdout == "later\n"
        assert running.communicate("\n")[0].startswith(f"{tree}/lib/python3")
    assert subprocess.run([later, "--unpack-to", folder], capture_output=True, text=True, check=True).stderr == ""
    assert not tree.exists()


def test_who_starts_a_version_that_is_just_being_removed_is_told(dist: Path, tmp_path: Path) -> None:
    subprocess.run([dist / "batchwasm", "--unpack-to", tmp_path / "opt"], check=True)
    [tree] = (path for path in (tmp_path / "opt/versions").iterdir() if path.is_dir())
    lock = tree / "lock"
    with open(lock, "r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with subprocess.Popen([tree / "bin/batchwasm", "--version"], stderr=subprocess.PIPE, text=True) as started:
            while lock not in [path.resolve() for path in Path(f"/proc/{started.pid}/fd").iterdir()]:
                assert started.poll() is None
            tree.rename(tmp_path / "away")
            held.close()
            _, err = started.communicate()
    assert (started.returncode, "a newer version replaced it this very moment: start it again" in err) == (3, True)


def test_the_command_of_an_unpacked_tree_may_be_linked_to_but_not_copied(dist: Path, tmp_path: Path) -> None:
    subprocess.run([dist / "batchwasm", "--unpack-to", tmp_path / "opt"], check=True)
    for name, made in (("linked", Path.symlink_to), ("copied", lambda new, old: shutil.copy(old, new))):
        (tmp_path / name).mkdir()
        made(tmp_path / name / "batchwasm", tmp_path / "opt/bin/batchwasm")
    done = subprocess.run([tmp_path / "linked/batchwasm", "--version"], capture_output=True, text=True)
    assert done.stdout.startswith("batchwasm ")
    done = subprocess.run([tmp_path / "copied/batchwasm", "--version"], capture_output=True, text=True)
    assert (done.returncode, "a link to it works, a copy doesn't" in done.stderr) == (3, True)


def test_it_runs_on_the_kernel_that_the_manual_names(dist: Path, tmp_path: Path) -> None:
    put_jobs(tmp_path)
    for arguments in (["run", "jobs.toml"], ["run", "--detach", "jobs.toml"], ["wait"]):
        command = [sys.executable, ROOT / "tests/old_kernel.py", str(old_kernel.LINUX_3_2), dist / "batchwasm"]
        env = {"HOME": str(tmp_path / "home"), "PATH": "/bin"}
        done = subprocess.run([*command, *arguments], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert outputs_of(tmp_path, "jobs-1") == outputs_of(tmp_path, "jobs-2") == EXPECTED


def test_licences_of_what_it_carries_are_inside(empty: Empty) -> None:
    empty("--version")
    texts = {path.name for path in (empty.tree / "licenses").iterdir()}
    assert {"batchwasm", "python", "libc6", "LGPL-2.1", "go", "musl", "libssl3", "libsqlite3-0"} <= texts
    packages = empty.tree.glob("lib/python3*/site-packages/*.dist-info")
    bare = [path.name for path in packages if not list(path.rglob("*LICEN*")) + list(path.rglob("*COPYING*"))]
    assert bare == []
