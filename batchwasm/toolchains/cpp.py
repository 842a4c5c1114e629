"""C++: as C, and what `throw` needs linked in. Pure."""

from __future__ import annotations

from pathlib import Path

from batchwasm.toolchains import c
from batchwasm.toolchains.base import Request, Step

STANDARD = "-std=c++20"
STUB = Path(__file__).with_name("exception_stub.cpp")
"""For toolchains whose libraries can't unwind: a throw names what was thrown and aborts, catch never runs."""

inputs = c.inputs
refuse = c.refuse


def recipe(request: Request) -> list[Step]:
    """All files and the stub compiled at the same time, then linked; the user's own -std comes later and wins."""
    stub = request.scratch / "stub.o"
    flags = ("-O2", "-msimd128", STANDARD, f"-ffile-prefix-map={STUB.parent}=.")
    compile_stub = Step(argv=(*request.tool.argv, *c.TARGET, *flags, "-o", str(stub), "-c", str(STUB)))
    return [*c.objects(request, (STANDARD,)), compile_stub, c.link(request, (str(stub),))]
