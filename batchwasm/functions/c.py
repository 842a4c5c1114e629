"""Functions of C sources: their signatures, read with a real parser, and their glue."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import tree_sitter_c
from tree_sitter import Language

from batchwasm.functions import c_glue, c_source
from batchwasm.functions.c_function import Parameter, choose, parameters_of, result_of
from batchwasm.functions.c_glue import Value
from batchwasm.functions.c_numbers import CURES, FUNDAMENTAL, NAMED
from batchwasm.functions.c_source import Function, Spelled
from batchwasm.functions.cpp_names import Names
from batchwasm.functions.problems import NoFunction
from batchwasm.functions.signature import Param, Signature
from batchwasm.functions.types import String, list_of
from batchwasm.model import Glue, Source

LANGUAGE = Language(tree_sitter_c.language())
POINTERS = (("*",), ("*const",), ("[]",))
"""As parameters these are the same."""
LENGTHS = ("size_t", "unsigned long")
"""What the length of a list is, beside what stands for it."""


def read(source: Source) -> Signature:
    """The signature of `source.function`. Raises NoFunction, OSError."""
    function, reader = _read(source)
    return Signature(
        language="c",
        name=source.function or "",
        params=tuple(Param(name=value.name, type=value.type, passed=value.c) for value in reader.taken),
        result=reader.result.type if reader.result is not None else None,
        line=c_source.line_of(function.declarator),
        doc=c_source.doc(function),
        warnings=tuple(reader.warnings),
    )


def make_glue(source: Source, signature: Signature) -> Glue:
    """Of the signature's function. Raises NoFunction, OSError."""
    function, reader = _read(source)
    return c_glue.make(function, reader.taken, reader.result)


def _read(source: Source) -> tuple[Function, _Reader]:
    files = c_source.parse(LANGUAGE, source.paths)
    function = choose(files, source.function or "")
    reader = _Reader(function, Names.of(LANGUAGE, function.file, source.build.include))
    reader.parameters(parameters_of(function, reader.problems))
    reader.give(result_of(function, reader.problems))
    if reader.problems:
        raise NoFunction(reader.problems)
    return function, reader


@dataclass(slots=True)
class _Reader:
    """Reads what one function takes and gives."""

    function: Function
    names: Names
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    taken: list[Value] = field(default_factory=list)
    result: Value | None = None

    def parameters(self, given: list[Parameter]) -> None:
        """A pointer and the length behind it are one list."""
        left = list(given)
        while left:
            each = left.pop(0)
            meant = self._through_aliases(each.spelled)
            if left and _is_list(meant) and self._is_length(left[0].spelled):
                left.pop(0)
                self._note_long(each, meant)
                self.taken.append(Value(each.name, list_of(FUNDAMENTAL[_number(meant)]), _c_name(meant)))
            else:
                self._parameter(each, meant)

    def _parameter(self, each: Parameter, meant: Spelled) -> None:
        if _is_text(meant):
            self.taken.append(Value(each.name, String(), "const char *"))
        elif not meant.layers and _number(meant):
            self._note_long(each, meant)
            self.taken.append(Value(each.name, FUNDAMENTAL[_number(meant)], _c_name(meant)))
        else:
            why, cure = self._why_not(meant, each.spelled)
            self.problems.append(
                f"{each.where}: {self.function.name}: parameter {each.name} is {each.spelled.text}, which {why}; {cure}"
            )

    def give(self, given: Spelled) -> None:
        """What it gives; nothing where that is void."""
        meant = self._through_aliases(given)
        where, name = self.function.where, self.function.name
        if meant.path == ("void",) and not meant.layers:
            return
        if _is_text(meant):
            self.result = Value("", String(), "const char *")
        elif not meant.layers and _number(meant):
            self._note_long(Parameter("", given, where), meant)
            self.result = Value("", FUNDAMENTAL[_number(meant)], _c_name(meant))
        else:
            cure = "return a number, or a const char * that stays valid"
            more = "; C++ functions can return std::vector, std::string and structs"
            self.problems.append(f"{where}: {name}: its result is {given.text}, which can't be passed; {cure}{more}")

    def _is_length(self, given: Spelled) -> bool:
        meant = self._through_aliases(given)
        return meant.path[:1] in [(name,) for name in LENGTHS] and not meant.layers

    def _through_aliases(self, given: Spelled) -> Spelled:
        for _ in range(32):  # a typedef may stand for another one, but not for itself
            found = self.names.find(given.path, ()) if given.path else None
            if found is None or found.spelled is None:
                break
            meant = found.spelled
            const = meant.const or (given.const and not meant.layers)
            given = replace(meant, const=const, layers=(*meant.layers, *given.layers))
        return given

    def _note_long(self, each: Parameter, meant: Spelled) -> None:
        if meant.path[0] in ("long", "unsigned long"):
            what = f"parameter {each.name}" if each.name else "its result"
            self.warnings.append(
                f"{each.where}: {self.function.name}: {what} is {each.spelled.text}; long has 32 bits in WebAssembly, "
                "int64_t has 64"
            )

    def _why_not(self, meant: Spelled, given: Spelled) -> tuple[str, str]:
        """What is wrong with a parameter's type, and what would do."""
        name = meant.path[0] if meant.path else ""
        found = self.names.find(meant.path, ()) if meant.path else None
        kind = found.kind if found is not None else ""
        if "()" in meant.layers:
            return "is a pointer to a function", "take what the function would give"
        if len(meant.layers) > 1:
            return "can't be passed", "take one list of numbers, or write the function in C++"
        if meant.layers and name == "char" and not meant.const:
            return "is a pointer without const", "take a const char *"
        if meant.layers and not _number(meant):
            return "can't be passed", "take its parts one by one, or write the function in C++, where a struct can be"
        if meant.layers and not meant.const:
            return "is a pointer without const", "return what it writes, or write the function in C++ to return more"
        if meant.layers:
            return "is a pointer without a length", "take a size_t right behind it"
        if name in CURES:
            return "can't be passed", f"take {CURES[name]}"
        if kind == "enum":
            return "is an enum", "take an int"
        if kind in ("class", "union") or (given.text.startswith(("struct ", "union "))):
            return (
                "can't be passed in C",
                "take its parts one by one, or write the function in C++, where a struct can be",
            )
        return "is no number and no const char *", "take one of these, or a list: const double *xs, size_t n"


def _is_text(meant: Spelled) -> bool:
    return meant.path == ("char",) and meant.const and meant.layers in POINTERS


def _is_list(meant: Spelled) -> bool:
    return meant.layers in POINTERS and meant.const and meant.path != ("char",) and _number(meant) != ""


def _number(meant: Spelled) -> str:
    """Its name among the fundamental types; '' where it is none."""
    name = meant.path[0] if len(meant.path) == 1 else ""
    name = NAMED.get(name, name)
    return name if name in FUNDAMENTAL else ""


def _c_name(meant: Spelled) -> str:
    name = _number(meant)
    return "_Bool" if name == "bool" else name
