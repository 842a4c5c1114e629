"""Files over every transport to hosts as they are: odd login shells, talk on stdout, umask 077, no sftp."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.engine.depots import depot_on
from tests.sshd import Servers, Sshd
from tests.transports.test_ssh import WAYS

SHELLS = ("dash", "tcsh", "fish")
SIZES = (10, 3_000_001)


@pytest.fixture(params=SHELLS)
def odd(request: pytest.FixtureRequest, ssh_servers: Servers, home: Path) -> Iterator[Sshd]:
    """A server that hands commands to this shell, as it does to a login shell, after what administrators do."""
    shell = request.param
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    line = f"umask 077; echo 'Welcome to the lab!'; echo 'Maintenance on Monday' >&2; exec {shell} -c"
    server = ssh_servers.make(
        f"odd-{shell}",
        address=f"127.0.0.{31 + SHELLS.index(shell)}",
        options=(f'ForceCommand {line} "$SSH_ORIGINAL_COMMAND"', f"Banner {__file__}"),
    )
    ssh_servers.client.install(home, [server])
    yield server
    server.end()
    shutil.rmtree(server.cache)


@pytest.mark.parametrize("way", WAYS)
async def test_files_go_there_and_back(odd: Sshd, way: str, tmp_path: Path) -> None:
    async with depot_on(replace(odd.host, transport=way)) as depot:
        for size in SIZES:
            data = os.urandom(size)
            digest = hashlib.sha256(data).hexdigest()
            (tmp_path / "a").write_bytes(data)
            assert await depot.put("files", digest, tmp_path / "a")
            there = f"{depot.facts.workdir}/cache/files/{digest}"
            await depot.get(there, tmp_path / "b", size, digest)
            assert (tmp_path / "b").read_bytes() == data
