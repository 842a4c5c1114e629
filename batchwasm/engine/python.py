"""Finding a Python on a host, by a script for its /bin/sh."""

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


def with_python(python: str | None, code: str) -> str:
    """A script that runs `code` (Python, without quotes, `$` and backslashes) with a Python that is new enough.

    It is isolated from the user's own modules and variables, and takes names of files for UTF-8 whatever the locale.
    Where there is none it prints NO_PYTHON and what it found, and ends with 86.
    """
    candidates = " ".join(map(shlex.quote, (python,) if python else PYTHONS))
    new_enough = "import sys; sys.exit(sys.version_info < (3, 9))"
    version = "import sys; print(sys.version.split()[0])"
    return (
        f"f=; for p in {candidates}; do "
        'q=$(command -v "$p" 2>/dev/null) || continue; '
        f'if "$q" -c "{new_enough}" 2>/dev/null; then exec "$q" -I -X utf8 -c "{code}"; fi; '
        f'v=$("$q" -c "{version}" 2>/dev/null); '
        'f="$f${f:+,} $q ${v:+is }${v:-has no version}"; done; '
        f'echo "{NO_PYTHON}$f"; exit 86'
    )
