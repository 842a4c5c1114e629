"""The reader of wasm files believes no length, and agrees with wasmtime."""

from __future__ import annotations

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from batchwasm.toolchains import wasi, wasm

TEXT = """
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
  (import "m" "t" (table 1 2 funcref))
  (import "m" "g" (global (mut i64)))
  (func $f (param i32 f64) (result i64) (i64.const 0))
  (memory (export "memory") 2 10)
  (export "f" (func $f)))
"""
MODULE = bytes(wasmtime.wat2wasm(TEXT))
EXPORTS_END = MODULE.index(b"\x01f\x00\x01") + 4


def test_imports_exports_and_memory_are_read() -> None:
    facts = wasm.parse(MODULE)
    assert [(x.module, x.name, x.kind) for x in facts.imports] == [
        ("wasi_snapshot_preview1", "proc_exit", "function"),
        ("m", "t", "table"),
        ("m", "g", "global"),
    ]
    assert [(x.name, x.kind, str(x.type)) for x in facts.exports] == [
        ("memory", "memory", "None"),
        ("f", "function", "(i32, f64) -> (i64)"),
    ]
    assert facts.memories == (
        wasm.Memory(minimum_bytes=131072, maximum_bytes=655360, shared=False, wide=False, imported=False),
    )


def test_a_type_of_a_later_proposal_hides_types_and_no_more() -> None:
    text = '(module (type (struct)) (type $f (func)) (func (export "_start") (type $f)))'
    facts = wasm.parse(bytes(wasmtime.wat2wasm(text)))
    assert [(entry.name, entry.type) for entry in facts.exports] == [("_start", None)]


@pytest.mark.parametrize("end", range(EXPORTS_END))
def test_a_module_cut_off_anywhere_is_no_module_or_has_fewer_sections(end: int) -> None:
    try:
        facts = wasm.parse(MODULE[:end])
    except wasm.NotWasm:
        return
    assert facts != wasm.parse(MODULE)


@given(st.binary(max_size=200), st.integers(0, len(MODULE)))
def test_any_bytes_are_read_or_refused(noise: bytes, at: int) -> None:
    for data in (b"\0asm\1\0\0\0" + noise, MODULE[:at] + noise + MODULE[at:]):
        try:
            wasm.parse(data)
        except wasm.NotWasm:
            pass


@pytest.mark.parametrize("number", [b"\x80\x80\x80\x80\x80\x01", b"\xff\xff\xff\xff\x1f"])
def test_a_number_of_more_than_32_bits_is_refused(number: bytes) -> None:
    with pytest.raises(wasm.NotWasm, match="too long"):
        wasm.parse(b"\0asm\1\0\0\0\x05" + number)


def test_a_component_is_told_apart() -> None:
    with pytest.raises(wasm.Component):
        wasm.parse(bytes(wasmtime.wat2wasm("(component)")))


def test_wasmtime_offers_every_function_of_the_table_with_its_type() -> None:
    engine = wasmtime.Engine()
    linker, store = wasmtime.Linker(engine), wasmtime.Store(engine)
    linker.define_wasi()
    for name, expected in wasi.FUNCTIONS.items():
        function = linker.get(store, wasi.MODULE, name)
        assert isinstance(function, wasmtime.Func)
        kind = function.type(store)
        assert (tuple(map(str, kind.params)), tuple(map(str, kind.results))) == (expected.params, expected.results)
    assert len(wasi.FUNCTIONS) == 46
