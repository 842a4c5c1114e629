"""Questions on a terminal, and a word where it waits so long that a person would begin to type.

What was typed before a question was shown is thrown away: it was not meant for it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from batchwasm.escape import say

QUIET_S = 1.0


@contextmanager
def told_when_slow(text: str) -> Iterator[None]:
    """In a loop: `text` on a terminal, where what is inside takes longer than a person waits without a word."""
    handle = asyncio.get_running_loop().call_later(QUIET_S, say, text) if sys.stderr.isatty() else None
    try:
        yield
    finally:
        if handle is not None:
            handle.cancel()


def confirmed(question: str, *, default: bool) -> bool:
    """Raises click.Abort at a Ctrl-C or Ctrl-D."""
    _flush()
    try:
        return click.confirm(question, default=default, err=True)
    except click.Abort:
        say("")  # ends the question's line
        raise


def hidden(question: str) -> str:
    """What is typed without echo, '' too. Raises click.Abort at a Ctrl-C or Ctrl-D."""
    answer: str = click.prompt(question, default="", show_default=False, hide_input=True, err=True)
    return answer


def _flush() -> None:
    if sys.stdin.isatty():
        import termios

        termios.tcflush(sys.stdin, termios.TCIFLUSH)
