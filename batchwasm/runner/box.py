"""A task's folder: made with its inputs, looked through without ever following a link out of it, removed.

A guest may make files, folders and links at will. Whoever reads here opens folder by folder, relative to the one
above, and never follows a symbolic link; what is neither file nor folder is ignored.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .trees import open_folder, remove_tree

MAX_DEPTH = 64
MAX_PATH_BYTES = os.pathconf("/", "PC_PATH_MAX") * 3 // 4
"""3072 on Linux, 768 on macOS: with the folder's own path or the spool's before it still below what is allowed."""
INPUT_TIME_NS = 315_532_800_000_000_000
"""1980: what all inputs were changed at, so that no task sees when another one got them, or what it made of it."""
_COPY_BYTES = 1024 * 1024  # larger chunks are no faster
_TICK_NS = 20_000_000  # a file system's clock may stand still for this long: changes within it leave no trace in ctime


class TooDeep(Exception):
    """Folders are nested deeper than MAX_DEPTH, or a path in them is longer than MAX_PATH_BYTES."""


class MissingInput(Exception):
    """An input is not in this host's cache; `str()` is its path in the task's folder."""


class Entry(NamedTuple):
    """A file of the task's folder."""

    path: str
    """Relative, with `/`."""
    size: int
    inode: int


class Usage(NamedTuple):
    """What a task put into its folder."""

    bytes: int
    files: int
    """Files, folders and links; those that were inputs do not count."""


class Box:
    """One folder, used for one attempt after another."""

    def __init__(self, path: str, cache: str) -> None:
        """`cache` is the host's, with `files/DIGEST`."""
        self.path = path
        self._files = os.path.join(cache, "files")
        self._inputs: list[tuple[str, str]] = []
        self._listing: dict[str, set[tuple[str, int]]] = {}
        """What stands in each folder at the start: names and inodes, by the folder's absolute path."""
        self._stamps: list[tuple[str, int]] = []
        """When each folder changed last, as the file system has it."""
        self._input_times: list[tuple[str, int]] = []
        """When each input changed last, as a guest sees it, which may set that."""
        self._made_ns = 0
        self._settled = False
        self._lent = True
        self._input_inodes: dict[str, int] = {}
        self._folders = 0
        """How many the inputs need."""

    def prepare(self, inputs: Sequence[tuple[str, str]]) -> None:
        """An empty folder but for the inputs, (path, digest) each. Raises MissingInput.

        The folder of the attempt before is taken where it is as it was made, for that is half the cost of a small task.
        """
        if self._stamps and self._inputs == list(inputs) and self.untouched():
            return
        self._lent = True
        self._stamps = []
        remove_tree(self.path)
        os.mkdir(self.path, 0o700)
        self._inputs = list(inputs)
        self._input_inodes = {}
        folders = {""}
        for to, digest in self._inputs:
            if to.startswith("/") or ".." in to.split("/"):
                raise MissingInput(f"{to} (outside of the task's folder)")
            self._make_folders(os.path.dirname(to), folders)
            self._input_inodes[to] = self._place(to, digest)
        self._note(folders)

    def empty(self) -> None:
        """Nothing of an attempt stays; a folder that was left as it was made is kept for the next one."""
        if not self._stamps or self._inputs or not self.untouched():
            self._stamps = []
            with contextlib.suppress(OSError):  # `prepare` meets the same trouble, and can say so
                remove_tree(self.path)

    def lend(self) -> None:
        """A guest gets the folder now: what was seen of it no longer holds."""
        self._lent = True

    def untouched(self) -> bool:
        """True where nothing was made, changed or removed since `prepare`."""
        if self._lent and self._unchanged():
            self._lent = False
        return not self._lent

    def _unchanged(self) -> bool:
        if not self._stamps:
            return False
        try:
            for folder, stamp in self._stamps:
                if os.stat(folder, follow_symlinks=False).st_ctime_ns != stamp:
                    return False
            for path, time_ns in self._input_times:
                if os.stat(path, follow_symlinks=False).st_mtime_ns != time_ns:
                    return False
            return self._settled or self._same_listing()
        except OSError:  # a guest removes folders, too
            return False

    def files(self, most: int) -> list[Entry]:
        """The task's own regular files, by path; inputs left where they were are not. Looks at `most` entries."""
        found = []
        for _, (path, status) in zip(range(most + self._folders + len(self._inputs)), walk(self.path)):
            if stat.S_ISREG(status.st_mode) and self._input_inodes.get(path) != status.st_ino:
                found.append(Entry(path, status.st_size, status.st_ino))
        return sorted(found)

    def usage(self, most: int) -> Usage:
        """Stops counting above `most` files. May be called while the guest runs. Raises TooDeep."""
        total = count = 0
        for path, status in walk(self.path):
            if self._input_inodes.get(path) == status.st_ino:
                continue
            count += 1
            if stat.S_ISREG(status.st_mode):
                total += status.st_size
            if count - self._folders > most:
                break
        return Usage(total, max(0, count - self._folders))

    def hidden_bytes(self) -> int:
        """Of files that were removed and are still open in this process: they take up the disk all the same."""
        device = os.stat(self.path).st_dev
        total = 0
        for name in os.listdir("/dev/fd"):
            with contextlib.suppress(OSError):  # closed meanwhile
                status = os.fstat(int(name))
                if status.st_dev == device and status.st_nlink == 0 and int(name) > 2 and stat.S_ISREG(status.st_mode):
                    total += status.st_size
        return total

    def _make_folders(self, folder: str, made: set[str]) -> None:
        if folder not in made:
            self._make_folders(os.path.dirname(folder), made)
            try:
                os.mkdir(os.path.join(self.path, folder), 0o700)
            except FileExistsError as error:
                raise _one_file(folder) from error
            made.add(folder)

    def _place(self, to: str, digest: str) -> int:
        """A hard link of the cached file, else a copy; its inode."""
        source, target = os.path.join(self._files, digest), os.path.join(self.path, to)
        try:
            _link(source, target)
        except FileNotFoundError as error:
            raise MissingInput(to) from error
        except FileExistsError as error:  # written to, it would change the other one's file in the cache
            raise _one_file(to) from error
        status = os.stat(target, follow_symlinks=False)
        if status.st_mtime_ns != INPUT_TIME_NS:
            with contextlib.suppress(OSError):  # somebody else's file
                os.utime(target, ns=(INPUT_TIME_NS, INPUT_TIME_NS), follow_symlinks=False)
        return status.st_ino

    def _note(self, folders: set[str]) -> None:
        paths = [os.path.join(self.path, folder) if folder else self.path for folder in folders]
        self._folders = len(folders) - 1
        self._listing = {path: _list(path) for path in paths}
        self._stamps = [(path, os.stat(path).st_ctime_ns) for path in paths]
        inputs = [os.path.join(self.path, to) for to, _ in self._inputs]
        self._input_times = [(path, os.stat(path, follow_symlinks=False).st_mtime_ns) for path in inputs]
        self._made_ns = time.time_ns()
        self._settled = False

    def _same_listing(self) -> bool:
        """The slow and sure look, for the ticks right after the folder was made."""
        same = all(_list(path) == names for path, names in self._listing.items())
        # Once seen to be unchanged after the clock moved on, any later change shows in ctime.
        self._settled = same and time.time_ns() - self._made_ns > _TICK_NS
        return same


def _list(path: str) -> set[tuple[str, int]]:
    with os.scandir(path) as entries:
        return {(entry.name, entry.inode()) for entry in entries}


def _one_file(to: str) -> FileExistsError:
    text = f"{to} and another input are one file here, where the case of letters or their encoding does not count"
    return FileExistsError(errno.EEXIST, text)


def _link(source: str, target: str) -> None:
    """Or copies, to where nothing is yet."""
    try:
        os.link(source, target)
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError:  # another file system, too many links, or one without hard links
        _copy(source, target)


def _copy(source: str, target: str) -> None:
    with open(source, "rb") as file, open(target, "xb") as copy:
        shutil.copyfileobj(file, copy, _COPY_BYTES)
    os.chmod(target, 0o444)


def walk(root: str) -> Iterator[tuple[str, os.stat_result]]:
    """(relative path, status) of all below `root`, a folder before what is in it. What vanishes meanwhile is left out.

    Raises TooDeep.
    """
    stack = [open_folder(root, None)]
    prefixes = [""]
    pending = [_names(stack[0])]
    try:
        while stack:
            if not pending[-1]:
                os.close(stack.pop())
                prefixes.pop()
                pending.pop()
                continue
            name = pending[-1].pop()
            path = prefixes[-1] + name
            try:
                status = os.stat(name, dir_fd=stack[-1], follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield path, status
            if stat.S_ISDIR(status.st_mode):
                if len(stack) > MAX_DEPTH or len(os.fsencode(path)) > MAX_PATH_BYTES:
                    raise TooDeep(path)
                try:
                    stack.append(open_folder(name, stack[-1]))
                except OSError as error:
                    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                        continue  # replaced under our eyes
                    raise
                prefixes.append(path + "/")
                pending.append(_names(stack[-1]))
    finally:
        for fd in stack:
            os.close(fd)


def _names(fd: int) -> list[str]:
    return os.listdir(fd)
