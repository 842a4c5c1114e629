"""Functions of C++ sources: their signatures, read with a real parser, and their glue."""

from __future__ import annotations

from dataclasses import dataclass, replace

import tree_sitter_cpp
from tree_sitter import Language

from batchwasm.functions import c, c_source, cpp_glue
from batchwasm.functions.c_function import choose, parameters_of, result_of
from batchwasm.functions.c_source import Function
from batchwasm.functions.cpp_names import Names
from batchwasm.functions.cpp_types import Read, Types
from batchwasm.functions.problems import NoFunction
from batchwasm.functions.signature import Param, Signature
from batchwasm.model import Glue, Source

LANGUAGE = Language(tree_sitter_cpp.language())


def read(source: Source) -> Signature:
    """The signature of `source.function`. Raises NoFunction, OSError."""
    among = _c_files(source)
    return c.read(among) if among else _read(source).signature


def make_glue(source: Source, signature: Signature) -> Glue:
    """Of the signature's function. Raises NoFunction, OSError."""
    among = _c_files(source)
    if among:
        return c.make_glue(among, signature)
    found = _read(source)
    records = {str(each.type): each for each in found.records}
    taken = [(param.name, each) for param, each in zip(found.signature.params, found.taken, strict=True)]
    return cpp_glue.make(found.function, taken, found.result, [records[name] for name in found.signature.records])


@dataclass(frozen=True, slots=True)
class _Found:
    function: Function
    signature: Signature
    taken: list[Read]
    result: Read | None
    records: list[Read]


def _c_files(source: Source) -> Source | None:
    """The C files of the source, where one of them has the function: C it is then, as they are compiled as C."""
    paths = tuple(path for path in source.paths if path.suffix == ".c")
    files = c_source.parse(LANGUAGE, source.paths) if paths else []
    is_theirs = any(
        function.name == source.function and function.kind == "function" and function.file.path in paths
        for file in files
        for function in c_source.functions(file)
    )
    return replace(source, paths=paths) if is_theirs else None


def _read(source: Source) -> _Found:
    files = c_source.parse(LANGUAGE, source.paths)
    function = choose(files, source.function or "")
    types = Types(Names.of(LANGUAGE, function.file, source.build.include), function.name)
    scope = function.path[:-1]
    if any(c_source.text_of(child) == "consteval" for child in function.node.children):
        why = "is consteval, so nothing of it is there to be called"
        types.problems.append(f"{function.where}: {function.name} {why}; make it constexpr")
    parameters = parameters_of(function, types.problems)
    taken = [types.parameter(each.name, each.spelled, scope, each.where) for each in parameters]
    result = types.result(result_of(function, types.problems), scope, function.where)
    if types.problems:
        raise NoFunction(types.problems)
    sure = [each for each in taken if each is not None]
    named = zip(parameters, sure, strict=True)
    signature = Signature(
        language="cpp",
        name=source.function or "",
        params=tuple(Param(name=given.name, type=each.type, passed=each.cpp) for given, each in named),
        result=result.type if result is not None else None,
        raises=_raises(function),
        line=c_source.line_of(function.declarator),
        doc=c_source.doc(function),
        warnings=tuple(types.warnings),
    )
    records = [each for each in types.records.values() if each is not None]
    return _Found(function, signature, sure, result, records)


def _raises(function: Function) -> bool:
    texts = ["".join(c_source.text_of(child).split()) for child in function.declarator.children]
    return not any(text in ("noexcept", "noexcept(true)", "throw()") for text in texts)
