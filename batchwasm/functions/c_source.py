"""Files of C and C++ as their parsers see them: what is declared in which namespace, types as they are written.

Says nothing of which types can be passed; c.py and cpp.py do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tree_sitter import Language, Node, Parser

from batchwasm.functions.c_numbers import canonical

Scope = tuple[str, ...]
"""Names of namespaces and classes, outermost first, without unnamed and inline namespaces: nobody writes those."""

CONDITIONALS = ("preproc_if", "preproc_ifdef", "preproc_elif", "preproc_elifdef", "preproc_else")
CLASSES = ("struct_specifier", "class_specifier", "union_specifier")
WRAPPERS = ("parenthesized_declarator", "attributed_declarator")
NAMES = (
    "identifier",
    "field_identifier",
    "type_identifier",
    "qualified_identifier",
    "operator_name",
    "destructor_name",
)


@dataclass(frozen=True, slots=True)
class File:
    path: Path
    shown: str
    """As messages name it: relative to the folder that all files of the source share."""
    root: Node

    def where(self, node: Node) -> str:
        return f"{self.shown}:{line_of(node)}"


@dataclass(frozen=True, slots=True)
class Spelled:
    """A type as it is written: `const std::vector<double> &`."""

    path: Scope
    """Its name, `("std", "vector")`; of a fundamental type one part, `unsigned long`; empty for what has no name."""
    args: tuple[Spelled | None, ...] | None
    """Of a template; None in it is an argument that is no type. None where it has none."""
    const: bool
    """What stands before all of `layers`."""
    layers: tuple[str, ...]
    """From the name outwards: `*`, `*const`, `&`, `&&`, `[]`, `()`."""
    text: str
    node: Node


@dataclass(frozen=True, slots=True)
class Declared:
    """Anything that stands in a file or a namespace."""

    node: Node
    scope: Scope
    template: bool = False
    outer: Node | None = None
    """What comments stand above: `template` or `extern "C"` before the node itself."""


@dataclass(frozen=True, slots=True)
class Function:
    file: File
    path: Scope
    """Its own name comes last."""
    kind: str
    """function, template, method, declared (has no body)."""
    node: Node
    declarator: Node
    """The part with name and parameters."""
    layers: tuple[str, ...]
    """Of the result: what stands between its type and the name."""
    outer: Node

    @property
    def name(self) -> str:
        return "::".join(self.path)

    @property
    def where(self) -> str:
        return self.file.where(self.declarator)


def text_of(node: Node) -> str:
    """On one line."""
    return " ".join((node.text or b"").decode(errors="replace").split())


def line_of(node: Node) -> int:
    return node.start_point[0] + 1


def parse(language: Language, paths: Sequence[Path]) -> list[File]:
    """Raises OSError for a file that can't be read."""
    folder = os.path.commonpath([path.parent for path in paths])
    return [parse_file(language, path, os.path.relpath(path, folder)) for path in paths]


def parse_file(language: Language, path: Path, shown: str) -> File:
    parser = Parser(language)
    text = path.read_bytes()
    root = parser.parse(text).root_node
    blanked = _without_empty_macros(root, text)
    return File(path=path, shown=shown, root=parser.parse(blanked).root_node if blanked != text else root)


def _without_empty_macros(root: Node, text: bytes) -> bytes:
    """`#define API __attribute__((...))` and the like look like types: they become blanks."""
    empty = [
        name.encode()
        for name, value, _ in macros(root)
        if re.fullmatch(r"|__attribute__.*|\[\[.*|static|inline|extern|static inline", value)
    ]
    if not empty:
        return text
    names = re.compile(rb"\b(" + b"|".join(map(re.escape, empty)) + rb")\b")
    lines = text.split(b"\n")
    return b"\n".join(
        line if line.lstrip().startswith(b"#") else names.sub(lambda found: b" " * len(found[0]), line)
        for line in lines
    )


def _value(macro: Node) -> str:
    value = macro.child_by_field_name("value")
    return re.sub(r"//.*|/\*.*?\*/", "", text_of(value)).strip() if value is not None else ""


def _everywhere(node: Node) -> Iterator[Node]:
    """All that stands at the top, also within conditions."""
    for child in node.named_children:
        yield child
        if child.type in CONDITIONALS:
            yield from _everywhere(child)


def macros(root: Node) -> Iterator[tuple[str, str, Node]]:
    """Those without parameters: name, value, where it stands."""
    for node in _everywhere(root):
        name = node.child_by_field_name("name")
        if node.type == "preproc_def" and name is not None:
            yield text_of(name), _value(node), node


def included(root: Node) -> Iterator[str]:
    """Headers in quotes, by the name that is written."""
    for node in _everywhere(root):
        path = node.child_by_field_name("path")
        if node.type == "preproc_include" and path is not None and path.type == "string_literal":
            yield text_of(path).strip('"')


def declared(node: Node, scope: Scope = ()) -> Iterator[Declared]:
    """All in a file or a namespace, through nested ones, `extern "C"` and conditions; `#if 0` hides what it holds."""
    hidden = node.type == "preproc_if" and _condition(node) == "0"
    for child in node.named_children:
        if not hidden or child.type in CONDITIONALS:
            yield from _declared_by(child, scope)


def _condition(node: Node) -> str:
    condition = node.child_by_field_name("condition")
    return text_of(condition) if condition is not None else ""


def _declared_by(node: Node, scope: Scope) -> Iterator[Declared]:
    body = node.child_by_field_name("body")
    if node.type in CONDITIONALS:
        yield from declared(node, scope)
    elif node.type == "namespace_definition" and body is not None:
        yield from declared(body, (*scope, *_namespace(node)))
    elif node.type == "linkage_specification" and body is not None:
        if body.type == "declaration_list":
            yield from declared(body, scope)
        else:
            yield Declared(body, scope, outer=node)
    elif node.type == "template_declaration":
        for child in node.named_children:
            if child.type != "template_parameter_list":
                yield Declared(child, scope, template=True, outer=node)
    else:
        yield Declared(node, scope)


def _namespace(node: Node) -> Scope:
    name = node.child_by_field_name("name")
    if name is None or any(child.type == "inline" for child in node.children):
        return ()
    return tuple(part.strip() for part in text_of(name).removeprefix("inline ").split("::"))


def functions(file: File) -> Iterator[Function]:
    """All that are declared or defined, also within classes, where they can't be called."""
    found = list(declared(file.root))
    classes = {path for each in found for path in _classes(each.node, each.scope)}
    for each in found:
        yield from _functions_of(file, each, classes)


def _classes(node: Node, scope: Scope) -> Iterator[Scope]:
    made = _class_of(node)
    name = made.child_by_field_name("name") if made is not None else None
    if made is not None and name is not None:
        path = (*scope, *path_of(name))
        yield path
        body = made.child_by_field_name("body")
        for child in body.named_children if body is not None else ():
            yield from _classes(child, path)


def _class_of(node: Node) -> Node | None:
    if node.type in CLASSES:
        return node
    kind = node.child_by_field_name("type")
    return kind if kind is not None and kind.type in CLASSES and kind.child_by_field_name("body") is not None else None


def _functions_of(file: File, each: Declared, classes: set[Scope]) -> Iterator[Function]:
    made = _class_of(each.node)
    name = made.child_by_field_name("name") if made is not None else None
    if made is not None and name is not None:
        scope = (*each.scope, *path_of(name))
        body = made.child_by_field_name("body")
        for child in body.named_children if body is not None else ():
            for inner in _declared_by(child, scope):
                yield from _functions_of(file, inner, {*classes, scope})
    if each.node.type not in ("function_definition", "declaration", "field_declaration"):
        return
    found = _named(each.node)
    if found is None:
        return
    declarator, layers, own = found
    path = (*each.scope, *path_of(own))
    in_class = path[:-1] in classes or any(child.type == "type_qualifier" for child in declarator.children)
    has_body = each.node.child_by_field_name("body") is not None
    kind = "method" if in_class else "template" if each.template else "function" if has_body else "declared"
    outer = each.outer if each.outer is not None else each.node
    yield Function(file, path, kind, each.node, declarator, layers, outer)


def _named(node: Node) -> tuple[Node, tuple[str, ...], Node] | None:
    """Of a function: the declarator with its parameters, what stands before it, its name."""
    layers: list[str] = []
    at = node.child_by_field_name("declarator")
    while at is not None:
        inner = _inner(at)
        if at.type == "function_declarator" and inner is not None:
            while inner.type in WRAPPERS and (within := _inner(inner)) is not None:
                inner = within
            if inner.type in ("identifier", "field_identifier", "qualified_identifier"):
                return at, tuple(layers), inner
        layers += _layer(at)
        at = inner
    return None


def _inner(declarator: Node) -> Node | None:
    """What a declarator is put around: another one, or the name."""
    inner = declarator.child_by_field_name("declarator")
    if inner is not None or declarator.type in NAMES:
        return inner
    fitting = [child for child in declarator.named_children if child.type.endswith(("declarator", *NAMES))]
    return fitting[-1] if fitting else None


def _layer(declarator: Node) -> list[str]:
    kind = declarator.type.removeprefix("abstract_")
    if kind == "pointer_declarator":
        const = any(child.type == "type_qualifier" and text_of(child) == "const" for child in declarator.children)
        return ["*const" if const else "*"]
    if kind == "reference_declarator":
        return ["&&" if any(child.type == "&&" for child in declarator.children) else "&"]
    if kind == "array_declarator":
        return ["[]"]
    return ["()"] if kind == "function_declarator" else []


def path_of(name: Node) -> Scope:
    """`geo::area` as its parts; template arguments are left out."""
    if name.type == "qualified_identifier":
        scope, own = name.child_by_field_name("scope"), name.child_by_field_name("name")
        return (*(path_of(scope) if scope is not None else ()), *(path_of(own) if own is not None else ()))
    if name.type in ("template_type", "template_function"):
        own = name.child_by_field_name("name")
        return path_of(own) if own is not None else ()
    return tuple(part.strip() for part in text_of(name).split("::"))


def spelled(node: Node, declarator: Node | None = None, layers: tuple[str, ...] = ()) -> Spelled:
    """The type of a parameter, field, alias, template argument or result; `layers` stand before the declarator."""
    kind = node.child_by_field_name("type")
    if kind is None:
        return Spelled((), None, False, layers, text_of(node), node)
    found = list(layers)
    at = declarator
    while at is not None:
        found += _layer(at)
        at = _inner(at)
    const = any(child.type == "type_qualifier" and text_of(child) == "const" for child in node.children)
    shown = ("const " if const else "") + _class_name(kind) + _shown(found)
    path, args = _name(kind)
    return Spelled(path, args, const, tuple(found), shown, node)


def _shown(layers: Sequence[str]) -> str:
    if "()" in layers:
        return "".join(f" {layer}" for layer in layers[: layers.index("()")]) + " (*)(...)"
    return "".join("[]" if layer == "[]" else f" {layer}" for layer in layers).replace("* *", "**")


def _class_name(kind: Node) -> str:
    """Without its body, where it has one."""
    name = kind.child_by_field_name("name")
    if kind.type not in (*CLASSES, "enum_specifier") or kind.child_by_field_name("body") is None:
        return text_of(kind)
    word = kind.type.removesuffix("_specifier")
    return f"{word} {text_of(name)}" if name is not None else f"an unnamed {word}"


def _name(kind: Node) -> tuple[Scope, tuple[Spelled | None, ...] | None]:
    """Path and template arguments of a type without qualifiers and declarators."""
    if kind.type == "qualified_identifier":
        scope, own = kind.child_by_field_name("scope"), kind.child_by_field_name("name")
        if own is None or (scope is not None and scope.type == "template_type"):
            return (), None
        path, args = _name(own)
        return ((*(path_of(scope) if scope is not None else ("",)), *path) if path else ()), args
    if kind.type == "template_type":
        return path_of(kind), _arguments(kind.child_by_field_name("arguments"))
    if kind.type in ("primitive_type", "sized_type_specifier"):
        return (canonical(text_of(kind).split()),), None
    if kind.type in ("type_identifier", "namespace_identifier", "identifier"):
        return (text_of(kind),), None
    name = kind.child_by_field_name("name")
    if kind.type in (*CLASSES, "enum_specifier") and name is not None:
        return path_of(name), None
    return (), None


def _arguments(node: Node | None) -> tuple[Spelled | None, ...]:
    return tuple(
        spelled(child, child.child_by_field_name("declarator")) if child.type == "type_descriptor" else None
        for child in (node.named_children if node is not None else ())
        if child.type != "comment"
    )


def name_in(declarator: Node | None) -> Node | None:
    """The name that a declarator gives; None where it gives none."""
    at = declarator
    while at is not None and at.type not in NAMES:
        at = _inner(at)
    return at


def doc(function: Function) -> str:
    """The comment right above it, without its marks."""
    lines: list[str] = []
    below, at = function.outer, function.outer.prev_named_sibling
    while at is not None and at.type == "comment" and _end_line(at) == below.start_point[0] - 1 and _alone(at):
        text = (at.text or b"").decode(errors="replace")
        lines[:0] = _comment(text)
        if text.startswith("/*"):
            break
        below, at = at, at.prev_named_sibling
    return "\n".join(lines).strip()


def _end_line(node: Node) -> int:
    return node.end_point[0]


def _alone(comment: Node) -> bool:
    """Not behind code of its own line."""
    before = comment.prev_sibling
    return before is None or before.end_point[0] < comment.start_point[0] or before.end_point[1] == 0


def _comment(text: str) -> list[str]:
    if text.startswith("//"):
        return [re.sub(r"^//[/!]? ?", "", text.rstrip())]
    inside = re.sub(r"^/\*[*!]*|\*+/$", "", text.strip()).strip()
    return [re.sub(r"^\s*\*+ ?|^\s+(?=\S)", "", line).rstrip() for line in inside.splitlines()]
