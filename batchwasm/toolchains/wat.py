"""What needs no compiler's command: WAT, which wasmtime's own parser turns into wasm, and ready .wasm. Pure."""

from __future__ import annotations

from batchwasm.model import Source


def refuse(source: Source) -> list[str]:
    build = source.build
    keys = [
        key for key, value in (("flags", build.flags), ("defines", build.defines), ("include", build.include)) if value
    ]
    problems = [f"build.{key} means nothing to a .{source.language} file; leave it out" for key in keys]
    if len(source.paths) != 1 or source.paths[0].is_dir():
        problems.append(f"a .{source.language} source is one file")
    return problems
