"""hosts clean: nothing of ours stays on a host, unless a run needs it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batchwasm.engine.clean import clean
from batchwasm.engine.deploy import install
from batchwasm.runner.protocol import Attach, Attached, encode
from tests.engine.depots import depot_on, here
from tests.engine.test_deploy import attach, prepared
from tests.sshd import Sshd


async def test_an_idle_host_is_left_without_anything_of_ours(ssh_pool: list[Sshd]) -> None:
    async with prepared(ssh_pool[0].host, []) as ready:
        assert isinstance(await attach(ready), Attached)
    done = await clean(ssh_pool[0].host)
    assert done.freed_bytes > 20_000_000
    assert (done.busy, done.problems) == ((), ())
    assert not ssh_pool[0].workdir.exists()
    assert ssh_pool[0].processes() == []


async def test_a_busy_host_is_left_as_it_is_unless_forced(ssh_pool: list[Sshd]) -> None:
    async with prepared(ssh_pool[0].host, []) as ready:
        await ready.runner.write(encode(Attach(run="busy", incarnation=1)))
        await ready.runner.read(65536)
        done = await clean(ssh_pool[0].host)
        assert len(done.busy) == 1
        os.kill(done.busy[0], 0)
        assert (ssh_pool[0].workdir / "runner").is_dir()
        done = await clean(ssh_pool[0].host, force=True)
        assert done.busy == ()
        assert done.stopped == 1
    assert not ssh_pool[0].workdir.exists()


async def test_a_host_that_was_never_used_is_clean(tmp_path: Path) -> None:
    done = await clean(here(tmp_path / "w"))
    assert (done.freed_bytes, done.stopped, done.problems) == (0, 0, ())
    assert not (tmp_path / "w").exists()


async def test_a_cache_without_a_runner_goes_too_and_files_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "w/cache/files").mkdir(parents=True)
    (tmp_path / "w/cache/files/x").write_bytes(b"12345")
    (tmp_path / "w/precious").write_text("mine")
    done = await clean(here(tmp_path / "w"))
    assert done.freed_bytes == 5
    assert os.listdir(tmp_path / "w") == ["precious"]


async def test_a_damaged_runner_says_so(tmp_path: Path) -> None:
    host = here(tmp_path / "w")
    async with depot_on(host) as depot:
        pack = await install(host.name, depot, lambda *_: None)
    (tmp_path / "w/runner" / pack.digest / "batchwasm_runner/clean.py").unlink()
    from batchwasm.errors import HostError

    with pytest.raises(HostError) as caught:
        await clean(host)
    assert caught.value.code == "runner"
    assert str(tmp_path / "w") in caught.value.cure
