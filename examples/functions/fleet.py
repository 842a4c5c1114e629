"""The same functions in all languages, called from Python: python fleet.py [INVENTORY]."""

from __future__ import annotations

import sys
from pathlib import Path

import batchwasm

HERE = Path(__file__).parent
BALL = {"name": "ball", "height": 20.0, "speed": 0.0}
NAMES = (HERE / "names.txt").read_text().splitlines()


def fields(ball: dict[str, object]) -> dict[str, object]:
    """Go's exported fields have capitals."""
    return {name.lower(): value for name, value in ball.items()}


def main(inventory: str | None = None) -> None:
    with batchwasm.Fleet(inventory) as fleet:
        for ending in ("rs", "cpp", "go", "c"):
            source = HERE / f"functions.{ending}"
            mean, initials = fleet.function(source, "mean"), fleet.function(source, "initials")
            print(ending, mean([1, 2.5, 4]), *fleet.map(initials, NAMES))
            if ending == "c":
                continue
            fall = fleet.function(source, "fall")
            ball = {name.title(): value for name, value in BALL.items()} if ending == "go" else BALL
            print(ending, *(round(fields(fall(ball, t))["height"], 6) for t in (0.0, 1.0)))  # type: ignore[call-overload]
            try:
                fall(ball, 3.0)
            except batchwasm.TaskFailed as error:
                print(ending, error.message)


if __name__ == "__main__":
    main(*sys.argv[1:2])
