"""Foreign text with every character made visible that would be obeyed instead of shown: what a guest, host, file
name or compiler wrote.

Control characters (a terminal obeys escape sequences) and Unicode's bidirectional marks (terminals and browsers reorder
text at them) each become their Python escape, such as `\\x1b`.
"""

from __future__ import annotations

import re

# C0 and C1 controls and DEL; line and paragraph separators; bidirectional marks, embeddings, overrides and isolates;
# lone surrogates, which stdout's encoder would refuse.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_UNSAFE_IN_TEXT = re.compile(_UNSAFE.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))


def visible(text: str) -> str:
    """`text` for one line: every control character, line ends too, as a Python escape."""
    return _UNSAFE.sub(_escape, text)


def visible_text(text: str) -> str:
    """`text` for several lines: line ends and tabs stay, CR LF counts as a line end."""
    return _UNSAFE_IN_TEXT.sub(_escape, text.replace("\r\n", "\n"))


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
