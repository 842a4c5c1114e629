"""BATCHWASM_SEED: a number that differs by task and is the same at every attempt and in every run."""

from __future__ import annotations

import functools
import hashlib

_MASK = (1 << 64) - 1


def seed_of(job: str, index: int) -> int:
    """0 to 2**63 - 1, so that it fits a signed 64-bit number: splitmix64 of the job's hash and the index."""
    z = (_start(job) + (index + 1) * 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return (z ^ (z >> 31)) >> 1


@functools.lru_cache(maxsize=64)
def _start(job: str) -> int:
    return int.from_bytes(hashlib.sha256(job.encode()).digest()[:8], "big")
