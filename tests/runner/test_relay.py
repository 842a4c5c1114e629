"""What SSH starts: one supervisor however many relays race, bytes both ways, nothing left at the end."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchwasm.runner.protocol import VERSION, Detach, Recall, Refused
from tests.runner.supervised import SupervisedHost, eventually, refused, supervised_host


@pytest.fixture
def host(tmp_path: Path) -> Iterator[SupervisedHost]:
    yield from supervised_host(tmp_path)


def test_six_relays_that_race_find_one_supervisor(host: SupervisedHost) -> None:
    relays = [host.connect() for _ in range(6)]
    answers = [relay.attach(f"run-{at}") for at, relay in enumerate(relays)]
    assert len({answer.supervisor for answer in answers}) == 1
    assert len(host.supervisors()) == 1
    for relay in relays:
        relay.detach()


def test_a_relay_that_is_cut_off_leaves_the_supervisor_to_the_next_one(host: SupervisedHost) -> None:
    first = host.attach()
    os.kill(first.relay.pid, signal.SIGKILL)
    second = host.attach(incarnation=2)
    assert second.attached.supervisor == first.attached.supervisor


def test_a_relay_ends_with_0_at_the_end_of_its_stdin(host: SupervisedHost) -> None:
    scheduler = host.attach()
    assert scheduler.relay.stdin is not None
    scheduler.relay.stdin.close()
    assert scheduler.relay.wait(10) == 0
    host.attach(incarnation=2).detach()


def test_orders_right_before_the_end_of_stdin_are_obeyed(host: SupervisedHost) -> None:
    scheduler = host.attach()
    scheduler.send(Detach())
    assert scheduler.relay.stdin is not None
    scheduler.relay.stdin.close()
    eventually(lambda: not host.supervisors(), "the supervisor ends", patience_s=5)


def test_the_supervisor_survives_the_hang_up_of_its_session(host: SupervisedHost) -> None:
    scheduler = host.attach()
    (supervisor,) = host.supervisors()
    assert os.getsid(supervisor) not in (os.getsid(0), os.getsid(scheduler.relay.pid))
    assert os.readlink(f"/proc/{supervisor}/fd/0") == "/dev/null"
    assert os.readlink(f"/proc/{supervisor}/cwd") == "/"
    assert len([fd for fd in os.listdir(f"/proc/{supervisor}/fd") if "pipe:" in _link(supervisor, fd)]) == 0


def test_a_supervisor_ends_soon_after_the_last_detach_and_leaves_nothing(host: SupervisedHost) -> None:
    one, two = host.attach("run-1"), host.attach("run-2")
    one.detach()
    assert host.supervisors()
    two.detach()
    eventually(lambda: not host.supervisors(), "the supervisor ends", patience_s=2.5)
    assert host.traces() == []


def test_a_relay_that_meets_a_leaving_supervisor_finds_or_starts_another(host: SupervisedHost) -> None:
    module = host.library / "batchwasm_runner" / "supervise.py"
    text = module.read_text().replace("_TICK_S = 0.5", "_TICK_S = 0.001").replace("_LEAVE_S = 1.0", "_LEAVE_S = 0.0")
    assert text != module.read_text()
    module.write_text(text)
    supervisors = set()
    for incarnation in range(8):
        scheduler = host.attach(incarnation=incarnation)
        supervisors.add(scheduler.attached.supervisor)
        scheduler.detach()
    assert len(supervisors) > 1


def test_another_version_is_refused_with_both_versions_named(host: SupervisedHost) -> None:
    answer = host.connect().try_to_attach(version=VERSION + 1)
    assert isinstance(answer, Refused)
    assert answer.code == "version"
    assert str(VERSION + 1) in answer.text
    assert answer.version == VERSION


def test_a_run_id_that_would_leave_its_folder_is_refused(host: SupervisedHost) -> None:
    assert refused(host.connect().try_to_attach("../../etc")) == "protocol"


def test_an_order_before_attach_is_refused(host: SupervisedHost) -> None:
    scheduler = host.connect()
    scheduler.send(Recall(1))
    assert refused(scheduler.read()) == "protocol"
    assert scheduler.read() is None


def test_bytes_that_are_no_frame_are_refused(host: SupervisedHost) -> None:
    scheduler = host.connect()
    assert scheduler.relay.stdin is not None
    scheduler.relay.stdin.write(b"GET / HTTP/1.1\r\n\r\n")
    assert refused(scheduler.read()) == "protocol"


def test_an_older_incarnation_does_not_take_a_run_back(host: SupervisedHost) -> None:
    current = host.attach(incarnation=5)
    assert refused(host.connect().try_to_attach(incarnation=4)) == "stale"
    assert current.beat()


def test_a_newer_incarnation_takes_the_run_over(host: SupervisedHost) -> None:
    before = host.attach(incarnation=5)
    host.attach(incarnation=6)
    assert before.read() is None


def test_what_the_relay_prints_does_not_reach_the_protocol(host: SupervisedHost) -> None:
    (host.library / "sitecustomize.py").write_text(
        "import threading\n"
        "class Loud(threading.Thread):\n"
        "    def start(self):\n"
        "        print('a stray print', flush=True)\n"
        "        super().start()\n"
        "threading.Thread = Loud\n"
    )
    scheduler = host.attach()
    scheduler.detach()
    assert scheduler.relay.stderr is not None
    assert "a stray print" in scheduler.relay.stderr.read().decode()


def test_a_workdir_that_cannot_be_made_is_said_in_one_sentence(host: SupervisedHost) -> None:
    done = host.command("relay", "--workdir", "/proc/nowhere")
    assert done.returncode == 3
    assert done.stderr.startswith("batchwasm: the folder /proc/nowhere can't be made")
    assert done.stderr.count("\n") == 1


def test_a_local_folder_that_others_may_enter_is_refused(host: SupervisedHost) -> None:
    folder = host.tmp / f"batchwasm-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o755)
    done = host.command("relay", "--workdir", str(host.workdir))
    folder.rmdir()
    assert done.returncode == 3
    assert "0700" in done.stderr
    assert str(folder) in done.stderr


def test_a_local_folder_that_is_a_link_is_refused(host: SupervisedHost, tmp_path: Path) -> None:
    folder = host.tmp / f"batchwasm-{os.getuid()}"
    folder.symlink_to(tmp_path)
    done = host.command("relay", "--workdir", str(host.workdir))
    folder.unlink()
    assert done.returncode == 3


def test_the_local_folder_is_the_users_alone(host: SupervisedHost) -> None:
    host.attach()
    for path in host.tmp.rglob("*"):
        if path.is_dir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o700, path


def test_a_tmpdir_too_long_for_a_socket_falls_back_to_tmp(host: SupervisedHost, tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    command = [sys.executable, "-m", "batchwasm_runner", "relay", "--workdir", str(host.workdir)]
    with subprocess.Popen(
        command, env={**host.environment, "TMPDIR": str(long)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as relay:
        eventually(host.supervisors, "a supervisor starts")
        assert relay.stdin is not None
        relay.stdin.close()
        assert relay.wait(10) == 0
    assert list(long.iterdir()) == []
    eventually(lambda: not host.supervisors(), "the supervisor ends")


def test_a_wrong_command_line_shows_the_right_one(host: SupervisedHost) -> None:
    done = host.command("dance")
    assert done.returncode == 2
    assert "usage" in done.stderr


def test_a_supervisor_that_cannot_start_is_said_with_its_last_words(host: SupervisedHost) -> None:
    (host.library / "batchwasm_runner" / "pool.py").write_text("raise RuntimeError('no pool today')\n")
    done = host.command("relay", "--workdir", str(host.workdir))
    assert done.returncode == 3
    assert "RuntimeError: no pool today" in done.stderr
    assert done.stderr.count("\n") == 1
    assert host.clean().returncode == 0


def _link(pid: int, fd: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/fd/{fd}")
    except OSError:
        return ""
