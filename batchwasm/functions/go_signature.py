"""Finds a function in a Go source and reads what it takes and gives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tree_sitter import Node

from batchwasm.functions import go_package
from batchwasm.functions.go_package import Declared, Package, text
from batchwasm.functions.go_types import Resolver, Shape, Subject
from batchwasm.functions.problems import NoFunction, no_such
from batchwasm.functions.signature import Param, Signature
from batchwasm.functions.types import Tuple, Type
from batchwasm.model import Source

_GLUE_NEEDS = (
    "append bool byte cap false float32 float64 int int16 int32 int64 int8 iota len make nil rune string true uint "
    "uint16 uint32 uint64 uint8 uintptr"
)
GLUE_NEEDS = frozenset(_GLUE_NEEDS.split())
"""What Go itself declares and the generated code, which lies in the same package, relies on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Function:
    """A function that was found and can be called."""

    signature: Signature
    package: Package
    path: str
    """What other packages of the module import it as; '' for a file alone."""
    name: str
    """In its package."""
    file: Path
    params: tuple[Shape, ...]
    results: tuple[Shape, ...]
    """Without the error."""


def find(source: Source) -> Function:
    """Raises NoFunction, OSError."""
    package, path, name = _in_module(source) if source.paths[0].is_dir() else _in_file(source)
    declared, resolver = package.functions[name], Resolver(package)
    resolver.problems += _cannot_be_called(name, declared, package)
    if declared.node.child_by_field_name("type_parameters") is not None:
        raise NoFunction(resolver.problems)  # what its types are is not known
    params = list(_params(declared, name, resolver))
    results, raises = _results(declared, name, resolver)
    if resolver.problems:
        raise NoFunction(resolver.problems)
    kinds = tuple(shape.type for shape in results if shape)
    return Function(
        signature=Signature(
            language="go",
            name=source.function or name,
            params=tuple(Param(name=each, type=shape.type) for each, shape in params if shape),
            result=_result(kinds),
            raises=raises,
            line=declared.line,
            doc=_doc(declared.node),
        ),
        package=package,
        path=path,
        name=name,
        file=package.files[declared.file],
        params=tuple(shape for _, shape in params if shape),
        results=tuple(shape for shape in results if shape),
    )


def _result(kinds: tuple[Type, ...]) -> Type | None:
    match kinds:
        case ():
            return None
        case (only,):
            return only
        case _:
            return Tuple(kinds)


# ---- where it is ---------------------------------------------------------------------------------------------------


def _in_file(source: Source) -> tuple[Package, str, str]:
    """The package, its import path, and the function's name in it."""
    package = go_package.of_file(source.paths[0])
    wanted = source.function or ""
    name = wanted.removeprefix(f"{package.name}.")
    if name not in package.functions:
        raise _missing(wanted, name, source.paths[0].name, package, package.functions)
    return package, "", name


def _in_module(source: Source) -> tuple[Package, str, str]:
    root, wanted = source.paths[0], source.function or ""
    module = _module_path(root / "go.mod")
    tags = _tags(source.build.flags)
    folder, _, name = wanted.rpartition(".")
    home = _folder(root, module, folder, tags)
    package = go_package.of_folder(home or root, root, tags)
    if home is None or name not in package.functions:
        raise _missing(wanted, name, root.name, package, _all_names(root, tags))
    inside = home.relative_to(root).as_posix()
    return package, module if inside == "." else f"{module}/{inside}", name


def _folder(root: Path, module: str, written: str, tags: list[str]) -> Path | None:
    """Of the package that is written before the function's name: a path in the module, or the end of just one."""
    inside = written.removeprefix(module).lstrip("/") if written.startswith((f"{module}/", module)) else written
    if not inside or inside == go_package.of_folder(root, root, tags).name:
        return root
    if _is_folder(root / inside):
        return root / inside
    ends = [folder for folder in _folders(root) if f"/{folder.relative_to(root).as_posix()}".endswith(f"/{inside}")]
    if len(ends) > 1:
        names = " or ".join(folder.relative_to(root).as_posix() for folder in ends)
        raise NoFunction([f"{inside} is the name of several packages; write {names} before the function's name"])
    return ends[0] if ends else None


def _is_folder(path: Path) -> bool:
    return path.is_dir() and ".." not in path.parts and not (path / "go.mod").exists()


def _folders(root: Path) -> Iterator[Path]:
    """All folders of the module but its own; what go leaves out is left out."""
    for path in sorted(root.iterdir()):
        if not path.name.startswith((".", "_")) and path.name not in ("testdata", "vendor") and _is_folder(path):
            yield path
            yield from _folders(path)


def _module_path(path: Path) -> str:
    """Of a go.mod. Raises NoFunction where it names none, OSError."""
    found = re.search(
        r'^\s*module\s*(?:\(\s*)?("[^"\n]+"|`[^`\n]+`|[^\s()"`/][^\s()"`]*)',
        path.read_text(errors="replace"),
        re.MULTILINE,
    )
    if found is None:
        raise NoFunction([f"{path}: it has no line `module NAME`; add one"])
    return found[1].strip('"`')


def _tags(flags: tuple[str, ...]) -> list[str]:
    """Build tags that the user gives to go."""
    found: list[str] = []
    for at, flag in enumerate(flags):
        name, equals, value = flag.partition("=")
        if name in ("-tags", "--tags"):
            found += re.split(r"[,\s]+", value if equals else "".join(flags[at + 1 : at + 2]))
    return found


def _all_names(root: Path, tags: list[str]) -> Iterator[str]:
    yield from go_package.of_folder(root, root, tags).functions
    for folder in _folders(root):
        package = go_package.of_folder(folder, root, tags)
        yield from (f"{folder.relative_to(root).as_posix()}.{name}" for name in package.functions)


def _missing(wanted: str, name: str, where: str, package: Package, names: Iterable[str]) -> NoFunction:
    method = package.methods.get(name)
    if method is not None:
        receiver = method.node.child_by_field_name("receiver")
        of = " ".join(text(receiver).strip("()").split()) if receiver is not None else ""
        return NoFunction(
            [f"{method.place}: {name} is a method, which can't be called from outside; write a function ({of}, ...)"]
        )
    return no_such(wanted, where, [each for each in names if each not in ("init", "main", "_")])


def _cannot_be_called(name: str, declared: Declared, package: Package) -> Iterator[str]:
    node = declared.node
    if declared.file in package.with_c:
        yield f'{declared.place}: {name}: its file imports "C", which Go has not for wasm; move it to another file'
    if package.files[declared.file] not in package.clauses:
        yield f"{declared.file}:1: it does not start with `package NAME`"
    if declared.file.endswith("_test.go"):
        yield f"{declared.place}: {name}: go leaves out files that end in _test.go; rename it"
    if name in ("init", "_"):
        yield f"{declared.place}: {name} can't be called in Go; give the function another name"
    if node.child_by_field_name("type_parameters") is not None:
        yield f"{declared.place}: {name} is generic; write a function for one type that calls it"
    head = [node.child_by_field_name(part) for part in ("parameters", "result")]
    if any(part is not None and part.has_error for part in head):
        yield f"{declared.place}: {name}: its parameters and results can't be read; is this valid Go?"
    for other in sorted(GLUE_NEEDS & package.names.keys()):
        at = package.names[other].place
        yield f"{at}: {other} is Go's own name, which the generated code needs; give this one another"


# ---- what it takes and gives ---------------------------------------------------------------------------------------


def _params(declared: Declared, function: str, resolver: Resolver) -> Iterator[tuple[str, Shape | None]]:
    """Names and shapes; a parameter without a name gets one by its place."""
    nodes = declared.node.child_by_field_name("parameters")
    named = [(name, node) for node in _declarations(nodes) for name in _names(node)]
    taken = {name for name, _ in named}
    for place, (name, node) in enumerate(named, start=1):
        if name in ("", "_"):
            name = next(each for each in (f"arg{place}", f"arg{place}_") if each not in taken)
        shape = _shape(f"parameter {name}", declared.part(node), function, resolver)
        yield name, shape


def _shape(what: str, at: Declared, function: str, resolver: Resolver) -> Shape | None:
    type_ = at.node.child_by_field_name("type")
    if type_ is None:
        return None  # has_error has told
    if at.node.type == "variadic_parameter_declaration":
        written = text(type_)
        resolver.problems.append(
            f"{at.place}: {function}: {what} is ...{written}, which can't be passed; write []{written}"
        )
        return None
    return resolver.shape(type_, Subject(at, function, what, type_))


def _declarations(nodes: Node | None) -> list[Node]:
    return [node for node in nodes.named_children if node.type.endswith("parameter_declaration")] if nodes else []


def _names(node: Node) -> list[str]:
    """'' for what has none."""
    return [text(name) for name in node.children_by_field_name("name")] or [""]


def _results(declared: Declared, function: str, resolver: Resolver) -> tuple[list[Shape | None], bool]:
    """The shapes without the error, and whether there is one, which must be the last."""
    node = declared.node.child_by_field_name("result")
    if node is None:
        return [], False
    if node.type != "parameter_list":
        types: list[tuple[str, Node]] = [("", node)]
    else:
        named = [(name, each.child_by_field_name("type")) for each in _declarations(node) for name in _names(each)]
        types = [(name, type_) for name, type_ in named if type_ is not None]
    raises = bool(types) and text(types[-1][1]) == "error" and "error" not in resolver.package.types
    values = types[:-1] if raises else types
    shapes = []
    for place, (name, type_) in enumerate(values, start=1):
        what = f"result {name or place}" if len(values) > 1 or name else "the result"
        shapes.append(resolver.shape(type_, Subject(declared.part(type_), function, what, type_)))
    return shapes, raises


def _doc(node: Node) -> str:
    """The comment right above, without its marks; directives such as //go:noinline are none of it."""
    lines: list[str] = []
    above, row = node.prev_sibling, node.start_point.row
    while above is not None and (above.type == "comment" or not text(above).strip()):
        if above.type == "comment":
            before = above.prev_sibling
            beside = before is not None and before.end_point.row == above.start_point.row  # x := 1 // about x
            if above.end_point.row != row - 1 or beside:
                break
            lines[:0] = _uncommented(text(above))
            row = above.start_point.row
        above = above.prev_sibling
    return "\n".join(lines).strip()


def _uncommented(comment: str) -> list[str]:
    if comment.startswith("/*"):
        return [line.strip().removeprefix("*").strip() for line in comment[2:-2].strip().splitlines()]
    if re.match(r"//[a-z0-9]+:[a-z0-9]", comment):
        return []
    return [comment[2:].removeprefix(" ").rstrip()]
