"""Rust's functions: the signature out of a file or a Cargo project, and what is compiled with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tree_sitter import Node

from batchwasm.functions import rust_glue
from batchwasm.functions.problems import NoFunction, no_such
from batchwasm.functions.rust_cargo import Root, roots
from batchwasm.functions.rust_crate import Crate, File, Item, Names, plain, read_crate, text_of
from batchwasm.functions.rust_types import Types, flat, generics
from batchwasm.functions.signature import Param, Signature
from batchwasm.model import Glue, Source

INSTEAD = {
    "async": "is async; write a function that runs to its end",
    "unsafe": "is unsafe; write a safe function that calls it",
    "extern": "is extern; write a plain fn, what is exported is made for it",
}
"""Modifiers that a function must not have."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """The function, and the crate that it is in."""

    root: Root
    crate: Crate
    names: Names
    item: Item
    name: str
    """As the user calls it, which may be by a `use`."""


def read(source: Source) -> Signature:
    found = _find(source)
    return _signature(found, Types(found.names, found.item))


def make_glue(source: Source, signature: Signature) -> Glue:
    found = _find(source)
    types = Types(found.names, found.item)
    _signature(found, types)
    files = rust_glue.files(found.root, found.crate, found.item, signature, types.structs, _folder(source))
    return Glue(files=files, path=found.item.module.file.path)


def _folder(source: Source) -> Path:
    path = source.paths[0]
    return path if path.is_dir() else path.parent


def _find(source: Source) -> Found:
    """Raises NoFunction where it is not there, or several are."""
    assert source.function is not None
    path = tuple(plain(part.strip()) for part in source.function.removeprefix("crate::").split("::"))
    looked: list[Names] = []
    for root in roots(source):
        crate = read_crate(root.path)
        names = Names(crate, _folder(source))
        items = names.items(path, crate.root, functions=True)
        if len(items) > 1:
            raise _several(names, items)
        if items:
            return Found(root=root, crate=crate, names=names, item=items[0], name="::".join(path))
        looked.append(names)
    raise _none("::".join(path), looked)


def _several(names: Names, items: list[Item]) -> NoFunction:
    lines = " and ".join(f"{names.title(item.module.file)}:{item.line}" for item in items)
    name = items[0].path
    return NoFunction(
        [f"{lines}: there are {len(items)} functions {name}, of which #[cfg] chooses; rename all but one"]
    )


def _none(name: str, looked: list[Names]) -> NoFunction:
    """A method of that name, or the names that there are; those that end alike before others."""
    modules = [(names, module) for names in looked for module in names.crate.root.walk()]
    for names, module in modules:
        owner = module.methods.get(name)
        if owner is not None:
            where = names.title(module.file)
            return NoFunction([f"{where}: {name} is a function of {owner}; write one outside of impl that calls it"])
    there = [item.path for _, module in modules for items in module.functions.values() for item in items]
    alike = [each for each in there if each.split("::")[-1] == name.split("::")[-1]]
    where = " ".join(names.title(names.crate.root.file) for names in looked)
    if alike:
        return NoFunction([f"{where}: there is no function {name}; did you mean {' or '.join(alike[:3])}?"])
    missing = no_such(name, where, there)
    unread = [
        f"{names.title(file)}:{line}" for names in looked for file in names.crate.files.values() for line in _bad(file)
    ]
    if unread:
        return NoFunction([f"{missing}; {unread[0]} is not Rust that can be read, so more may be there"])
    return missing


def _bad(file: File) -> list[int]:
    """The first line that the parser made nothing of."""
    node = file.tree
    while node.has_error:
        inner = next((child for child in node.children if child.has_error or child.is_missing), None)
        if inner is None or node.is_error:
            break
        node = inner
    return [node.start_point.row + 1] if file.tree.has_error else []


def _signature(found: Found, types: Types) -> Signature:
    """Raises NoFunction with all that is wrong."""
    item, node = found.item, found.item.node
    _check(types, item)
    params = _params(types, item)
    result = node.child_by_field_name("return_type")
    kind, raises = types.result(result) if result is not None else (None, False)
    if types.problems:
        raise NoFunction(types.problems)
    return Signature(
        language="rust",
        name=found.name,
        params=tuple(params),
        result=kind,
        raises=raises,
        line=item.line,
        doc=_doc(item),
    )


def _check(types: Types, item: Item) -> None:
    """What is wrong with the function as a whole."""
    modifiers = [
        text for child in item.node.children if child.type == "function_modifiers" for text in flat(child).split()
    ]
    for modifier, instead in INSTEAD.items():
        if modifier in modifiers:
            types.tell(item.node, item.module, instead)
    params = generics(item)
    if params:
        types.tell(item.node, item.module, f"is generic ({', '.join(params)}); write a function for the types you need")
    for name in ("parameters", "return_type"):
        part = item.node.child_by_field_name(name)
        if part is not None and part.has_error:
            types.tell(part, item.module, f"can't be read: {flat(part)} is not Rust")


def _params(types: Types, item: Item) -> list[Param]:
    params: list[Param] = []
    listed = item.node.child_by_field_name("parameters")
    for child in listed.named_children if listed else ():
        pattern, kind = child.child_by_field_name("pattern"), child.child_by_field_name("type")
        if child.type == "self_parameter" or (pattern is not None and pattern.type == "self"):
            types.tell(child, item.module, "takes self, so it is a method; write a function that takes the value")
        elif child.type == "parameter" and kind is not None:
            name = _name(pattern, len(params) + 1)
            read = types.param(kind, name)
            params += [Param(name=name, type=read)] if read is not None else []
    return params


def _name(pattern: Node | None, number: int) -> str:
    """What is taken apart has no name of its own."""
    return plain(text_of(pattern)) if pattern is not None and pattern.type == "identifier" else f"arg{number}"


def _doc(item: Item) -> str:
    """The doc comments before the function, without their marks and common blanks."""
    lines: list[str] = []
    for node in item.attributes:
        doc = node.child_by_field_name("doc") if node.child_by_field_name("outer") else None
        said = text_of(doc).removesuffix("\n").split("\n") if doc is not None else []
        lines += [re.sub(r"^\s*(\* ?)?", " ", line) for line in said] if node.type == "block_comment" else said
    blanks = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join(line[blanks:].rstrip() for line in lines).strip("\n")
