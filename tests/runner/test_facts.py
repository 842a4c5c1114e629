"""What a machine is and has, read from files as kernels write them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from batchwasm.runner import facts


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The files that the kernel shows, by path."""
    shown: dict[str, str] = {}
    monkeypatch.setattr(facts, "_read", shown.get)
    return shown


def test_this_machine_has_plausible_facts() -> None:
    found = facts.facts()
    assert found.machine == os.uname().machine
    assert 1 <= found.cpus <= len(os.sched_getaffinity(0))
    assert found.memory_bytes > 1 << 26
    assert len(found.boot) == 36
    assert found.boot == facts.boot_id()


def test_a_narrower_affinity_mask_is_fewer_cpus() -> None:
    one = min(os.sched_getaffinity(0))
    program = f"import os; os.sched_setaffinity(0, [{one}]); from batchwasm.runner import facts; print(facts.cpus())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=_root())
    assert done.stdout == "1\n"


@pytest.mark.parametrize(
    ("quota", "cpus"), [("max 100000", 64), ("150000 100000", 2), ("50000 100000", 1), ("800000 100000", 8)]
)
def test_a_cpu_quota_of_any_group_above_counts(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch, quota: str, cpus: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))
    files["/proc/self/cgroup"] = "0::/user.slice/session.scope\n"
    files["/sys/fs/cgroup/user.slice/session.scope/cpu.max"] = "max 100000\n"
    files["/sys/fs/cgroup/user.slice/cpu.max"] = quota + "\n"
    assert facts.cpus() == cpus


def test_a_quota_of_version_1_counts(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))
    files["/proc/self/cgroup"] = "4:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n"
    files["/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us"] = "300000\n"
    files["/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us"] = "100000\n"
    assert facts.cpus() == 3


def test_no_quota_of_version_1_is_no_limit(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)))
    files["/proc/self/cgroup"] = "4:cpu:/\n"
    files["/sys/fs/cgroup/cpu/cpu.cfs_quota_us"] = "-1\n"
    files["/sys/fs/cgroup/cpu/cpu.cfs_period_us"] = "100000\n"
    assert facts.cpus() == 64


def test_memory_is_the_machines_cut_by_the_groups_limit(files: dict[str, str]) -> None:
    files["/proc/meminfo"] = "MemTotal:       16000000 kB\nMemFree: 1 kB\nMemAvailable:    8000000 kB\n"
    assert facts.memory_bytes() == 16_000_000 * 1024
    assert facts.memory_available_bytes() == 8_000_000 * 1024
    files["/proc/self/cgroup"] = "0::/box\n"
    files["/sys/fs/cgroup/box/memory.max"] = "max\n"
    assert facts.memory_bytes() == 16_000_000 * 1024
    files["/sys/fs/cgroup/box/memory.max"] = "1073741824\n"
    assert facts.memory_bytes() == 1 << 30


def test_memory_without_a_limit_in_version_1_is_the_machines(files: dict[str, str]) -> None:
    files["/proc/meminfo"] = "MemTotal:       16000000 kB\n"
    files["/proc/self/cgroup"] = "3:memory:/\n"
    files["/sys/fs/cgroup/memory/memory.limit_in_bytes"] = "9223372036854771712\n"
    assert facts.memory_bytes() == 16_000_000 * 1024


MOUNTS = """\
/dev/vda / ext4 rw 0 0
tmpfs /tmp tmpfs rw 0 0
server:/home /home nfs4 rw 0 0
/dev/vdb /home/my\\040disk xfs rw 0 0
lab:/data /mnt/lab fuse.sshfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind", "remote"),
    [
        ("/srv/x", "ext4", False),
        ("/tmp/x", "tmpfs", False),
        ("/home/alice/.cache", "nfs4", True),
        ("/homework", "ext4", False),
        ("/home/my disk/x", "xfs", False),
        ("/mnt/lab", "fuse.sshfs", True),
    ],
)
def test_the_file_system_is_that_of_the_longest_mount_point_above(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch, path: str, kind: str, remote: bool
) -> None:
    monkeypatch.setattr(os.path, "realpath", lambda path: path)
    files["/proc/self/mounts"] = MOUNTS
    assert facts.filesystem_type(path) == kind
    assert facts.is_remote(kind) is remote


def test_the_later_of_two_mounts_on_one_point_is_seen(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "realpath", lambda path: path)
    files["/proc/self/mounts"] = "/dev/a /data ext4 rw 0 0\nserver:/data /data nfs rw 0 0\n"
    assert facts.filesystem_type("/data/x") == "nfs"


def test_a_system_without_proc_is_taken_for_local(files: dict[str, str]) -> None:
    assert facts.filesystem_type("/") == ""
    assert not facts.is_remote("")


def test_fuse_on_a_local_disk_is_local() -> None:
    assert not facts.is_remote("fuseblk")
    assert facts.is_remote("fuse.rclone")


def test_free_disk_of_a_folder_that_is_gone_is_none(tmp_path: Path) -> None:
    assert facts.disk_free_bytes(str(tmp_path)) > 0
    assert facts.disk_free_bytes(str(tmp_path / "gone")) == 0


def _root() -> Path:
    return Path(__file__).parents[2]
