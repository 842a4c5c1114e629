"""Go's types as values that can be passed; for one that can't be, a sentence that says what to write instead."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tree_sitter import Node

from batchwasm.functions import types
from batchwasm.functions.go_package import Declared, Package, text
from batchwasm.functions.types import Bool, Float, Int, Map, Option, Record, String, Type

PLAIN: dict[str, tuple[str, Type]] = {
    "bool": ("bool", Bool()),
    "string": ("string", String()),
    "int": ("int", Int(64, True)),
    "uint": ("uint", Int(64, False)),
    "byte": ("uint8", Int(8, False)),
    "rune": ("int32", Int(32, True)),
    **{f"int{bits}": (f"int{bits}", Int(bits, True)) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": (f"uint{bits}", Int(bits, False)) for bits in (8, 16, 32, 64)},
    "float32": ("float32", Float(32)),
    "float64": ("float64", Float(64)),
}
"""By the name in the source: the name that stands for all its aliases, and the type. int has 64 bits in Go's wasm."""

CURES = {
    "any": "write one type, such as float64, or a struct",
    "interface": "write one type, such as float64, or a struct",
    "error": "write string; only the last result may be an error",
    "complex64": "write two float32, or a struct of them",
    "complex128": "write two float64, or a struct of them",
    "uintptr": "write uint64",
    "comparable": "write one type, such as string",
    "function": "pass a string that says what to do, and choose by it",
    "time.Time": "write int64 (seconds of Unix time) or string",
    "time.Duration": "write float64 (seconds) or int64",
    "unsafe.Pointer": "write []byte",
}
"""What would do, by what was written."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A type as Go writes it, beside what it is for the outside."""

    go: str
    """Without aliases, so that one type has one text: `map[string][]uint8`."""
    type: Type
    parts: tuple[Shape, ...] = ()
    """The item's, the map's values', the fields' in their order."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a sentence about a type starts with."""

    at: Declared
    """The parameter, result or field."""
    function: str
    what: str
    """`parameter xs`"""
    whole: Node
    """Its type, all of it."""

    def problem(self, node: Node, why: str) -> str:
        """`why` starts after the type: `can't be passed; write []float64`."""
        link = "which" if node == self.whole else f"and {_short(node)}"
        return f"{self.at.place}: {self.function}: {self.what} is {_short(self.whole)}, {link} {why}"


def _short(node: Node) -> str:
    """A type as written, on one line."""
    return " ".join(text(node).split())


@dataclass(slots=True)
class Resolver:
    """Makes shapes of type nodes of one package; collects all that is wrong."""

    package: Package
    problems: list[str] = field(default_factory=list)
    _records: dict[str, Shape | None] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)
    """Names of types that are being resolved."""

    def shape(self, node: Node, subject: Subject) -> Shape | None:
        """None where a problem was noted."""
        match node.type:
            case "type_identifier":
                return self._named(node, subject)
            case "parenthesized_type":
                return self.shape(node.named_children[0], subject)
            case "slice_type":
                item = self._part(node, "element", subject)
                return item and Shape(f"[]{item.go}", types.list_of(item.type), (item,))
            case "pointer_type":
                return self._option(node, subject)
            case "map_type":
                return self._map(node, subject)
            case _:
                return self._bad(node, subject, _cure(node))

    def _bad(self, node: Node, subject: Subject, cure: str) -> Shape | None:
        problem = subject.problem(node, f"can't be passed; {cure}")
        if problem not in self.problems:
            self.problems.append(problem)
        return None

    def _part(self, node: Node, name: str, subject: Subject) -> Shape | None:
        part = node.child_by_field_name(name)
        return self.shape(part, subject) if part is not None else None

    def _option(self, node: Node, subject: Subject) -> Shape | None:
        item = self.shape(node.named_children[0], subject)
        if item is not None and isinstance(item.type, Option):
            return self._bad(node, subject, "one pointer is a value or nothing, two are more than that; write one *")
        return item and Shape(f"*{item.go}", Option(item.type), (item,))

    def _map(self, node: Node, subject: Subject) -> Shape | None:
        key, value = self._part(node, "key", subject), self._part(node, "value", subject)
        if key is not None and not isinstance(key.type, String):
            return self._bad(node, subject, "keys are strings; write map[string]..., or a slice of structs")
        return key and value and Shape(f"map[string]{value.go}", Map(value.type), (value,))

    def _named(self, node: Node, subject: Subject) -> Shape | None:
        name = text(node)
        declared = self.package.types.get(name)
        if declared is None:
            if name in PLAIN:
                return Shape(*PLAIN[name])
            return self._bad(node, subject, CURES.get(name) or f"its package declares no type {name}")
        if name in self._open:
            return self._bad(
                node, subject, "it contains itself; write a slice of structs that name each other by index"
            )
        self._open.append(name)
        try:
            return self._declared(name, declared, node, subject)
        finally:
            self._open.pop()

    def _declared(self, name: str, declared: Declared, node: Node, subject: Subject) -> Shape | None:
        spec, type_ = declared.node, declared.node.child_by_field_name("type")
        if type_ is None or spec.child_by_field_name("type_parameters") is not None:
            return self._bad(node, subject, "it is generic; write a type without parameters")
        if spec.type == "type_alias" and type_.type != "struct_type":
            before = len(self.problems)
            found = self.shape(type_, replace(subject, whole=type_, what=f"{subject.what} ({name})"))
            return found if len(self.problems) == before else None
        if type_.type != "struct_type":
            under = _short(type_)
            return self._bad(node, subject, f"write {under}, or make it another name of it: type {name} = {under}")
        if name not in self._records:
            self._records[name] = self._record(name, declared, type_, subject)
        return self._records[name]

    def _record(self, name: str, declared: Declared, struct: Node, subject: Subject) -> Shape | None:
        fields: list[tuple[str, Shape | None]] = []
        before = len(self.problems)
        for node in struct.named_children[0].named_children:
            if node.type == "field_declaration":
                fields += self._fields(name, declared.part(node), subject)
        if not fields and len(self.problems) == before:
            here = f"{declared.place}: {subject.function}: {name} ({subject.what})"
            self.problems.append(f"{here} has no fields, so there is nothing to pass; leave it out")
        good = [(each, shape) for each, shape in fields if shape is not None]
        if len(self.problems) > before or len(good) < len(fields):
            return None
        kind = Record(name, tuple((each, shape.type) for each, shape in good))
        return Shape(name, kind, tuple(shape for _, shape in good))

    def _fields(self, record: str, at: Declared, subject: Subject) -> list[tuple[str, Shape | None]]:
        """Of one line, which may name several."""
        names = [text(node) for node in at.node.children_by_field_name("name")]
        type_ = at.node.child_by_field_name("type")
        here = f"{at.place}: {subject.function}: {record} ({subject.what})"
        if type_ is None:
            self.problems.append(f"{here}: a field can't be read: {_short(at.node)}")
            return []
        if not names:
            written = _short(at.node).partition(" ")[0]
            last = text(type_).rpartition(".")[2]
            self.problems.append(f"{here} embeds {written}, which can't be passed; write a field: {last} {written}")
            return []
        for name in names:
            if not name[0].isupper():
                plain = name.lstrip("_")
                cure = f"write {plain[0].upper()}{plain[1:]}" if plain else "leave it out"
                self.problems.append(f"{here}: the field {name} is not exported, so it can't be passed; {cure}")
        about = Subject(at, subject.function, f"the field {names[0]} of {record}", type_)
        shape = self.shape(type_, about)
        return [(name, shape) for name in names]


def _cure(node: Node) -> str:
    """What would do instead of a type that is none of ours whatever it is made of."""
    written = text(node)
    match node.type:
        case "array_type" | "implicit_length_array_type":
            return f"write []{_inner(node, 'element')}"
        case "channel_type":
            return f"write []{_inner(node, 'value')}"
        case "struct_type":
            return "give it a name: type Name struct { ... }"
        case "interface_type":
            return CURES["interface"]
        case "function_type":
            return CURES["function"]
        case "generic_type":
            return "write a type without parameters"
        case "qualified_type":
            return CURES.get(written) or "it is another package's; write a struct in the function's own package"
        case _:
            return "see docs/abi.md for the types that can"


def _inner(node: Node, name: str) -> str:
    part = node.child_by_field_name(name)
    return _short(part) if part is not None else "T"
