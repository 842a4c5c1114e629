"""Make's dependency rules, as compilers write them (-MMD, --emit=dep-info): text in, paths out."""

from __future__ import annotations

import re

_ESCAPED = re.compile(r"\\(.)|\$\$", re.DOTALL)


def prerequisites(text: str) -> list[str]:
    """All paths right of a colon, in order, unescaped: `a.o: a.c my\\ inc.h` gives `a.c`, `my inc.h`."""
    paths: list[str] = []
    for line in text.replace("\\\r\n", " ").replace("\\\n", " ").splitlines():
        rule = re.match(r"(?:\\.|[^:\\#]|:(?![ \t]|$))*:(?:[ \t]+|$)", line)
        if rule is None or line.startswith("#"):
            continue
        words = re.findall(r"(?:\\[\\ #:]|[^ \t])+", line[rule.end() :])
        paths += [_unescape(word) for word in words]
    return list(dict.fromkeys(paths))


def _unescape(word: str) -> str:
    """Only blanks, `#`, `:` and backslashes are escaped with one; `$` is doubled."""
    return re.sub(r"\\([\\ #:])", r"\1", word).replace("$$", "$")
