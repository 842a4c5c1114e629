"""`python3 -m batchwasm_runner relay|supervise|clean --workdir DIR`: what is started on a host.

The protocol is moved off descriptors 0 and 1 before anything else, so that a stray print can't break it.
"""

from __future__ import annotations

import argparse
import os
import sys

from .alone import Patience
from .local import PlaceError


def main(argv: list[str]) -> int:
    """Exit codes: 0 done; 2 a wrong command line; 3 this host does not let us, said in one sentence on stderr."""
    incoming, outgoing = _take_stdio() if argv[:1] == ["relay"] else (0, 1)
    options = _parser().parse_args(argv)
    workdir = os.path.abspath(os.path.expanduser(options.workdir))
    try:
        if options.command == "relay":
            from .relay import relay

            return relay(workdir, Patience(options.alone_s, options.keep_s), incoming, outgoing)
        if options.command == "supervise":
            from .supervise import supervise

            return supervise(workdir, options.lock, Patience(options.alone_s, options.keep_s))
        from .clean import clean

        return clean(workdir, everything=options.all)
    except PlaceError as error:
        print(f"batchwasm: {error}", file=sys.stderr)
        return 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m batchwasm_runner", description="The runner of batchwasm.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        ("relay", "find or start this host's supervisor, and carry the protocol between it and stdio"),
        ("supervise", "be the supervisor; a relay starts it"),
        ("clean", "end an idle supervisor, remove what dead ones left; says so as JSON"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--workdir", required=True, metavar="DIR", help="folder of the runner and its caches")
        if name != "clean":
            for option, default, text in (
                ("--alone-s", Patience.attempts_s, "end attempts without a time limit that nobody asked after for S"),
                ("--keep-s", Patience.results_s, "forget a run and its results that nobody asked after for S"),
            ):
                command.add_argument(option, type=float, default=default, metavar="S", help=text)
        if name == "supervise":
            command.add_argument("--lock", type=int, required=True, metavar="FD", help="the lock, inherited")
        if name == "clean":
            command.add_argument("--all", action="store_true", help="end busy ones too, and remove the caches")
    return parser


def _take_stdio() -> tuple[int, int]:
    """Duplicates of stdin and stdout; 0 is /dev/null from now on, and what is printed goes to stderr."""
    incoming, outgoing = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return incoming, outgoing


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
