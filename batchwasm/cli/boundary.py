"""Any exception of a command -> words on stderr and an exit code. The only place that does so."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click

from batchwasm.errors import EXIT_BAD_INPUT, EXIT_INTERRUPTED, EXIT_WORLD, BatchwasmError
from batchwasm.escape import say, visible

# What the machine or the user's files do to us anywhere; every other OSError that gets this far is our mistake.
_OF_THE_WORLD = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE),
        *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EFBIG, errno.ENAMETOOLONG, errno.ELOOP),
    }
)


def told(error: BaseException) -> int:
    """Say on stderr what `error` means to a user; the exit code. Never raises, but for a Ctrl-C meanwhile."""
    with suppress(OSError):  # a stderr that is closed or full: the exit code still tells
        return _tell(error)
    return _leaves_code(error)


def _tell(error: BaseException) -> int:
    ours = _ours(error)
    if ours:
        say("\n".join(dict.fromkeys(map(str, ours))))
        return ours[0].exit_code
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case click.ClickException():
            error.show()
            return EXIT_BAD_INPUT
        case KeyboardInterrupt() | click.Abort():
            return EXIT_INTERRUPTED
        case SystemExit():
            return error.code if isinstance(error.code, int) else 0 if error.code is None else EXIT_WORLD
        case OSError() if error.errno in _OF_THE_WORLD:
            where = f"{visible(str(error.filename))}: " if error.filename else ""
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            if full and where:
                from batchwasm import disk

                say(visible(str(disk.told(error, Path.cwd()))))
            else:
                say(f"{where}{error.strerror}{'; make room where stdout goes' if full else ''}")
            return EXIT_WORLD
    _tell_bug(error)
    return EXIT_WORLD


def _ours(error: BaseException) -> list[BatchwasmError]:
    """The error, or all of a group, where we raised them on purpose; else nothing."""
    leaves = list(_leaves(error))
    ours = [leaf for leaf in leaves if isinstance(leaf, BatchwasmError)]
    return ours if len(ours) == len(leaves) else []


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _leaves_code(error: BaseException) -> int:
    ours = _ours(error)
    return ours[0].exit_code if ours else EXIT_WORLD


def _tell_bug(error: BaseException) -> None:
    what = visible(f"{type(error).__name__}: {error}"[:300])
    where = _write_report(error)
    say(f"this is a bug in batchwasm: {what}")
    say(f"the details are in {where}; please send that file with your report" if where else _report(error))


def _report(error: BaseException) -> str:
    import traceback

    from batchwasm.version import __version__

    lines = traceback.format_exception(error)
    return f"batchwasm {__version__}, Python {sys.version}, {sys.platform}\n{sys.argv!r}\n\n{''.join(lines)}"


def _write_report(error: BaseException) -> Path | None:
    """A new file with the traceback; None where no folder takes one."""
    import tempfile

    from batchwasm.results import state_dir

    for folder in (state_dir(), Path(tempfile.gettempdir())):
        with suppress(OSError):
            if folder is None:
                continue
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor, name = tempfile.mkstemp(prefix="bug-", suffix=".txt", dir=folder)
            with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(_report(error))
            return Path(name)
    return None
