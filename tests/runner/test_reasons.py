"""Sentences for people, and what a guest said last."""

from __future__ import annotations

import pytest

from batchwasm.runner.reasons import last_words, size
from batchwasm.runner.seed import seed_of

GO = """panic: index out of range [5] with length 3

goroutine 1 [running]:
main.main()
\t/src/a.go:7 +0x5
"""


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        ("", ""),
        ("progress 1\nprogress 2\n\n", "progress 2"),
        (
            "thread 'main' panicked at 'bad 5', a.rs:3:5\nnote: run with `RUST_BACKTRACE=1` ...\n",
            "thread 'main' panicked at 'bad 5', a.rs:3:5",
        ),
        (
            "thread 'main' panicked at src/main.rs:2:5:\nbad 5\nnote: run with ...\n",
            "thread 'main' panicked at src/main.rs:2:5: bad 5",
        ),
        ("memory allocation of 1048576 bytes failed\n", "memory allocation of 1048576 bytes failed"),
        (GO, "panic: index out of range [5] with length 3"),
        (
            "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1\n",
            "fatal error: all goroutines are asleep - deadlock!",
        ),
        (
            "uncaught exception of type std::invalid_argument: bad x\n",
            "uncaught exception of type std::invalid_argument: bad x",
        ),
        ("Assertion failed: n > 0 (a.c: main: 3)\n", "Assertion failed: n > 0 (a.c: main: 3)"),
        ("x" * 1000, "x" * 300),
    ],
)
def test_the_last_words_are_what_the_runtime_said(stderr: str, words: str) -> None:
    assert last_words(stderr.encode()) == words


def test_last_words_that_are_no_text_do_no_harm() -> None:
    assert last_words(b"\xff\xfe bad") == "\ufffd\ufffd bad"


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (512 * 1024**2, "512 MiB"),
        (1024**3, "1024 MiB"),
        (64 * 1024**3, "64 GiB"),
    ],
)
def test_sizes_are_for_people(count: int, words: str) -> None:
    assert size(count) == words


def test_seeds_differ_by_task_and_job_and_stay_the_same() -> None:
    seeds = {seed_of(job, index) for job in ("a", "b") for index in range(10_000)}
    assert len(seeds) == 20_000
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_of("a", 3) == 3913619857698027050
