"""Puts the tiles of a run together: `python3 assemble.py [-r RUN] PICTURE.png`. Needs nothing but batchwasm on PATH."""

from __future__ import annotations

import argparse
import json
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any


def ask(*args: str) -> list[Any]:
    """What batchwasm says with --json: one object a line."""
    here = Path(sys.executable).with_name("batchwasm")
    program = shutil.which("batchwasm") or str(here)
    done = subprocess.run([program, *args, "--json"], check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def assemble(tasks: list[Any], folder: Path) -> tuple[int, bytes]:
    """(pixels a side, one byte a pixel) of all tiles side by side."""
    tiles_a_side = 1 + max(task["params"]["row"] for task in tasks)
    pixels = 0
    rows: list[bytearray] = []
    for task in sorted(tasks, key=lambda task: (task["params"]["row"], task["params"]["column"])):
        tile = (folder / "tasks" / task["job"] / str(task["index"]) / "out" / task["outputs"][0]["path"]).read_bytes()
        pixels = round(len(tile) ** 0.5)
        if task["params"]["column"] == 0:
            rows += [bytearray() for _ in range(pixels)]
        for i in range(pixels):
            rows[task["params"]["row"] * pixels + i] += tile[i * pixels : (i + 1) * pixels]
    return tiles_a_side * pixels, b"".join(rows)


def palette() -> bytes:
    """256 colours: black for the set, then from deep blue to white and back."""
    colours = [(0, 0, 0)]
    for i in range(255):
        light = min(1.0, 0.15 + i / 48)
        colours.append((int(255 * light**3), int(255 * light**1.5), int(255 * min(1.0, light + 0.25))))
    return b"".join(bytes(colour) for colour in colours)


def png(side: int, pixels: bytes) -> bytes:
    """A square picture with a palette, one byte a pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = b"".join(b"\0" + pixels[i * side : (i + 1) * side] for i in range(side))
    header = struct.pack(">IIBBBBB", side, side, 8, 3, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"PLTE", palette()) + chunk(b"IDAT", zlib.compress(lines, 9))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-r", "--run", help="default: the newest")
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    run = ["-r", options.run] if options.run else []

    tasks = ask("results", *run)
    failed = [f"{task['job']}/{task['index']}: {task['outcome']}" for task in tasks if task["outcome"] != "succeeded"]
    if failed:
        sys.exit("these tiles are missing:\n" + "\n".join(failed))
    folder = Path(ask("status", *run)[0]["folder"])
    side, pixels = assemble(tasks, folder)
    options.picture.write_bytes(png(side, pixels))
    area = sum(int(task["stdout"]) for task in tasks) * 2.5**2 / side**2
    print(f"{options.picture}: {side} x {side} pixels; the set's area is about {area:.4f}")


if __name__ == "__main__":
    main()
