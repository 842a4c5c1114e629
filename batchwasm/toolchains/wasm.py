"""What a wasm file says about itself: imports, exports, memory. Pure; every length is checked before it is believed.

Format: https://webassembly.github.io/spec/core/binary/modules.html. Only the sections that matter here are read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

MAGIC = b"\0asm"
KINDS = ("function", "table", "memory", "global", "tag")
VALUE_TYPES = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64", 0x7B: "v128", 0x70: "funcref", 0x6F: "externref"}

_TYPE, _IMPORT, _FUNCTION, _MEMORY, _EXPORT = 1, 2, 3, 5, 7
_SHARED, _WIDE, _HAS_MAX, _PAGE_SIZE = 2, 4, 1, 8

T = TypeVar("T")


class NotWasm(ValueError):
    """The bytes are not a core module that we can read; the text says why."""


class Component(NotWasm):
    """It is a component (the component model's format), not a core module."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionType:
    """Parameters and results by their names in WAT: `(i32, i64) -> (i32)`."""

    params: tuple[str, ...]
    results: tuple[str, ...]

    def __str__(self) -> str:
        return f"({', '.join(self.params)}) -> ({', '.join(self.results)})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Import:
    module: str
    name: str
    kind: str
    """One of KINDS."""
    type: FunctionType | None = None
    """Of a function; None where it can't be read (types of later proposals)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    name: str
    kind: str
    type: FunctionType | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """Declared limits of one memory."""

    minimum_bytes: int
    maximum_bytes: int | None
    shared: bool
    wide: bool
    """Addresses are 64 bits."""
    imported: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ModuleFacts:
    """What the sections of a module say."""

    imports: tuple[Import, ...]
    exports: tuple[Export, ...]
    memories: tuple[Memory, ...]

    @property
    def memory_min_bytes(self) -> int:
        """What all memories need to exist at all."""
        return sum(memory.minimum_bytes for memory in self.memories)


def parse(wasm: bytes) -> ModuleFacts:
    """Raises NotWasm (Component for a component)."""
    if wasm[:4] != MAGIC:
        raise NotWasm("it does not start with the four bytes of a wasm file")
    if wasm[4:8] != b"\1\0\0\0":
        if wasm[6:8] == b"\1\0":
            raise Component("it is a component")
        raise NotWasm(f"version {int.from_bytes(wasm[4:8], 'little')} of the format is not known")
    sections = _sections(wasm)
    types = _vector(sections.get(_TYPE), _function_type, lenient=True)
    imports_and_memories = _vector(sections.get(_IMPORT), lambda reader: _import(reader, types))
    imports = tuple(entry for entry, _, _ in imports_and_memories)
    indices = [index for entry, index, _ in imports_and_memories if entry.kind == "function"]
    indices += _vector(sections.get(_FUNCTION), _Reader.number)
    memories = [memory for _, _, memory in imports_and_memories if memory is not None]
    memories += _vector(sections.get(_MEMORY), lambda reader: _memory(reader, imported=False))
    exports = _vector(sections.get(_EXPORT), lambda reader: _export(reader, indices, types))
    return ModuleFacts(imports=imports, exports=tuple(exports), memories=tuple(memories))


class _Reader:
    """Bytes from `at` to `end`; reading beyond is NotWasm."""

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data, self.at, self.end = data, at, end

    def byte(self) -> int:
        return self.take(1)[0]

    def take(self, size: int) -> bytes:
        if size > self.end - self.at:
            raise NotWasm(f"it is cut off or damaged at byte {self.at}")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, bits: int = 32) -> int:
        """An unsigned LEB128 of at most `bits`."""
        value = 0
        for shift in range(0, bits, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value >> bits:
                    break
                return value
        raise NotWasm(f"a number at byte {self.at} is too long")

    def text(self) -> str:
        raw = self.take(self.number())
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise NotWasm(f"a name at byte {self.at} is not UTF-8") from None


def _sections(wasm: bytes) -> dict[int, _Reader]:
    """Section number -> its content; custom sections (0) are passed over."""
    reader = _Reader(wasm, 8, len(wasm))
    sections: dict[int, _Reader] = {}
    while reader.at < reader.end:
        number, size = reader.byte(), reader.number()
        start = reader.at
        reader.take(size)
        if number and sections.setdefault(number, _Reader(wasm, start, start + size)).at != start:
            raise NotWasm(f"section {number} is there twice")
    return sections


def _vector(reader: _Reader | None, read: Callable[[_Reader], T], *, lenient: bool = False) -> list[T]:
    """A count and that many elements. `lenient`: stop at the first element of a kind that we don't know."""
    if reader is None:
        return []
    elements: list[T] = []
    for _ in range(reader.number()):
        try:
            elements.append(read(reader))
        except _Unknown:
            if not lenient:
                raise
            break
    return elements


class _Unknown(NotWasm):
    """Of a proposal that this reader does not know; the engine's own validation has the last word."""


def _function_type(reader: _Reader) -> FunctionType:
    if reader.byte() != 0x60:
        raise _Unknown("a type that is no plain function")
    return FunctionType(params=_value_types(reader), results=_value_types(reader))


def _value_types(reader: _Reader) -> tuple[str, ...]:
    return tuple(_value_type(reader) for _ in range(reader.number()))


def _value_type(reader: _Reader) -> str:
    name = VALUE_TYPES.get(reader.byte())
    if name is None:
        raise _Unknown("a value type of a later proposal")
    return name


def _import(reader: _Reader, types: list[FunctionType]) -> tuple[Import, int, Memory | None]:
    """The import, the type's index of a function (else -1), and the memory if it is one."""
    module, name, kind = reader.text(), reader.text(), _kind(reader)
    index, memory = -1, None
    if kind == "function":
        index = reader.number()
    elif kind == "table":
        _reference(reader)
        _limits(reader)
    elif kind == "memory":
        memory = _memory(reader, imported=True)
    elif kind == "global":
        _reference(reader)
        reader.byte()
    else:
        reader.byte()
        reader.number()
    return Import(module=module, name=name, kind=kind, type=_at(types, index)), index, memory


def _reference(reader: _Reader) -> None:
    """A value type; (ref ...) of later proposals has a heap type behind its first byte."""
    if reader.byte() in (0x63, 0x64):
        while reader.byte() >= 0x80:
            pass


def _export(reader: _Reader, functions: list[int], types: list[FunctionType]) -> Export:
    name, kind, index = reader.text(), _kind(reader), reader.number()
    known = kind == "function" and index < len(functions)
    return Export(name=name, kind=kind, type=_at(types, functions[index]) if known else None)


def _kind(reader: _Reader) -> str:
    number = reader.byte()
    if number >= len(KINDS):
        raise _Unknown(f"something of kind {number}, which is not known")
    return KINDS[number]


def _at(types: list[FunctionType], index: int) -> FunctionType | None:
    return types[index] if 0 <= index < len(types) else None


def _limits(reader: _Reader) -> tuple[int, int, int | None, int]:
    """Flags, minimum, maximum, and log2 of the page's size."""
    flags = reader.byte()
    bits = 64 if flags & _WIDE else 32
    minimum = reader.number(bits)
    maximum = reader.number(bits) if flags & _HAS_MAX else None
    return flags, minimum, maximum, reader.number() if flags & _PAGE_SIZE else 16


def _memory(reader: _Reader, *, imported: bool) -> Memory:
    flags, minimum, maximum, page_bits = _limits(reader)
    if page_bits > 16:
        raise NotWasm("a memory's page size is out of range")
    return Memory(
        minimum_bytes=minimum << page_bits,
        maximum_bytes=None if maximum is None else maximum << page_bits,
        shared=bool(flags & _SHARED),
        wide=bool(flags & _WIDE),
        imported=imported,
    )
