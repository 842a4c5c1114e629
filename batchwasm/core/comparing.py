"""What attempts on different hosts gave, as digests of its parts: so a difference can be named. Pure."""

from __future__ import annotations

PARTS = ("stdout", "value", "outputs")
"""Of what an attempt that succeeded gives; stderr, times and memory may differ."""
PART_DIGITS = 32  # of the sha256 of each: nobody is hostile here, and every row of the journal may have three


def digest_of(stdout: str, value: str, outputs: str) -> str:
    """From the sha256 of each part, '' where there is none."""
    return "-".join(part[:PART_DIGITS] for part in (stdout, value, outputs))


def differing(first: str | None, second: str | None) -> list[str]:
    """Parts that are not the same; all of them where one of the two is not known."""
    if first == second:
        return []
    parts = zip(PARTS, (first or "").split("-"), (second or "").split("-"), strict=False)
    return [part for part, a, b in parts if a != b] or list(PARTS)


def mismatch_text(first_host: str, host: str, parts: list[str]) -> str:
    """`its stdout and outputs on lab02 are not those on lab01`."""
    named = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    verb = "are not those" if len(parts) > 1 or parts == ["outputs"] else "is not that"
    return f"its {named} on {host} {verb} on {first_host}"
