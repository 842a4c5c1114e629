"""Generates what is compiled together with a Go function: files of its own package that decode, call and encode.

Each is put beside the user's files by go's -overlay, so the user's folder is not touched and the compiler's errors name
the user's own lines. Everything generated is called bw_something.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

from batchwasm.functions.go_package import Package
from batchwasm.functions.go_signature import Function
from batchwasm.functions.go_types import Shape
from batchwasm.functions.types import Bool, Bytes, Float, Int, List, Map, Record, String, Type
from batchwasm.model import Glue, Source

FIRST = "//go:build go1.24\n\n"
"""The module may say `go 1.16`: this lets the generated files use today's language."""
ARRAY_TAGS: dict[Type, int] = {
    **{Int(bits, False): tag for bits, tag in ((16, 69), (32, 70), (64, 71))},
    **{Int(bits, True): tag for bits, tag in ((8, 72), (16, 77), (32, 78), (64, 79))},
    Float(32): 85,
    Float(64): 86,
}
"""RFC 8746, little-endian."""


def make(source: Source, function: Function) -> Glue:
    """Of the files, `build.json` is for the toolchain; the others lie at that path relative to its folder."""
    folder = source.paths[0] if source.paths[0].is_dir() else source.paths[0].parent
    inside = function.file.parent.relative_to(folder)
    package = function.package
    is_program = package.name == "main"
    name = package.name if is_program or source.paths[0].is_dir() else "main"
    start = f"{FIRST}package {name}\n\n"
    files = {
        (inside / "batchwasm_codec.go").as_posix(): _codec().replace("package main\n", f"package {name}\n", 1),
        (inside / "batchwasm_glue.go").as_posix(): start + "".join(_glue(function)),
    }
    if name != "main":
        main = inside / "batchwasm_main"
        files[(main / "main.go").as_posix()] = (
            f"package main\n\nimport _ {json.dumps(function.path)}\n\nfunc main() {{}}\n"
        )
        what = [f"./{main.as_posix()}"]
    elif source.paths[0].is_dir():
        what = [f"./{inside.as_posix()}"]
    else:
        what = [f"./{path}" for path in sorted({*files, function.file.name})]
        if not is_program:
            files[function.file.name] = _as_program(function.file, package)
    if name == "main" and "main" not in package.functions:
        files[(inside / "batchwasm_glue.go").as_posix()] += "\nfunc main() {}\n"
    # go's linker calls the program's own package main whatever its path is.
    recipe = {"build": what, "package": "main" if name == "main" else function.path}
    return Glue(files={**files, "build.json": json.dumps(recipe)}, path=function.file)


def _codec() -> str:
    return resources.files("batchwasm.functions").joinpath("glue/codec.go").read_text("utf-8")


def _as_program(file: Path, package: Package) -> str:
    """The user's file as part of a program; its lines stay where they are."""
    data, clause = file.read_bytes(), package.clauses[file]
    return (data[: clause.start_byte] + b"main" + data[clause.end_byte :]).decode("utf-8", "surrogateescape")


def _glue(function: Function) -> Iterator[str]:
    numbers = {shape.go: place for place, shape in enumerate(_shapes((*function.params, *function.results)))}
    taken, given = _shapes(function.params), _shapes(function.results)
    yield from _call(function, numbers)
    for shape in taken:
        yield "\n" + _getter(shape, numbers)
    for shape in given:
        yield "\n" + _putter(shape, numbers)


def _shapes(roots: Sequence[Shape]) -> list[Shape]:
    """All types in these types, each once."""
    found: dict[str, Shape] = {}
    for shape in roots:
        found |= {part.go: part for part in _shapes(shape.parts)}
        found[shape.go] = shape
    return list(found.values())


def _call(function: Function, numbers: dict[str, int]) -> Iterator[str]:
    params, results = function.signature.params, function.results
    yield "//go:wasmexport bw_call\nfunc bw_call(at, size uint32) uint64 {\n\tbw_from := bw_open(at, size)\n"
    for place, shape in enumerate(function.params):
        yield f"\tvar bw_a{place} {shape.go}\n"
    yield f"\tif !bw_from.start({len(params)}) ||\n"
    for place, (param, shape) in enumerate(zip(params, function.params, strict=True)):
        name = json.dumps(param.name, ensure_ascii=False)
        yield f"\t\t!(bw_get_{numbers[shape.go]}(&bw_from, &bw_a{place}) || bw_from.inside({name})) ||\n"
    yield '\t\t!bw_from.end() {\n\t\treturn bw_error("argument", bw_from.told())\n\t}\n'
    given = [f"bw_r{place}" for place in range(len(results))]
    left = ", ".join([*given, *(["bw_err"] if function.signature.raises else [])])
    arguments = ", ".join(f"bw_a{place}" for place in range(len(params)))
    yield f"\t{left}{' := ' if left else ''}{function.name}({arguments})\n"
    if function.signature.raises:
        yield '\tif bw_err != nil {\n\t\treturn bw_error("raised", bw_err.Error())\n\t}\n'
    yield "\tbw_out := bw_answer[:0]\n"
    if not results:
        yield "\tbw_out = append(bw_out, bw_null)\n"
    elif len(results) > 1:
        yield f"\tbw_out = bw_put_head(bw_out, bw_array, {len(results)})\n"
    for name, shape in zip(given, results, strict=True):
        yield f"\tbw_out = bw_put_{numbers[shape.go]}(bw_out, {name})\n"
    yield "\treturn bw_give(bw_out)\n}\n"


# ---- a type's functions --------------------------------------------------------------------------------------------


def _getter(shape: Shape, numbers: dict[str, int]) -> str:
    head = f"func bw_get_{numbers[shape.go]}(from *bw_in, to *{shape.go}) bool {{\n"
    kind = json.dumps(str(shape.type), ensure_ascii=False)
    item = f"bw_get_{numbers[shape.parts[0].go]}" if shape.parts else ""
    match shape.type:
        case Record(name, fields):
            return head + _record_getter(name, fields, shape, numbers)
        case Bool():
            body = "bw_get_bool(from, to)"
        case String():
            body = "bw_get_string(from, to)"
        case Bytes():
            body = f"bw_get_bytes(from, to, {item})"
        case Int():
            body = f"bw_get_int(from, to, {kind})"
        case Float():
            body = f"bw_get_float(from, to, {kind})"
        case List(Int() | Float() as number):
            body = f"bw_get_numbers(from, to, {kind}, {ARRAY_TAGS[number]}, {item})"
        case List(part):
            body = f"bw_get_list(from, to, {kind}, {least(part)}, {item})"
        case Map(part):
            body = f"bw_get_map(from, to, {kind}, {1 + least(part)}, {item})"
        case _:
            body = f"bw_get_option(from, to, {item})"
    return f"{head}\treturn {body}\n}}\n"


def _record_getter(name: str, fields: tuple[tuple[str, Type], ...], shape: Shape, numbers: dict[str, int]) -> str:
    cases = "".join(
        f"\t\tcase {json.dumps(field, ensure_ascii=False)}:\n"
        f"\t\t\tif !bw_get_{numbers[part.go]}(from, &to.{field}) {{\n"
        f"\t\t\t\treturn from.inside({json.dumps('.' + field, ensure_ascii=False)})\n\t\t\t}}\n"
        f"\t\t\tseen[{place}] = true\n"
        for place, ((field, _), part) in enumerate(zip(fields, shape.parts, strict=True))
    )
    texts = ", ".join(json.dumps(f"{field} ({kind})", ensure_ascii=False) for field, kind in fields)
    quoted, names = (
        json.dumps(name, ensure_ascii=False),
        json.dumps(", ".join(x for x, _ in fields), ensure_ascii=False),
    )
    return (
        f"\tvar seen [{len(fields)}]bool\n"
        f"\tcount, ok := from.count(bw_map, {quoted})\n"
        "\tfor ; ok && count > 0; count-- {\n"
        "\t\tvar key []byte\n"
        '\t\tif key, ok = from.text("a field\'s name"); !ok {\n\t\t\tbreak\n\t\t}\n'
        f"\t\tswitch string(key) {{\n{cases}"
        f"\t\tdefault:\n\t\t\treturn from.no_field({quoted}, key, {names})\n\t\t}}\n\t}}\n"
        f"\treturn ok && from.all(seen[:], {quoted}, []string{{{texts}}})\n}}\n"
    )


def _putter(shape: Shape, numbers: dict[str, int]) -> str:
    head = f"func bw_put_{numbers[shape.go]}(out []byte, value {shape.go}) []byte {{\n"
    item = f"bw_put_{numbers[shape.parts[0].go]}" if shape.parts else ""
    match shape.type:
        case Record(_, fields):
            puts = "".join(
                f"\tout = bw_put_string(out, {json.dumps(field, ensure_ascii=False)})\n"
                f"\tout = bw_put_{numbers[part.go]}(out, value.{field})\n"
                for (field, _), part in zip(fields, shape.parts, strict=True)
            )
            return f"{head}\tout = bw_put_head(out, bw_map, {len(fields)})\n{puts}\treturn out\n}}\n"
        case Bool():
            body = "bw_put_bool(out, value)"
        case String():
            body = "bw_put_string(out, value)"
        case Bytes():
            body = "bw_put_bytes(out, value)"
        case Int(_, True):
            body = "bw_put_int(out, int64(value))"
        case Int():
            body = "bw_put_head(out, bw_unsigned, uint64(value))"
        case Float(bits):
            body = f"bw_put_f{bits}(out, value)"
        case List(Int() | Float() as number):
            body = f"bw_put_numbers(out, value, {ARRAY_TAGS[number]})"
        case List():
            body = f"bw_put_list(out, value, {item})"
        case Map():
            body = f"bw_put_map(out, value, {item})"
        case _:
            body = f"bw_put_option(out, value, {item})"
    return f"{head}\treturn {body}\n}}\n"


def least(kind: Type) -> int:
    """The fewest bytes that a value can be sent in: more values than that than there are bytes can't come."""
    match kind:
        case Record(_, fields):
            return 1 + sum(1 + len(name.encode()) + least(type_) for name, type_ in fields)
        case _:
            return 1
