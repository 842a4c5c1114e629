"""Adds up the words that a run counted: `python3 tally.py [-r RUN] [--top N]`. Needs nothing but batchwasm on PATH."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any


def ask(*args: str) -> list[Any]:
    """What batchwasm says with --json: one object a line."""
    here = Path(sys.executable).with_name("batchwasm")
    program = shutil.which("batchwasm") or str(here)
    done = subprocess.run([program, *args, "--json"], check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-r", "--run", help="default: the newest")
    parser.add_argument("--top", type=int, default=10, metavar="N", help="how many words to show (10)")
    options = parser.parse_args()

    tasks = ask("results", *(["-r", options.run] if options.run else []))
    total: Counter[str] = Counter()
    for task in tasks:
        if task["outcome"] != "succeeded":
            sys.exit(f"{task['params']['file']}: {task['outcome']}")
        total.update(json.loads(task["stdout"]))
    for word, count in sorted(total.items(), key=lambda item: (-item[1], item[0]))[: options.top]:
        print(f"{count:7} {word}")
    print(f"{total.total():7} words, {len(total)} different, in {len(tasks)} files")


if __name__ == "__main__":
    main()
