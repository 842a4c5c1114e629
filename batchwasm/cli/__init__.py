"""The command line: one file per command; here is main(), the one error boundary and the exit codes.

A command parses, calls what does the work, and shows rows; it returns its exit code (None is 0) or raises. stdout is
data, stderr is talk. Nothing heavy is imported here or by a command's file: a command imports what it needs when it
runs, so that --help and shell completion are quick.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

EXIT_BROKEN_PIPE = 128 + 13
"""As the shell says it of a program that SIGPIPE ended: the reader of stdout went away before the end was known."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line `args` (default: this process's); the exit code."""
    try:
        return _guarded(lambda: _invoke(args))
    except KeyboardInterrupt:  # a second one, while the first was dealt with
        return 130


def _guarded(command: Callable[[], int]) -> int:
    """`command()`, with everything it may raise turned into words on stderr and an exit code."""
    from batchwasm.cli.boundary import told

    try:
        _repair_stdio()
        code = command()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _silence(sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except BaseException as error:
        return told(error)


def _invoke(args: Sequence[str] | None) -> int:
    from batchwasm.cli.commands import batchwasm

    instruction = os.environ.get("_BATCHWASM_COMPLETE")
    if instruction and args is None:
        from batchwasm.cli.complete import answer

        return answer(batchwasm, instruction)
    given = list(sys.argv[1:] if args is None else args)
    with batchwasm.make_context("batchwasm", given) as context:
        return batchwasm.invoke(context) or 0


def _repair_stdio() -> None:
    """Give a program started with a closed stdin, stdout or stderr an empty one, before a file gets that number."""
    while (descriptor := _nothing()) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - for the process's life
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a name that the locale can't write is shown escaped
            stream.reconfigure(errors="backslashreplace")


def _nothing() -> int:
    """Raises WorldError where there is none, as in a root that somebody made without /dev."""
    try:
        return os.open(os.devnull, os.O_RDWR)
    except OSError as error:
        from batchwasm.errors import WorldError

        what = f"{os.devnull} can't be opened ({error.strerror}), which all that is started here needs"
        raise WorldError(f"{what}; have /dev mounted there: mount --bind /dev ROOT/dev") from error


def _silence(descriptor: int) -> None:
    """Let what is still buffered for a reader that went away go nowhere, instead of failing again at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
