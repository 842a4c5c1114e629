"""The declarations of a Go package: which of its files belong to a build for WASI, and what they declare.

It reads what go itself would compile: no tests, no files for other systems, none that a `//go:build` line takes away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import tree_sitter_go
from tree_sitter import Language, Node, Parser

GO = Language(tree_sitter_go.language())

_SYSTEMS = (
    "aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris wasip1 windows "
    "zos 386 amd64 amd64p32 arm armbe arm64 arm64be loong64 mips mipsle mips64 mips64le mips64p32 mips64p32le ppc "
    "ppc64 ppc64le riscv riscv64 s390 s390x sparc sparc64 wasm"
)
SYSTEMS = frozenset(_SYSTEMS.split())
"""Every GOOS and GOARCH, as go/build lists them: `_linux.go` is a file for Linux alone."""
OURS = frozenset({"wasip1", "wasm", "gc"})


@dataclass(frozen=True, slots=True)
class Declared:
    """A declaration and where it stands."""

    node: Node
    file: str
    """Relative to the source, for people."""

    @property
    def line(self) -> int:
        return self.node.start_point.row + 1

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"

    def part(self, node: Node) -> Declared:
        return Declared(node, self.file)


@dataclass(slots=True)
class Package:
    """What the files of one folder (or one file alone) declare at their top level."""

    name: str = ""
    functions: dict[str, Declared] = field(default_factory=dict)
    methods: dict[str, Declared] = field(default_factory=dict)
    """By the method's own name; one of several."""
    types: dict[str, Declared] = field(default_factory=dict)
    """`type_spec` and `type_alias` nodes."""
    names: dict[str, Declared] = field(default_factory=dict)
    """All of these but methods, and variables and constants."""
    clauses: dict[Path, Node] = field(default_factory=dict)
    """The package's name in each file."""
    files: dict[str, Path] = field(default_factory=dict)
    """By the names that people see."""
    with_c: set[str] = field(default_factory=set)
    """Those of them that import C: go leaves them out, as it has no C for wasm."""


def text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")


def of_file(path: Path) -> Package:
    """Raises OSError."""
    package = Package()
    _add(package, path, path.name)
    return package


def of_folder(folder: Path, root: Path, tags: Iterable[str]) -> Package:
    """The package in a folder of the module at `root`; without files where there is none. Raises OSError."""
    package, chosen = Package(), OURS | set(tags)
    for path in sorted(folder.glob("*.go")):
        if path.is_file() and _is_chosen(path, chosen):
            _add(package, path, path.relative_to(root).as_posix())
    return package


def _add(package: Package, path: Path, name: str) -> None:
    root = Parser(GO).parse(path.read_bytes()).root_node
    package.files[name] = path
    for node in root.named_children:
        match node.type:
            case "package_clause":
                package.clauses[path] = node.named_children[0]
                package.name = text(node.named_children[0])
            case "import_declaration" if '"C"' in text(node):
                package.with_c.add(name)
            case "function_declaration":
                package.functions[_name(node)] = package.names[_name(node)] = Declared(node, name)
            case "method_declaration":
                package.methods[_name(node)] = Declared(node, name)
            case "type_declaration":
                specs = [spec for spec in node.named_children if spec.type in ("type_spec", "type_alias")]
                package.types |= {_name(spec): Declared(spec, name) for spec in specs}
                package.names |= {_name(spec): Declared(spec, name) for spec in specs}
            case "var_declaration" | "const_declaration":
                package.names |= {text(spec): Declared(spec, name) for spec in _variables(node)}


def _variables(node: Node) -> Iterator[Node]:
    for child in node.named_children:
        if child.type == "var_spec_list":
            yield from _variables(child)
        yield from child.children_by_field_name("name")


def _name(node: Node) -> str:
    name = node.child_by_field_name("name")
    return text(name) if name is not None else ""


def _is_chosen(path: Path, tags: frozenset[str]) -> bool:
    if path.name.startswith(("_", ".")) or path.name.endswith("_test.go"):
        return False
    suffixes = path.stem.split("_")[1:][-2:]
    if suffixes and not (set(suffixes[-1:]) & SYSTEMS):
        suffixes = []  # x_linux_more.go is for all
    if any(word in SYSTEMS and word not in tags for word in suffixes):
        return False
    head = re.split(r"^package\s", path.read_bytes().decode("utf-8", "replace"), maxsplit=1, flags=re.MULTILINE)[0]
    line = re.search(r"^//go:build[ \t]+(.+)$", head, re.MULTILINE)
    return line is None or holds(line[1], tags)


def holds(expression: str, tags: frozenset[str]) -> bool:
    """Whether a `//go:build` line lets its file in. One that is not well formed does: the compiler will tell."""
    words = re.findall(r"&&|\|\||[!()]|[\w.]+", expression)
    try:
        return _any(words, tags)
    except IndexError:
        return True


def _any(words: list[str], tags: frozenset[str]) -> bool:
    value = _all(words, tags)
    while words[:1] == ["||"]:
        words.pop(0)
        value = _all(words, tags) or value
    return value


def _all(words: list[str], tags: frozenset[str]) -> bool:
    value = _one(words, tags)
    while words[:1] == ["&&"]:
        words.pop(0)
        value = _one(words, tags) and value
    return value


def _one(words: list[str], tags: frozenset[str]) -> bool:
    match words.pop(0):
        case "!":
            return not _one(words, tags)
        case "(":
            value = _any(words, tags)
            words.pop(0)
            return value
        case word:
            # Every Go that can make a function's module is newer than the versions that files ask for.
            return word in tags or re.fullmatch(r"go1\.\d+", word) is not None
