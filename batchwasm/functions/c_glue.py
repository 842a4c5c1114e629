"""The glue of C functions, and what C++'s has in common with it.

`batchwasm_function.c` takes the place of the user's file, which it includes by its name, so that what the compiler says
of it is said of the user's own lines; `batchwasm_codec.c` is compiled by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

from batchwasm.functions.c_source import Function
from batchwasm.functions.problems import NoFunction
from batchwasm.functions.types import Bool, Bytes, Float, Int, List, String, Type
from batchwasm.model import Glue


@dataclass(frozen=True, slots=True)
class Value:
    """What a C function takes or gives."""

    name: str
    type: Type
    c: str
    """As C writes it; of a list its items."""


def make(function: Function, taken: list[Value], result: Value | None) -> Glue:
    return Glue(
        files={
            "batchwasm_function.c": "\n".join([user_file(function), '#include "batchwasm_call.h"', ""]),
            "batchwasm_call.h": _call(function.name, taken, result),
            **codec("c"),
        },
        path=function.file.path,
    )


def codec(language: str, *others: str) -> dict[str, str]:
    """The files that are the same for each function."""
    folder = resources.files("batchwasm.functions") / "glue"
    files = {name: (folder / name).read_text("utf-8") for name in ("batchwasm_codec.h", *others)}
    return {**files, f"batchwasm_codec.{language}": (folder / "batchwasm_codec.c").read_text("utf-8")}


def user_file(function: Function) -> str:
    """The line that includes it; the compiler is told its folder. Raises NoFunction."""
    name = function.file.path.name
    if any(character in name for character in '"\n\\'):
        raise NoFunction([f"{function.file.shown}: no #include can name this file; give it a plainer name"])
    return f'#include "{name}"'


def quoted(name: str) -> str:
    """As a literal; names have no character that means something in one."""
    return f'"{name}"'


def number_tag(kind: Type) -> int:
    """That of its typed arrays in RFC 8746, by which the codec knows it."""
    match kind:
        case Int(bits, signed):
            return 64 + 8 * signed + (4 if bits > 8 else 0) + {8: 0, 16: 1, 32: 2, 64: 3}[bits]
        case Float(bits):
            return {32: 85, 64: 86}[bits]
        case _:
            raise AssertionError(f"{kind} is no number")


def _call(name: str, taken: list[Value], result: Value | None) -> str:
    types = ", ".join(_as_parameter(value) for value in taken) or "void"
    given = ", ".join(_as_argument(value, n) for n, value in enumerate(taken))
    call = f"{name}({given})"
    return "\n".join(
        [
            "#pragma clang system_header",
            '#include "batchwasm_codec.h"',
            # Says that the signature was read as it is, and makes a body where the user's is inline.
            f"extern {result.c if result else 'void'} {name}({types});",
            "void batchwasm_run(batchwasm_in *bw_in, batchwasm_out *bw_out) {",
            *(line for n, value in enumerate(taken) for line in _variables(value, n)),
            f"  if (!batchwasm_read_arguments(bw_in, {len(taken)}))",
            "    return;",
            *(line for n, value in enumerate(taken) for line in _read(value, n)),
            "  if (!batchwasm_read_end(bw_in))",
            "    return;",
            *([*_write(call, result)] if result else [f"  {call};", "  batchwasm_write_null(bw_out);"]),
            "}",
            "",
        ]
    )


def _as_parameter(value: Value) -> str:
    return f"const {value.c} *, batchwasm_size" if isinstance(value.type, Bytes | List) else value.c


def _as_argument(value: Value, n: int) -> str:
    return f"(const {value.c} *)bw_at{n}, bw_size{n}" if isinstance(value.type, Bytes | List) else f"bw_value{n}"


def _variables(value: Value, n: int) -> list[str]:
    match value.type:
        case Bytes():
            return [f"  const unsigned char *bw_at{n};", f"  batchwasm_size bw_size{n};"]
        case List():
            return [f"  const void *bw_at{n};", f"  batchwasm_size bw_size{n};"]
        case Bool():
            return [f"  unsigned char bw_value{n};"]
        case _:
            return [f"  {value.c} bw_value{n};"]


def _read(value: Value, n: int) -> list[str]:
    match value.type:
        case Bytes():
            call = f"batchwasm_read_bytes(bw_in, &bw_at{n}, &bw_size{n})"
        case List(Bool()):
            call = f"batchwasm_read_bools(bw_in, &bw_at{n}, &bw_size{n})"
        case List(item):
            call = f"batchwasm_read_numbers(bw_in, {number_tag(item)}, &bw_at{n}, &bw_size{n})"
        case String():
            call = f"batchwasm_read_c_text(bw_in, &bw_value{n})"
        case Bool():
            call = f"batchwasm_read_bool(bw_in, &bw_value{n})"
        case number:
            call = f"batchwasm_read_number(bw_in, {number_tag(number)}, &bw_value{n})"
    return [
        f"  if (!{call}) {{",
        f"    batchwasm_within_name(bw_in, {quoted(value.name)});",
        "    return;",
        "  }",
    ]


def _write(call: str, result: Value) -> list[str]:
    match result.type:
        case String():
            return [f"  batchwasm_write_c_text(bw_out, {call});"]
        case Bool():
            return [f"  batchwasm_write_bool(bw_out, {call});"]
        case number:
            writes = f"  batchwasm_write_number(bw_out, {number_tag(number)}, &bw_result);"
            return [f"  {result.c} bw_result = {call};", writes]
