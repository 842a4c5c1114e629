"""Python on a host: finding one by a script for its /bin/sh, and bringing one where there is none.

What is brought is a one-file Python (see carried.py), kept in the workdir by digest like the runner itself, and
found there by every later start. It needs of the host: sh, mkdir, head, chmod and rm.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from batchwasm import carried
from batchwasm.carried import HostPython
from batchwasm.engine.announced import Announced
from batchwasm.errors import HostError, HostLost
from batchwasm.transports import Process, Transport
from batchwasm.transports.local import LocalTransport

PYTHONS = (
    "python3",
    *(f"python3.{minor}" for minor in range(9, 16)),
    "/usr/bin/python3",
    "/usr/local/bin/python3",
    "/opt/homebrew/bin/python3",
)
NO_PYTHON = "batchwasm-no-python:"
BROUGHT = "batchwasm-brought:"
BRINGABLE = "Linux x86_64"  # what make dist builds one for
XCODES = "/usr/bin/python3"
"""Of a Mac: without Apple's developer tools it is no Python, but opens a window there that offers to install them."""
CHUNK_BYTES = 256 * 1024
BRING_S = 600.0  # 14 MB over a slow line, and unpacking them on a slow file server


def with_python(python: str | None, code: str, *, more: tuple[str, ...] = ()) -> str:
    """A script that runs `code` (Python, without quotes, `$` and backslashes) with a Python that is new enough.

    It is isolated from the user's own modules and variables, and takes names of files for UTF-8 whatever the locale.
    Where there is none it prints NO_PYTHON, what system it is and what was found, and ends with 86. `more` are words
    for sh, looked at last.
    """
    candidates = " ".join((*map(shlex.quote, (python,) if python else PYTHONS), *more))
    # Debian's python3-minimal has a part of the standard library only.
    lacks = "not all(map(find_spec, ('ctypes', 'json', 'shutil', 'tarfile')))"
    new_enough = "import sys; sys.exit(sys.version_info < (3, 9))"
    usable = f"import sys; from importlib.util import find_spec; sys.exit(sys.version_info < (3, 9) or {lacks})"
    version = "import sys; print(sys.version.split()[0])"
    return (
        f"f=; for p in {candidates}; do "
        'q=$(command -v "$p" 2>/dev/null) || continue; '
        'case "$f" in *" $q "*) continue;; esac; '
        f'if [ "$q" = {shlex.quote(XCODES)} ] && command -v xcode-select >/dev/null; then '
        "xcode-select -p >/dev/null 2>&1 "
        '|| { f="$f${f:+,} $q is none before its developer tools are installed"; continue; }; fi; '
        f'if "$q" -c "{usable}" 2>/dev/null; then exec "$q" -I -X utf8 -c "{code}"; fi; '
        f'v=$("$q" -c "{version}" 2>/dev/null); '
        f'if "$q" -c "{new_enough}" 2>/dev/null; then v="$v without all of its standard library"; fi; '
        'f="$f${f:+,} $q ${v:+is }${v:-has no version}"; done; '
        f'echo "{NO_PYTHON}$(uname -sm 2>/dev/null)|$f"; exit 86'
    )


async def start_python(transport: Transport, python: str | None, workdir: str | None, code: str) -> Process:
    """Start `code` on a connected host: with `python`, or the first that is found. See `with_python`.

    On this machine a one-file program takes its own Python, without a shell.
    """
    own = direct(transport)
    if own is not None and python is None:
        return await own.start(["-I", "-X", "utf8", "-c", code])
    brought = carried.host_python(BRINGABLE) if python is None else None
    more = () if brought is None else (f"{_folder(workdir)}/{brought.digest}/bin/python3",)
    return await transport.spawn(with_python(python, code, more=more))


@dataclass(frozen=True, kw_only=True, slots=True)
class Direct:
    """This machine, seen by a one-file program, which needs neither its Python nor its shell."""

    transport: LocalTransport
    executable: str

    async def start(self, arguments: list[str], *, folder: str | None = None, path: str | None = None) -> Process:
        """Its Python with these arguments, in `folder` and with a PYTHONPATH."""
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONUTF8": "1"} if path else None
        return await self.transport.start([self.executable, *arguments], folder=folder, environment=environment)


def direct(transport: Transport) -> Direct | None:
    executable = carried.interpreter()
    if executable is None or not isinstance(transport, LocalTransport):
        return None
    return Direct(transport=transport, executable=executable)


def _folder(workdir: str | None) -> str:
    """A word for sh: where brought Pythons are. As runner/depot.py has it, which is not there yet."""
    if not workdir:
        return '"${XDG_CACHE_HOME:-$HOME/.cache}"/batchwasm/python'
    if workdir == "~" or workdir.startswith("~/"):
        return f'"$HOME"{shlex.quote(workdir[1:])}/python'
    return shlex.quote(workdir) + "/python"


class NoPython(HostError):
    """HostError `python`: none that is new enough, on a host whose `uname -sm` said `system` (or '')."""

    def __init__(self, cause: str, cure: str, system: str) -> None:
        super().__init__("python", cause, cure)
        self.system = system


def no_python(name: str, python: str | None, said: bytes) -> NoPython:
    """From what follows NO_PYTHON."""
    system, _, found = said.decode(errors="replace").strip().partition("|")
    wanted = python or "python3 or python3.9 to python3.15"
    cause = f"{name}: no Python of 3.9 or later ({f'found: {found.strip()}' if found else f'no {wanted} there'})"
    cure = "install one, or set `python` of this host in the inventory"
    if system.startswith("Darwin"):
        cure = f"install one (at its screen: xcode-select --install), {cure.removeprefix('install one, ')}"
    if system == BRINGABLE and python is None:
        cure += f", or have {carried.name_for(system)} in ~/.local/share/batchwasm here, which is then sent along"
    return NoPython(cause, cure, system)


async def bring(name: str, transport: Transport, workdir: str | None, python: HostPython) -> None:
    """Send a Python to the host and unpack it there. Raises HostError: `disk`, `timeout`, or `python`."""
    process = await transport.spawn(_unpacking(_folder(workdir), python))
    try:
        async with asyncio.timeout(BRING_S):
            with contextlib.suppress(HostLost):  # it ended at once: the answer below says why
                for chunk in _chunks(python):
                    await process.write(chunk)
            announced = await Announced.wait(process, (BROUGHT.encode(),))
            code = b"" if announced is None else (await announced.read(16)).strip()
    except TimeoutError as error:
        cause = f"{name}: a Python was not sent and unpacked there within {BRING_S:.0f} s"
        raise HostError("timeout", cause, "look at its load and at the line to it") from error
    except OSError as error:
        raise HostError("input", f"{name}: can't read {python.path}: {error.strerror}", "put it back") from error
    finally:
        await process.close()
    if not code:
        raise HostLost(f"{name}: it went away while a Python was sent there")
    if code != b"0":
        raise _not_brought(name, process.stderr_tail.strip().splitlines())


def _not_brought(name: str, said: list[str]) -> HostError:
    cause = f"{name}: no Python of 3.9 or later, and the one that was sent can't be put there"
    is_full = any("o space left" in line or "quota" in line.lower() for line in said)
    cure = "make room there, or set another `workdir` for it" if is_full else "set another `workdir` for it"
    return HostError("disk" if is_full else "python", f"{cause}: {said[0] if said else 'it did not say why'}", cure)


def _chunks(python: HostPython) -> Iterator[bytes]:
    with open(python.path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _unpacking(folder: str, python: HostPython) -> str:
    return (
        f'umask 077; d={folder}; mkdir -p "$d" && f="$d/.new-$$" && head -c {python.size} >"$f" && chmod 700 "$f" '
        f'&& {{ [ -x "$d/{python.digest}/bin/python3" ] || "$f" --unpack-to "$d/{python.digest}"; }}; '
        f'r=$?; rm -f "$f"; echo "{BROUGHT}$r"; exit $r'
    )
