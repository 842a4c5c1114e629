"""C++ exceptions in WebAssembly with zig alone: what to add to a compile so that throw, catch and unwinding work.

zig's own libc++ for WASI is built without exceptions: a throw inside it (`std::stoi`) aborts, and nothing provides
`__cxa_throw`. Its wheel has the sources, so libc++, libc++abi and the WebAssembly part of libunwind are compiled here
once for each zig, with exceptions, into an archive that takes the place of zig's.

Three things go into a build: `COMPILE_FLAGS` for each object, `link_flags` for the link, and two steps that run this
file as a program: `build` makes the archive where it is missing, before the link; `guard` lets the linked module start
through a function that names what nobody caught. So this file imports the standard library alone.

Code in object files or archives that was compiled without these flags can be unwound through, but can't catch.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

COMPILE_FLAGS = (
    "-fwasm-exceptions",
    # Without these three clang 22 crashes ("Cannot select cleanupret"), or makes the older instructions, which are on
    # their way out of the engines.
    *("-mllvm", "-wasm-enable-eh", "-mllvm", "-wasm-use-legacy-eh=false"),
    "-mexception-handling",
    # zig's libc++ for WASI has neither std::ifstream nor std::filesystem. Its sources have, and they work.
    *("-U_LIBCPP_HAS_FILESYSTEM", "-D_LIBCPP_HAS_FILESYSTEM=1"),
)
OLDEST_ZIG = (0, 17)
"""The first one whose clang and libc++ were tried."""

_SUPPORT = Path(__file__).with_name("cpp_support")
_TARGET = ("-target", "wasm32-wasi")
_COMMON = ("-c", "-O2", "-g0", "-w", "-DNDEBUG", "-ffunction-sections", "-fdata-sections")
_CXX = (
    *("-std=c++23", "-fvisibility=hidden", "-fvisibility-inlines-hidden", "-faligned-allocation"),
    *("-D_LIBCPP_BUILDING_LIBRARY", "-D_LIBCPP_HAS_NO_PRAGMA_SYSTEM_HEADER"),
)
_LIBCXX = ("-DLIBCXX_BUILDING_LIBCXXABI", "-DLIBC_NAMESPACE=__llvm_libc_common_utils")
_LIBCXXABI = ("-D_LIBCXXABI_BUILDING_LIBRARY", "-D_LIBCXXABI_HAS_NO_THREADS", "-fstrict-aliasing")
_LIBUNWIND = ("-std=c17", "-D_LIBUNWIND_HIDE_SYMBOLS", "-D_LIBUNWIND_HAS_NO_THREADS")

_NEED_THREADS = frozenset(
    {
        *("atomic", "barrier", "condition_variable", "condition_variable_destructor", "future"),
        *("mutex", "mutex_destructor", "shared_mutex", "thread"),
    }
)
_ELSEWHERE = frozenset(
    {
        "cxa_noexception",  # the stand-in for cxa_exception
        "cxa_exception",  # within cxa_exception_noted.cpp
        "cxa_thread_atexit",  # needs threads; ours is thread_atexit.cpp
        "cxa_default_handlers",  # within terminate.cpp
        "stdlib_new_delete",  # within new_delete.cpp
        "new",  # the same operators once more
        "operations",  # within filesystem_operations.cpp
    }
)
_OUR_LIBCXX = ("filesystem_operations.cpp",)
_OUR_LIBCXXABI = ("cxa_exception_noted.cpp", "terminate.cpp", "new_delete.cpp", "thread_atexit.cpp")
_GUARDS = {"_start": "guard_command", "_initialize": "guard_reactor"}
"""How a module starts, and the object that guards it."""

_ARCHIVE = "libc++.a"


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """One file of the archive, with the flags it is compiled with."""

    source: Path
    flags: tuple[str, ...]
    driver: str = "c++"

    @property
    def object_name(self) -> str:
        return f"{self.source.parent.parent.name}-{self.source.name}.o"


class BuildError(Exception):
    """The archive can't be made; the text has the compiler's words."""


def supported(tool_name: str, version: str) -> bool:
    """Whether the compiler can do it: zig 0.17 and later."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return tool_name == "zig" and found is not None and (int(found[1]), int(found[2])) >= OLDEST_ZIG


def revision() -> str:
    """Differs where this file or one of the files beside it does; 32 hexadecimal digits."""
    files = [Path(__file__), *sorted(file for file in _SUPPORT.iterdir() if file.suffix in {".cpp", ".S"})]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:32]


def support_folder(cache: Path, stamp: str) -> Path:
    """Where the archive for the compiler with this stamp lies or will lie, beside the libraries that zig itself builds.

    Another compiler, flag or file of ours is another folder.
    """
    zigs = Path(os.environ.get("ZIG_GLOBAL_CACHE_DIR") or cache / "zig")
    return zigs / "batchwasm-cpp" / hashlib.sha256(f"{stamp}|{revision()}".encode()).hexdigest()[:32]


def link_flags(folder: Path, *, entry: str = "_start") -> tuple[str, ...]:
    """For the link, beside the objects. `entry` is `_start`, or `_initialize` with -mexec-model=reactor."""
    return ("-nostdlib++", str(folder / f"{_GUARDS[entry]}.o"), str(folder / _ARCHIVE))


def build_command(driver: Sequence[str], folder: Path) -> tuple[str, ...]:
    """The command that makes the archive in `folder` if it is not there. `driver` is zig's: `(".../zig", "c++")`."""
    return (*_this_program(), "build", str(folder), driver[0])


def guard_command(wasm: Path) -> tuple[str, ...]:
    """The command that makes a linked module start through its guard."""
    return (*_this_program(), "guard", str(wasm))


def _this_program() -> tuple[str, ...]:
    # -P: nothing in the user's folder, where commands run, is imported by chance.
    return (sys.executable, "-P", str(Path(__file__).resolve()))


def build(zig: str, folder: Path) -> None:
    """Make archive and guards in `folder` unless they are there; one process does it, others wait for it.

    Takes half a minute of one core. Raises BuildError.
    """
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _only_one(folder.with_suffix(".lock")) as alone:
        if folder.is_dir():
            return
        if alone:
            for dead in folder.parent.glob(f"{folder.name}.new-*"):
                shutil.rmtree(dead, ignore_errors=True)
        new = Path(tempfile.mkdtemp(prefix=f"{folder.name}.new-", dir=folder.parent))
        try:
            _build_into(zig, new)
            try:
                new.rename(folder)
            except OSError:
                if not folder.is_dir():
                    raise
        finally:
            shutil.rmtree(new, ignore_errors=True)


@contextlib.contextmanager
def _only_one(lock: Path) -> Iterator[bool]:
    """Wait for other processes. False where the disk has no locks: then several build and the first to end wins."""
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            yield False
        else:
            yield True


def _build_into(zig: str, folder: Path) -> None:
    library = _library(zig)
    units = [Unit(source=_SUPPORT / f"{guard}.cpp", flags=()) for guard in _GUARDS.values()]
    guards = len(units)
    units += archive_units(library)
    objects = _compile_all(zig, units, folder)
    for guard, path in zip(_GUARDS.values(), objects[:guards], strict=True):
        path.rename(folder / f"{guard}.o")
    _run(zig, "ar", "rcs", str(folder / _ARCHIVE), *map(str, objects[guards:]))
    for path in objects[guards:]:
        path.unlink()


def _compile_all(zig: str, units: Sequence[Unit], folder: Path) -> list[Path]:
    """The objects, in the order of the units. After a failure or Ctrl-C nothing more is started."""
    # Longest first, so that no core waits for a last large one.
    order = sorted(range(len(units)), key=lambda i: -units[i].source.stat().st_size)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        started = {i: pool.submit(_compile, zig, units[i], folder) for i in order}
        try:
            return [started[i].result() for i in range(len(units))]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def archive_units(library: Path) -> list[Unit]:
    """What the archive is made of: zig's own sources below `library`, and ours."""
    cxx, abi, unwind = library / "libcxx", library / "libcxxabi", library / "libunwind"
    of_cxx = (*_CXX, *_LIBCXX, f"-I{cxx / 'src'}", f"-I{cxx / 'libc'}")
    of_abi = (*_CXX, *_LIBCXXABI, f"-I{cxx / 'src'}", f"-I{abi / 'src'}", f"-I{abi / 'include'}")
    of_unwind = (*_LIBUNWIND, f"-I{unwind / 'include'}")
    units = [
        Unit(source=file, flags=of_cxx) for part in ("", "filesystem", "ryu") for file in _sources(cxx / "src" / part)
    ]
    units += [Unit(source=file, flags=of_abi) for file in _sources(abi / "src")]
    units += [Unit(source=_SUPPORT / name, flags=of_cxx) for name in _OUR_LIBCXX]
    units += [Unit(source=_SUPPORT / name, flags=of_abi) for name in _OUR_LIBCXXABI]
    units.append(Unit(source=unwind / "src" / "Unwind-wasm.c", flags=of_unwind, driver="cc"))
    units.append(Unit(source=_SUPPORT / "tag.S", flags=(), driver="cc"))
    return units


def _sources(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.cpp"))
    return [file for file in files if file.stem not in _NEED_THREADS | _ELSEWHERE]


def _library(zig: str) -> Path:
    """zig's folder of sources; `zig env` tells it as JSON or, since 0.15, in its own notation."""
    found = re.search(r'lib_dir"?\s*[:=]\s*"((?:[^"\\]|\\.)*)"', _run(zig, "env"))
    library = Path(re.sub(r"\\(.)", r"\1", found[1])) if found else None
    if library is None or not (library / "libunwind/src/Unwind-wasm.c").is_file():
        raise BuildError(f"{zig} has no C++ library that knows exceptions; that of https://ziglang.org/download has")
    return library


def _compile(zig: str, unit: Unit, folder: Path) -> Path:
    to = folder / unit.object_name
    _run(zig, unit.driver, *_TARGET, *_COMMON, *unit.flags, *COMPILE_FLAGS, str(unit.source), "-o", str(to))
    return to


def _run(*argv: str) -> str:
    """What the command prints. Raises BuildError with what it said where it fails."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise BuildError(f"{argv[0]}: {error.strerror}") from error
    if done.returncode != 0:
        raise BuildError(f"building the C++ library with exceptions: {' '.join(argv)}\n{done.stderr.strip()}")
    return done.stdout


def guard(wasm: bytes) -> bytes:
    """The module with its guarded start exported under the plain name; unchanged where it has no guarded one.

    Raises ValueError for what is not a module.
    """
    if wasm[:8] != b"\0asm\x01\0\0\0":
        raise ValueError("no WebAssembly module")
    out, at = bytearray(wasm[:8]), 8
    while at < len(wasm):
        kind = wasm[at]
        size, start = _leb(wasm, at + 1)
        end = start + size
        out += _section(kind, _guarded_exports(wasm, start)) if kind == _EXPORTS else wasm[at:end]
        at = end
    return bytes(out)


_EXPORTS = 7


def _guarded_exports(wasm: bytes, at: int) -> bytes:
    exports: dict[bytes, bytes] = {}
    count, at = _leb(wasm, at)
    for _ in range(count):
        length, at = _leb(wasm, at)
        name, at = wasm[at : at + length], at + length
        _, after = _leb(wasm, at + 1)
        exports[name] = wasm[at:after]
        at = after
    for plain in _GUARDS:
        guarded = exports.pop(f"batchwasm_guarded{plain}".encode(), None)
        if guarded is not None:
            exports[plain.encode()] = guarded
    return _number(len(exports)) + b"".join(_number(len(name)) + name + what for name, what in exports.items())


def _section(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + _number(len(body)) + body


def _leb(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if byte < 0x80:
            return value, at


def _number(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def main(arguments: Sequence[str]) -> int:
    """`build FOLDER ZIG` or `guard WASM`, run as a step of a compile."""
    parser = argparse.ArgumentParser(prog="cpp_exceptions")
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build")
    building.add_argument("folder", type=Path)
    building.add_argument("zig")
    guarding = commands.add_parser("guard")
    guarding.add_argument("wasm", type=Path)
    asked = parser.parse_args(arguments)
    try:
        if asked.command == "build":
            build(asked.zig, asked.folder)
        else:
            asked.wasm.write_bytes(guard(asked.wasm.read_bytes()))
    except (BuildError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
