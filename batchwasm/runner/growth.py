"""The host's own copy of a module, changed so that a refused memory.grow leaves a mark.

Each `memory.grow 0` becomes a call to a function appended at the module's end, which grows and, where that was
refused, stores `1 << 32 | pages asked for` in an appended global, exported as REFUSAL. So an attempt that ran out of
memory is known to have, not guessed from what it says or from how large it got. The last refusal is kept.

Types, functions, globals and exports are only appended: no index shifts. Code offsets in backtraces do, by a byte or
two after each site. The artifact that users get is never touched. A module that this can't take apart (GC types,
64-bit or several memories) is left as it is: then a refusal is not recorded.

The binary format is that of the WebAssembly specification 3.0, chapter 5.
"""

from __future__ import annotations

from typing import NamedTuple

VERSION = 1
"""Part of the native cache's key: whoever changes what comes out of `rewrite` counts up."""
REFUSAL = "bw_refuse"
MEMORY = "bw_memory"
"""Added export of memory 0 where the module itself doesn't export it as `memory`."""

_TYPE, _IMPORT, _FUNCTION, _MEMORY, _GLOBAL, _EXPORT, _CODE = 1, 2, 3, 5, 6, 7, 10
_CUSTOM = 0
# Sections stand in this order, which is not that of their ids (13 is tags, 12 the count of data segments).
_ORDER = (1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11)
_I32_TO_I32 = b"\x60\x01\x7f\x01\x7f"


class NotRewritable(Exception):
    """The module has something that this can't take apart; `str()` says what."""


class Rewritten(NamedTuple):
    """What became of a module."""

    wasm: bytes
    sites: int
    """How many memory.grow were replaced; 0 for a module that never grows."""


def rewrite(wasm: bytes) -> Rewritten:
    """A module that records refusals. Raises NotRewritable; a broken module may pass, or fail in any such way."""
    try:
        return _rewrite(wasm)
    except (IndexError, ValueError, UnicodeDecodeError) as error:
        raise NotRewritable(f"not a module that we can read ({error})") from error


def _rewrite(wasm: bytes) -> Rewritten:
    if wasm[:8] != b"\0asm\1\0\0\0":
        raise NotRewritable("not a core module, version 1")
    sections = _split(wasm)
    counts = _imported(sections)
    exports = _exports(sections)
    if REFUSAL in exports or MEMORY in exports:
        raise NotRewritable(f"it exports {REFUSAL} or {MEMORY} itself")
    memories = counts[2] + _count(sections, _MEMORY)
    if memories != 1:
        return Rewritten(wasm, 0) if memories == 0 else _refuse("several memories")
    _check_memory(sections, counts[2])
    helper = counts[0] + _count(sections, _FUNCTION)
    bodies, sites = _replace_sites(sections.get(_CODE, b"\0"), helper)
    if sites:
        refusal = counts[3] + _count(sections, _GLOBAL)
        sections[_CODE] = _vector([*bodies, _helper_body(refusal)])
        _append(sections, _FUNCTION, _leb(_helper_type(sections)))
        _append(sections, _GLOBAL, b"\x7e\x01\x42\x00\x0b")  # (mut i64) (i64.const 0)
        _append(sections, _EXPORT, _name(REFUSAL) + b"\x03" + _leb(refusal))
    if exports.get("memory") != 2:
        _append(sections, _EXPORT, _name(MEMORY) + b"\x02\x00")
    return Rewritten(_join(sections, wasm), sites)


def _refuse(why: str) -> Rewritten:
    raise NotRewritable(why)


# --------------------------------------------------------------------------------------------- the format


def _uleb(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number and where it ends."""
    result = shift = 0
    while True:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")


def _skip_leb(data: bytes, at: int) -> int:
    while data[at] >= 0x80:
        at += 1
    return at + 1


def _leb(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _name(text: str) -> bytes:
    return _leb(len(text)) + text.encode()


def _vector(items: list[bytes]) -> bytes:
    return b"".join((_leb(len(items)), *items))


def _split(wasm: bytes) -> dict[int, bytes]:
    """Contents of the sections by id, custom ones left out (`_join` copies those behind)."""
    sections: dict[int, bytes] = {}
    for kind, start, end in _walk(wasm):
        if kind != _CUSTOM:
            if kind in sections or kind not in _ORDER:
                raise NotRewritable(f"section {kind} is unknown or there twice")
            sections[kind] = wasm[start:end]
    return sections


def _walk(wasm: bytes) -> list[tuple[int, int, int]]:
    """(id, start, end of content) of each section."""
    found = []
    at = 8
    while at < len(wasm):
        size, start = _uleb(wasm, at + 1)
        if start + size > len(wasm):
            raise ValueError("a section goes beyond the end")
        found.append((wasm[at], start, start + size))
        at = start + size
    return found


def _join(sections: dict[int, bytes], wasm: bytes) -> bytes:
    """The module again. Custom sections (names, producers) come last, where all indexes they name are known.

    Those that speak of code by its offset (branch hints) would be wrong now and are left out.
    """
    parts = [wasm[:8]]
    for kind in _ORDER:
        if kind in sections:
            parts += [bytes([kind]), _leb(len(sections[kind])), sections[kind]]
    for kind, start, end in _walk(wasm):
        if kind == _CUSTOM and b"metadata.code." not in wasm[start : start + 24]:
            parts += [b"\0", _leb(end - start), wasm[start:end]]
    return b"".join(parts)


def _count(sections: dict[int, bytes], kind: int) -> int:
    return _uleb(sections[kind], 0)[0] if kind in sections else 0


def _append(sections: dict[int, bytes], kind: int, item: bytes) -> None:
    content = sections.get(kind, b"\0")
    count, at = _uleb(content, 0)
    sections[kind] = _leb(count + 1) + content[at:] + item


def _imported(sections: dict[int, bytes]) -> list[int]:
    """How many functions, tables, memories, globals and tags are imported."""
    counts = [0, 0, 0, 0, 0]
    content = sections.get(_IMPORT, b"\0")
    count, at = _uleb(content, 0)
    for _ in range(count):
        for _ in range(2):
            length, at = _uleb(content, at)
            at += length
        kind = content[at]
        at = _skip_import(content, at + 1, kind)
        counts[kind] += 1
    return counts


def _skip_import(content: bytes, at: int, kind: int) -> int:
    if kind == 0:
        return _skip_leb(content, at)
    if kind == 1:
        return _skip_limits(content, _skip_type(content, at))
    if kind == 2:
        return _skip_limits(content, at)
    if kind == 3:
        return _skip_type(content, at) + 1
    if kind == 4:
        return _skip_leb(content, at + 1)
    raise NotRewritable(f"an import of kind {kind}")


def _skip_limits(content: bytes, at: int) -> int:
    flags = content[at]
    at = _skip_leb(content, at + 1)
    return _skip_leb(content, at) if flags & 1 else at


def _skip_type(content: bytes, at: int) -> int:
    """Past a value type: one byte, or (ref null? HEAPTYPE)."""
    return _skip_leb(content, at + 1) if content[at] in (0x63, 0x64) else at + 1


def _exports(sections: dict[int, bytes]) -> dict[str, int]:
    """Kind by name: 0 function, 1 table, 2 memory, 3 global, 4 tag."""
    content = sections.get(_EXPORT, b"\0")
    count, at = _uleb(content, 0)
    exports: dict[str, int] = {}
    for _ in range(count):
        length, at = _uleb(content, at)
        name = content[at : at + length].decode()
        exports[name] = content[at + length]
        at = _skip_leb(content, at + length + 1)
    return exports


def _check_memory(sections: dict[int, bytes], imported: int) -> None:
    if imported:
        raise NotRewritable("its memory is imported")
    flags = sections[_MEMORY][_uleb(sections[_MEMORY], 0)[1]]
    if flags > 1:
        raise NotRewritable("a 64-bit or shared memory")


# ------------------------------------------------------------------------------------- what is appended


def _helper_type(sections: dict[int, bytes]) -> int:
    """Index of the type i32 -> i32, appended where it is not there yet."""
    content = sections.get(_TYPE, b"\0")
    count, at = _uleb(content, 0)
    for index in range(count):
        start = at
        if content[at] != 0x60:
            raise NotRewritable("a type other than a function's")
        at += 1
        for _ in range(2):
            length, at = _uleb(content, at)
            for _ in range(length):
                at = _skip_type(content, at)
        if content[start:at] == _I32_TO_I32:
            return index
    _append(sections, _TYPE, _I32_TO_I32)
    return count


def _helper_body(refusal: int) -> bytes:
    """Grow by the argument; where refused, note it in global `refusal`; give what memory.grow gave."""
    code = b"".join(
        (
            b"\x01\x01\x7f",  # one local, i32: the result
            b"\x20\x00\x40\x00\x22\x01",  # local.get 0, memory.grow 0, local.tee 1
            b"\x41\x7f\x46\x04\x40",  # i32.const -1, i32.eq, if
            b"\x20\x00\xad",  # local.get 0, i64.extend_i32_u
            b"\x42\x80\x80\x80\x80\x10\x84",  # i64.const 1 << 32, i64.or
            b"\x24" + _leb(refusal),  # global.set
            b"\x0b\x20\x01\x0b",  # end, local.get 1, end
        )
    )
    return _leb(len(code)) + code


# ----------------------------------------------------------------------------------- finding the places


def _replace_sites(content: bytes, helper: int) -> tuple[list[bytes], int]:
    """Every function body (with its length before it), memory.grow replaced; and how many there were."""
    call = b"\x10" + _leb(helper)
    count, at = _uleb(content, 0)
    bodies: list[bytes] = []
    total = 0
    for _ in range(count):
        start = at
        size, at = _uleb(content, at)
        end = at + size
        # Few bodies have these two bytes at all; only those are worth decoding in Python.
        sites = _sites(content, at, end) if content.find(b"\x40\x00", at, end) >= 0 else []
        bodies.append(_patched(content, at, end, sites, call) if sites else content[start:end])
        total += len(sites)
        at = end
    return bodies, total


def _patched(content: bytes, start: int, end: int, sites: list[int], call: bytes) -> bytes:
    parts = []
    at = start
    for site in sites:
        parts += [content[at:site], call]
        at = site + 2
    body = b"".join((*parts, content[at:end]))
    return _leb(len(body)) + body


def _sites(content: bytes, at: int, end: int) -> list[int]:
    """Where the memory.grow of one function body stand."""
    groups, at = _uleb(content, at)
    for _ in range(groups):
        at = _skip_type(content, _skip_leb(content, at))
    found = []
    while at < end:
        if content[at] == 0x40:
            if content[at + 1] != 0:
                raise NotRewritable("memory.grow of another memory than 0")
            found.append(at)
        at = _skip_instruction(content, at)
    if at != end:
        raise ValueError("a function does not end where it should")
    return found


def _skip_instruction(content: bytes, at: int) -> int:
    opcode = content[at]
    shape = _SHAPES[opcode]
    at += 1
    if shape == "":
        return at
    if shape == "?":
        raise NotRewritable(f"instruction {opcode:#x}")
    for part in shape:
        at = _SKIP[part](content, at)
    return at


def _skip_block_type(content: bytes, at: int) -> int:
    return _skip_type(content, at)  # 0x40, a value type, or a signed LEB: all are skipped alike


def _skip_labels(content: bytes, at: int) -> int:
    count, at = _uleb(content, at)
    for _ in range(count + 1):
        at = _skip_leb(content, at)
    return at


def _skip_types(content: bytes, at: int) -> int:
    count, at = _uleb(content, at)
    for _ in range(count):
        at = _skip_type(content, at)
    return at


def _skip_catches(content: bytes, at: int) -> int:
    count, at = _uleb(content, at)
    for _ in range(count):
        kind = content[at]
        at = _skip_leb(content, at + 1)
        if kind < 2:
            at = _skip_leb(content, at)  # catch and catch_ref name a tag and a label, the others a label
    return at


def _skip_memarg(content: bytes, at: int) -> int:
    align, at = _uleb(content, at)
    if align & 0x40:
        raise NotRewritable("an access to another memory than 0")
    return _skip_leb(content, at)


def _skip_prefixed_fc(content: bytes, at: int) -> int:
    opcode, at = _uleb(content, at)
    if opcode > 17:
        raise NotRewritable(f"instruction 0xfc {opcode}")
    operands = (0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2, 1, 2, 1, 2, 1, 1, 1)[opcode]
    for _ in range(operands):
        at = _skip_leb(content, at)
    return at


def _skip_prefixed_fd(content: bytes, at: int) -> int:
    """SIMD: memory accesses, with and without a lane, constants and shuffles, lanes, all else bare."""
    opcode, at = _uleb(content, at)
    if opcode <= 11 or opcode in (92, 93):
        return _skip_memarg(content, at)
    if opcode in (12, 13):
        return at + 16
    if 21 <= opcode <= 34:
        return at + 1
    if 84 <= opcode <= 91:
        return _skip_memarg(content, at) + 1
    return at


def _shapes() -> list[str]:
    """What follows each opcode: see _SKIP for the letters; '?' is what we don't know."""
    shapes = ["?"] * 256
    for first, last, shape in _RANGES:
        for opcode in range(first, last + 1):
            shapes[opcode] = shape
    return shapes


_RANGES = (
    (0x00, 0x01, ""),  # unreachable, nop
    (0x02, 0x04, "b"),  # block, loop, if
    (0x05, 0x05, ""),  # else
    (0x06, 0x06, "b"),  # try, of the older exceptions
    (0x07, 0x09, "u"),  # catch, throw, rethrow
    (0x0A, 0x0B, ""),  # throw_ref, end
    (0x0C, 0x0D, "u"),  # br, br_if
    (0x0E, 0x0E, "l"),  # br_table
    (0x0F, 0x0F, ""),  # return
    (0x10, 0x10, "u"),  # call
    (0x11, 0x11, "uu"),  # call_indirect
    (0x12, 0x12, "u"),  # return_call
    (0x13, 0x13, "uu"),  # return_call_indirect
    (0x14, 0x15, "u"),  # call_ref, return_call_ref
    (0x18, 0x18, "u"),  # delegate
    (0x19, 0x1B, ""),  # catch_all, drop, select
    (0x1C, 0x1C, "t"),  # select with types
    (0x1F, 0x1F, "bc"),  # try_table
    (0x20, 0x26, "u"),  # locals, globals, table.get and .set
    (0x28, 0x3E, "m"),  # loads and stores
    (0x3F, 0x40, "u"),  # memory.size, memory.grow
    (0x41, 0x42, "u"),  # i32.const, i64.const
    (0x43, 0x43, "4"),
    (0x44, 0x44, "8"),
    (0x45, 0xC4, ""),  # numeric
    (0xD0, 0xD0, "u"),  # ref.null
    (0xD1, 0xD1, ""),  # ref.is_null
    (0xD2, 0xD2, "u"),  # ref.func
    (0xD3, 0xD4, ""),  # ref.eq, ref.as_non_null
    (0xD5, 0xD6, "u"),  # br_on_null, br_on_non_null
    (0xFC, 0xFC, "f"),
    (0xFD, 0xFD, "s"),
)
_SKIP = {
    "u": _skip_leb,
    "b": _skip_block_type,
    "l": _skip_labels,
    "t": _skip_types,
    "c": _skip_catches,
    "m": _skip_memarg,
    "4": lambda content, at: at + 4,
    "8": lambda content, at: at + 8,
    "f": _skip_prefixed_fc,
    "s": _skip_prefixed_fd,
}
_SHAPES = _shapes()
