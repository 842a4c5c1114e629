"""Makes a Python on Linux one of a stand-in Mac: put into its site-packages, imported before anything else.

What macOS lacks is missing: names of modules (`MISSING`, from typeshed; see macs.py), functions of its C library, files
that only Linux has. What it does in its own way is done so: each function below says where that is known from. It is
nobody's Mac: file systems, signals and memory stay those of Linux, and so does its wasmtime, under the name of theirs.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import posix
import resource
import sys
import types
from typing import Any

UNLIMITED = 2**63 - 1  # RLIM_INFINITY of <sys/resource.h> there
SOFT_NOFILE = 256  # what launchd gives to all it starts, sshd's sessions too
SUN_PATH_BYTES = 104  # of <sys/un.h>
LINUX_FILES = (
    "/proc",
    "/sys",
    "/run",
    "/lib",
    "/lib64",
    "/dev/shm",
    "/var/lib/systemd",
    "/etc/os-release",
    "/etc/machine-id",
)
LINUX_FUNCTIONS = frozenset(
    {
        *("prctl", "capget", "capset", "memfd_create", "syncfs", "unshare", "setns", "gettid", "pidfd_open", "eventfd"),
        *("signalfd", "timerfd_create", "inotify_init", "epoll_create", "fallocate", "splice", "getrandom"),
        *("sched_getaffinity", "sched_setaffinity", "gnu_get_libc_version"),
    }
)


def disguise() -> None:
    """This process is on a Mac from now on."""
    multiarch = getattr(sys.implementation, "_multiarch", "")
    os.environ["_PYTHON_SYSCONFIGDATA_NAME"] = f"_sysconfigdata_{sys.abiflags}_{sys.platform}_{multiarch}"
    sys.platform = "darwin"
    with open(os.path.join(os.path.dirname(__file__), "missing.json"), encoding="utf-8") as file:
        missing = json.load(file)
    _hide_names(missing)
    _hide_files()
    _hide_functions()
    _name_the_system()
    _configure_otherwise()
    _limit_otherwise()
    _shorten_socket_paths()
    sys.modules["_scproxy"] = types.ModuleType("_scproxy")  # of CPython there: urllib asks it for the system's proxies
    sys.modules["_scproxy"].__dict__.update(_get_proxies=dict, _get_proxy_settings=dict)


def _hide_names(missing: dict[str, list[str]]) -> None:
    """From the modules that are written in C, before those that are not look at them."""
    for name, gone in missing.items():
        for module in {"os": ("posix", "os"), "signal": ("_signal",), "socket": ("_socket",)}.get(name, (name,)):
            for attribute in gone:
                importlib.import_module(module).__dict__.pop(attribute, None)


def _hide_files() -> None:
    def is_linux(path: Any) -> bool:
        if isinstance(path, (str, bytes, os.PathLike)):
            text = os.fsdecode(path)
            return any(text == one or text.startswith(f"{one}/") for one in LINUX_FILES)
        return False

    def no_such(path: Any) -> FileNotFoundError:
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fsdecode(path))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("open", "os.listdir", "os.scandir") and is_linux(arguments[0]):
            raise no_such(arguments[0])

    sys.addaudithook(hook)  # covers io.open, os.open and what is built on them; these have no such event:
    for name in ("stat", "lstat", "readlink", "statvfs", "access"):
        real = getattr(posix, name)

        def instead(path: Any, *args: Any, _real: Any = real, **more: Any) -> Any:
            if not is_linux(path):
                return _real(path, *args, **more)
            if _real.__name__ == "access":
                return False
            raise no_such(path)

        for kind in (os.supports_dir_fd, os.supports_follow_symlinks, os.supports_fd, os.supports_effective_ids):
            if real in kind:
                kind.add(instead)
        setattr(os, name, instead)


def _hide_functions() -> None:
    import ctypes

    find = ctypes.CDLL.__getattr__

    def instead(library: Any, name: str) -> Any:
        if name in LINUX_FUNCTIONS:
            raise AttributeError(f"dlsym({library._handle:#x}, {name}): symbol not found")
        return find(library, name)

    ctypes.CDLL.__getattr__ = instead  # type: ignore[method-assign]


def _name_the_system() -> None:
    real = os.uname()
    machine = {"aarch64": "arm64"}.get(real.machine, real.machine)
    version = "Darwin Kernel Version 23.6.0: root:xnu-10063.141.2~1/RELEASE"
    os.uname = lambda: posix.uname_result(("Darwin", real.nodename, "23.6.0", version, machine))


def _configure_otherwise() -> None:
    sysconf, confstr, pathconf = os.sysconf, os.confstr, os.pathconf

    def sysconf_there(name: Any) -> int:
        if name in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES"):  # headers of older releases have neither
            raise ValueError("unrecognized configuration name")
        # LONG_MAX wherever `ulimit -n` is unlimited, as it is in some sessions since Big Sur.
        return UNLIMITED if name == "SC_OPEN_MAX" else sysconf(name)

    def confstr_there(name: Any) -> Any:
        if str(name).startswith("CS_GNU_"):
            raise ValueError("unrecognized configuration name")
        return confstr(name)

    def pathconf_there(path: Any, name: Any) -> int:
        return 1024 if name == "PC_PATH_MAX" else pathconf(path, name)  # <sys/syslimits.h>

    for name in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES"):
        os.sysconf_names.pop(name)
    os.sysconf, os.confstr, os.pathconf = sysconf_there, confstr_there, pathconf_there


def _limit_otherwise() -> None:
    get, put, usage = resource.getrlimit, resource.setrlimit, resource.getrusage
    soft, hard = get(resource.RLIMIT_NOFILE)
    if soft > SOFT_NOFILE:
        put(resource.RLIMIT_NOFILE, (SOFT_NOFILE, hard))
    resource.RLIM_INFINITY = UNLIMITED

    def getrlimit(kind: int) -> tuple[int, int]:
        soft, hard = get(kind)
        return (UNLIMITED if soft == -1 else soft, UNLIMITED if hard == -1 else hard)

    def setrlimit(kind: int, limits: tuple[int, int]) -> None:
        soft, hard = limits
        if kind in (resource.RLIMIT_DATA, resource.RLIMIT_AS) and soft != UNLIMITED:
            # XNU's dosetrlimit: EINVAL where the limit is below all that is mapped, which is tens of gigabytes in any
            # process there, for the shared caches and reservations count; CPython says so by these words.
            raise ValueError("current limit exceeds maximum limit")
        if kind == resource.RLIMIT_NOFILE and soft == UNLIMITED:
            raise ValueError("current limit exceeds maximum limit")  # setrlimit(2) there, "Compatibility"
        put(kind, (-1 if soft == UNLIMITED else soft, -1 if hard == UNLIMITED else hard))

    def getrusage(who: int) -> Any:
        found = list(usage(who))
        found[2] *= 1024  # ru_maxrss is in bytes there
        return resource.struct_rusage(found)

    resource.getrlimit, resource.setrlimit, resource.getrusage = getrlimit, setrlimit, getrusage


def _shorten_socket_paths() -> None:
    import socket

    for name in ("bind", "connect", "connect_ex"):
        real = getattr(socket.socket, name)

        def instead(self: socket.socket, address: Any, _real: Any = real) -> Any:
            if self.family == socket.AF_UNIX:
                path = os.fsencode(address)
                if len(path) >= SUN_PATH_BYTES:
                    raise OSError("AF_UNIX path too long")
                if path.startswith(b"\0"):
                    raise FileNotFoundError(errno.ENOENT, "there are no abstract sockets")
            return _real(self, address)

        setattr(socket.socket, name, instead)


disguise()
