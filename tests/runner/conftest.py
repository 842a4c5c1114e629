"""Workers for the tests of what runs on a host: one of each way to call wasmtime, shared by a module's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from batchwasm.runner.selftest import PUBLIC_API
from tests.runner.forked import Forked, build_toolbox


@pytest.fixture(scope="session")
def toolbox(tmp_path_factory: pytest.TempPathFactory, tool_caches: Path) -> bytes:
    """The wasm of toolbox.c."""
    return build_toolbox(tmp_path_factory.mktemp("toolbox"))


@pytest.fixture(scope="session", params=["thin", "public"])
def shared_worker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, toolbox: bytes
) -> Iterator[Forked]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PUBLIC_API, "1" if request.param == "public" else "0")
        worker = Forked(tmp_path_factory.mktemp(f"host-{request.param}"), toolbox=toolbox)
        worker.start()
    yield worker
    assert worker.end() == 0


@pytest.fixture
def host(shared_worker: Forked) -> Forked:
    """A worker that runs, by the thin calls and by the public API in turn."""
    return shared_worker


@pytest.fixture
def fresh(tmp_path: Path, toolbox: bytes) -> Iterator[Forked]:
    """A worker of one test alone, on a host with an empty cache; not started yet."""
    worker = Forked(tmp_path, toolbox=toolbox)
    yield worker
    worker.end()
