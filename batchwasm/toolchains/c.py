"""C, and what C++ shares with it: one compile for each file, then a link. Pure.

A function's glue is `batchwasm_function.c` (`.cpp`), compiled in place of the user's file, which it includes by its
name, and `batchwasm_codec.c` (`.cpp`) beside all others.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from batchwasm.model import Source
from batchwasm.toolchains.base import STACK_BYTES, Inputs, Request, Step
from batchwasm.toolchains.depfile import prerequisites

TARGET = ("-target", "wasm32-wasi")
LINK = ("-s", f"-Wl,-z,stack-size={STACK_BYTES}")
LINK_FLAGS = ("-l", "-L", "-Wl,", "-z", "-Xlinker")
"""Of `build.flags`: those that begin like this go to the link, all others to the compiles."""
LIBRARY = ("-O3", "-msimd128")
"""Given to every link, whatever `optimize` says: zig builds one libc for each set of these, in half a minute."""
REACTOR = "-mexec-model=reactor"
GLUE = "batchwasm_function"
CODEC = "batchwasm_codec"


def recipe(request: Request) -> list[Step]:
    """All files compiled at the same time, then linked."""
    return [*objects(request, ()), link(request, ())]


def refuse(source: Source) -> list[str]:
    return ["a folder is no C source; list its files: source = ['a.c', 'b.c']" for p in source.paths if p.is_dir()]


def objects(request: Request, extra: Sequence[str]) -> list[Step]:
    """One `-c` for each source file; what it read is written beside the object. The user's flags come last and win.

    `extra` is for C++; a C file among C++ ones is C.
    """
    steps = [
        Step(
            argv=(
                *(*_compiler(request, path.suffix, extra), *_flags(request, path), *_quoted_from(request, path)),
                *("-MMD", "-MF", _depfile(request, i), "-o", _object(request, i), "-c", _file(request, path)),
            )
        )
        for i, path in enumerate(request.source.paths)
    ]
    if request.glue:
        file = _glue_file(request, CODEC)
        # Without the user's flags: none of them can change what it does.
        flags = (*LIBRARY, "-w", f"-ffile-prefix-map={request.scratch}=.")
        argv = (*_compiler(request, file.suffix, extra), *flags, "-o", _codec_object(request), "-c", str(file))
        steps.append(Step(argv=argv))
    return steps


def _compiler(request: Request, suffix: str, extra: Sequence[str]) -> tuple[str, ...]:
    start = (*request.tool.argv, *TARGET)
    if request.source.language == "c":
        return start
    return (*start, "-x", "c") if suffix == ".c" else (*start, *extra)


def link(request: Request, extra: Sequence[str]) -> Step:
    names = [_object(request, i) for i in range(len(request.source.paths))]
    model = (REACTOR, _codec_object(request)) if request.glue else ()
    flags = [flag for flag in request.source.build.flags if flag.startswith(LINK_FLAGS)]
    argv = (*request.tool.argv, *TARGET, *LIBRARY, *LINK, *model, *names, *extra, *flags, "-o", str(request.wasm))
    return Step(argv=argv, group=1)


def inputs(request: Request) -> Inputs:
    """The headers that were read, and the names in the include folders."""
    read: list[str] = []
    for i in range(len(request.source.paths)):
        read += prerequisites(Path(_depfile(request, i)).read_text(errors="surrogateescape"))
    files = {request.folder / name for name in read} | set(request.source.paths)
    inside = {file for file in files if not file.is_relative_to(request.scratch)}
    return Inputs(files=frozenset(inside), folders=frozenset(request.source.build.include))


def _flags(request: Request, path: Path) -> list[str]:
    build, scratch = request.source.build, request.scratch
    flags = [
        f"-O{build.optimize}",
        "-msimd128",
        f"-ffile-prefix-map={request.folder}=.",
        f"-ffile-prefix-map={scratch}=.",
    ]
    if request.tool.name == "zig":
        flags.append("-fno-sanitize=undefined")  # on by default at -O0, and then its library is missing
        flags.append("-UNDEBUG")  # defined by default at any other level, and then no assert ever fails
    flags += [f"-D{name}={value}" if value else f"-D{name}" for name, value in build.defines]
    flags += [f"-I{os.path.relpath(folder, request.folder)}" for folder in build.include]
    return [*flags, *(flag for flag in build.flags if not flag.startswith(LINK_FLAGS) and _is_for(flag, request, path))]


def _is_for(flag: str, request: Request, path: Path) -> bool:
    """Of C and C++ files together, each kind has its own -std."""
    is_mixed = len({path.suffix == ".c" for path in request.source.paths}) > 1
    return not is_mixed or not flag.startswith("-std=") or ("++" in flag) == (path.suffix != ".c")


def _file(request: Request, path: Path) -> str:
    """What is compiled for a source file, as the command names it."""
    if request.glue and path == request.glue.path:
        return str(_glue_file(request, GLUE))
    name = str(path.relative_to(request.folder))
    return f"./{name}" if name.startswith("-") else name  # else -x.c would be taken for a flag


def _quoted_from(request: Request, path: Path) -> tuple[str, ...]:
    """Where the glue finds the file that it includes."""
    if request.glue and path == request.glue.path:
        return ("-iquote", str(path.parent.relative_to(request.folder)))
    return ()


def _glue_file(request: Request, stem: str) -> Path:
    """In the language of the function's own file."""
    files = request.glue.files if request.glue else ()
    return request.glue_folder / next(name for name in files if name in (f"{stem}.c", f"{stem}.cpp"))


def _codec_object(request: Request) -> str:
    return str(request.scratch / "codec.o")


def _object(request: Request, index: int) -> str:
    return str(request.scratch / f"{index}.o")


def _depfile(request: Request, index: int) -> str:
    return str(request.scratch / f"{index}.d")
