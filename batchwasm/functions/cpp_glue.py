"""The glue of C++ functions: the codecs of their records, and the call. `c_glue` says which file is what."""

from __future__ import annotations

from batchwasm.functions.c_glue import codec, quoted, user_file
from batchwasm.functions.c_source import Function
from batchwasm.functions.cpp_types import Read
from batchwasm.functions.types import Record
from batchwasm.model import Glue


def make(function: Function, taken: list[tuple[str, Read]], result: Read | None, records: list[Read]) -> Glue:
    """`taken` are names and types; `records` in an order in which each comes after those that it has in it."""
    parts = [read for _, read in taken] + ([result] if result is not None else [])
    needs = sorted(frozenset[str]().union(*(part.needs for part in parts)))
    lines = [
        *(f"#define BATCHWASM_WITH_{need.upper()}" for need in needs),
        '#include "batchwasm_values.hpp"',
        user_file(function),
        '#include "batchwasm_call.hpp"',
        "",
    ]
    return Glue(
        files={
            "batchwasm_function.cpp": "\n".join(lines),
            "batchwasm_call.hpp": _call(function.name, taken, result, records),
            **codec("cpp", "batchwasm_values.hpp"),
        },
        path=function.file.path,
    )


def _call(name: str, taken: list[tuple[str, Read]], result: Read | None, records: list[Read]) -> str:
    numbers = range(len(taken))
    given = ", ".join(f"static_cast<bw_type{n} &&>(bw_value{n})" for n in numbers)
    # By its type: whatever else has the name, and that the signature was read as it is.
    call = f"static_cast<bw_function>(&::{name})({given})"
    return "\n".join(
        [
            "#pragma clang system_header",
            "namespace batchwasm {",
            *(_record(record) for record in records),
            *(f"using bw_type{n} = {read.cpp};" for n, (_, read) in enumerate(taken)),
            f"using bw_result = {result.cpp if result is not None else 'void'};",
            f"using bw_function = bw_result (*)({', '.join(f'bw_type{n}' for n in numbers)});",
            "static void bw_run(batchwasm_in *bw_in, batchwasm_out *bw_out) {",
            f"  if (!batchwasm_read_arguments(bw_in, {len(taken)}))",
            "    return;",
            *(_read(n, parameter) for n, (parameter, _) in enumerate(taken)),
            "  if (!batchwasm_read_end(bw_in))",
            "    return;",
            f"  bw_codec<bw_plain<bw_result>>::bw_write(bw_out, {call});"
            if result is not None
            else f"  {call};\n  batchwasm_write_null(bw_out);",
            "}",
            "} // namespace batchwasm",
            "",
        ]
    )


def _read(n: int, name: str) -> str:
    return (
        f"  bw_plain<bw_type{n}> bw_value{n}{{}};\n"
        f"  if (!bw_codec<bw_plain<bw_type{n}>>::bw_read(bw_in, bw_value{n}))\n"
        f"    return batchwasm_within_name(bw_in, {quoted(name)});"
    )


def _record(record: Read) -> str:
    assert isinstance(record.type, Record)
    names = [name for name, _ in record.type.fields]
    codecs = [f"bw_codec<decltype(bw_record.{name})>" for name in names]
    return "\n".join(
        [
            f"template <> struct bw_codec<{record.cpp}> : bw_record_codec<{record.cpp}> {{",
            f"  static constexpr const char *bw_name = {quoted(record.type.name)};",
            f"  static constexpr const char *bw_names[] = {{{', '.join(map(quoted, names))}}};",
            f"  static bool bw_field(batchwasm_in *bw_in, {record.cpp} &bw_record, batchwasm_size bw_index) {{",
            "    switch (bw_index) {",
            *(
                f"    case {n}: return {codec}::bw_read(bw_in, bw_record.{name});"
                for n, (name, codec) in enumerate(zip(names, codecs, strict=True))
            ),
            "    }",
            "    return false;",
            "  }",
            # A template, so that what can only be taken (a std::string_view) need not be written.
            "  template <class bw_type>",
            "  static void bw_write(batchwasm_out *bw_out, const bw_type &bw_record) {",
            f"    batchwasm_write_map(bw_out, {len(names)});",
            *(
                f"    batchwasm_write_text(bw_out, {quoted(name)}, {len(name.encode())});\n"
                f"    {codec}::bw_write(bw_out, bw_record.{name});"
                for name, codec in zip(names, codecs, strict=True)
            ),
            "  }",
            "};",
        ]
    )
