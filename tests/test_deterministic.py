"""Deterministic jobs of whole runs: the same in every run and on every host, whatever the language."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import Cli
from tests.sshd import Sshd, inventory_of

RUST = r"""
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
fn main() {
    let start = Instant::now();
    println!("{}", SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs());
    println!("{}", RandomState::new().build_hasher().finish());
    std::thread::sleep(Duration::from_millis(30));
    while start.elapsed() < Duration::from_millis(50) {}
    println!("{:?}", start.elapsed());
}
"""
C = r"""
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
int main(void) {
    unsigned long long drawn, bits;
    struct timespec now;
    volatile double zero = 0;
    double nan = -(zero / zero) + 1;
    getentropy(&drawn, sizeof drawn);
    clock_gettime(CLOCK_MONOTONIC, &now);
    memcpy(&bits, &nan, sizeof bits);
    printf("%lld %lld.%09ld %016llx %016llx\n", (long long)time(0), (long long)now.tv_sec, now.tv_nsec, drawn, bits);
    return 0;
}
"""
# Without fmt, whose native code takes each host seconds to make.
GO = r"""
package main

import (
	"math/rand/v2"
	"time"
)

func main() {
	start := time.Now()
	time.Sleep(30 * time.Millisecond)
	println(start.UTC().Year(), time.Since(start), rand.Uint64())
	total := 0
	for k := range map[int]int{1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6} {
		total = total*10 + k
	}
	println(total)
}
"""
ENDINGS = {"rust": ".rs", "c": ".c", "go": ".go"}


@pytest.fixture
def folder(batchwasm: Cli, ssh_pool: list[Sshd]) -> Path:
    folder = batchwasm.folder
    (folder / "inventory.toml").write_text(inventory_of(ssh_pool[:2]))
    (folder / "rust.rs").write_text(RUST)
    (folder / "c.c").write_text(C)
    (folder / "go.go").write_text(GO)
    return folder


def printed(batchwasm: Cli, folder: Path, host: str, *jobs: str, deterministic: bool = True) -> dict[str, str]:
    """What these programs printed on that host, in a run of its own."""
    tables = "".join(f'[jobs.{job}]\nsource = "{job}{ENDINGS[job]}"\n' for job in jobs)
    text = f'[defaults]\nhosts = "{host}"\ndeterministic = {str(deterministic).lower()}\n{tables}'
    (folder / "jobs.toml").write_text(text)
    batchwasm("run", "jobs.toml")
    return {row["job"]: row["stdout"] + row["stderr"] for row in batchwasm("results", "--json").rows}


def test_programs_see_the_same_time_and_random_numbers_on_every_host(batchwasm: Cli, folder: Path) -> None:
    first = printed(batchwasm, folder, "sshd-a", *ENDINGS)
    assert printed(batchwasm, folder, "sshd-b", *ENDINGS) == first
    assert first["rust"].startswith("946684800\n")
    assert first["c"].startswith("946684800 0.0000")
    assert first["c"].endswith(" 7ff8000000000000\n")
    assert first["go"].startswith("2000 300")  # ns
    other = printed(batchwasm, folder, "sshd-a", "rust", "c", deterministic=False)
    assert not [job for job, text in other.items() if text == first[job]]
