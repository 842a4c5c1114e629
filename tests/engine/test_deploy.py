"""A host is made ready: the runner there once, a relay that answers; the same here, over ssh, and on a shared home."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from batchwasm.engine.deploy import Prepared, install, platform_of, prepare
from batchwasm.engine.depot import Depot, Facts
from batchwasm.engine.pack import here as this_platform
from batchwasm.engine.pack import pack_for
from batchwasm.errors import HostError
from batchwasm.model import Host
from batchwasm.runner.protocol import Attach, Attached, Decoder, Detach, Message, encode
from batchwasm.transports import make
from tests.engine.depots import depot_on, here
from tests.sshd import Sshd

Shipment = tuple[str, str, int]


@asynccontextmanager
async def prepared(host: Host, shipped: list[Shipment]) -> AsyncIterator[Prepared]:
    transport = make(host)
    try:
        ready = await prepare(host, transport, lambda *what: shipped.append(what))
        try:
            yield ready
        finally:
            await ready.runner.close()
            await ready.depot.close()
    finally:
        await transport.close()


async def attach(ready: Prepared, run: str = "test-run") -> Message:
    """Say hello to the supervisor, wait for its answer, say goodbye."""
    decoder = Decoder()
    await ready.runner.write(encode(Attach(run=run, incarnation=1)))
    async with asyncio.timeout(60):
        while not (messages := decoder.feed(await ready.runner.read(65536))):
            pass
    await ready.runner.write(encode(Detach()))
    return messages[0]


@pytest.fixture(params=["local", "ssh"])
def host(request: pytest.FixtureRequest, weird_tmp_path: Path) -> Iterator[Host]:
    if request.param == "local":
        yield here(weird_tmp_path / "w")
    else:
        pool: list[Sshd] = request.getfixturevalue("ssh_pool")
        yield dataclasses.replace(pool[0].host, workdir=str(pool[0].home / 'it\'s a "wéird" place; $HOME!'))


async def test_the_runner_is_shipped_once_and_its_supervisor_answers(host: Host) -> None:
    shipped: list[Shipment] = []
    async with prepared(host, shipped) as ready:
        assert isinstance(await attach(ready), Attached)
        installed = Path(ready.facts.workdir, "runner", pack_for(this_platform()).digest)
        assert sorted(os.listdir(installed)) == ["batchwasm_runner", "tomli", "wasmtime"]
    assert [kind for kind, _, _ in shipped] == ["runner"]
    async with prepared(host, shipped) as ready:
        assert isinstance(await attach(ready), Attached)
    assert len(shipped) == 1


async def test_modules_in_the_users_home_are_not_taken_for_pythons_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "wasmtime", "socket", "struct"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('wrong module')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with prepared(here(tmp_path / "w"), []) as ready:
        assert isinstance(await attach(ready), Attached)


async def test_what_a_profile_prints_is_not_taken_for_the_runners_words(ssh_pool: list[Sshd]) -> None:
    profile = ssh_pool[0].home / ".bashrc"
    profile.write_text("echo Welcome; printf 'and no newline'\n")
    try:
        async with prepared(ssh_pool[0].host, []) as ready:
            assert isinstance(await attach(ready), Attached)
    finally:
        profile.unlink()


async def test_three_servers_are_made_ready_at_once_each_in_its_own_place(ssh_pool: list[Sshd]) -> None:
    shipped: list[Shipment] = []

    async def one(server: Sshd) -> str:
        async with prepared(server.host, shipped) as ready:
            answer = await attach(ready)
            assert isinstance(answer, Attached)
            assert answer.spool.startswith("/")
            return answer.supervisor

    supervisors = await asyncio.gather(*map(one, ssh_pool))
    assert len(set(supervisors)) == len(shipped) == 3


async def test_two_hosts_with_one_home_share_the_runner_and_have_a_supervisor_each(shared_pool: list[Sshd]) -> None:
    async def one(server: Sshd) -> tuple[str, str]:
        async with prepared(server.host, []) as ready:
            answer = await attach(ready)
            assert isinstance(answer, Attached)
            return ready.facts.hostname, answer.supervisor

    found = await asyncio.gather(*map(one, shared_pool))
    assert [hostname for hostname, _ in found] == ["host-a", "host-b"]
    assert len({supervisor for _, supervisor in found}) == 2
    workdir = shared_pool[0].workdir
    assert os.listdir(workdir / "runner") == [pack_for(this_platform()).digest]
    assert os.listdir(workdir / "cache/new") == []


async def test_many_deployers_at_once_leave_one_whole_runner(ssh_pool: list[Sshd]) -> None:
    async def one() -> None:
        async with depot_on(ssh_pool[0].host) as depot:
            await install("sshd-a", depot, lambda *_: None)

    await asyncio.gather(*(one() for _ in range(4)))
    assert os.listdir(ssh_pool[0].workdir / "runner") == [pack_for(this_platform()).digest]
    assert os.listdir(ssh_pool[0].workdir / "cache/new") == []


async def test_a_pack_that_is_not_what_its_digest_says_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    pack = pack_for(this_platform())
    async with depot_on(here(tmp_path / "w")) as depot:
        for chunks in (pack.chunks(), [b"garbage"], [], [pack.compressed[:1000]]):
            with pytest.raises(HostError) as caught:
                await depot.unpack("0" * 64, chunks)
            assert caught.value.code == "digest"
        assert await depot.runners() == []
    assert os.listdir(tmp_path / "w/runner") == os.listdir(tmp_path / "w/cache/new") == []


async def test_a_host_without_a_wasmtime_of_its_kind_is_an_error_that_names_it(tmp_path: Path) -> None:
    async with depot_on(here(tmp_path / "w")) as depot:
        depot.facts = dataclasses.replace(depot.facts, machine="riscv64")
        with pytest.raises(HostError, match="here: there is no wasmtime for linux riscv64") as caught:
            await install("here", depot, lambda *_: None)
        assert caught.value.code == "platform"
        assert "linux aarch64" in caught.value.cure


async def test_a_32_bit_python_is_an_error_that_names_it(tmp_path: Path) -> None:
    facts = await facts_here(tmp_path)
    with pytest.raises(HostError, match="32-bit Python") as caught:
        platform_of("lab01", dataclasses.replace(facts, bits=32))
    assert caught.value.code == "platform"


@pytest.fixture
def noexec_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    folder = tmp_path / "noexec"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


async def test_a_workdir_from_where_no_program_may_run_is_told_before_anything_is_sent(noexec_disk: Path) -> None:
    async with depot_on(here(noexec_disk / "w")) as depot:
        with pytest.raises(HostError, match=r"^here: no program may run from .*/noexec/w, .*mounted noexec") as caught:
            await install("here", depot, lambda *_: None)
    assert caught.value.code == "permission"
    assert os.listdir(noexec_disk) == []


async def facts_here(tmp_path: Path) -> Facts:
    async with depot_on(here(tmp_path)) as depot:
        return depot.facts


async def test_a_runner_folder_that_vanished_is_an_error_with_the_shells_words(tmp_path: Path) -> None:
    from batchwasm.engine.deploy import start_runner

    host = here(tmp_path / "w")
    transport = make(host)
    depot = await Depot.start(host.name, transport, workdir=host.workdir)
    with pytest.raises(HostError) as caught:
        await start_runner(host.name, transport, depot.facts, "0" * 64, "relay")
    assert caught.value.code == "runner"
    assert "0" * 64 in caught.value.cause
    await depot.close()
    await transport.close()
