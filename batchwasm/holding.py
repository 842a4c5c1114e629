"""Who works on a run: one process at a time, by a lock that goes with it, and a small file that says who it is.

The lock (flock on the run's jobs.toml) is what counts: a process that dies in any way lets go of it. `scheduler.json`
beside it says in words whose it is, to those who find it taken and to those who must not open the journal to see (other
machines, on a network file system). Left behind by a process that died, it means nothing where there are locks; where
the file system has none it is all there is.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from batchwasm import disk
from batchwasm.errors import RunHeld, WorldError
from batchwasm.locks import release
from batchwasm.version import __version__

FILE = "scheduler.json"
SCHEMA = "scheduler/1"
PATIENCE_S = 1.0  # readers take a shared lock for a moment, to see whether the run is held
LOOK_S = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """What `scheduler.json` says."""

    pid: int
    machine: str
    since: float
    """Unix time."""
    version: str
    """Of the batchwasm that it runs."""

    def __str__(self) -> str:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"process {self.pid} on {self.machine} since {when}"

    @property
    def is_here(self) -> bool:
        return self.machine == socket.gethostname()

    @property
    def may_live(self) -> bool:
        """False only where it is known to be gone."""
        if not self.is_here:
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:  # another user's
            return True
        return True


def holder(folder: Path) -> Holder | None:
    """Who wrote the folder's `scheduler.json`, dead or alive; None where nobody did, or it can't be read."""
    try:
        found = json.loads((folder / FILE).read_bytes())
        pid, machine, since, version = (found[name] for name in ("pid", "machine", "since", "version"))
        time.localtime(float(since))  # another may have written anything there
        if isinstance(pid, int) and pid > 0:
            return Holder(pid=pid, machine=str(machine), since=float(since), version=str(version))
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        pass
    return None


@contextmanager
def held(folder: Path, lock: Path, *, announced: bool = True) -> Iterator[None]:
    """The run in `folder` is ours alone meanwhile. Raises WorldError where it is another's, and says whose.

    `lock` is a file there that stays the same one. Not `announced` it writes nothing: the disk may be full.
    """
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except OSError as error:
        raise WorldError(f"{lock}: {error.strerror}") from error
    try:
        if not _locked(descriptor, folder):
            other = holder(folder)
            if other is not None and other.may_live and other.pid != os.getpid():
                cure = "" if other.is_here else f"; where that is not so, remove {folder / FILE}"
                raise RunHeld(f"{folder.name} is worked on by {other}{cure}")
        if announced:
            _say_who(folder / FILE)
        try:
            yield
        finally:
            if announced:
                with suppress(OSError):  # left behind, it says who was the last
                    (folder / FILE).unlink()
    finally:
        release(descriptor)
        os.close(descriptor)


def _locked(descriptor: int, folder: Path) -> bool:
    """False where the file system has no locks. Raises RunHeld where another process has it."""
    give_up_at = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= give_up_at:
                who = holder(folder)
                raise RunHeld(f"{folder.name} is worked on by {who or 'another process'}") from error
            time.sleep(LOOK_S)
        except OSError:
            return False
        else:
            return True


def _say_who(file: Path) -> None:
    who = Holder(pid=os.getpid(), machine=socket.gethostname(), since=round(time.time(), 3), version=__version__)
    beside = file.with_name(f".{file.name}.part")
    try:
        beside.write_text(json.dumps({"schema": SCHEMA, **asdict(who)}, indent=2) + "\n", encoding="utf-8")
        beside.replace(file)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise disk.unwritable(file, error) from error


def is_held(lock: Path) -> bool | None:
    """Whether a process works on the run whose lock that is; None where that can't be told."""
    try:
        descriptor = os.open(lock, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False
