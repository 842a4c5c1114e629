"""What the names of types mean in a C or C++ file: its classes, enums and aliases, those of headers beside it too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tree_sitter import Language, Node, Parser

from batchwasm.functions.c_source import (
    CLASSES,
    File,
    Scope,
    Spelled,
    declared,
    included,
    macros,
    name_in,
    parse_file,
    path_of,
    spelled,
    text_of,
)

KINDS = {"enum_specifier": "enum", "union_specifier": "union", "struct_specifier": "class", "class_specifier": "class"}


@dataclass(frozen=True, slots=True)
class Meaning:
    """Of a name."""

    kind: str
    """alias, class, enum, union, template."""
    path: Scope
    scope: Scope
    """Where it stands, from where names in it are looked up."""
    file: File
    node: Node
    spelled: Spelled | None = None
    """What an alias stands for."""


@dataclass(slots=True)
class Names:
    language: Language
    named: dict[Scope, Meaning] = field(default_factory=dict)
    opened: list[Scope] = field(default_factory=list)
    """`using namespace`."""

    @classmethod
    def of(cls, language: Language, file: File, folders: Sequence[Path]) -> Names:
        """`folders` are where headers are looked for beside the file's own; those that are not found are not ours."""
        names = cls(language)
        names._add(file, folders, {file.path})
        return names

    def find(self, path: Scope, scope: Scope) -> Meaning | None:
        """What a name means that is used in `scope`."""
        if path[:1] == ("",):
            path, scope = path[1:], ()
        outwards = [(*scope[:depth], *path) for depth in range(len(scope), -1, -1)]
        for full in (*outwards, *((*opened, *path) for opened in self.opened)):
            if full in self.named:
                return self.named[full]
        return None

    def _add(self, file: File, folders: Sequence[Path], seen: set[Path]) -> None:
        for name in included(file.root):
            for folder in (file.path.parent, *folders):
                header = folder / name
                if header not in seen and header.is_file():
                    seen.add(header)
                    self._add(parse_file(self.language, header, name), folders, seen)
                    break
        for name, value in macros(file.root):
            self._add_macro(file, name, value)
        for each in declared(file.root):
            self._collect(file, each.node, each.scope, each.template)

    def _add_macro(self, file: File, name: str, value: Node) -> None:
        """`#define real double`"""
        root = Parser(self.language).parse(f"typedef {text_of(value)} type;".encode()).root_node
        definition = root.named_children[0]
        declarator = definition.child_by_field_name("declarator")
        if definition.type == "type_definition" and not root.has_error and declarator is not None:
            self.named[(name,)] = Meaning("alias", (name,), (), file, value, spelled(definition, declarator))

    def _collect(self, file: File, node: Node, scope: Scope, template: bool = False) -> None:
        for meaning in self._declared_by(file, node, scope):
            outer = node.parent if template and node.parent is not None else node
            known = Meaning("template", meaning.path, scope, file, outer) if template else meaning
            self.named.setdefault(meaning.path, known)
        made = node if node.type in CLASSES else node.child_by_field_name("type")
        if made is not None and made.type in CLASSES:
            name, body = made.child_by_field_name("name"), made.child_by_field_name("body")
            if name is not None and body is not None:
                for child in body.named_children:
                    self._collect(file, child, (*scope, *path_of(name)))

    def _declared_by(self, file: File, node: Node, scope: Scope) -> Iterator[Meaning]:
        made = node if node.type in KINDS else node.child_by_field_name("type")
        name = made.child_by_field_name("name") if made is not None else None
        if made is not None and made.type in KINDS and name is not None and _has_body(made):
            yield Meaning(KINDS[made.type], (*scope, *path_of(name)), scope, file, made)
        if node.type == "alias_declaration":
            yield from _alias(file, node, scope)
        elif node.type == "type_definition":
            yield from _typedefs(file, node, scope)
        elif node.type == "using_declaration":
            path = path_of(node.named_children[-1])
            if any(child.type == "namespace" for child in node.children):
                self.opened.append(path)
            elif path[0] != "std" and len(path) > 1:
                meant = Spelled(("", *path), None, False, (), "::".join(path), node)
                yield Meaning("alias", (*scope, path[-1]), scope, file, node, meant)


def _has_body(made: Node) -> bool:
    return made.child_by_field_name("body") is not None


def _alias(file: File, node: Node, scope: Scope) -> Iterator[Meaning]:
    name, descriptor = node.child_by_field_name("name"), node.child_by_field_name("type")
    if name is not None and descriptor is not None:
        meant = spelled(descriptor, descriptor.child_by_field_name("declarator"))
        yield Meaning("alias", (*scope, text_of(name)), scope, file, node, meant)


def _typedefs(file: File, node: Node, scope: Scope) -> Iterator[Meaning]:
    made = node.child_by_field_name("type")
    unnamed = made is not None and made.type in KINDS and made.child_by_field_name("name") is None
    for declarator in node.children_by_field_name("declarator"):
        name = name_in(declarator)
        if name is None or made is None:
            continue
        path = (*scope, text_of(name))
        if unnamed and name == declarator:
            yield Meaning(KINDS[made.type], path, scope, file, made)
        else:
            yield Meaning("alias", path, scope, file, node, spelled(node, declarator))
