"""Modules rewritten so that a refused memory.grow leaves a mark: valid, equal in what they do, and telling."""

from __future__ import annotations

import pytest
import wasmtime

from batchwasm.runner import growth
from batchwasm.runner.growth import NotRewritable, rewrite

PAGE = 65536

# Every kind of immediate beside a memory.grow, so that one read wrongly shows.
BUSY = """
(module
  (type $other (func (param i64 f64) (result f32)))
  (import "m" "f" (func $imported (param i32)))
  (import "m" "g" (global $imported_global i32))
  (tag $tag (param i32))
  (memory (export "memory") 1 20)
  (table $t 4 funcref)
  (global $mine (mut i64) (i64.const 0x4000))
  (elem declare func $imported)
  (data $d "abc")
  (func (export "run") (param $pages i32) (result i32) (local $v v128) (local $n i32)
    (local.set $n (i32.const 0x2000))
    (drop (i64.const 0x4000400040004000))
    (drop (f32.const 1.5)) (drop (f64.const 3.14e100))
    (local.set $v (v128.const i64x2 0x0040004000400040 0x4000400040004000))
    (drop (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 (local.get $v) (local.get $v)))
    (drop (i32x4.extract_lane 3 (local.get $v)))
    (drop (v128.load offset=64 (i32.const 0)))
    (drop (v128.load8_lane offset=64 3 (i32.const 0) (local.get $v)))
    (drop (v128.load32_zero offset=64 (i32.const 0)))
    (drop (i32.load offset=16384 (i32.const 0)))
    (memory.init $d (i32.const 0) (i32.const 0) (i32.const 0))
    (memory.copy (i32.const 0) (i32.const 64) (i32.const 1))
    (memory.fill (i32.const 0) (i32.const 64) (i32.const 1))
    (data.drop $d)
    (table.set $t (i32.const 0) (ref.func $imported))
    (drop (table.size $t))
    (drop (ref.is_null (ref.null func)))
    (drop (select (result i32) (i32.const 1) (i32.const 2) (i32.const 1)))
    (drop (i32.trunc_sat_f64_s (f64.const 1)))
    (block $caught (result i32)
      (try_table (result i32) (catch $tag $caught) (throw $tag (i32.const 5))))
    drop
    (block $a (block $b (br_table $a $b $a (i32.const 1))))
    (if (result i32) (i32.const 1) (then (memory.grow (local.get $pages))) (else (memory.size)))
  )
)
"""


def run(wasm: bytes, *pages: int, limit_pages: int = 10) -> tuple[list[int], int | None]:
    """What `run` gave for each, in one instance; and the mark it left, if it has one."""
    config = wasmtime.Config()
    config.wasm_exceptions = True
    engine = wasmtime.Engine(config)
    store = wasmtime.Store(engine)
    store.set_limits(memory_size=limit_pages * PAGE)
    module = wasmtime.Module(engine, wasm)
    imports: list[wasmtime.AsExtern] = []
    if module.imports:
        imports = [
            wasmtime.Func(store, wasmtime.FuncType([wasmtime.ValType.i32()], []), lambda _: None),
            wasmtime.Global(store, wasmtime.GlobalType(wasmtime.ValType.i32(), False), wasmtime.Val.i32(1)),
        ]
    exports = wasmtime.Instance(store, module, imports).exports(store)
    function = exports["run"]
    assert isinstance(function, wasmtime.Func)
    results = [function(store, n) for n in pages]
    mark = exports.get(growth.REFUSAL)
    return results, mark.value(store) if isinstance(mark, wasmtime.Global) else None


def wat(text: str) -> bytes:
    return bytes(wasmtime.wat2wasm(text))


def test_every_kind_of_instruction_is_passed_over_rightly() -> None:
    before = wat(BUSY)
    after = rewrite(before)
    assert after.sites == 1
    assert run(after.wasm, 2, 3, 100) == ([1, 3, -1], 1 << 32 | 100)
    assert run(before, 2, 3, 100) == ([1, 3, -1], None)


def test_without_a_refusal_there_is_no_mark() -> None:
    assert run(rewrite(wat(BUSY)).wasm, 1, 1) == ([1, 2], 0)


def test_the_last_refusal_is_the_one_kept() -> None:
    assert run(rewrite(wat(BUSY)).wasm, 50, 60, 1)[1] == 1 << 32 | 60


def test_several_sites_in_several_functions_are_all_replaced() -> None:
    module = wat("""(module (memory (export "memory") 1)
        (func $a (param i32) (result i32) (drop (memory.grow (i32.const 1))) (memory.grow (local.get 0)))
        (func (export "run") (param i32) (result i32) (drop (call $a (i32.const 0))) (memory.grow (local.get 0))))""")
    after = rewrite(module)
    assert after.sites == 3
    assert run(after.wasm, 70_000) == ([-1], 1 << 32 | 70_000)


def test_a_module_that_never_grows_is_left_as_it_is_but_for_its_sections_order() -> None:
    module = wat('(module (memory (export "memory") 1) (func (export "run") (param i32) (result i32) (local.get 0)))')
    after = rewrite(module)
    assert after.sites == 0
    assert after.wasm == module


def test_a_memory_that_is_not_exported_gets_an_export() -> None:
    after = rewrite(
        wat('(module (memory 1) (func (export "run") (param i32) (result i32) (memory.grow (local.get 0))))')
    )
    assert run(after.wasm, 99)[1] == 1 << 32 | 99
    names = [e.name for e in wasmtime.Module(wasmtime.Engine(), after.wasm).exports]
    assert names == ["run", growth.REFUSAL, growth.MEMORY]


def test_a_module_without_memory_is_left_alone() -> None:
    module = wat('(module (func (export "run") (param i32) (result i32) (local.get 0)))')
    assert rewrite(module) == (module, 0)


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("(module (memory i64 1))", "64-bit"),
        ("(module (memory 1) (memory 1))", "several"),
        ('(module (import "m" "m" (memory 1)))', "imported"),
        (f'(module (memory 1) (global (export "{growth.REFUSAL}") i32 (i32.const 0)))', growth.REFUSAL),
        (
            "(module (type $s (struct (field i32))) (memory 1)"
            " (func (drop (memory.grow (i32.const 1))) (drop (struct.new $s (i32.const 1)))))",
            "instruction 0xfb",
        ),
    ],
)
def test_what_can_not_be_taken_apart_is_said(module: str, why: str) -> None:
    with pytest.raises(NotRewritable, match=why):
        rewrite(wat(module))


@pytest.mark.parametrize("cut", [4, 9, 20, 60, 100])
def test_a_broken_module_is_not_rewritten_and_not_a_crash(cut: int) -> None:
    with pytest.raises(NotRewritable):
        rewrite(wat(BUSY)[:cut])


def test_any_byte_changed_gives_a_module_or_a_refusal_never_another_error() -> None:
    module = wat(BUSY)
    for at in range(8, len(module)):
        for value in (0x00, 0x40, 0x7F, 0x80, 0xFF):
            try:
                rewrite(module[:at] + bytes([value]) + module[at + 1 :])
            except NotRewritable:
                continue


def test_custom_sections_are_kept_but_for_those_that_count_bytes() -> None:
    module = wat(
        '(module (@custom "mine" "data") (memory (export "memory") 1) (func $f (drop (memory.grow (i32.const 1)))))'
    )
    hint = b"\x00\x1a\x19metadata.code.branch_hint"
    after = rewrite(module + hint).wasm
    assert b"mine" in after
    assert b"branch_hint" not in after


def test_a_program_with_its_c_library_is_rewritten_and_valid(toolbox: bytes) -> None:
    after = rewrite(toolbox)
    assert after.sites > 0
    wasmtime.Module.validate(wasmtime.Engine(), after.wasm)
