"""Depots for tests: on this machine or on a test server, and Pythons that stand in for odd hosts."""

from __future__ import annotations

import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from batchwasm.engine.depot import Depot
from batchwasm.model import Host
from batchwasm.transports import make


@asynccontextmanager
async def depot_on(host: Host) -> AsyncIterator[Depot]:
    transport = make(host)
    await transport.connect()
    try:
        depot = await Depot.start(host.name, transport, python=host.python, workdir=host.workdir)
        try:
            yield depot
        finally:
            await depot.close()
    finally:
        await transport.close()


def here(workdir: Path, python: str | None = None) -> Host:
    return Host(name="here", transport="local", workdir=str(workdir), python=python)


def executable(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def python_that_mounts(path: Path, workdir: Path, mount: str) -> str:
    """A python that sees another file system at its workdir: a host whose disk is full, read-only, ..."""
    workdir.mkdir(exist_ok=True)
    inner = f"mount {mount} {shlex.quote(str(workdir))} && exec {shlex.quote(sys.executable)} " + '"$@"'
    return executable(path, f'exec unshare --mount --map-root-user sh -c {shlex.quote(inner)} sh "$@"')
