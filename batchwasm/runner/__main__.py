"""`python3 -m batchwasm_runner relay|supervise|clean --workdir DIR`: what is started on a host.

The protocol is moved off descriptors 0 and 1 before anything else is imported, so that a stray print can't break it.
"""

from __future__ import annotations

import os
import sys


def main(argv: list[str]) -> int:
    """Exit codes: 0 done; 2 a wrong command line; 3 this host does not let us, said in one sentence on stderr."""
    if len(argv) < 3 or argv[0] not in ("relay", "supervise", "clean") or argv[1] != "--workdir":
        print("usage: python3 -m batchwasm_runner relay|clean --workdir DIR [--all]", file=sys.stderr)
        return 2
    command, workdir, rest = argv[0], os.path.abspath(os.path.expanduser(argv[2])), argv[3:]
    incoming, outgoing = _take_stdio() if command == "relay" else (0, 1)
    from .local import PlaceError

    try:
        if command == "relay":
            from .relay import relay

            return relay(workdir, incoming, outgoing)
        if command == "supervise":
            from .supervise import supervise

            return supervise(workdir, rest)
        from .clean import clean

        return clean(workdir, everything="--all" in rest)
    except PlaceError as error:
        print(f"batchwasm: {error}", file=sys.stderr)
        return 3


def _take_stdio() -> tuple[int, int]:
    """Duplicates of stdin and stdout; 0 is /dev/null from now on, and what is printed goes to stderr."""
    incoming, outgoing = os.dup(0), os.dup(1)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return incoming, outgoing


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
