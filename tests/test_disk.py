"""What a disk that takes no more is said to be, and which file systems are other machines', too."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from batchwasm import disk
from batchwasm.errors import DiskFull
from batchwasm.runner import facts
from tests.disks import fill

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /tmp rw - tmpfs tmpfs rw
24 22 0:44 / /home rw,relatime shared:2 master:3 - nfs4 server:/home rw,vers=4.2
25 24 254:16 / /home/my\\040disk rw - xfs /dev/vdb rw
26 22 0:50 / /mnt/lab rw - fuse.sshfs lab:/data rw
27 22 0:51 / /mnt/twice rw - ext4 /dev/vdc rw
28 27 0:52 / /mnt/twice rw - cifs //server/share rw
half a line
"""


@pytest.mark.parametrize(
    ("path", "kind", "remote"),
    [
        ("/srv/x", "ext4", False),
        ("/tmp/x", "tmpfs", False),
        ("/home/alice/runs", "nfs4", True),
        ("/homework", "ext4", False),
        ("/home/my disk/x", "xfs", False),
        ("/mnt/lab", "fuse.sshfs", True),
        ("/mnt/twice/x", "cifs", True),
    ],
)
def test_the_file_system_is_that_of_the_longest_mount_point_above(path: str, kind: str, remote: bool) -> None:
    assert disk.type_of(path, MOUNTS) == kind
    assert disk.is_remote(kind) == remote


def test_a_link_is_followed_to_the_file_system_where_it_leads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mountinfo").write_text(f"22 1 0:1 / / rw - ext4 a rw\n23 1 0:2 / {tmp_path}/far rw - nfs a rw\n")
    monkeypatch.setattr(disk, "MOUNTS", tmp_path / "mountinfo")
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to(tmp_path / "far")
    assert disk.file_system(tmp_path / "near/runs") == "nfs"
    monkeypatch.setattr(disk, "MOUNTS", tmp_path / "gone")
    assert disk.file_system(tmp_path / "near") == ""


def test_here_and_on_hosts_the_same_file_systems_are_remote() -> None:
    assert disk.REMOTE_TYPES == facts.REMOTE_TYPES
    assert disk.LOCAL_FUSE == facts.LOCAL_FUSE


def test_a_full_disk_is_told_with_what_is_free_and_what_is_needed(small_disk: Path) -> None:
    fill(small_disk)
    with pytest.raises(OSError) as caught:
        (small_disk / "more").write_bytes(b"x" * 4096)
    error = disk.unwritable(small_disk / "runs/more", caught.value, size_bytes=5_000_000)
    assert isinstance(error, DiskFull)
    assert str(error) == (
        f"{small_disk}/runs/more can't be written: the disk is full (0 B free, about 4.8 MiB to be written); "
        "make room there"
    )


def test_a_quota_is_told_from_a_disk_and_anything_else_from_both(tmp_path: Path) -> None:
    quota = disk.unwritable(tmp_path, OSError(errno.EDQUOT, "x"))
    assert isinstance(quota, DiskFull)
    assert "the disk quota is used up" in str(quota)
    other = disk.unwritable(tmp_path, OSError(errno.EACCES, os.strerror(errno.EACCES)))
    assert not isinstance(other, DiskFull)
    assert str(other) == f"{tmp_path} can't be written: Permission denied"


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(0, "0 B"), (1536, "1.5 KiB"), (3 * 2**20, "3 MiB"), (5 * 2**40, "5 TiB")]
)
def test_sizes_are_told_in_units_that_people_use(size_bytes: int, text: str) -> None:
    assert disk.size_text(size_bytes) == text
