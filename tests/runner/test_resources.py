"""What a batch reserves on a host, with real workers: shares of cpus, gpus by index, processes of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchwasm.model import Outcome
from batchwasm.runner import gpus
from batchwasm.runner.protocol import Kill, Refused
from tests.runner.supervised import ENVIRONMENT, HELLO, SPIN, SupervisedHost, eventually, supervised_host

NVIDIA = """echo 'GPU 0: NVIDIA A100-PCIE-40GB (UUID: GPU-1)'
echo '  MIG 1g.5gb     Device  0: (UUID: MIG-1)'
echo 'GPU 1: NVIDIA A100-PCIE-40GB (UUID: GPU-2)'"""
ROCM = """echo '========================= ROCm System Management Interface ========================='
for n in 0 1 2; do echo "GPU[$n]		: Device Name: AMD MI210"; echo "GPU[$n]		: GUID: 5$n"; done"""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[SupervisedHost]:
    yield from supervised_host(tmp_path)


def tool(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return folder


def told(stdout: bytes) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in stdout.decode().split("\0") if pair)
    return {name: value for name, _, value in pairs}


# -------------------------------------------------------------------------------------------------------- gpus


@pytest.mark.parametrize(
    ("tools", "count"),
    [
        ({}, 0),
        ({"nvidia-smi": NVIDIA}, 2),
        ({"rocm-smi": ROCM}, 3),
        ({"nvidia-smi": "echo 'NVIDIA-SMI has failed'; exit 9", "rocm-smi": ROCM}, 3),
        ({"nvidia-smi": NVIDIA, "rocm-smi": ROCM}, 2),
        ({"nvidia-smi": "echo 'No devices were found'"}, 0),
    ],
)
def test_gpus_are_counted_by_the_tool_of_their_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tools: dict[str, str], count: int
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for name, script in tools.items():
        tool(tmp_path, name, script)
    assert gpus.count() == count


def test_a_tool_that_hangs_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tool(tmp_path, 'nvidia-smi', 'exec sleep 60')}:/usr/bin:/bin")
    monkeypatch.setattr(gpus, "_TIMEOUT_S", 0.1)
    assert gpus.count() == 0


def test_tasks_are_told_their_gpus_and_no_two_have_the_same(host: SupervisedHost, tmp_path: Path) -> None:
    host.path = str(tool(tmp_path, "nvidia-smi", NVIDIA))
    scheduler = host.attach(cpus=4)
    assert scheduler.attached.gpus == 2
    assert not [warning for warning in scheduler.attached.warnings if "gpus" in warning]
    scheduler.start(1, SPIN, gpus=1)
    scheduler.start(2, ENVIRONMENT, gpus=1, env={"CUDA_VISIBLE_DEVICES": "0,1"})
    scheduler.start(3, ENVIRONMENT, gpus=2)
    scheduler.start(4, ENVIRONMENT)
    rows, _ = scheduler.collect(2)
    seen = told(rows[2, 0].stdout)
    assert {name: seen[name] for name in ("BATCHWASM_GPUS", "CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")} == {
        "BATCHWASM_GPUS": "1",
        "CUDA_VISIBLE_DEVICES": "1",
        "ROCR_VISIBLE_DEVICES": "1",
    }
    assert not [name for name in told(rows[4, 0].stdout) if "DEVICES" in name or "GPUS" in name]
    scheduler.send(Kill(1))
    rows, _ = scheduler.collect(2)
    assert told(rows[3, 0].stdout)["BATCHWASM_GPUS"] == "0,1"


def test_shares_of_one_gpu_are_on_one_index(host: SupervisedHost) -> None:
    scheduler = host.attach(cpus=4, gpus=2)
    assert scheduler.attached.gpus == 2
    assert [warning for warning in scheduler.attached.warnings if "gpus = 2, but none are found there" in warning]
    scheduler.start(1, SPIN, gpus=0.5)
    scheduler.start(2, ENVIRONMENT, gpus=0.5)
    scheduler.start(3, ENVIRONMENT, gpus=0.6)
    rows, _ = scheduler.collect(2)
    assert [told(rows[n, 0].stdout)["BATCHWASM_GPUS"] for n in (2, 3)] == ["0", "1"]


def test_two_runs_on_one_host_never_have_the_same_gpu(host: SupervisedHost) -> None:
    one, two = host.attach("run-1", cpus=4, gpus=2), host.attach("run-2", cpus=4, gpus=2)
    one.start(1, SPIN, gpus=1)
    host.wait_until_a_guest_speaks()
    two.start(1, ENVIRONMENT, gpus=1)
    assert told(two.collect(1)[0][1, 0].stdout)["BATCHWASM_GPUS"] == "1"


# ------------------------------------------------------------------------------------- cpus, custom resources


def test_four_quarters_of_a_cpu_run_side_by_side(host: SupervisedHost) -> None:
    scheduler = host.attach(cpus=1)
    for batch in range(1, 6):
        scheduler.start(batch, SPIN, cpus=0.25)
    host.wait_until_a_guest_speaks(4)
    beat = scheduler.beat()
    assert (beat.running, beat.queued, beat.cpus_busy) == (4, 1, 1)


def test_a_custom_resource_is_handed_out_once(host: SupervisedHost) -> None:
    scheduler = host.attach(cpus=4, resources={"licence": 1})
    for batch in (1, 2):
        scheduler.start(batch, SPIN, resources={"licence": 1})
    scheduler.start(3, HELLO)
    assert set(scheduler.collect(1)[0]) == {(3, 0)}
    assert len(host.wait_until_a_guest_speaks()) == 1
    scheduler.start(4, HELLO, resources={"dongle": 1})
    _, returned = scheduler.collect(1)
    assert returned[4, 0].startswith("it needs 1 cpus, 64 MiB of memory and 1 dongle, but this run may have 4 cpus, ")


def test_an_amount_below_nothing_is_refused(host: SupervisedHost) -> None:
    assert isinstance(host.connect().try_to_attach(resources={"licence": -1}), Refused)
    assert isinstance(host.connect().try_to_attach("run-2", gpus=-1), Refused)


# ----------------------------------------------------------------------------------------------------- isolate


def test_an_isolated_batch_has_a_process_of_its_own_before_and_after(host: SupervisedHost) -> None:
    scheduler = host.attach(cpus=1)
    scheduler.start(1, HELLO)
    scheduler.collect(1)
    (warm,) = host.workers()
    scheduler.start(2, SPIN, isolate=True, time_s=0.3)
    (alone,) = host.wait_until_a_guest_speaks()
    assert alone != warm
    scheduler.start(3, HELLO)
    rows, _ = scheduler.collect(2)
    assert (rows[2, 0].outcome, rows[3, 0].stdout) == (Outcome.TIMED_OUT, b"hello\n")
    eventually(lambda: host.workers() == [warm], "the process of the isolated batch ends")
    scheduler.start(4, HELLO, isolate=True)
    scheduler.start(5, HELLO, isolate=True)
    assert {row.outcome for row in scheduler.collect(2)[0].values()} == {Outcome.SUCCEEDED}
    eventually(lambda: host.workers() == [warm], "their processes end")
    assert not [name for name in os.listdir(f"{host.workdir}/scratch/{_tag(host)}") if name.startswith("w2")]


def _tag(host: SupervisedHost) -> str:
    (folder,) = (host.workdir / "scratch").iterdir()
    return folder.name
