"""C++ classes: whether one is a plain struct, and its fields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tree_sitter import Node

from batchwasm.functions.c_source import Spelled, line_of, name_in, spelled, text_of


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    spelled: Spelled
    node: Node


def not_plain(made: Node) -> Iterator[str]:
    """Why values of this class can't be made of their fields alone."""
    if any(child.type == "base_class_clause" for child in made.children):
        yield "has a base class"
    for member, access in _members(made):
        line = f"(line {line_of(member)})"
        if any(child.type == "virtual" for child in member.children):
            yield f"has a virtual function {line}"
        elif _is_constructor(made, member):
            yield f"has a constructor {line}"
        elif access != "public" and _fields_of(member):
            yield f"has {access} fields {line}"
        elif _is_unnamed(member):
            yield f"has an unnamed struct or union in it {line}"
        elif any(child.type == "bitfield_clause" for child in member.children):
            yield f"has a bit field {line}"


def fields(made: Node) -> list[Field]:
    """Those that each of its values has, in their order."""
    return [field for member, _ in _members(made) for field in _fields_of(member)]


def _members(made: Node) -> Iterator[tuple[Node, str]]:
    access = "private" if made.type == "class_specifier" else "public"
    body = made.child_by_field_name("body")
    for child in body.named_children if body is not None else ():
        if child.type == "access_specifier":
            access = text_of(child)
        elif child.type == "template_declaration":
            yield child.named_children[-1], access
        else:
            yield child, access


def _is_constructor(made: Node, member: Node) -> bool:
    name = made.child_by_field_name("name")
    if name is None or member.child_by_field_name("type") is not None:
        return False
    own = name_in(member.child_by_field_name("declarator"))
    return own is not None and text_of(own) == text_of(name)


def _fields_of(member: Node) -> list[Field]:
    if member.type != "field_declaration" or any(text_of(child) == "static" for child in member.children):
        return []
    found = []
    for declarator in member.children_by_field_name("declarator"):
        name, type_ = name_in(declarator), spelled(member, declarator)
        if name is not None and not ("()" in type_.layers and _is_function(declarator)):
            found.append(Field(text_of(name), type_, declarator))
    return found


def _is_function(declarator: Node) -> bool:
    """A method, not a pointer to a function."""
    at: Node | None = declarator
    while at is not None and at.type != "function_declarator":
        at = at.named_children[-1] if at.named_children else None
    inner = at.child_by_field_name("declarator") if at is not None else None
    return inner is not None and inner.type in ("field_identifier", "identifier", "operator_name", "destructor_name")


def _is_unnamed(member: Node) -> bool:
    kind = member.child_by_field_name("type")
    return (
        member.type == "field_declaration"
        and kind is not None
        and kind.type in ("struct_specifier", "union_specifier")
        and kind.child_by_field_name("name") is None
    )
