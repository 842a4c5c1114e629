"""Command lines that any login shell of a host understands: sh, dash, bash, zsh, ksh, csh, tcsh, fish.

sshd hands a command to the user's login shell. In single quotes these shells agree on everything but the quote
itself, the backslash, `!` and a newline, so a command line is `exec /bin/sh -c '...'` without these.
"""

from __future__ import annotations

import shlex

PYTHONS = (
    "python3",
    *(f"python3.{minor}" for minor in range(9, 16)),
    "/usr/bin/python3",
    "/usr/local/bin/python3",
    "/opt/homebrew/bin/python3",
)
NO_PYTHON = "batchwasm-no-python:"
_TAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 ./_-+=:,;@%^#~()[]{}<>|&*?")


def portable(script: str) -> str:
    """`script` for /bin/sh as a command line for any login shell."""
    if not set("'\\!\n\r") & set(script):
        return f"exec /bin/sh -c '{script}'"
    # printf %b turns \0NNN into that byte; inside double quotes sh leaves such a backslash alone.
    tame = "".join(c if c in _TAME else "".join(f"\\0{b:03o}" for b in c.encode()) for c in script)
    return f'exec /bin/sh -c \'eval "$(printf %b "{tame}")"\''


def with_python(python: str | None, code: str) -> str:
    """A script that runs `code` (Python, without quotes, `$` and backslashes) with a Python that is new enough.

    Where there is none it prints NO_PYTHON and what it found, and ends with 86.
    """
    candidates = " ".join(map(shlex.quote, (python,) if python else PYTHONS))
    new_enough = "import sys; sys.exit(sys.version_info < (3, 9))"
    version = "import sys; print(sys.version.split()[0])"
    return (
        f"f=; for p in {candidates}; do "
        'q=$(command -v "$p" 2>/dev/null) || continue; '
        f'if "$q" -c "{new_enough}" 2>/dev/null; then exec "$q" -I -c "{code}"; fi; '
        f'f="$f $q=$("$q" -c "{version}" 2>/dev/null)"; done; '
        f'echo "{NO_PYTHON}$f"; exit 86'
    )
