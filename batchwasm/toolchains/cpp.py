"""C++: as C, with exceptions. Pure."""

from __future__ import annotations

from pathlib import Path

from batchwasm.model import Source
from batchwasm.toolchains import c, cpp_exceptions
from batchwasm.toolchains.base import Request, Step

STANDARD = "-std=c++20"
STUB = Path(__file__).with_name("exception_stub.cpp")
"""For toolchains whose libraries can't unwind: a throw names what was thrown and aborts, catch never runs."""

inputs = c.inputs


def recipe(request: Request) -> list[Step]:
    """All files compiled at the same time, then linked; the user's own -std comes later and wins."""
    if cpp_exceptions.supported(request.tool.name, request.tool.version):
        return _with_exceptions(request)
    return _with_stub(request)


def refuse(source: Source) -> list[str]:
    told = [
        f"{flag} loses C++ exceptions: optimising at link time does not know them; leave it out"
        for flag in source.build.flags
        if flag.startswith("-flto")
    ]
    return [*c.refuse(source), *told]


def _with_exceptions(request: Request) -> list[Step]:
    folder = cpp_exceptions.support_folder(request.cache, request.tool.stamp)
    return [
        Step(argv=cpp_exceptions.build_command(request.tool.argv, folder)),
        *c.objects(request, (STANDARD, *cpp_exceptions.COMPILE_FLAGS)),
        c.link(request, cpp_exceptions.link_flags(folder, entry="_initialize" if request.glue else "_start")),
        Step(argv=cpp_exceptions.guard_command(request.wasm), group=2),
    ]


def _with_stub(request: Request) -> list[Step]:
    stub = request.scratch / "stub.o"
    flags = ("-O2", "-msimd128", STANDARD, f"-ffile-prefix-map={STUB.parent}=.")
    compile_stub = Step(argv=(*request.tool.argv, *c.TARGET, *flags, "-o", str(stub), "-c", str(STUB)))
    return [*c.objects(request, (STANDARD,)), compile_stub, c.link(request, (str(stub),))]
