"""Rust's types as they are written, turned into ours; what can't be passed is collected with what would do instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tree_sitter import Node

from batchwasm.functions.rust_crate import Item, Module, Names, path_of, plain, text_of
from batchwasm.functions.types import Bool, Float, Int, Map, Option, Record, String, Tuple, Type, list_of

PRIMITIVES: Mapping[str, Type] = {
    "bool": Bool(),
    "f32": Float(32),
    "f64": Float(64),
    **{f"i{bits}": Int(bits, True) for bits in (8, 16, 32, 64)},
    **{f"u{bits}": Int(bits, False) for bits in (8, 16, 32, 64)},
    "isize": Int(32, True),
    "usize": Int(32, False),
}
STANDARD = {"std", "core", "alloc"}
LARGEST_TUPLE = 12
"""As many as the glue has code for, and Rust's own traits."""

PASSED = "a bool, a number, a String, a Vec, an Option, a tuple, a HashMap<String, T> or a struct with named fields"
CURES = {
    "char": "a String",
    "i128": "an i64, or a String",
    "u128": "a u64, or a String",
    "str": "a &str or a String",
    **dict.fromkeys(("Box", "Rc", "Arc", "Cell", "RefCell", "Mutex"), "the value itself"),
    **dict.fromkeys(("Cow", "Path", "PathBuf", "OsStr", "OsString", "CStr", "CString"), "a String"),
    **dict.fromkeys(("HashSet", "BTreeSet", "VecDeque", "LinkedList", "BinaryHeap"), "a Vec"),
    **dict.fromkeys(("Duration", "Instant", "SystemTime"), "an f64 of seconds"),
    "Result": "the value itself; a Result can only be the whole of what the function gives",
}
"""What would do instead of a type, by its name."""


class Unfit(Exception):
    """A type that can't be passed; told once for each parameter or field."""

    def __init__(self, node: Node, cure: str, because: str = "") -> None:
        self.node = node
        self.cure = cure
        self.because = because


@dataclass(frozen=True)
class Scope:
    """Where a type is written: in which module, and what the names of an alias' parameters stand for there."""

    module: Module
    bound: Mapping[str, tuple[Node, Scope]] = field(default_factory=dict)


class Types:
    """Reads the types of one function. `told` collects sentences; a type that is wrong comes back as None."""

    def __init__(self, names: Names, function: Item) -> None:
        self.names = names
        self.function = function
        self.problems: list[str] = []
        self.structs: dict[str, Item] = {}
        """By the record's name."""
        self.records: dict[str, Record | None] = {}
        self.open: list[str] = []
        """Structs that are being read: one that occurs again contains itself."""
        self.lends = False
        """Whether what is read is a parameter, whose references live as long as the call."""

    def param(self, node: Node, name: str) -> Type | None:
        self.lends = True
        return self._told(node, Scope(self.function.module), f"parameter {name}")

    def result(self, node: Node) -> tuple[Type | None, bool]:
        """The type, None for nothing, and whether it is that of a Result."""
        self.lends = False
        scope = Scope(self.function.module)
        node, scope = self._aliased(node, scope)
        inner = self._ok_of(node, scope)
        raises = inner is not None
        if inner is not None:
            node, scope = inner
        if node.type == "unit_type":
            return None, raises
        return self._told(node, scope, "the result"), raises

    def tell(self, node: Node, module: Module, text: str) -> None:
        where = f"{self.place(module)}:{node.start_point.row + 1}: {self.function.path}"
        self.problems.append(f"{where}: {text}")

    def place(self, module: Module) -> str:
        """The file as the user names it."""
        return self.names.title(module.file)

    def _told(self, node: Node, scope: Scope, what: str) -> Type | None:
        try:
            return self._type(node, scope)
        except Unfit as error:
            if error.cure:  # else it is a record whose fields were told
                self.tell(node, scope.module, f"{what} is {flat(node)}{self._reason(node, error)}")
            return None

    def _reason(self, node: Node, error: Unfit) -> str:
        verb = "passed" if self.lends else "returned"
        if error.because:
            return f": {error.because}; {error.cure}"
        if error.node.id == node.id:
            return f", which can't be {verb}; {error.cure}"
        return f", and {flat(error.node)} can't be {verb}; {error.cure}"

    def _take(self, what: str) -> str:
        return f"{'take' if self.lends else 'return'} {what}"

    def _unfit(self, node: Node, name: str = "", because: str = "") -> Unfit:
        return Unfit(node, self._take(CURES.get(name, PASSED)), because)

    def _type(self, node: Node, scope: Scope) -> Type:
        match node.type:
            case "primitive_type" if text_of(node) in PRIMITIVES:
                return PRIMITIVES[text_of(node)]
            case "primitive_type":
                raise self._unfit(node, text_of(node))
            case "reference_type":
                return self._reference(node, scope)
            case "array_type":
                item = node.child_by_field_name("element")
                raise Unfit(node, self._take(f"a Vec<{flat(item)}>"))
            case "tuple_type":
                return self._tuple(node, scope)
            case "type_identifier" | "scoped_type_identifier" | "generic_type":
                return self._named(node, scope)
            case "abstract_type":
                raise Unfit(node, "name the type itself", "it is generic")
            case _:
                raise self._unfit(node)

    def _reference(self, node: Node, scope: Scope) -> Type:
        inner = node.child_by_field_name("type")
        kinds = {child.type for child in node.children}
        if inner is None or "mutable_specifier" in kinds:
            raise Unfit(node, f"{self._take('it')} without mut, and give back what changed", "what it changes is lost")
        if self.lends and any(child.type == "lifetime" and text_of(child) == "'static" for child in node.children):
            raise Unfit(node, "take it without 'static", "an argument lives no longer than the call")
        if inner.type == "array_type" and inner.child_by_field_name("length") is None:
            return self._list(inner.child_by_field_name("element"), scope)
        return String() if text_of(inner) == "str" else self._type(inner, scope)

    def _list(self, item: Node | None, scope: Scope) -> Type:
        assert item is not None
        return list_of(self._type(item, scope))

    def _tuple(self, node: Node, scope: Scope) -> Type:
        items = [child for child in node.named_children if not child.type.endswith("comment")]
        if len(items) == 1 and all(child.type != "," for child in node.children):
            return self._type(items[0], scope)  # only parentheses
        if len(items) > LARGEST_TUPLE:
            raise Unfit(node, self._take("a struct"), f"it has more than {LARGEST_TUPLE} items")
        return Tuple(tuple(self._type(item, scope) for item in items))

    def _named(self, node: Node, scope: Scope) -> Type:
        node, scope = self._aliased(node, scope)
        if node.type not in ("type_identifier", "scoped_type_identifier", "generic_type"):
            return self._type(node, scope)
        path, arguments = _head(node)
        found = self.names.items(path, scope.module)
        if found:
            return self._own(node, found)
        name = self.names.foreign(path, scope.module)[-1]
        match name, arguments:
            case "String", []:
                return String()
            case "Vec", [item]:
                return self._list(item, scope)
            case "Option", [item]:
                inner = self._type(item, scope)
                if isinstance(inner, Option):
                    raise Unfit(node, self._take("one Option"), "one None in another can't be told apart")
                return Option(inner)
            case (("HashMap" | "BTreeMap"), [key, value]):
                if self._type(key, scope) != String():
                    raise Unfit(node, self._take(f"a {name}<String, {flat(value)}>"), "its keys are not strings")
                return Map(self._type(value, scope))
            case _:
                raise self._unfit(node, name)

    def _aliased(self, node: Node, scope: Scope) -> tuple[Node, Scope]:
        """The type that an alias stands for, and where that is written."""
        for _ in range(16):  # an alias of itself ends, too
            path, arguments = _head(node)
            if len(path) == 1 and path[0] in scope.bound:
                node, scope = scope.bound[path[0]]
                continue
            found = self.names.items(path, scope.module) if path else []
            if len(found) != 1 or found[0].kind != "type":
                break
            alias = found[0].node
            target = alias.child_by_field_name("type")
            if target is None:
                break
            names = [plain(text_of(param.child_by_field_name("name"))) for param in _type_parameters(alias)]
            bound = {name: (argument, scope) for name, argument in zip(names, arguments, strict=False)}
            node, scope = target, Scope(found[0].module, bound)
        return node, scope

    def _ok_of(self, node: Node, scope: Scope) -> tuple[Node, Scope] | None:
        """The T of a Result<T, E>, of whatever crate; None where it is no Result."""
        path, arguments = _head(node)
        if not path or self.names.items(path, scope.module):
            return None
        if self.names.foreign(path, scope.module)[-1] != "Result" or not arguments:
            return None
        return self._aliased(arguments[0], scope)

    def _own(self, node: Node, found: list[Item]) -> Type:
        """A struct of the crate as a record."""
        item = found[0]
        kind = item.kind
        if len(found) > 1:
            lines = ", ".join(f"{self.place(each.module)}:{each.line}" for each in found)
            raise Unfit(node, "give each a name of its own", f"there are {len(found)} of that name ({lines})")
        if kind == "enum":
            raise Unfit(node, self._take("a String or a number, or a struct with Options"), f"{item.path} is an enum")
        if kind != "struct":
            raise self._unfit(node, because=f"{item.path} is a {kind}")
        if item.path in self.open:
            raise Unfit(node, self._take("a Vec of structs that name each other by index"), "it contains itself")
        if item.path not in self.records:
            self.open.append(item.path)
            try:
                self.records[item.path] = self._record(node, item)
            finally:
                self.open.pop()
            self.structs[item.path] = item
        record = self.records[item.path]
        if record is None:
            raise Unfit(node, "")
        return record

    def _record(self, node: Node, item: Item) -> Record | None:
        body = item.node.child_by_field_name("body")
        if any(param.type != "lifetime_parameter" for param in _type_parameters(item.node)):
            raise Unfit(node, "write a struct for the types you need", f"the struct {item.path} is generic")
        if body is None or body.type != "field_declaration_list":
            raise Unfit(node, "give its fields names", f"the struct {item.path} has no named fields")
        before = len(self.problems)
        fields: list[tuple[str, Type]] = []
        attributes: list[Node] = []
        for child in body.named_children:
            if child.type == "attribute_item":
                attributes.append(child)
            elif child.type == "field_declaration":
                name = plain(text_of(child.child_by_field_name("name")))
                what = f"field {item.path}.{name}"
                if any("cfg" in text_of(each) for each in attributes):
                    self.tell(child, item.module, f"{what} has #[cfg], so it may not be there; take the #[cfg] away")
                kind = child.child_by_field_name("type")
                read = self._told(kind, Scope(item.module), what) if kind else None
                fields += [(name, read)] if read is not None else []
                attributes = []
        if not fields and len(self.problems) == before:
            raise Unfit(node, "give it one", f"the struct {item.path} has no field")
        return Record(item.path, tuple(fields)) if len(self.problems) == before else None


def _type_parameters(node: Node) -> list[Node]:
    found = node.child_by_field_name("type_parameters")
    return [child for child in found.named_children if child.type.endswith("parameter")] if found else []


def lifetimes(item: Item) -> int:
    """How many lifetimes a struct has as parameters."""
    return sum(param.type == "lifetime_parameter" for param in _type_parameters(item.node))


def generics(item: Item) -> list[str]:
    """What makes a function generic: its type and const parameters, as written."""
    return [flat(param) for param in _type_parameters(item.node) if param.type != "lifetime_parameter"]


def _head(node: Node) -> tuple[tuple[str, ...], list[Node]]:
    """The path of a named type and its arguments without lifetimes; () for other types."""
    if node.type in ("type_identifier", "scoped_type_identifier"):
        return path_of(node), []
    inner = node.child_by_field_name("type") if node.type == "generic_type" else None
    if inner is None:
        return (), []
    arguments = node.child_by_field_name("type_arguments")
    skipped = ("lifetime", "line_comment", "block_comment")
    return path_of(inner), [
        child for child in arguments.named_children if child.type not in skipped
    ] if arguments else []


def flat(node: Node | None) -> str:
    """A type as it is written, in one line."""
    return " ".join(text_of(node).split())
