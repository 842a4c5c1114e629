"""Where a supervisor lives on its host: its folder for socket, lock and log, and where scratch and spool are.

One supervisor per (uid, boot, host name, workdir, runner digest); a hash of these names everything it has, so that a
workdir on NFS is shared by many hosts and nothing of two of them ever meets. What the kernel of one host must see
(socket, locks) lies in a 0700 folder on local disk; scratch and spool lie below the workdir where that is local disk
too, because inputs are hard links of the cache. Owns these paths, the lock and their removal; starts nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import socket
import stat
import tempfile
from dataclasses import dataclass

from . import facts, room, trees

OWNER = "owner"
"""File in a supervisor's scratch that says whose it is: after a reboot the lock is gone, but this is not."""
SOCKET_PATH_LIMIT_BYTES = 104  # sun_path is 108 on Linux and 104 on macOS, with a final NUL


class PlaceError(Exception):
    """A folder here can't be used; the text says which, why and what to do."""


@dataclass(frozen=True)
class Place:
    """All paths of one supervisor; they are absolute."""

    workdir: str
    root: str
    """Folder of this user for all supervisors on this host, 0700."""
    tag: str
    """Names this supervisor."""
    work: str
    """Folder with `scratch/TAG` and `spool/TAG`: the workdir, or `folder` where that is not on local disk."""

    @property
    def folder(self) -> str:
        """Socket, log, locks: gone with the supervisor."""
        return f"{self.root}/{self.tag}"

    @property
    def lock(self) -> str:
        """Locked by the supervisor for life, and by a relay while it starts one. Holds a JSON object about it."""
        return f"{self.root}/{self.tag}.lock"

    @property
    def socket(self) -> str:
        return f"{self.folder}/s"

    @property
    def log(self) -> str:
        """What a supervisor said in its last moments; empty while all is well."""
        return f"{self.folder}/log"

    @property
    def locks(self) -> str:
        return f"{self.folder}/locks"

    @property
    def scratch(self) -> str:
        return f"{self.work}/scratch/{self.tag}"

    @property
    def spool(self) -> str:
        return f"{self.work}/spool/{self.tag}"

    @property
    def cache(self) -> str:
        return f"{self.workdir}/cache"


def place(workdir: str) -> Place:
    """The place of the supervisor for `workdir`. Makes workdir and root where missing. Raises PlaceError."""
    try:
        os.makedirs(workdir, mode=0o700, exist_ok=True)
    except OSError as error:
        raise PlaceError(f"the folder {workdir} can't be made ({error.strerror}); set `workdir` of this host") from None
    real = os.path.realpath(workdir)
    if not os.access(real, os.W_OK | os.X_OK):
        raise PlaceError(f"the folder {real} can't be written to by this user; set `workdir` of this host")
    root = _root()
    # The root too: where each login has a TMPDIR of its own, one supervisor must not remove what another works in.
    identity = [str(os.getuid()), facts.boot_id(), socket.gethostname(), real, runner_folder(), root]
    tag = hashlib.sha256("\0".join(identity).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    remote = facts.is_remote(facts.filesystem_type(real))
    return Place(workdir=real, root=root, tag=tag, work=f"{root}/{tag}" if remote else real)


def runner_folder() -> str:
    """The folder that holds this package and wasmtime; on a host its name is the runner's digest."""
    return os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


def make(at: Place) -> None:
    """Makes the folders of a supervisor that starts. The lock is held. Raises PlaceError."""
    for folder in (at.folder, at.locks):
        _make(folder)
    for folder in (at.cache, f"{at.work}/scratch", f"{at.work}/spool", at.scratch, at.spool):
        _make(folder)
        _check_ours(folder)
    owner = {"uid": os.getuid(), "host": socket.gethostname(), "boot": facts.boot_id(), "root": at.root}
    try:
        with open(f"{at.scratch}/{OWNER}", "w", encoding="utf-8") as file:
            json.dump(owner, file)
    except OSError as error:
        raise PlaceError(f"nothing can be written: {room.words(error, at.scratch)}") from None


def take_lock(path: str) -> int | None:
    """The lock as an open descriptor; None where another process holds it, or has just removed it: try again."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except FileNotFoundError:
        _private(os.path.dirname(path))  # the last supervisor took the folder with it as it left
        return None
    except OSError as error:
        raise PlaceError(f"the lock {path} can't be opened ({error.strerror}); set TMPDIR on this host") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        here, there = os.fstat(fd), os.stat(path)
        if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino):
            return fd
    except (BlockingIOError, FileNotFoundError):
        pass  # held, or its holder removed it as it left: the next try makes a new one
    os.close(fd)
    return None


def sign(fd: int, at: Place) -> None:
    """Writes into the lock who holds it, for `clean` and for error texts."""
    os.ftruncate(fd, 0)
    os.pwrite(fd, json.dumps({"pid": os.getpid(), "workdir": at.workdir, "work": at.work}).encode(), 0)


def read_object(path: str) -> dict[str, object]:
    """The JSON object in a file (a lock, an owner); {} where there is none."""
    try:
        with open(path, "rb") as file:
            content = json.loads(file.read(65536))
        return content if isinstance(content, dict) else {}
    except (OSError, ValueError):
        return {}


def release(at: Place, fd: int) -> None:
    """Removes the lock that `fd` holds, lets go of it, and takes the root along where nobody else has anything."""
    os.unlink(at.lock)
    os.close(fd)
    remove_if_empty(at.root)


def remove(at: Place) -> int:
    """Removes all that a supervisor has on this host, but for the lock. Returns bytes. The lock is held."""
    folders = (at.spool, at.folder, at.scratch)  # that which says whose all is goes last, lest a reboot orphan the rest
    removed = sum(map(tree_bytes, folders))
    for folder in folders:
        remove_tree(folder)
    remove_if_empty(f"{at.work}/scratch")
    remove_if_empty(f"{at.work}/spool")
    return removed


def remove_if_empty(folder: str) -> None:
    """Removes a folder unless another host or another supervisor has something in it."""
    try:
        os.rmdir(folder)
    except OSError:
        pass


def remove_tree(folder: str) -> None:
    """Removes a folder with all in it; what resists is tried again by the next supervisor."""
    with contextlib.suppress(OSError):
        trees.remove_tree(folder)


def tree_bytes(folder: str) -> int:
    """What the files below `folder` take, each inode once; 0 where it is not there."""
    seen = set()
    total = 0
    folders = [folder]
    while folders:
        parent = folders.pop()
        with contextlib.suppress(OSError), os.scandir(parent) as entries:  # unreadable, or too long a path
            for entry in entries:
                info = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(info.st_mode):
                    folders.append(entry.path)
                elif info.st_ino not in seen:
                    seen.add(info.st_ino)
                    total += info.st_size
    return total


def _make(folder: str) -> None:
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError as error:
        raise PlaceError(f"the folder {folder} can't be made: {room.words(error, folder)}") from None


def _check_ours(folder: str) -> None:
    """Raises PlaceError where another user could put something there: we run what is in the cache."""
    info = os.lstat(folder)
    if not stat.S_ISDIR(info.st_mode) or info.st_uid not in (os.getuid(), 0) or info.st_mode & 0o022:
        what = f"mode {stat.S_IMODE(info.st_mode):04o}, owner {info.st_uid}"
        raise PlaceError(f"others can write in {folder} ({what}); set another `workdir` for this host")


def _root() -> str:
    """The user's 0700 folder on local disk, below TMPDIR, or /tmp where a socket's path would get too long."""
    name = f"batchwasm-{os.getuid()}"
    root = f"{os.path.realpath(tempfile.gettempdir())}/{name}"
    if len(os.fsencode(f"{root}/{'0' * 16}/s")) >= SOCKET_PATH_LIMIT_BYTES:
        root = f"{os.path.realpath('/tmp')}/{name}"
    _private(root)
    return root


def _private(folder: str) -> None:
    """Makes `folder`, or checks that it is ours alone. Raises PlaceError."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise PlaceError(f"the folder {folder} can't be made ({error.strerror}); set TMPDIR on this host") from None
    info = os.lstat(folder)
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid() or info.st_mode & 0o077:
        what = f"mode {stat.S_IMODE(info.st_mode):04o}, owner {info.st_uid}"
        raise PlaceError(
            f"{folder} must be a folder of this user alone (0700), but has {what}; remove it or set TMPDIR"
        )
