"""What users have in ~/.ssh/config, and what of it may not change a byte, or keep a command from us."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from batchwasm.model import Host
from batchwasm.transports.openssh_client import Client, run
from batchwasm.transports.openssh_errors import by_hand, standing
from batchwasm.transports.route import endpoint_of
from tests.sshd import Sshd, configure
from tests.transports.test_contract import connected, read_all
from tests.transports.test_openssh import by_address, by_openssh

DATA = bytes(range(256)) * 300 + b"\n~.\n~?\n"  # more than a pipe holds, and what ends a session on a terminal

ODD = {
    "RequestTTY": "RequestTTY force",
    "RemoteCommand": "RequestTTY force\n  RemoteCommand tmux attach",
    "LocalCommand": "PermitLocalCommand yes\n  LocalCommand echo I am on your stdout; echo and stderr >&2",
    "SendEnv": "SendEnv LANG LC_* HOME\n  SetEnv ODD=yes",
    "quiet": "LogLevel QUIET",
    "loud": "LogLevel DEBUG3",
    "loud files": "LogVerbose *:*:*",
    "StdinNull": "StdinNull yes",
    "ForkAfterAuthentication": "ForkAfterAuthentication yes",
    "SessionType none": "SessionType none",
    "SessionType subsystem": "SessionType subsystem",
    "EscapeChar": "EscapeChar a",
    "Compression": "Compression yes",
    "VisualHostKey": "VisualHostKey yes",
    "X11": "ForwardX11 yes\n  ForwardX11Trusted yes\n  ForwardAgent yes",
    "Tunnel": "Tunnel yes\n  ExitOnForwardFailure yes",
    "ControlMaster": "ControlMaster auto\n  ControlPath {home}/mux-%C\n  ControlPersist yes",
    "CanonicalizeHostname": "CanonicalizeHostname always\n  CanonicalDomains invalid",
    "BatchMode": "BatchMode no\n  NumberOfPasswordPrompts 9",
    "Match exec": 'Match exec "echo on stdout"\n  StdinNull yes',
    "all sessions": "StdinNull yes\n  ForkAfterAuthentication yes\n  SessionType none",
}


@pytest.mark.parametrize("odd", ODD)
async def test_bytes_pass_both_ways_whatever_ssh_config_says(ssh_pool: list[Sshd], home: Path, odd: str) -> None:
    configure(home, f"Host sshd-a\n  {ODD[odd].format(home=home)}\n")
    await bytes_pass(by_openssh(ssh_pool[0]))
    assert not [name for name in os.listdir(home) if name.startswith("mux")]


@pytest.mark.parametrize("way", ["ssh", "paramiko"])
async def test_nor_does_any_of_it_hold_up_those_that_know_less(ssh_pool: list[Sshd], home: Path, way: str) -> None:
    for odd in ODD.values():
        configure(home, f"Host sshd-a\n  {odd.format(home=home)}\n")
    await bytes_pass(replace(ssh_pool[0].host, transport=way))


async def bytes_pass(host: Host) -> None:
    async with asyncio.timeout(20), connected(host) as transport:
        process = await transport.spawn("cat; echo err >&2; exit 3")
        writing = asyncio.create_task(process.write(DATA))
        got = b""
        while len(got) < len(DATA) and (more := await process.read(65536)):
            got += more
        assert got == DATA
        await writing
        assert await process.close() == 3
        assert process.stderr_tail.strip() == "err"


@pytest.mark.parametrize(
    "forward", ["LocalForward {taken} 127.0.0.1:9", "RemoteForward {taken} 127.0.0.1:9", "DynamicForward {taken}"]
)
async def test_a_forward_whose_port_is_taken_is_none_of_ours(ssh_pool: list[Sshd], home: Path, forward: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = f"127.0.0.1:{taken.getsockname()[1]}"
        configure(home, f"Host *\n  {forward.format(taken=port)}\n  ExitOnForwardFailure yes\n")
        async with connected(by_openssh(ssh_pool[0])) as transport:
            process = await transport.spawn("echo in")
            assert await read_all(process) == b"in\n"
            assert await process.close() == 0


@pytest.mark.parametrize("odd", ["SessionType", "LocalForward", "RequestTTY", "StdinNull"])
async def test_the_line_that_a_person_types_makes_its_connection_all_the_same(
    ssh_pool: list[Sshd], home: Path, odd: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = f"127.0.0.1:{taken.getsockname()[1]}"
        configure(
            home,
            {
                "SessionType": "Host *\n  SessionType none\n  ForkAfterAuthentication yes\n",
                "LocalForward": f"Host *\n  LocalForward {port} 127.0.0.1:9\n  ExitOnForwardFailure yes\n",
                "RequestTTY": "Host *\n  RequestTTY force\n  RemoteCommand sleep 600\n",
                "StdinNull": "Host *\n  StdinNull yes\n",
            }[odd],
        )
        host = by_address(ssh_pool[0])
        client = Client(endpoint=endpoint_of(host))
        client = client.undoing(await client.says(host.name))
        made = await asyncio.create_subprocess_shell(by_hand(client), stdin=asyncio.subprocess.DEVNULL)
        try:
            async with asyncio.timeout(20):
                assert await made.wait() == 0
            assert (await run(client.over(standing(client), "-Ocheck"), 10)).code == 0
        finally:
            await run(client.over(standing(client), "-Oexit"), 10)
