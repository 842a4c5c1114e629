"""The runner's pack: what is in it, that its name depends on nothing else, and wheels of other platforms."""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchwasm.engine import pack
from batchwasm.engine.pack import Platform, here, pack_for
from batchwasm.errors import HostError

ARM = Platform(os="linux", machine="aarch64", libc="glibc")
VERSION = importlib.metadata.version("wasmtime")


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    pack._pack_for.cache_clear()
    yield
    pack._pack_for.cache_clear()


def names_in(made: pack.Pack) -> set[str]:
    with tarfile.open(fileobj=io.BytesIO(zlib.decompress(made.compressed))) as tar:
        return set(tar.getnames())


def test_it_has_the_runner_and_this_platforms_wasmtime_and_nothing_else() -> None:
    names = names_in(pack_for(here()))
    assert {"batchwasm_runner/__main__.py", "batchwasm_runner/protocol.py", "wasmtime/_ffi.py"} <= names
    assert {"tomli/__init__.py", "tomli/_parser.py"} <= names
    libraries = [name for name in names if not name.endswith(".py")]
    assert libraries == [f"wasmtime/linux-{os.uname().machine}/_libwasmtime.so"]


def test_its_digest_is_that_of_the_tar_and_the_same_every_time() -> None:
    first = pack_for(here())
    pack._pack_for.cache_clear()
    second = pack_for(here())
    assert first.digest == second.digest == hashlib.sha256(zlib.decompress(first.compressed)).hexdigest()
    assert b"".join(first.chunks()) == first.compressed
    assert first.installed_bytes == len(zlib.decompress(first.compressed))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for the package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", folder.as_uri())
    return folder


def wheel(folder: Path, tag: str, files: dict[str, str]) -> None:
    info = f"wasmtime-{VERSION}.dist-info"
    with zipfile.ZipFile(folder / f"wasmtime-{VERSION}-py3-none-{tag}.whl", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: wasmtime\nVersion: {VERSION}\n")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-{tag}\n")
        archive.writestr(f"{info}/RECORD", "")


LIBRARY = "wasmtime/linux-aarch64/_libwasmtime.so"


def test_another_platforms_wheel_comes_from_the_index_once(index: Path, home: Path) -> None:
    wheel(index, "manylinux2014_aarch64", {"wasmtime/__init__.py": "", LIBRARY: "arm"})
    made = pack_for(ARM)
    assert {LIBRARY, "wasmtime/__init__.py", "batchwasm_runner/__main__.py"} <= names_in(made)
    next(index.iterdir()).unlink()
    pack._pack_for.cache_clear()
    assert pack_for(ARM).digest == made.digest
    assert os.listdir(home / ".cache/batchwasm/wheels") == [f"wasmtime-{VERSION}-linux-aarch64-glibc"]


def test_a_wheel_that_the_index_does_not_have_is_an_error_that_says_what_to_try(index: Path, home: Path) -> None:
    with pytest.raises(HostError, match="can't be fetched") as caught:
        pack_for(ARM)
    assert caught.value.code == "platform"
    assert "pip download" in caught.value.cure
    assert os.listdir(home / ".cache/batchwasm/wheels") == []


def test_a_wheel_without_the_platforms_library_is_an_error(index: Path) -> None:
    wheel(index, "manylinux2014_aarch64", {"wasmtime/__init__.py": "", "wasmtime/linux-x86_64/x.so": ""})
    with pytest.raises(HostError, match="has no library") as caught:
        pack_for(ARM)
    assert caught.value.code == "platform"


def test_a_platform_that_wasmtime_does_not_have_is_an_error_that_names_it() -> None:
    with pytest.raises(HostError, match="no wasmtime for freebsd14 amd64") as caught:
        pack_for(Platform(os="freebsd14", machine="amd64", libc=""))
    assert caught.value.code == "platform"


@pytest.mark.long
@pytest.mark.parametrize("key", sorted(pack.PLATFORMS))
def test_the_package_index_has_a_wheel_for_every_platform_we_name(key: tuple[str, str, str]) -> None:
    platform = Platform(os=key[0], machine=key[1], libc=key[2])
    _, folder = pack.PLATFORMS[key]
    assert any(name.startswith(f"wasmtime/{folder}/_libwasmtime.") for name in names_in(pack_for(platform)))
