"""Removing folders that a guest has filled: however deep and wide they are, whatever they are named."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat


def open_folder(name: str, parent: int | None = None) -> int:
    """A descriptor of a folder that is not a link. Raises OSError."""
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)


def remove_tree(path: str) -> None:
    """Removes a folder with all in it, also what was made unreadable; nothing happens where it is missing.

    Folders within folders are moved up to its top one after another, so that no path gets long, no descriptor stays
    open and nothing recurses. Raises OSError where something resists.
    """
    try:
        top = _open(path, None)
    except FileNotFoundError:
        return
    token = secrets.token_hex(8)  # names that cannot be there yet
    moved = 0
    try:
        folders = _clear(top)
        while folders:
            name = folders.pop()
            folder = _open(name, top)
            try:
                for inner in _clear(folder):
                    moved += 1
                    aside = f"{token}.{moved}"
                    os.close(_open(inner, folder))  # a folder that may not be written to can't be moved
                    os.rename(inner, aside, src_dir_fd=folder, dst_dir_fd=top)
                    folders.append(aside)
            finally:
                os.close(folder)
            os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(path)


def _clear(folder: int) -> list[str]:
    """Removes the files of a folder; names of the folders in it."""
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        if not is_folder:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
    return [name for name, is_folder in found if is_folder]


def _open(name: str, parent: int | None) -> int:
    """With our rights on it given back where they were taken."""
    try:
        fd = open_folder(name, parent)
    except PermissionError:
        if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            raise
        os.chmod(name, 0o700, dir_fd=parent)
        fd = open_folder(name, parent)
    if os.fstat(fd).st_mode & stat.S_IRWXU != stat.S_IRWXU:
        os.fchmod(fd, 0o700)
    return fd
