"""Types of C++ as the ABI's: what a spelled type means in its file, and why it can't be passed.

A type is read where it stands: its names are looked up from there outwards, through aliases, down to structs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from batchwasm.functions import cpp_records
from batchwasm.functions.c_numbers import CURES, FUNDAMENTAL, NAMED
from batchwasm.functions.c_source import Scope, Spelled
from batchwasm.functions.cpp_names import Meaning, Names
from batchwasm.functions.types import NAMES, Map, Option, Record, String, Tuple, Type, list_of

INSTEAD: Mapping[str, str] = {
    **dict.fromkeys(
        ("list", "forward_list", "deque", "array", "set", "unordered_set", "multiset", "valarray", "initializer_list"),
        "a std::vector<{0}>",
    ),
    **dict.fromkeys(("multimap", "unordered_multimap"), "a std::vector<std::pair<{0}, {1}>>"),
    **dict.fromkeys(("unique_ptr", "shared_ptr"), "the {0} itself, or a std::optional<{0}>"),
    **dict.fromkeys(("variant", "any"), "a struct with a std::optional for each alternative"),
    "complex": "a std::pair<{0}, {0}>",
    "bitset": "a std::vector<bool>",
    "expected": "{0}, and throw the error",
    "function": "what it would give",
    **dict.fromkeys(("wstring", "u8string", "u16string", "u32string", "basic_string"), "a std::string"),
    **dict.fromkeys(("path", "filesystem::path"), "a std::string"),
    "byte": "std::uint8_t",
}
"""What would do in place of a type of std; `{0}` is its first argument."""
PLAIN = "a struct that has public fields and nothing else"


@dataclass(frozen=True, slots=True)
class Read:
    """A type that can be passed."""

    type: Type
    cpp: str
    """As the glue writes it, in full."""
    needs: frozenset[str] = frozenset()
    """What it has of std, by name, with what its parts have."""
    view: str = ""
    """A type in it that shows memory of somebody else; '' where it owns all."""


@dataclass(frozen=True, slots=True)
class Use:
    """What has the type: for messages, and for what is right there."""

    where: str
    what: str
    """`parameter xs`, `its result`, `field Point.x`."""
    outer: str
    """The whole type, as written there."""
    verb: str
    """What a cure begins with: take, return, make it."""


@dataclass(slots=True)
class Types:
    """Reads the types of one function."""

    names: Names
    function: str
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    records: dict[Scope, Read | None] = field(default_factory=dict)
    """Those that were met; None for one that can't be passed, or that is being read."""

    def parameter(self, name: str, given: Spelled, scope: Scope, where: str) -> Read | None:
        """As the function takes it: `cpp` may be a reference."""
        use = Use(where, f"parameter {name}", given.text, "take")
        meant, scope = self._through_aliases(given, scope)
        if meant.layers == ("&",) and not meant.const:
            cure = f"a const {_name(given)} & and return what it writes; several results are a std::tuple"
            return self._refuse(given, use, "is a reference without const", cure)
        read = self._layered(meant, given, scope, use, ("&", "&&"))
        if read is None or not meant.layers or _is_c_text(meant):
            return read
        return replace(read, cpp=f"{'const ' if meant.const else ''}{read.cpp}{meant.layers[0]}")

    def result(self, given: Spelled, scope: Scope, where: str) -> Read | None:
        """None also for `void`, then without a problem."""
        use = Use(where, "its result", given.text, "return")
        meant, scope = self._through_aliases(given, scope)
        if meant.path == ("void",) and not meant.layers:
            return None
        if not meant.path and given.text.startswith(("auto", "decltype")):
            return self._refuse(given, use, "leaves its type to the compiler", "it by its name")
        read = self._layered(meant, given, scope, use, ("&",))
        if read is None or _is_c_text(meant):
            return read
        if read.view:
            cure = "a std::string, or a std::vector"
            why = "would show memory that may be gone by then"
            return self._refuse(replace(given, text=read.view), use, why, cure)
        return replace(read, cpp=f"{'const ' if meant.const else ''}{read.cpp}{''.join(meant.layers)}")

    def _part(self, given: Spelled | None, scope: Scope, use: Use) -> Read | None:
        """Of a field, or of a template's argument."""
        if given is None:
            return self._refuse_text(use.outer, use, "has an argument that is no type", "one without")
        meant, scope = self._through_aliases(given, scope)
        if meant.const and not meant.layers:
            return self._refuse(given, use, "could not be filled", _name(given))
        return self._layered(meant, given, scope, use, ())

    def _through_aliases(self, given: Spelled, scope: Scope) -> tuple[Spelled, Scope]:
        """What it stands for, and where the names in that are looked up."""
        for _ in range(32):  # an alias may be defined by way of others, but not by way of itself
            found = self.names.find(given.path, scope) if given.path and given.args is None else None
            if found is None or found.spelled is None:
                break
            meant = found.spelled
            const = meant.const or (given.const and not meant.layers)
            given, scope = replace(meant, const=const, layers=(*meant.layers, *given.layers)), found.scope
        return given, scope

    def _layered(
        self, meant: Spelled, given: Spelled, scope: Scope, use: Use, references: tuple[str, ...]
    ) -> Read | None:
        """With what stands around its name: pointers and references. `given` is what the user wrote."""
        if _is_c_text(meant):
            return Read(String(), "const char *")
        if not meant.layers or (len(meant.layers) == 1 and meant.layers[0] in references):
            return self._named(replace(meant, text=given.text) if not given.layers else meant, scope, use)
        if "()" in meant.layers:
            return self._refuse(given, use, "is a pointer to a function", "what the function would give")
        if "[]" in meant.layers:
            return self._refuse(given, use, "is an array", f"a std::vector<{_name(meant)}>")
        if "&" in meant.layers or "&&" in meant.layers:
            return self._refuse(given, use, "is a reference", _name(meant))
        return self._refuse(given, use, "is a pointer", _instead_of_pointer(meant, given, use))

    def _named(self, meant: Spelled, scope: Scope, use: Use) -> Read | None:
        """By its name and its template's arguments alone."""
        path = meant.path
        found = self.names.find(path, scope) if path else None
        if found is not None:
            return self._own(found, meant, use)
        if len(path) == 1 and path[0] in FUNDAMENTAL:
            if path[0] in ("long", "unsigned long"):
                self.warnings.append(
                    f"{use.where}: {self.function}: {use.what} is {use.outer}; long has 32 bits in WebAssembly, "
                    "int64_t has 64"
                )
            return Read(FUNDAMENTAL[path[0]], path[0])
        name = "::".join(path[1:] if path[:1] == ("std",) else path[2:] if path[:2] == ("", "std") else path)
        if name in NAMED and meant.args is None:
            return Read(FUNDAMENTAL[NAMED[name]], NAMED[name])
        if name in ("string", "string_view") and meant.args is None:
            return Read(String(), f"std::{name}", frozenset([name]), f"std::{name}" if name == "string_view" else "")
        if name in TEMPLATES and meant.args is not None:
            return self._template(name, meant, scope, use)
        return self._unknown(name, meant, use)

    def _template(self, name: str, meant: Spelled, scope: Scope, use: Use) -> Read | None:
        least, most, make = TEMPLATES[name]
        arguments = meant.args or ()
        if not least <= len(arguments) <= most:
            cure = f"std::{name} with its {'first argument' if most == 1 else 'first two arguments'} alone"
            if name == "tuple":
                return self._refuse(meant, use, "has nothing in it", "one that has")
            return self._refuse(meant, use, "has more arguments than can be passed", cure)
        if name == "span":
            return self._span(meant, arguments[0], scope, use)
        parts = [self._part(argument, scope, use) for argument in arguments]
        sure = [part for part in parts if part is not None]
        if len(sure) < len(parts):
            return None
        if name == "optional" and isinstance(sure[0].type, Option):
            return self._refuse(meant, use, "has one absence within another", sure[0].cpp)
        if name in ("map", "unordered_map") and sure[0].cpp != "std::string":
            pairs = f"a std::vector<std::pair<{sure[0].cpp}, {sure[1].cpp}>>"
            return self._refuse(meant, use, "has keys that are no std::string", pairs)
        return _composed(make([part.type for part in sure]), name, [part.cpp for part in sure], sure)

    def _span(self, meant: Spelled, item: Spelled | None, scope: Scope, use: Use) -> Read | None:
        if item is None:
            return self._part(item, scope, use)
        seen, inner = self._through_aliases(item, scope)
        if not seen.const or seen.layers:
            return self._refuse(meant, use, "is a span of what is not const", f"a std::span<const {_name(item)}>")
        read = self._part(replace(seen, const=False, text=_name(item)), inner, use)
        if read is None:
            return None
        made = _composed(list_of(read.type), "span", [f"const {read.cpp}"], [read])
        return replace(made, view=meant.text)

    def _own(self, found: Meaning, meant: Spelled, use: Use) -> Read | None:
        """A type of the user's."""
        match found.kind:
            case "enum":
                return self._refuse(meant, use, "is an enum", "an integer type")
            case "union":
                return self._refuse(meant, use, "is a union", "a struct with a std::optional for each alternative")
            case "template":
                return self._refuse(meant, use, "is a template of yours", "a struct of its own")
            case "class":
                return self._record(found, meant, use)
            case _:
                return self._refuse(meant, use, "stands for itself", "a type that can be passed")

    def _record(self, found: Meaning, meant: Spelled, use: Use) -> Read | None:
        if found.path in self.records:
            known = self.records[found.path]
            if known is None and found.path in self._open:
                return self._refuse(meant, use, "contains itself", "a struct that does not")
            return known
        self.records[found.path] = None
        reasons = list(cpp_records.not_plain(found.node))
        name = "::".join(found.path)
        members = cpp_records.fields(found.node)
        if name in NAMES:
            return self._refuse(meant, use, "has the name of a type of WIT", "a struct of another name")
        if not members:
            reasons.append("has no fields")
        if reasons:
            for reason in reasons:
                self._refuse(meant, use, reason, PLAIN)
            return None
        self._open.add(found.path)
        read = [self._field(name, member, found) for member in members]
        self._open.discard(found.path)
        sure = [each for each in read if each is not None]
        if len(sure) < len(read):
            return None
        made = Record(name, tuple((m.name, each.type) for m, each in zip(members, sure, strict=True)))
        self.records[found.path] = _composed(made, "", [f"::{name}"], sure)
        return self.records[found.path]

    def _field(self, record: str, member: cpp_records.Field, found: Meaning) -> Read | None:
        where = found.file.where(member.node)
        use = Use(where, f"field {record}.{member.name}", member.spelled.text, "make it")
        return self._part(member.spelled, found.path, use)

    def _unknown(self, name: str, meant: Spelled, use: Use) -> Read | None:
        if name == "void":
            return self._refuse(meant, use, "holds nothing", "a type that holds something")
        arguments = [argument.text if argument is not None else "T" for argument in meant.args or ()]
        cure = CURES.get(name) or (INSTEAD[name].format(*arguments, "T", "T") if name in INSTEAD else None)
        if cure is not None:
            return self._refuse(meant, use, "can't be passed", cure)
        if meant.args is not None or "std" in meant.path or not meant.path:
            cure = "a number, std::string, std::vector, std::optional, std::tuple, std::map, or a struct of these"
            return self._refuse(meant, use, "can't be passed", cure)
        why = "is not defined in this file or a header beside it"
        return self._refuse(meant, use, why, "a struct that is")

    def _refuse(self, inner: Spelled, use: Use, why: str, cure: str) -> Read | None:
        """Always None: the type that it is not."""
        return self._refuse_text(inner.text, use, why, cure)

    def _refuse_text(self, inner: str, use: Use, why: str, cure: str) -> Read | None:
        whole = inner == use.outer
        told = f", which {why}" if whole else f", and {inner} {why}"
        end = "" if whole else " in its place"
        sentence = f"{use.where}: {self.function}: {use.what} is {use.outer}{told}; {use.verb} {cure}{end}"
        if sentence not in self.problems:
            self.problems.append(sentence)
        return None

    _open: set[Scope] = field(default_factory=set)


def _composed(made: Type, name: str, arguments: list[str], parts: list[Read]) -> Read:
    """A type of parts; without a name of std it is a record, and `arguments` is its own name."""
    needs = frozenset({name} if name else ()).union(*(part.needs for part in parts))
    view = next((part.view for part in parts if part.view), "")
    cpp = f"std::{name}<{', '.join(arguments)}>" if name else arguments[0]
    return Read(made, cpp, needs, view)


def _is_c_text(meant: Spelled) -> bool:
    return meant.path == ("char",) and meant.const and meant.layers in (("*",), ("*const",))


def _name(given: Spelled) -> str:
    """Without const, pointers and references."""
    text = given.text.removeprefix("const ")
    for layer in reversed(given.layers):
        text = text.removesuffix(layer).rstrip() if layer != "*const" else text.removesuffix("*const").rstrip()
    return text


def _instead_of_pointer(meant: Spelled, given: Spelled, use: Use) -> str:
    name = _name(meant)
    if name in ("char", "void"):
        return {"char": "a std::string", "void": "what it points to"}[name]
    if given.text != use.outer:
        return f"a {name}, or a std::optional<{name}>"
    if use.verb == "take" and meant.const:
        return f"a std::span<const {name}> for several, or a const {name} & for one"
    if use.verb == "take":
        return f"a std::vector<{name}>, and return what it writes"
    return f"a std::vector<{name}>, or a std::optional<{name}>"


TEMPLATES: Mapping[str, tuple[int, int, Callable[[list[Type]], Type]]] = {
    "vector": (1, 1, lambda parts: list_of(parts[0])),
    "span": (1, 1, lambda parts: list_of(parts[0])),
    "optional": (1, 1, lambda parts: Option(parts[0])),
    "pair": (2, 2, lambda parts: Tuple(tuple(parts))),
    "tuple": (1, 64, lambda parts: Tuple(tuple(parts))),
    "map": (2, 2, lambda parts: Map(parts[1])),
    "unordered_map": (2, 2, lambda parts: Map(parts[1])),
}
"""Of std: least and most arguments, and the type they make."""
