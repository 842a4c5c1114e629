"""Command lines that any login shell understands: sh, dash, bash, zsh, ksh, csh, tcsh, fish.

sshd hands a command to the user's login shell. In single quotes these shells agree on everything but the quote
itself, the backslash, `!` and a newline, so a command line is `exec /bin/sh -c '...'` without these.
"""

from __future__ import annotations

_TAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 ./_-+=:,;@%^#~()[]{}<>|&*?")


def portable(script: str) -> str:
    """`script` for /bin/sh as a command line for any login shell."""
    if not set("'\\!\n\r") & set(script):
        return f"exec /bin/sh -c '{script}'"
    # printf %b turns \0NNN into that byte; inside double quotes sh leaves such a backslash alone.
    tame = "".join(c if c in _TAME else "".join(f"\\0{b:03o}" for b in c.encode()) for c in script)
    return f'exec /bin/sh -c \'eval "$(printf %b "{tame}")"\''
