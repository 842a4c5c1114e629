"""A function's module is usable without us: the hosts that docs/abi.md names are started as programs and agree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cbor2
import pytest
import wasmtime

from batchwasm import artifacts
from batchwasm.functions.types import NAMES, list_of
from batchwasm.model import Source
from batchwasm.store import Store
from tests.functions.kinds import sent
from tests.toolchains.guests import need, write

HERE = Path(__file__).parent
FLOATS = list_of(NAMES["f64"])

GO = """package a

import "errors"

type Stats struct {
	Mean  float64
	Words map[string][]int64
}

func stats(xs []float64, words []string) ([]float64, Stats, error) {
	if len(xs) == 0 {
		return nil, Stats{}, errors.New("no numbers: ü")
	}
	s := Stats{Words: map[string][]int64{}}
	for i, word := range words {
		s.Words[word] = append(s.Words[word], int64(-i))
	}
	for _, x := range xs {
		s.Mean += x / float64(len(xs))
	}
	return xs, s, nil
}
"""
WORDS = {
    "b": cbor2.CBORTag(79, b"\0" * 8 + b"\xfe" + b"\xff" * 7),
    "ü": cbor2.CBORTag(79, b"\xff" * 8),
}
WAT = """(module
    (memory (export "memory") 1)
    (data (i32.const 0) "\\00")
    (func (export "%s") (i32.store8 (i32.const 0) (i32.add (i32.load8_u (i32.const 0)) (i32.const 1))))
    (func (export "bw_alloc") (param i32) (result i32) (i32.const 16))
    (func (export "bw_call") (param i32 i32) (result i64) (i64.const 1))
)"""
"""Answers with the number of times that it was made ready."""


def hosts() -> Sequence[tuple[str, ...]]:
    node = shutil.which("node")
    if node is None:
        if os.environ.get("CI"):
            pytest.fail("no node: apt-get install nodejs")
        pytest.skip("no node here: install nodejs")
    return (sys.executable, str(HERE / "host.py")), (node, "--no-warnings", str(HERE / "host.mjs"))


def answers(wasm: Path, arguments: bytes) -> list[bytes]:
    done = [subprocess.run([*host, str(wasm)], input=arguments, capture_output=True, check=False) for host in hosts()]
    assert [each.stderr for each in done] == [b"", b""]
    assert [each.returncode for each in done] == [0, 0]
    return [each.stdout for each in done]


def test_both_hosts_get_the_same_answers_from_a_go_function(tmp_path: Path) -> None:
    need("go")
    source = Source(language="go", paths=(write(tmp_path, {"a.go": GO}) / "a.go",), function="stats")
    wasm = artifacts.build("job", source, Store(tmp_path / "store")).path
    million = [float(n % 1000) for n in range(1_000_000)]
    for arguments, expected in (
        (
            [[1, 2.5], ["b", "ü", "b"]],
            [cbor2.CBORTag(86, b"\0" * 6 + b"\xf0\x3f" + b"\0" * 6 + b"\x04\x40"), {"Mean": 1.75, "Words": WORDS}],
        ),
        ([[], []], cbor2.CBORTag(25207, ("raised", "no numbers: ü"))),
        ([[]], cbor2.CBORTag(25207, ("argument", "expected 2 arguments, found 1"))),
    ):
        python, node = answers(wasm, cbor2.dumps(arguments))
        assert python == node
        assert cbor2.loads(python) == expected
    python, node = answers(wasm, b"\x82" + sent(FLOATS, million) + b"\x80")
    assert python == node
    assert python.startswith(b"\x82" + sent(FLOATS, million))


@pytest.mark.parametrize("name", ["_initialize", "bw_init", "neither"])
def test_both_hosts_make_a_module_ready_once(name: str, tmp_path: Path) -> None:
    wasm = tmp_path / "a.wasm"
    wasm.write_bytes(wasmtime.wat2wasm(WAT % name))
    assert answers(wasm, b"\x80") == [b"\0" if name == "neither" else b"\1"] * 2
