"""The module tree of a Rust crate: which files belong to it, what each module has by which name. Reads files only.

It is read as far as calling a function needs: functions, structs and type aliases, `use`, and `mod` in a file, in a
file of its own, or among a macro's tokens. What a macro makes is not seen.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import tree_sitter_rust
from tree_sitter import Language, Node, Parser

_RUST = Language(tree_sitter_rust.language())
_MOD_IN_MACRO = re.compile(rb"\bmod\s+(?:r#)?(\w+)\s*;")
ITEMS = {
    "struct_item": "struct",
    "enum_item": "enum",
    "union_item": "union",
    "trait_item": "trait",
    "type_item": "type",
}
"""Kinds of what a type's name may stand for, by the parser's name."""


@dataclass(frozen=True, kw_only=True, eq=False)
class File:
    path: Path
    """Absolute."""
    place: str
    """Relative to the folder of the crate's root file, with slashes."""
    text: bytes
    tree: Node


@dataclass(frozen=True, kw_only=True, eq=False)
class Item:
    """A function or a type, with the attributes that stand before it."""

    kind: str
    """`fn` or one of ITEMS."""
    name: str
    node: Node
    module: Module
    attributes: tuple[Node, ...]
    """And doc comments, in order."""

    @property
    def line(self) -> int:
        return int(self.node.start_point.row) + 1

    @property
    def path(self) -> str:
        """As it is called from the crate's root: `geo::Point`."""
        return "::".join((*self.module.path, self.name))


@dataclass(frozen=True, kw_only=True, eq=False)
class Use:
    """A name that `use` brings in; of `use a::*` the name is `*`."""

    name: str
    path: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Module:
    path: tuple[str, ...]
    """Names from the crate's root, which is ()."""
    file: File
    body: Node
    """The file, or what is between the braces."""
    folder: Path
    """Where the files of its modules are."""
    parent: Module | None
    modules: dict[str, list[Module]] = field(default_factory=dict)
    """More than one where #[cfg] chooses."""
    functions: dict[str, list[Item]] = field(default_factory=dict)
    types: dict[str, list[Item]] = field(default_factory=dict)
    uses: list[Use] = field(default_factory=list)
    methods: dict[str, str] = field(default_factory=dict)
    """Functions of impl blocks, `Point::area` and `area`, with the type as it is written there."""

    def walk(self) -> Iterator[Module]:
        yield self
        for modules in self.modules.values():
            for module in modules:
                yield from module.walk()


@dataclass(frozen=True, kw_only=True, eq=False)
class Crate:
    root: Module
    folder: Path
    """Of the root file."""
    files: dict[Path, File]
    """Those within `folder`; others, that a #[path] outside leads to, are left where they are."""
    outside: list[tuple[File, Node, Path]]
    """Such a #[path]: the file that has it, its text, and where it leads."""


def text_of(node: Node | None) -> str:
    return "" if node is None or node.text is None else node.text.decode("utf-8", "surrogateescape")


def plain(name: str) -> str:
    """A name without the mark of a raw one: `r#type` is called `type`."""
    return name.removeprefix("r#")


def read_crate(root: Path) -> Crate:
    """The crate whose root is this file. Raises OSError where it can't be read."""
    return _Reader(root).crate


class _Reader:
    def __init__(self, root: Path) -> None:
        self.folder = root.parent
        self.files: dict[Path, File] = {}
        self.outside: list[tuple[File, Node, Path]] = []
        file = self.file(root)
        module = Module(path=(), file=file, body=file.tree, folder=self.folder, parent=None)
        self.fill(module)
        self.crate = Crate(root=module, folder=self.folder, files=self.files, outside=self.outside)

    def file(self, path: Path) -> File:
        text = path.read_bytes()
        place = path.relative_to(self.folder).as_posix()
        self.files[path] = File(path=path, place=place, text=text, tree=Parser(_RUST).parse(text).root_node)
        return self.files[path]

    def fill(self, module: Module) -> None:
        attributes: list[Node] = []
        for node in module.body.named_children:
            if node.type in ("attribute_item", "line_comment", "block_comment"):
                attributes.append(node)
                continue
            if not any(re.search(r"\bcfg\s*\(\s*test\s*\)", text_of(each)) for each in attributes):
                self.take(module, node, attributes)
            attributes = []

    def take(self, module: Module, node: Node, attributes: list[Node]) -> None:
        name = plain(text_of(node.child_by_field_name("name")))
        if node.type == "function_item":
            item = Item(kind="fn", name=name, node=node, module=module, attributes=tuple(attributes))
            module.functions.setdefault(name, []).append(item)
        elif node.type in ITEMS:
            item = Item(kind=ITEMS[node.type], name=name, node=node, module=module, attributes=tuple(attributes))
            module.types.setdefault(name, []).append(item)
        elif node.type == "use_declaration":
            module.uses.extend(_uses(node.child_by_field_name("argument"), ()))
        elif node.type == "mod_item":
            self.module(module, name, node, _path_attribute(attributes))
        elif node.type in ("macro_invocation", "expression_statement"):
            for found in _MOD_IN_MACRO.finditer(node.text or b""):
                leaf = node.descendant_for_byte_range(node.start_byte + found.start(), node.start_byte + found.start())
                if leaf is not None and leaf.type == "mod":
                    self.module_file(module, found[1].decode())
        elif node.type == "impl_item":
            owner = text_of(node.child_by_field_name("type"))
            body = node.child_by_field_name("body")
            for method in body.named_children if body else ():
                if method.type == "function_item":
                    called = plain(text_of(method.child_by_field_name("name")))
                    module.methods.update({called: owner, f"{owner.split('<')[0]}::{called}": owner})

    def module(self, parent: Module, name: str, node: Node, path: Node | None) -> None:
        body = node.child_by_field_name("body")
        if body is not None:
            folder = parent.folder / (text_of(path) if path else name)
            module = Module(path=(*parent.path, name), file=parent.file, body=body, folder=folder, parent=parent)
            parent.modules.setdefault(name, []).append(module)
            self.fill(module)
        elif path is None:
            self.module_file(parent, name)
        else:
            # In an inline module it starts at the folder that has the module's files, else at the file's own.
            start = parent.file.path.parent if parent.body.type == "source_file" else parent.folder
            target = Path(os.path.normpath(start / text_of(path)))
            if target.is_relative_to(self.folder):
                self.load(parent, name, target, target.parent)
            else:
                self.outside.append((parent.file, path, target))

    def module_file(self, parent: Module, name: str) -> None:
        for path in (parent.folder / f"{name}.rs", parent.folder / name / "mod.rs"):
            if self.load(parent, name, path, parent.folder / name):
                return

    def load(self, parent: Module, name: str, path: Path, folder: Path) -> bool:
        """A file that is not there is left to #[cfg], or to rustc's own words."""
        if path in self.files or not path.is_file():
            return path in self.files
        file = self.file(path)
        module = Module(path=(*parent.path, name), file=file, body=file.tree, folder=folder, parent=parent)
        parent.modules.setdefault(name, []).append(module)
        self.fill(module)
        return True


def _path_attribute(attributes: list[Node]) -> Node | None:
    """The text of #[path = "..."]."""
    for node in attributes:
        attribute = node.named_child(0) if node.type == "attribute_item" else None
        value = attribute.child_by_field_name("value") if attribute else None
        if attribute and value and text_of(attribute.named_child(0)) == "path":
            return next((part for part in value.named_children if part.type == "string_content"), None)
    return None


def path_of(node: Node | None) -> tuple[str, ...]:
    """`std::io::Result` as its names; a leading `::` is ''."""
    if node is None:
        return ()
    if node.type in ("scoped_identifier", "scoped_type_identifier"):
        leading = () if node.child_by_field_name("path") else ("",)
        return (*leading, *path_of(node.child_by_field_name("path")), plain(text_of(node.child_by_field_name("name"))))
    return (plain(text_of(node)),)


def _uses(node: Node | None, before: tuple[str, ...]) -> Iterator[Use]:
    if node is None:
        return
    match node.type:
        case "scoped_use_list":
            path = (*before, *path_of(node.child_by_field_name("path")))
            for part in (node.child_by_field_name("list") or node).named_children:
                yield from _uses(part, path)
        case "use_list":
            for part in node.named_children:
                yield from _uses(part, before)
        case "use_as_clause":
            path = (*before, *path_of(node.child_by_field_name("path")))
            yield Use(name=plain(text_of(node.child_by_field_name("alias"))), path=path)
        case "use_wildcard":
            yield Use(name="*", path=(*before, *path_of(node.named_child(0))))
        case "self":
            yield Use(name=before[-1] if before else "self", path=before)
        case "identifier" | "scoped_identifier":
            path = (*before, *path_of(node))
            yield Use(name=path[-1], path=path)


class Names:
    """Finds what a path means in a module, through `use` and re-exports."""

    def __init__(self, crate: Crate, folder: Path) -> None:
        self.crate = crate
        self.folder = folder
        """Of the source; files are named from there."""

    def title(self, file: File) -> str:
        """The file as the user names it."""
        return os.path.relpath(file.path, self.folder)

    def items(self, path: tuple[str, ...], module: Module, *, functions: bool = False) -> list[Item]:
        """Functions or types of that name; several where #[cfg] chooses, none where the crate has none."""
        found = {
            item.node.id: item
            for where, name in self._places(path, module, set())
            for item in (where.functions if functions else where.types).get(name, [])
        }
        return list(found.values())

    def foreign(self, path: tuple[str, ...], module: Module) -> tuple[str, ...]:
        """The full path of what another crate has: `io::Result` is `std::io::Result` after `use std::io`."""
        for use in module.uses:
            if use.name == path[0] and use.path != path[:1]:
                return (*(part for part in use.path if part), *path[1:])
        return tuple(part for part in path if part)

    def _places(
        self, path: tuple[str, ...], module: Module, seen: set[tuple[int, tuple[str, ...]]]
    ) -> Iterator[tuple[Module, str]]:
        """Modules that may have the last name, and that name."""
        if (id(module), path) in seen or not path:
            return
        seen.add((id(module), path))
        match path:
            case ("crate", *rest):
                yield from self._places(tuple(rest), self.crate.root, seen)
                return
            case ("self", *rest):
                yield from self._places(tuple(rest), module, seen)
                return
            case ("super", *rest) if module.parent is not None:
                yield from self._places(tuple(rest), module.parent, seen)
                return
            case (name,):
                yield module, name
            case (name, *rest):
                for inner in module.modules.get(name, []):
                    yield from self._places(tuple(rest), inner, seen)
        for use in module.uses:
            if use.name in (path[0], "*"):
                longer = (*use.path, *(path if use.name == "*" else path[1:]))
                yield from self._places(longer, module, seen)
