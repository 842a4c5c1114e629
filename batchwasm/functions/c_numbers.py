"""The numbers of C and C++ on wasm32, by every name they have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from batchwasm.functions.types import Bool, Float, Int, Type

FUNDAMENTAL: Mapping[str, Type] = {
    "bool": Bool(),
    "char": Int(8, True),
    "signed char": Int(8, True),
    "unsigned char": Int(8, False),
    "short": Int(16, True),
    "unsigned short": Int(16, False),
    "int": Int(32, True),
    "unsigned int": Int(32, False),
    "long": Int(32, True),
    "unsigned long": Int(32, False),
    "long long": Int(64, True),
    "unsigned long long": Int(64, False),
    "float": Float(32),
    "double": Float(64),
}
"""As `canonical` writes them."""

NAMED: Mapping[str, str] = {
    **{f"{kind}8_t": "signed char" for kind in ("int", "int_least")},
    **{f"{kind}16_t": "short" for kind in ("int", "int_least")},
    **{f"{kind}32_t": "int" for kind in ("int", "int_least")},
    **{f"{kind}64_t": "long long" for kind in ("int", "int_least", "int_fast")},
    **{f"{kind}8_t": "unsigned char" for kind in ("uint", "uint_least")},
    **{f"{kind}16_t": "unsigned short" for kind in ("uint", "uint_least")},
    **{f"{kind}32_t": "unsigned int" for kind in ("uint", "uint_least")},
    **{f"{kind}64_t": "unsigned long long" for kind in ("uint", "uint_least", "uint_fast")},
    "size_t": "unsigned long",
    "ptrdiff_t": "long",
    "ssize_t": "long",
    "intptr_t": "long",
    "uintptr_t": "unsigned long",
    "intmax_t": "long long",
    "uintmax_t": "unsigned long long",
    "_Bool": "bool",
}
"""Names of the libraries, and what they stand for in zig's and wasi-sdk's."""

CURES: Mapping[str, str] = {
    "long double": "double",
    "__int128": "a 64-bit integer, or two",
    "unsigned __int128": "a 64-bit integer, or two",
    "wchar_t": "an integer type",
    "char8_t": "an integer type such as uint8_t",
    "char16_t": "an integer type such as uint16_t",
    "char32_t": "an integer type such as uint32_t",
    "_Float16": "float",
    "__fp16": "float",
    "__float128": "double",
}
"""Numbers that can't be passed, and what to take instead."""


def canonical(words: Sequence[str]) -> str:
    """Of the words of a type in any order: `long unsigned int` is `unsigned long`."""
    left = [word for word in words if word not in ("signed", "unsigned", "int", "long", "short")]
    if "char" in left and "signed" in words:
        return "signed char"
    size = ["short"] * words.count("short") + ["long"] * words.count("long")
    base = [*size, *left] or ["int"]
    return " ".join([*(["unsigned"] if "unsigned" in words else []), *base])
