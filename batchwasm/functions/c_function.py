"""Which function of a C or C++ source is meant, and its parameters as they are written; refuses what has no single
meaning: overloads, templates, methods, default and variable arguments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tree_sitter import Node

from batchwasm.functions.c_source import File, Function, Spelled, functions, name_in, spelled, text_of
from batchwasm.functions.problems import NoFunction, no_such


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    spelled: Spelled
    where: str


def choose(files: Sequence[File], name: str) -> Function:
    """The definition of the function of that name. Raises NoFunction."""
    path = tuple(part.strip() for part in name.removeprefix("::").split("::"))
    if path == ("main",):
        raise NoFunction([f"{files[0].shown}: main can't be called as a function; leave out which function to run it"])
    there = [function for file in files for function in functions(file)]
    same = [function for function in there if function.path == path]
    meant = [function for function in same if function.kind in ("function", "template")]
    if meant and _are_one(meant):
        return _sure(meant[0])
    if meant:
        others = ", ".join(function.where for function in meant[1:])
        told = f"{name} is overloaded, also at {others}; give the one that you mean a name of its own"
        raise NoFunction([f"{meant[0].where}: {told}"])
    raise _missing(files, name, path, same, there)


def _are_one(found: Sequence[Function]) -> bool:
    """Either one, or the same one under several conditions (`#if`)."""
    texts = {(function.file.path, text_of(function.declarator), function.kind) for function in found}
    return len(texts) == 1


def _sure(function: Function) -> Function:
    name, where = function.name, function.where
    parameters = function.declarator.child_by_field_name("parameters")
    is_auto = parameters is not None and any(_is_auto(child) for child in parameters.named_children)
    if function.kind == "template" or is_auto:
        cure = f"write a function with the types that you mean, which calls {name}, and take that"
        raise NoFunction([f"{where}: {name} is a template; {cure}"])
    return function


def _is_auto(parameter: Node) -> bool:
    kind = parameter.child_by_field_name("type")
    return kind is not None and kind.type == "placeholder_type_specifier"


def _missing(
    files: Sequence[File], name: str, path: tuple[str, ...], same: Sequence[Function], there: Sequence[Function]
) -> NoFunction:
    methods = [f for f in there if f.kind == "method" and f.path[-len(path) :] == path]
    own = [f for f in there if f.kind == "function"]
    nested = [f for f in own if f.path[-len(path) :] == path]
    if not nested and methods:
        of = "::".join(methods[0].path[:-1])
        cure = "write a function beside the class that makes an object and calls it, and take that"
        return NoFunction([f"{methods[0].where}: {name} is a method of {of}; {cure}"])
    if not nested and same:
        cure = "add the file that has its body to `source`"
        return NoFunction([f"{same[0].where}: {name} is declared here, but has no body; {cure}"])
    where = ", ".join(file.shown for file in files)
    if nested:
        names = " or ".join(function.name for function in nested)
        return NoFunction([f"{where}: there is no function {name}; did you mean {names}?"])
    return no_such(name, where, {function.name for function in own} - {"main"})


def parameters_of(function: Function, problems: list[str]) -> list[Parameter]:
    """In order; an unnamed one is called by its place: `arg2`. What can't be called from outside joins `problems`."""
    node = function.declarator.child_by_field_name("parameters")
    found: list[Parameter] = []
    for child in node.children if node is not None else ():
        where = function.file.where(child)
        if child.type in ("...", "variadic_parameter", "variadic_parameter_declaration"):
            problems.append(f"{where}: {function.name} takes any number of arguments; take a list instead")
        elif child.type == "identifier":
            problems.append(
                f"{where}: {function.name}: parameter {text_of(child)} has no type; write it before the name"
            )
        elif child.type in ("parameter_declaration", "optional_parameter_declaration"):
            declarator = child.child_by_field_name("declarator")
            own = name_in(declarator)
            name = text_of(own) if own is not None else f"arg{len(found) + 1}"
            if child.type == "optional_parameter_declaration":
                default = "a default value, which a call from outside can't leave to it"
                problems.append(f"{where}: {function.name}: parameter {name} has {default}; remove it")
            found.append(Parameter(name, spelled(child, declarator), where))
        elif child.is_error:
            problems.append(f"{where}: {function.name}: {text_of(child)!r} among its parameters can't be understood")
    if len(found) == 1 and found[0].spelled.path == ("void",) and not found[0].spelled.layers:
        return []
    return found


def result_of(function: Function, problems: list[str]) -> Spelled:
    """The type that it gives; that of `auto f() -> T` stands behind."""
    broken = [child for child in function.node.children if child.is_error]
    if broken:
        cure = "if it is a macro, give its value there"
        problems.append(
            f"{function.where}: {function.name}: {text_of(broken[0])!r} before it can't be understood; {cure}"
        )
    for child in function.declarator.children:
        if child.type == "trailing_return_type":
            descriptor = child.named_children[0]
            return spelled(descriptor, descriptor.child_by_field_name("declarator"))
    return spelled(function.node, None, function.layers)
