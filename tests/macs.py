"""A stand-in Mac: a Python that darwin.py disguises, the programs that a Mac has in another way, an sshd before them.

No Mac is to be had where these tests run. This one has the names, the limits and the files of a Mac, so that whatever
calls for what only Linux has fails as it would there.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import mypy
import pytest
import wasmtime

from tests.command import ROOT, Cli
from tests.sshd import Servers, Sshd, checked, loopback

MODULES = ("os", "signal", "resource", "socket", "select", "fcntl", "time", "mmap", "termios")
MEMORY_BYTES = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
BOOT = "6B29FC40-CA47-1067-B31D-00DD010662DA"
SYSCTL = f"""#!/bin/sh
[ "$1" = -n ] || exit 64
case $2 in
hw.memsize) echo {MEMORY_BYTES} ;;
kern.bootsessionuuid) echo {BOOT} ;;
*) echo "sysctl: unknown oid '$2'" >&2; exit 1 ;;
esac
"""
UNAME = """#!/bin/sh
case $1 in -sm) echo Darwin %s ;; *) echo Darwin ;; esac
"""
MACHINE = {"aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
LIBRARY = f"wasmtime/darwin-{os.uname().machine}/_libwasmtime.dylib"
TAG = {"arm64": "macosx_11_0_arm64"}.get(MACHINE, f"macosx_10_13_{MACHINE}")


def missing() -> dict[str, list[str]]:
    """Names of MODULES that Linux' Python has and macOS' has not, as typeshed knows them."""
    return {name: sorted(_names(name, "linux") - _names(name, "darwin")) for name in MODULES}


def _names(module: str, platform: str) -> set[str]:
    stubs = Path(mypy.__file__).parent / "typeshed/stdlib"
    path = stubs / module / "__init__.pyi" if (stubs / module).is_dir() else stubs / f"{module}.pyi"
    return set(_defined(ast.parse(path.read_text()).body, platform))


def _defined(body: list[ast.stmt], platform: str) -> Iterator[str]:
    for statement in body:
        match statement:
            case ast.If(test=test):
                holds = _holds(test, platform)
                yield from _defined(statement.body, platform) if holds is not False else ()
                yield from _defined(statement.orelse, platform) if holds is not True else ()
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
            case ast.ImportFrom(names=names):
                yield from (name.asname or name.name for name in names)


def _holds(test: ast.expr, platform: str) -> bool | None:
    """None where it asks for more than the platform: then it may."""
    match test:
        case ast.BoolOp(op=op, values=values):
            found = [_holds(value, platform) for value in values]
            decisive = isinstance(op, ast.Or)
            return decisive if decisive in found else None if None in found else not decisive
        case ast.Compare(left=ast.Attribute(attr="platform"), ops=[op], comparators=[ast.Constant(value=value)]):
            return (platform == value) == isinstance(op, ast.Eq)
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Mac:
    """A user's own."""

    bin: Path
    """Its programs, found before those of this machine; `python3` is one."""
    wasmtime: Path
    """The package, as macOS' wheel has it."""

    @property
    def python(self) -> Path:
        return self.bin / "python3"

    def batchwasm(self, folder: Path) -> Cli:
        path = f"PATH={self.bin}:{os.environ['PATH']}"
        return Cli(program=("env", path, str(self.python), "-m", "batchwasm"), folder=folder)


def programs(root: Path, *, packages: Iterable[Path] = ()) -> Path:
    """The folder that they are in. Python is that of a virtual environment: it is disguised however it is started."""
    found = root / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    found.mkdir(parents=True)
    (root / "bin").mkdir()
    (root / "bin/python3").symlink_to(Path(sys.base_prefix, "bin/python3").resolve())
    (root / "pyvenv.cfg").write_text(f"home = {sys.base_prefix}/bin\ninclude-system-site-packages = false\n")
    shutil.copy(ROOT / "tests/darwin.py", found / "darwin.py")
    (found / "missing.json").write_text(json.dumps(missing()))
    (found / "a-disguise.pth").write_text("import darwin\n")
    (found / "packages.pth").write_text("".join(f"{folder}\n" for folder in packages))
    for name, text in (("sysctl", SYSCTL), ("uname", UNAME % MACHINE)):
        (root / "bin" / name).write_text(text)
        (root / "bin" / name).chmod(0o755)
    return root / "bin"


PACKAGE = Path(wasmtime.__file__).parent


def _library() -> Path:
    """The engine's for this machine: a library is loaded whatever its name says."""
    return next((PACKAGE / f"linux-{os.uname().machine}").iterdir())


@pytest.fixture(scope="session")
def mac(tmp_path_factory: pytest.TempPathFactory) -> Mac:
    root = tmp_path_factory.mktemp("mac")
    package = root / "lib/its-own/wasmtime"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("linux-*", "__pycache__"))
    (package.parent / LIBRARY).parent.mkdir()
    (package.parent / LIBRARY).symlink_to(_library())
    return Mac(bin=programs(root, packages=(package.parent, PACKAGE.parent)), wasmtime=package)


@pytest.fixture(scope="session")
def mac_wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package index with wasmtime's wheel for macOS."""
    folder = tmp_path_factory.mktemp("index")
    release = version("wasmtime")
    info = f"wasmtime-{release}.dist-info"
    with zipfile.ZipFile(folder / f"wasmtime-{release}-py3-none-{TAG}.whl", "w") as archive:
        for path in PACKAGE.rglob("*.py"):
            archive.write(path, Path("wasmtime", path.relative_to(PACKAGE)))
        archive.write(_library(), LIBRARY)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: wasmtime\nVersion: {release}\n")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-{TAG}\n")
        archive.writestr(f"{info}/RECORD", "")
    return folder


@pytest.fixture(scope="session")
def mac_server(ssh_servers: Servers) -> Sshd:
    """Use `mac_host`, which checks each test."""
    path = f"{programs(ssh_servers.root / 'mac-programs')}:/usr/bin:/bin:/usr/sbin:/sbin"
    return ssh_servers.make("mac", address=loopback(31), environment=(("PATH", path),))


@pytest.fixture
def mac_host(
    mac_server: Sshd, ssh_servers: Servers, mac_wheels: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sshd]:
    """Known to this test's HOME as `mac`."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", mac_wheels.as_uri())
    # Got from there by the first test; each of the others would take a second for it, a quarter of its run.
    (mac_wheels / "unpacked").mkdir(exist_ok=True)
    (home / ".cache/batchwasm").mkdir(mode=0o700, parents=True)
    (home / ".cache/batchwasm/wheels").symlink_to(mac_wheels / "unpacked")
    for [server] in checked([mac_server], ssh_servers, home):
        yield server
