"""The command line, which makes FILE as soon as it says that it waits: `python -m tests.cli.opened FILE ...`."""

import sys
from pathlib import Path

from batchwasm import cli, escape

said = escape.say


def say(text: str) -> None:
    said(text)
    if text.startswith("waiting: "):
        Path(sys.argv[1]).touch()


if __name__ == "__main__":
    escape.say = say
    sys.exit(cli.main(sys.argv[2:]))
