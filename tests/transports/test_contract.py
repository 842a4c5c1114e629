"""What every transport promises, asked of each with a real process at the other end."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import shlex
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from batchwasm.errors import HostLost
from batchwasm.model import Host
from batchwasm.transports import Process, Transport, make
from tests.sshd import Sshd

MB = 1024 * 1024


@pytest.fixture(params=["local", "ssh", "openssh", "paramiko"])
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    if request.param == "local":
        yield Host(name="here", transport="local")
    else:
        pool: list[Sshd] = request.getfixturevalue("ssh_pool")
        yield replace(pool[0].host, transport=request.param)


@asynccontextmanager
async def connected(host: Host) -> AsyncIterator[Transport]:
    transport = make(host)
    await transport.connect()
    try:
        yield transport
    finally:
        await transport.close()


def python(code: str, *args: str) -> str:
    return f"exec {shlex.join([sys.executable, '-c', code, *args])}"


async def ended(pid: int) -> None:
    """Returns when that process has ended; it need not be a child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, gone.set)
    try:
        async with asyncio.timeout(10):
            await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def read_all(process: Process) -> bytes:
    parts = []
    while data := await process.read(MB):
        parts.append(data)
    return b"".join(parts)


async def test_bytes_of_every_value_pass_both_ways_unchanged(host: Host) -> None:
    data = bytes(range(256)) * 17
    async with connected(host) as transport:
        process = await transport.spawn("cat")
        await process.write(data)
        got = b""
        while len(got) < len(data):
            got += await process.read(100)
        assert got == data
        assert await process.close() == 0


async def test_64_mb_pass_both_ways_while_a_slow_reader_holds_them_up(host: Host) -> None:
    chunks = [bytes([i]) * MB for i in range(64)]
    sent, received = hashlib.sha256(), hashlib.sha256()

    async def send(process: Process) -> None:
        for chunk in chunks:
            await process.write(chunk)
            sent.update(chunk)

    async with connected(host) as transport:
        process = await transport.spawn("cat")
        async with asyncio.TaskGroup() as group:
            group.create_task(send(process))
            total = 0
            while total < 64 * MB:
                data = await process.read(256 * 1024)
                assert 0 < len(data) <= 256 * 1024
                total += len(data)
                received.update(data)
        assert received.digest() == sent.digest()
        await process.close()


async def test_a_writer_waits_while_the_other_side_does_not_read(host: Host) -> None:
    async with connected(host) as transport:
        process = await transport.spawn("exec sleep 3")
        written = 0
        with pytest.raises(TimeoutError):  # noqa: PT012
            async with asyncio.timeout(1):
                while written < 200 * MB:
                    await process.write(b"x" * MB)
                    written += MB
        assert written < 64 * MB
        await process.close()


HOLD_BACK = """
import os, select, sys
print(os.getpid(), flush=True)
os.set_blocking(1, False)
sent, room = 0, True
while room and sent < 400 << 20:
    try:
        sent += os.write(1, bytes(65536))
    except BlockingIOError:
        room = select.select([], [1], [], 1)[1]
open(sys.argv[1], "w").write(str(sent))
"""


async def test_a_sender_is_held_back_while_nobody_reads_here(host: Host, tmp_path: Path) -> None:
    async with connected(host) as transport:
        process = await transport.spawn(python(HOLD_BACK, str(tmp_path / "sent")))
        await ended(int((await process.read(100)).split(b"\n")[0]))
        assert 0 < int((tmp_path / "sent").read_text()) < 64 * MB
        await process.close()


async def test_the_end_of_stdout_is_an_empty_read_again_and_again(host: Host) -> None:
    async with connected(host) as transport:
        process = await transport.spawn("printf hello")
        assert await read_all(process) == b"hello"
        assert await process.read(10) == b""
        assert await process.close() == 0


async def test_closing_ends_stdin_and_gives_the_exit_code(host: Host) -> None:
    async with connected(host) as transport:
        process = await transport.spawn("cat > /dev/null; exit 7")
        assert await process.close() == 7


async def test_only_the_end_of_stderr_is_kept(host: Host) -> None:
    async with connected(host) as transport:
        process = await transport.spawn(python("import sys; sys.stderr.write('a' * 3000000 + 'the last words')"))
        assert await read_all(process) == b""
        await process.close()
        assert process.stderr_tail.endswith("the last words")
        assert len(process.stderr_tail) <= 8 * 1024


async def test_closing_kills_a_command_that_does_not_end(host: Host) -> None:
    code = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print(os.getpid(), flush=True); time.sleep(600)"
    )
    async with connected(host) as transport:
        process = await transport.spawn(python(code))
        pid = int(await process.read(100))
        os.kill(pid, 0)
        assert await process.close() is None
        await ended(pid)


@pytest.mark.parametrize("transport", ["ssh", "openssh", "paramiko"])
async def test_a_command_runs_and_is_killed_where_a_profile_sends_stderr_to_stdout(
    ssh_pool: list[Sshd], transport: str
) -> None:
    profile = ssh_pool[0].home / ".bashrc"
    profile.write_text("exec 2>&1\n")
    try:
        async with asyncio.timeout(30), connected(replace(ssh_pool[0].host, transport=transport)) as there:
            process = await there.spawn("echo it runs: $$; exec sleep 600")
            got = b""
            while not got.endswith(b"\n") or b"runs: " not in got:
                got += await process.read(100)
            await process.close()
            await ended(int(got.split()[-1]))
    finally:
        profile.unlink()


async def test_closing_a_command_that_floods_stdout_does_not_hang(host: Host) -> None:
    async with connected(host) as transport:
        process = await transport.spawn("yes")
        await process.read(10)
        async with asyncio.timeout(10):
            await process.close()


async def test_writing_to_a_command_that_ended_is_a_lost_host(host: Host) -> None:
    async with connected(host) as transport:
        process = await transport.spawn("exit 0")
        await read_all(process)
        with pytest.raises(HostLost):  # noqa: PT012
            async with asyncio.timeout(10):
                while True:
                    await process.write(b"x" * 100_000)
        await process.close()


async def test_several_commands_run_on_one_connection_at_once(host: Host) -> None:
    async with connected(host) as transport:
        processes = [await transport.spawn("cat") for _ in range(4)]
        for i, process in enumerate(processes):
            await process.write(b"%d" % i)
        assert [await process.read(10) for process in processes] == [b"0", b"1", b"2", b"3"]
        for process in processes:
            await process.close()


async def test_a_command_that_is_not_there_is_an_exit_code_with_words(host: Host) -> None:
    async with connected(host) as transport:
        process = await transport.spawn("/no/such/command")
        assert await read_all(process) == b""
        assert await process.close() == 127
        assert "/no/such/command" in process.stderr_tail


async def test_closing_the_transport_ends_what_still_runs(host: Host) -> None:
    async with connected(host) as transport:
        process = await transport.spawn(python("import os; print(os.getpid(), flush=True); input()"))
        pid = int(await process.read(100))
    await ended(pid)


async def test_as_many_commands_as_a_server_allows_run_at_once(host: Host) -> None:
    async with connected(host) as transport:
        processes = await asyncio.gather(*(transport.spawn("cat") for _ in range(10)))  # MaxSessions of OpenSSH
        for i, process in enumerate(processes):
            await process.write(b"%d" % i)
        assert [await process.read(10) for process in processes] == [b"%d" % i for i in range(10)]
        assert await asyncio.gather(*(process.close() for process in processes)) == [0] * 10


async def test_closing_twice_is_closing_once(host: Host) -> None:
    async with connected(host) as transport:
        process = await transport.spawn("exit 3")
        assert await process.close() == 3
        assert await process.close() == 3
        await transport.close()


@pytest.mark.long
async def test_a_gigabyte_passes_both_ways_in_bounded_memory(host: Host) -> None:
    chunk = os.urandom(MB)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    async def send(process: Process) -> None:
        for _ in range(1024):
            await process.write(chunk)

    async with connected(host) as transport:
        process = await transport.spawn("cat")
        async with asyncio.TaskGroup() as group:
            group.create_task(send(process))
            total, sent, received = 0, hashlib.sha256(), hashlib.sha256()
            while total < 1024 * MB:
                data = await process.read(MB)
                assert data
                total += len(data)
                received.update(data)
        await process.close()
    for _ in range(1024):
        sent.update(chunk)
    assert received.digest() == sent.digest()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024
