"""Functions' modules written in WAT: they need no compiler, and do what no glue of ours would."""

from __future__ import annotations

from pathlib import Path

import wasmtime

from batchwasm.functions import Param, Signature, into_module
from batchwasm.functions.types import Type

_HEAD = """
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 40)
  (global $count (mut i32) (i32.const 0))
  (func (export "bw_alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "bw_call") (param $at i32) (param $size i32) (result i64)
"""
ECHO = (
    _HEAD
    + """
    (i64.or
      (i64.shl (i64.extend_i32_u (i32.add (local.get $at) (i32.const 1))) (i64.const 32))
      (i64.extend_i32_u (i32.sub (local.get $size) (i32.const 1))))))
"""
)
"""Gives its one argument back: CBOR's array of one is a byte and the argument. Up to 2 MiB."""

PICKY = (
    _HEAD
    + """
    (local $x i32)
    (local.set $x (i32.load8_u (i32.add (local.get $at) (i32.const 1))))
    (if (i32.eq (local.get $x) (i32.const 13)) (then unreachable))
    (if (i32.eq (local.get $x) (i32.const 14)) (then (loop $l (br $l))))
    (if (i32.eq (local.get $x) (i32.const 15)) (then (call $exit (i32.const 3))))
    (if (i32.eq (local.get $x) (i32.const 16))
      (then (i32.store8 (i32.add (local.get $at) (i32.const 1)) (i32.const 0x60))))
    (i64.or
      (i64.shl (i64.extend_i32_u (i32.add (local.get $at) (i32.const 1))) (i64.const 32))
      (i64.extend_i32_u (i32.sub (local.get $size) (i32.const 1))))))
"""
)
"""As ECHO for small numbers, but 13 traps, 14 never ends, 15 exits with code 3, 16 gives an empty text."""

COUNTER = (
    _HEAD
    + """
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (i32.store8 (i32.const 16) (i32.and (global.get $count) (i32.const 15)))
    (i64.or (i64.shl (i64.const 16) (i64.const 32)) (i64.const 1))))
"""
)
"""Gives how often this instance was called, modulo 16."""


def write(path: Path, wat: str, name: str, result: Type | None, *params: Type) -> Path:
    """The module at `path`, with the signature `name(a, b, ...) -> result`, or without a result."""
    named = tuple(Param(name=letter, type=kind) for letter, kind in zip("abcdef", params, strict=False))
    signature = Signature(language="wat", name=name, params=named, result=result, doc=f"{name}, as WAT has it.")
    path.write_bytes(into_module(bytes(wasmtime.wat2wasm(wat)), signature))
    return path
