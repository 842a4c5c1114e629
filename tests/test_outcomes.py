"""Every way a task can end, each with its outcome, code and a sentence, in one run: none disturbs another."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from batchwasm.model import MIB
from tests.command import Cli

MODES_C = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
volatile int zero = 0;
char *volatile kept;
int deeper(int n) { volatile char frame[1000]; frame[0] = n; return deeper(n + 1) + frame[0]; }
int main(int argc, char **argv) {
    const char *mode = argv[1];
    puts(mode);
    fflush(stdout);
    if (!strcmp(mode, "exit")) { fputs("no such lab\n", stderr); return 3; }
    if (!strcmp(mode, "unreachable")) __builtin_trap();
    if (!strcmp(mode, "out_of_bounds")) return *(volatile int *)0x7fffff00;
    if (!strcmp(mode, "division_by_zero")) return 100 / zero;
    if (!strcmp(mode, "stack")) return deeper(zero);
    if (!strcmp(mode, "loop")) for (;;) zero = 0;
    if (!strcmp(mode, "stdout")) for (;;) puts("the same line again and again");
    if (!strcmp(mode, "file")) {
        FILE *file = fopen("large", "w");
        static char block[65536];
        while (fwrite(block, 1, sizeof block, file) == sizeof block) ;
        return 9;
    }
    if (!strcmp(mode, "files")) {
        char name[32];
        for (int i = 0;; i++) { sprintf(name, "f%d", i); FILE *f = fopen(name, "w"); if (f) fclose(f); }
    }
    return 0;
}
"""
RECURSION_C = r"""
int deeper(int n) {
    volatile char frame[1000];
    frame[n % 1000] = n;
    return n == 1000000000 ? 1 : deeper(n + 1) + frame[(n + 3) % 1000];
}
int fills(int n) {
    volatile int frame[1000] = {0};
    frame[n % 1000] = n;
    return n == 1000000000 ? 1 : fills(n + 1) + frame[(n + 3) % 1000];
}
char *volatile null;
int walk(int n) { return n == 0 ? ((volatile int *)null)[1000000] : walk(n - 1) + *(volatile char *)(null + 4096); }
int wild(void) { return ((volatile int *)null)[-4]; }
int main(int argc, char **argv) {
    switch (argv[1][0]) {
        case 'd': return deeper(argc);
        case 'f': return fills(argc);
        case 'n': return walk(40);
        default: return wild();
    }
}
"""
VAST_RS = r"""
fn main() {
    let size: usize = std::env::args().nth(1).unwrap().parse().unwrap();
    if size == 0 {
        eprintln!("memory allocation failed");
        std::process::abort();
    }
    println!("{}", Vec::<u8>::with_capacity(size).capacity());
}
"""
RECURSION_RS = r"""
fn deeper(n: usize) -> usize {
    let mut frame = [n; 200];
    unsafe { std::ptr::write_volatile(&mut frame[n % 200], n) };
    if n == 1_000_000_000 { return 1; }
    deeper(n + 1) + unsafe { std::ptr::read_volatile(&frame[(n + 3) % 200]) }
}
fn main() { std::process::exit(deeper(std::env::args().count()) as i32); }
"""
MEMORY = {
    "c": r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
char *volatile kept;
int main(int argc, char **argv) {
    if (!strcmp(argv[1], "steps")) for (;;) { kept = malloc(65536); if (!kept) abort(); memset(kept, 1, 65536); }
    kept = malloc(1 << 30);
    if (!strcmp(argv[1], "huge")) { if (!kept) abort(); kept[0] = 1; }
    puts(kept ? "got it" : "coped");
    return 0;
}
""",
    "cpp": r"""
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>
char *volatile kept;
int main(int argc, char **argv) {
    if (!strcmp(argv[1], "steps")) { std::vector<std::vector<char>> all; for (;;) all.emplace_back(65536, 'x'); }
    if (!strcmp(argv[1], "huge")) { kept = new char[1 << 30]; kept[0] = 1; }
    kept = new (std::nothrow) char[1 << 30];
    std::puts(kept ? "got it" : "coped");
}
""",
    "rs": r"""
fn main() {
    let mode = std::env::args().nth(1).unwrap();
    if mode == "steps" {
        let mut all: Vec<Vec<u8>> = Vec::new();
        loop { all.push(vec![1; 65536]); }
    }
    if mode == "huge" {
        let block = vec![1u8; 1 << 30];
        println!("{}", unsafe { std::ptr::read_volatile(&block[7]) });
    }
    let mut block: Vec<u8> = Vec::new();
    println!("{}", if block.try_reserve(1 << 30).is_err() { "coped" } else { "got it" });
}
""",
    "go": r"""
package main

import (
	"fmt"
	"os"
)

var kept [][]byte

func main() {
	switch os.Args[1] {
	case "steps":
		for {
			block := make([]byte, 65536)
			block[0] = 1
			kept = append(kept, block)
		}
	case "huge":
		kept = append(kept, make([]byte, 1<<30))
		kept[0][7] = 1
	}
	fmt.Println("coped")
}
""",
}
LIMIT = 24 * MIB
JOBS = """
[jobs.modes]
source = "modes.c"
args = ["{mode}"]
memory = "8MiB"
time_limit = "30s"
stdout_limit = "1MiB"
disk = "2MiB"
files = 100
[jobs.modes.sweep]
mode = ["exit", "unreachable", "out_of_bounds", "division_by_zero", "stack", "stdout", "file", "files", "fine"]

[jobs.endless]
source = "modes.c"
args = ["loop"]
time_limit = "1s"

[jobs.missing]
source = "modes.c"
args = ["fine"]
outputs = ["result.csv"]

[jobs.optional]
source = "modes.c"
args = ["fine"]
outputs = ["result.csv?"]

[jobs.recursion-c]
source = "recursion.c"
args = ["{mode}"]
sweep = { mode = ["deeper", "fills", "null", "wild"] }

[jobs.recursion-cpp]
source = "recursion.cpp"
args = ["deeper"]

[jobs.recursion-rs]
source = "recursion.rs"

[jobs.vast]
source = "vast.rs"
args = ["{mode}"]
memory = "24MiB"
sweep = { mode = ["2147483647", "0"] }
"""
MEMORY_JOB = """
[jobs.memory-%s]
source = "memory.%s"
args = ["{mode}"]
memory = "24MiB"
time_limit = "30s"
sweep = { mode = ["steps", "huge", "cope"] }
"""


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Results of one run with all of them, by `job/mode`."""
    folder = tmp_path_factory.mktemp("outcomes")
    (folder / "modes.c").write_text(MODES_C)
    (folder / "recursion.c").write_text(RECURSION_C)
    (folder / "recursion.cpp").write_text(RECURSION_C)
    (folder / "recursion.rs").write_text(RECURSION_RS)
    (folder / "vast.rs").write_text(VAST_RS)
    for suffix, text in MEMORY.items():
        (folder / f"memory.{suffix}").write_text(text)
    (folder / "jobs.toml").write_text(JOBS + "".join(MEMORY_JOB % (suffix, suffix) for suffix in MEMORY))
    home = tmp_path_factory.mktemp("outcomes-home")
    env = {"HOME": str(home), **{f"XDG_{name}_HOME": str(home / name) for name in ("CACHE", "STATE", "CONFIG")}}
    cli = Cli(program=(sys.executable, "-m", "batchwasm"), folder=folder)
    cli("run", "jobs.toml", "--quiet", code=1, env=env)
    rows = cli("results", "--json", env=env).rows
    return {f"{row['job']}/{row['params'].get('mode', '')}": row for row in rows}


@pytest.mark.parametrize(
    ("task", "outcome", "code", "text"),
    [
        ("modes/exit", "failed", "exit_code", "no such lab"),
        ("modes/unreachable", "trapped", "unreachable", ""),
        ("modes/out_of_bounds", "trapped", "out_of_bounds", ""),
        ("modes/division_by_zero", "trapped", "division_by_zero", ""),
        ("modes/stack", "trapped", "stack", ""),
        ("recursion-c/deeper", "trapped", "stack", "its stack is exhausted"),
        ("recursion-cpp/", "trapped", "stack", "its stack is exhausted"),
        ("recursion-rs/", "trapped", "stack", "its stack is exhausted"),
        ("recursion-c/fills", "trapped", "out_of_bounds", "perhaps because endless recursion has exhausted its stack"),
        ("recursion-c/null", "trapped", "out_of_bounds", "it accessed memory out of bounds"),
        ("recursion-c/wild", "trapped", "out_of_bounds", "it accessed memory out of bounds"),
        ("vast/2147483647", "out_of_memory", "memory", "asked for 2048 MiB at once at "),
        ("vast/0", "trapped", "unreachable", "memory allocation failed"),
        ("endless/", "timed_out", "time_limit", ""),
        ("modes/stdout", "limit_exceeded", "stdout", ""),
        ("modes/file", "limit_exceeded", "disk", ""),
        ("modes/files", "limit_exceeded", "files", ""),
        ("missing/", "failed", "missing_output", "result.csv"),
    ],
)
def test_each_has_its_outcome_code_and_sentence(
    ended: dict[str, Any], task: str, outcome: str, code: str, text: str
) -> None:
    row = ended[task]
    assert (row["outcome"], row["reason"]["code"]) == (outcome, code), row
    assert text in row["reason"]["text"]
    assert len(row["reason"]["text"]) > 10
    assert "\n" not in row["reason"]["text"].strip() or outcome in ("trapped", "timed_out")


@pytest.mark.parametrize(
    ("task", "limit"), [("endless/", 1.0), ("modes/stdout", MIB), ("modes/file", 2 * MIB), ("modes/files", 100)]
)
def test_what_was_limited_tells_limit_and_use(ended: dict[str, Any], task: str, limit: float) -> None:
    reason = ended[task]["reason"]
    assert reason["limit"] == limit
    assert reason["used"] >= limit


def test_the_others_are_unaffected(ended: dict[str, Any]) -> None:
    assert ended["modes/fine"]["outcome"] == ended["optional/"]["outcome"] == "succeeded"
    assert {
        row["stdout"].splitlines()[0] for name, row in ended.items() if name.startswith("modes/") and row["stdout"]
    } == {"exit", "unreachable", "out_of_bounds", "division_by_zero", "stack", "file", "files", "fine"}


@pytest.mark.parametrize("language", list(MEMORY))
@pytest.mark.parametrize("mode", ["steps", "huge"])
def test_memory_beyond_the_limit_is_out_of_memory_in_every_language(
    ended: dict[str, Any], language: str, mode: str
) -> None:
    row = ended[f"memory-{language}/{mode}"]
    assert (row["outcome"], row["reason"]["code"]) == ("out_of_memory", "memory"), row
    assert row["reason"]["limit"] == LIMIT
    assert "24 MiB" in row["reason"]["text"]
    assert row["peak_memory_bytes"] <= LIMIT


@pytest.mark.parametrize("language", list(MEMORY))
def test_a_program_that_copes_with_the_refusal_succeeds(ended: dict[str, Any], language: str) -> None:
    row = ended[f"memory-{language}/cope"]
    assert (row["outcome"], row["stdout"]) == ("succeeded", "coped\n"), row


REFUSED = """
[jobs.absent]
source = "fine.wat"
inputs = ["nowhere.csv"]

[jobs.invalid]
source = "invalid.wasm"

[jobs.stranger]
source = "stranger.wat"

[jobs.component]
source = "component.wasm"

[jobs.library]
source = "library.wat"
"""


def test_what_can_never_run_is_refused_before_anything_starts_all_at_once(batchwasm: Cli) -> None:
    folder = batchwasm.folder
    (folder / "fine.wat").write_text('(module (func (export "_start")))')
    (folder / "invalid.wasm").write_bytes(b"\0asm\x01\0\0\0\x63\x01\x00")
    (folder / "component.wasm").write_bytes(b"\0asm\x0d\0\x01\0")
    (folder / "stranger.wat").write_text('(module (import "env" "emscripten_run" (func)) (func (export "_start")))')
    (folder / "library.wat").write_text('(module (func (export "mean")))')
    (folder / "jobs.toml").write_text(REFUSED)
    said = batchwasm("run", "jobs.toml", code=2).err
    for words in ("nowhere.csv", "invalid", "emscripten_run", "component", "_start"):
        assert words in said, said
    assert not (folder / "batchwasm-runs").exists()
    assert os.listdir(folder).count("batchwasm-runs") == 0


def test_a_source_that_does_not_compile_shows_the_compilers_own_words(batchwasm: Cli, tmp_path: Path) -> None:
    (batchwasm.folder / "broken.c").write_text("int main(void) {\n  return nothing;\n}\n")
    (batchwasm.folder / "other.c").write_text("int main(void) {\n  return 1 +;\n}\n")
    (batchwasm.folder / "jobs.toml").write_text('[jobs.one]\nsource = "broken.c"\n[jobs.two]\nsource = "other.c"\n')
    said = batchwasm("run", "jobs.toml", code=2).err
    assert "one: " in said
    assert "broken.c:2:10: error: use of undeclared identifier 'nothing'" in said
    assert "two: " in said
    assert "other.c:2:" in said
    assert not (batchwasm.folder / "batchwasm-runs").exists()
