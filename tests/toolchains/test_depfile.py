"""Dependency rules as clang, zig, rustc and cargo write them."""

from __future__ import annotations

import pytest

from batchwasm.toolchains.depfile import prerequisites

RULES = {
    "one": ("a.o: a.c\n", ["a.c"]),
    "continued": ("a.o: a.c \\\n  b.h \\\n  sub/c.h\n", ["a.c", "b.h", "sub/c.h"]),
    "escaped": ("/x\\ y/a.o: my\\ file.c a\\#b.h c$$d.h\n", ["my file.c", "a#b.h", "c$d.h"]),
    "phony targets of rustc": ("out.wasm: a.rs b.rs\n\na.rs:\nb.rs:\n", ["a.rs", "b.rs"]),
    "a comment of rustc": ("out: a.rs\n\n# env-dep:X=1: y\n", ["a.rs"]),
    "a colon in a name": ("out: a:b.c\n", ["a:b.c"]),
    "nothing": ("", []),
}


@pytest.mark.parametrize("case", RULES)
def test_what_stands_right_of_the_colon_is_read(case: str) -> None:
    text, expected = RULES[case]
    assert prerequisites(text) == expected
