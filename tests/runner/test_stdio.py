"""What is written to a descriptor, captured with a limit: in memory, or in a file where that is missing."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchwasm.runner.stdio import MARGIN_BYTES, Capture, last_bytes
from tests import old_kernel
from tests.command import ROOT


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "before", os.O_CREAT | os.O_RDWR)
    yield fd
    os.close(fd)


def write_on(fd: int, block: bytes) -> None:
    while True:
        os.write(fd, block)


@pytest.fixture(params=[True, False], ids=["memory", "file"])
def capture(request: pytest.FixtureRequest, fd: int, tmp_path: Path) -> Capture:
    capture = Capture(fd, str(tmp_path), memory=request.param)
    capture.open(100_000)
    return capture


def test_what_is_written_is_read_and_then_forgotten(capture: Capture, fd: int) -> None:
    os.write(fd, b"first")
    assert (capture.written, capture.read(5)) == (5, b"first")
    capture.reset()
    os.write(fd, b"2nd")
    assert (capture.written, capture.read(3)) == (3, b"2nd")


def test_long_output_is_saved_with_its_digest_and_its_memory_given_back(
    capture: Capture, fd: int, tmp_path: Path
) -> None:
    content = os.urandom(1_500_000)
    capture.open(2_000_000)
    assert os.write(fd, content) == len(content)
    assert capture.save(str(tmp_path / "saved"), len(content)) == (len(content), hashlib.sha256(content).hexdigest())
    assert (tmp_path / "saved").read_bytes() == content
    capture.reset()
    assert capture.written == 0
    assert os.fstat(fd).st_blocks == 0


def test_the_end_of_what_was_written_can_be_had(capture: Capture, fd: int) -> None:
    assert last_bytes(capture, 10) is None
    os.write(fd, b"abcdef")
    assert last_bytes(capture, 3) == b"def"
    assert last_bytes(capture, 10) == b"abcdef"


@pytest.mark.parametrize("block", [1, 1000, 65_536, 3_000_000, 10_000_000])
def test_a_flood_into_memory_is_refused_beyond_its_limit_and_not_before(fd: int, tmp_path: Path, block: int) -> None:
    capture = Capture(fd, str(tmp_path))
    capture.open(100_000)
    os.write(fd, b"x" * 100_000)
    with pytest.raises(PermissionError):
        write_on(fd, b"x" * max(block, 50_000))
    assert 100_000 < capture.written <= 100_000 + MARGIN_BYTES


def test_no_file_is_left_behind(capture: Capture, tmp_path: Path) -> None:
    assert os.listdir(tmp_path) == ["before"]


@pytest.mark.skipif(sys.platform != "linux" or os.uname().machine != "x86_64", reason="hides system calls of x86-64")
def test_a_kernel_without_files_in_memory_gets_one_on_disk(tmp_path: Path) -> None:
    """Python has os.memfd_create wherever the C library does, whose kernel may be older."""
    code = f"""
import os
from batchwasm.runner import guards
from batchwasm.runner.stdio import Capture
fd = os.open("/dev/null", os.O_RDWR)
capture = Capture(fd, {str(tmp_path)!r})
capture.open(1000)
os.write(fd, b"word")
print(capture.read(10), guards.held()["sealed_output"])
"""
    command = [sys.executable, ROOT / "tests/old_kernel.py", str(old_kernel.LINUX_3_10), sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("b'word' False\n", "")
