"""A fleet of this machine, and functions that need no compiler."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from batchwasm import Fleet
from batchwasm.functions.types import Float, Int, List
from tests import reactors

U8 = Int(8, False)


@pytest.fixture
def fleet(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    monkeypatch.chdir(tmp_path)
    with Fleet() as fleet:
        yield fleet


@pytest.fixture
def echo(tmp_path: Path) -> Path:
    """`echo(a: list<f64>) -> list<f64>`"""
    return reactors.write(tmp_path / "echo.wasm", reactors.ECHO, "echo", List(Float(64)), List(Float(64)))


@pytest.fixture
def picky(tmp_path: Path) -> Path:
    """`picky(a: u8) -> u8`; see reactors.PICKY."""
    return reactors.write(tmp_path / "picky.wasm", reactors.PICKY, "picky", U8, U8)


@pytest.fixture
def counter(tmp_path: Path) -> Path:
    """`counter(a: u8) -> u8`; see reactors.COUNTER."""
    return reactors.write(tmp_path / "counter.wasm", reactors.COUNTER, "counter", U8, U8)
