"""What is compiled together with a Rust function: a copy of its crate's files that exports it, and the codec.

Rust lets only a function's own module see it, and a struct's own module its fields. So the code that reads and writes
them is put at the end of these modules: in copies, on the line of the last brace, so that all line numbers stay. Paths
that start at a file's folder are made absolute there. The recipe tells rustc to name the copies like the user's files.
"""

from __future__ import annotations

import importlib.resources
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from batchwasm.functions.rust_cargo import Root
from batchwasm.functions.rust_crate import Crate, File, Item, Module, plain, text_of
from batchwasm.functions.rust_types import lifetimes
from batchwasm.functions.signature import Signature
from batchwasm.functions.types import Record, records

FOLDER = "batchwasm-function"
"""Holds all that is generated. A recipe knows by this name which of the files that a compiler has read are copies."""
PLAN = "plan.json"
"""What the recipe must know; its keys are `root` (the copy of the crate's first file, in FOLDER/crate), `folder` (that
of the original, relative to the source's) and `target` (how cargo is told which crate it is)."""
_INCLUDE = re.compile(rb"\binclude(?:_str|_bytes)?\s*!\s*[(\[{]")


@dataclass(frozen=True)
class Edit:
    start: int
    end: int
    text: str


def files(
    root: Root, crate: Crate, function: Item, signature: Signature, structs: Mapping[str, Item], folder: Path
) -> dict[str, str]:
    """Text by path. `structs` has the records' structs by name, `folder` is the source's."""
    edits: dict[Path, list[Edit]] = defaultdict(list)
    for item, text in _implementations(signature, structs):
        edits[item.module.file.path].append(_at_end(item.module, text))
    edits[function.module.file.path].append(_at_end(function.module, _export(function, signature, root.edition)))
    edits[root.path].append(_at_end(crate.root, '#[path = "../codec.rs"] mod __bw;'))
    for file in crate.files.values():
        edits[file.path] += _includes(file)
    for file, node, target in crate.outside:
        edits[file.path].append(Edit(node.start_byte, node.end_byte, _escaped(str(target))))
    plan = {
        "root": root.path.name,
        "folder": Path(os.path.relpath(crate.folder, folder)).as_posix(),
        "target": root.target,
    }
    return {
        PLAN: json.dumps(plan),
        f"{FOLDER}/codec.rs": _for_edition(_shipped("codec.rs"), root.edition),
        f"{FOLDER}/cargo-rustc.sh": _shipped("cargo-rustc.sh"),
        **{f"{FOLDER}/crate/{file.place}": _edited(file, edits[file.path]) for file in crate.files.values()},
    }


def _shipped(name: str) -> str:
    return importlib.resources.files(__package__).joinpath("glue", name).read_text(encoding="utf-8")


def _for_edition(text: str, edition: str) -> str:
    """From 2024 on, what can break a program's safety is marked so, in words that older compilers don't know."""
    if int(edition) < 2024:
        return text
    return re.sub(r"#\[((?:no_mangle|export_name)[^\]]*)\]", r"#[unsafe(\1)]", text).replace(
        '\nextern "C" {', '\nunsafe extern "C" {'
    )


def _export(function: Item, signature: Signature, edition: str) -> str:
    """`bw_call`: reads the arguments, calls the function, writes what it gives."""
    names = [f"a{number}" for number, _ in enumerate(signature.params)]
    reads = [
        f'let {name} = input.argument("{param.name}")?;' for name, param in zip(names, signature.params, strict=True)
    ]
    called = f"self::{text_of(function.node.child_by_field_name('name'))}({', '.join(names)})"
    if signature.raises:
        write = (
            f"match {called} {{ crate::__bw::Ok(value) => crate::__bw::Encode::encode(&value, output), "
            "crate::__bw::Err(error) => { use crate::__bw::{ByDebug, ByDisplay, ByNothing}; "
            "crate::__bw::raised((&&&crate::__bw::Failed(&error)).text(), output) } }"
        )
    else:
        write = f"crate::__bw::Encode::encode(&{called}, output);"
    text = (
        '#[export_name = "bw_call"] pub extern "C" fn __bw_call(at: usize, size: usize) -> u64 { '
        f"crate::__bw::call(at, size, |input, output| {{ input.arguments({len(names)})?; {' '.join(reads)} "
        f"input.end()?; {write} crate::__bw::Ok(()) }}) }}"
    )
    return _for_edition(text, edition)


def _implementations(signature: Signature, structs: Mapping[str, Item]) -> Iterator[tuple[Item, str]]:
    """How records are read, for those in parameters, and written, for those in the result."""
    for record in records(tuple(param.type for param in signature.params)).values():
        yield structs[record.name], _decode(structs[record.name], record)
    for record in records((signature.result,) if signature.result is not None else ()).values():
        yield structs[record.name], _encode(structs[record.name], record)


def _type(item: Item) -> str:
    """The struct's name; all its lifetimes are that of the call."""
    count = lifetimes(item)
    return text_of(item.node.child_by_field_name("name")) + ("<" + ", ".join(["'bw"] * count) + ">" if count else "")


def _decode(item: Item, record: Record) -> str:
    fields = list(enumerate(_fields(item)))
    name = "<Self as crate::__bw::Decode<'bw>>::name"
    starts = " ".join(f"let mut f{number} = crate::__bw::None;" for number, _ in fields)
    reads = " ".join(f'"{plain(field)}" => f{number} = crate::__bw::Some(input.value()?),' for number, field in fields)
    values = ", ".join(
        f'{field}: crate::__bw::present(f{number}, "{plain(field)}", {name})?' for number, field in fields
    )
    return (
        f"impl<'bw> crate::__bw::Decode<'bw> for {_type(item)} {{ "
        f'fn name(out: &mut crate::__bw::String) {{ out.push_str("{record.name}"); }} '
        "fn decode(input: &mut crate::__bw::Input<'bw>) -> crate::__bw::Result<Self, crate::__bw::Error> { "
        f"{starts} input.record({name}, &mut |input, key| {{ match key {{ {reads} "
        "_ => return crate::__bw::Ok(false) } crate::__bw::Ok(true) })?; "
        f"crate::__bw::Ok({text_of(item.node.child_by_field_name('name'))} {{ {values} }}) }} }}"
    )


def _encode(item: Item, record: Record) -> str:
    fields = _fields(item)
    writes = " ".join(f'crate::__bw::field("{plain(field)}", &self.{field}, out);' for field in fields)
    return (
        f"impl<'bw> crate::__bw::Encode for {_type(item)} {{ fn encode(&self, out: &mut crate::__bw::Vec<u8>) {{ "
        f"crate::__bw::record({len(record.fields)}, out); {writes} }} }}"
    )


def _fields(item: Item) -> list[str]:
    """As they are written, raw names with their mark."""
    body = item.node.child_by_field_name("body")
    return [
        text_of(child.child_by_field_name("name"))
        for child in (body.named_children if body else ())
        if child.type == "field_declaration"
    ]


def _at_end(module: Module, text: str) -> Edit:
    """In a file on lines of its own: the last one may be a comment. Else on the line of the brace."""
    if module.body.type == "source_file":
        return Edit(len(module.file.text), len(module.file.text), f"\n{text}")
    return Edit(module.body.end_byte - 1, module.body.end_byte - 1, f" {text} ")


def _includes(file: File) -> Iterator[Edit]:
    """What include!, include_str! and include_bytes! name starts at the file's folder, which the copy is not in."""
    for found in _INCLUDE.finditer(file.text):
        leaf = file.tree.descendant_for_byte_range(found.start(), found.start() + 1)
        opening = file.tree.descendant_for_byte_range(found.end() - 1, found.end())
        tokens = opening.parent if opening is not None else None
        if leaf is None or leaf.type != "identifier" or tokens is None or tokens.type != "token_tree":
            continue  # in a comment or a string
        inner = file.text[found.end() : tokens.end_byte - 1]
        if b"env!" in inner or re.match(rb'\s*r?#*"/', inner):
            continue  # absolute already
        yield Edit(found.end(), found.end(), f'concat!("{_escaped(str(file.path.parent))}/", ')
        yield Edit(tokens.end_byte - 1, tokens.end_byte - 1, ")")


def _escaped(text: str) -> str:
    """For a literal of Rust."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")


def _edited(file: File, edits: list[Edit]) -> str:
    out, at = [], 0
    for edit in sorted(edits, key=lambda edit: edit.start):
        out += [file.text[at : edit.start], edit.text.encode("utf-8", "surrogateescape")]
        at = edit.end
    return b"".join([*out, file.text[at:]]).decode("utf-8", "surrogateescape")
