"""Estimates the percolation threshold of the square lattice on a pool of machines, and draws how it is crossed.

    python estimate.py [INVENTORY]

Below the threshold p = 0.592746... no open path crosses a large lattice, above it one does. The larger the lattice, the
steeper the change: two sizes' curves meet near the threshold.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy

import batchwasm

HERE = Path(__file__).parent
SIZES = (16, 128)
SAMPLES, TRIALS = 80, 10  # calls a size, lattices a call and probability
PS = numpy.linspace(0.5, 0.7, 21)
COLOURS = ("#3b7dd8", "#d8573b")


def curves(inventory: str | None) -> dict[int, numpy.ndarray]:
    """For each size, the share of lattices that are crossed, by probability."""
    with batchwasm.Fleet(inventory) as fleet:
        crossings = fleet.function(HERE / "percolation.rs", "crossings", numpy=True)
        found = {}
        for size in SIZES:
            seeds = range(size * 1000, size * 1000 + SAMPLES)
            counts = fleet.starmap(crossings, ((size, PS, TRIALS, seed) for seed in seeds), ordered=False)
            found[size] = numpy.sum(list(counts), axis=0) / (SAMPLES * TRIALS)
        return found


def threshold(small: numpy.ndarray, large: numpy.ndarray) -> float:
    """Where the larger lattice's curve overtakes the smaller one's."""
    steeper = large - small
    last = int(numpy.flatnonzero(steeper < 0)[-1])
    step = float(steeper[last] / (steeper[last] - steeper[last + 1]))
    return float(PS[last] + step * (PS[last + 1] - PS[last]))


def drawing(found: dict[int, numpy.ndarray], estimate: float) -> str:
    """The curves as SVG."""

    def at(p: float, share: float) -> str:
        return f"{60 + (p - PS[0]) / (PS[-1] - PS[0]) * 520:.1f},{340 - share * 300:.1f}"

    lines = [
        f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{" ".join(map(at, PS, found[size]))}"/>'
        f'<text x="70" y="{60 + 20 * n}" fill="{colour}">{size} x {size} sites</text>'
        for n, (size, colour) in enumerate(zip(found, COLOURS, strict=True))
    ]
    x = at(estimate, 0).split(",")[0]
    lines.append(f'<line x1="{x}" y1="40" x2="{x}" y2="340" stroke="#888" stroke-dasharray="4"/>')
    lines.append(f'<text x="{x}" y="55" dx="6" fill="#888">{estimate:.4f}</text>')
    lines += [f'<text x="{at(p, 0).split(",")[0]}" y="360" text-anchor="middle">{p:.2f}</text>' for p in PS[::5]]
    lines += [
        f'<text x="52" y="{at(0, share).split(",")[1]}" dy="5" text-anchor="end">{share:.1f}</text>'
        for share in (0, 0.5, 1)
    ]
    frame = '<rect x="60" y="40" width="520" height="300" fill="none" stroke="#888"/>'
    title = '<text x="60" y="25">share of random lattices with an open path across, by the share of open sites</text>'
    body = "\n".join([title, frame, *lines])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="640" height="380" font-family="sans-serif">\n{body}\n</svg>\n'
    )


def main(inventory: str | None = None) -> None:
    found = curves(inventory)
    for p, *shares in zip(PS, *found.values(), strict=True):
        print(f"{p:.2f}", *(f"{share:6.3f} {'#' * round(30 * share):30}" for share in shares))
    estimate = threshold(*found.values())
    print(f"threshold: {estimate:.4f} (0.5927 is known)")
    Path("percolation.svg").write_text(drawing(found, estimate))


if __name__ == "__main__":
    main(*sys.argv[1:2])
