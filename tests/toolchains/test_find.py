"""Which compiler is taken, among real programs that answer as compilers do."""

from __future__ import annotations

import os
import shlex
import sys
import tomllib
from pathlib import Path

import pytest

from batchwasm.toolchains import TOOLCHAINS, find, report
from tests.toolchains.guests import need


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_wasi_sdk_is_taken_where_the_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "bin/clang", "echo 'clang version 19.1.5-wasi-sdk'")
    (tmp_path / "VERSION").write_text("25.0\n")
    monkeypatch.setenv("WASI_SDK_PATH", str(tmp_path))
    tool = find.c.__wrapped__()
    assert tool is not None
    assert (tool.title, tool.path, tool.first_use_s) == ("wasi-sdk 25.0", tmp_path / "bin/clang", 0.0)


def test_a_clang_without_a_wasi_sysroot_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "clang", 'case "$*" in *-print-file-name=*) echo libc.a;; *) echo clang version 14.0.6;; esac')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert find.clang("clang", "libc.a") is None


def test_a_macs_placeholder_for_clang_is_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "clang", f": >{tmp_path}/window; exit 1")
    program(tmp_path / "xcode-select", "exit 2")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(find, "APPLES", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "darwin")
    assert find.clang("clang", "libc.a") is None
    assert not (tmp_path / "window").exists()


def test_a_clang_with_linker_sysroot_and_builtins_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "libc.a"
    library.write_bytes(b"!<arch>\n")
    program(tmp_path / "wasm-ld", "exit 0")
    answers = f'*-print-prog-name=*) echo wasm-ld;; *-print-*) echo "{library}";; *) echo Debian clang version 14.0.6;;'
    program(tmp_path / "clang", f'case "$*" in {answers} esac')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    tool = find.clang("clang", "libc.a")
    assert tool is not None
    assert tool.title == "clang 14.0.6"


def test_a_rustc_that_fails_or_has_no_wasi_is_passed_over_for_one_that_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "shim/rustc", "echo 'error: rustup could not choose a version' >&2; exit 1")
    program(tmp_path / "plain/rustc", f'[ "$1" = --version ] && echo "rustc 1.95.0" || echo {tmp_path}/none')
    library = tmp_path / "root/lib/rustlib/wasm32-wasip1/lib"
    library.mkdir(parents=True)
    (library / "libstd-1.rlib").write_bytes(b"")
    good = program(tmp_path / "good/rustc", f'[ "$1" = --version ] && echo "rustc 1.90.0" || echo {tmp_path}/root')
    program(tmp_path / "good/cargo", "echo cargo 1.90.0")
    monkeypatch.setenv("PATH", ":".join(str(tmp_path / name) for name in ("shim", "plain", "good")) + ":/usr/bin:/bin")
    tool = find.rust.__wrapped__()
    assert tool is not None
    assert (tool.path, tool.target) == (good, "wasm32-wasip1")
    assert tool.partner is not None
    assert tool.partner.title == "cargo 1.90.0"


def test_a_go_before_wasi_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("go")
    old = program(tmp_path / "go", "echo go version go1.19.8 linux/amd64")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    tool = find.go.__wrapped__()
    assert tool is not None
    assert tool.path != old


def test_a_go_that_can_export_functions_is_preferred_and_an_older_one_is_better_than_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = program(tmp_path / "old/go", "echo go version go1.23.4 linux/amd64")
    new = program(tmp_path / "new/go", "echo go version go1.24rc1 linux/amd64")
    monkeypatch.setattr(find, "_all", lambda *_: [old, new])
    tool = find.go.__wrapped__()
    assert tool is not None
    assert (tool.path, tool.title) == (new, "go 1.24rc1")
    monkeypatch.setattr(find, "_all", lambda *_: [old])
    tool = find.go.__wrapped__()
    assert tool is not None
    assert (tool.path, tool.title) == (old, "go 1.23.4")


def test_another_build_of_the_same_version_has_another_stamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WASI_SDK_PATH", str(tmp_path))
    program(tmp_path / "bin/clang", "echo 'clang version 19.1.5'")
    one = find.c.__wrapped__()
    program(tmp_path / "bin/clang", "echo 'clang version 19.1.5' # patched")
    other = find.c.__wrapped__()
    assert one is not None
    assert other is not None
    assert one.version == other.version
    assert one.stamp != other.stamp


def test_the_report_has_a_row_for_each_language_with_a_tool_or_how_to_get_one() -> None:
    rows = report()
    assert [row.language for row in rows] == ["Rust", "C++", "C", "Go", "Zig", "WAT"]
    assert all(row.version and row.path if row.tool else row.get for row in rows)
    assert set(TOOLCHAINS) == {"rust", "cpp", "c", "go", "zig"}


def test_a_rustc_without_its_linker_is_given_the_newest_of_llvm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Debian 13, whose rustc comes without rust-lld."""
    (tmp_path / "root/lib/rustlib/wasm32-wasip1/lib").mkdir(parents=True)
    (tmp_path / "root/lib/rustlib/wasm32-wasip1/lib/libstd-1.rlib").touch()
    program(tmp_path / "bin/rustc", f'[ "$1" = --version ] && echo "rustc 1.85.1" || echo {tmp_path}/root')
    for name in ("wasm-ld-9", "wasm-ld-19"):
        program(tmp_path / "bin" / name, "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(find, "RUST_FOLDERS", ())
    assert [tool and tool.linker for tool in [find.rust.__wrapped__()]] == [str(tmp_path / "bin/wasm-ld-19")]
    program(tmp_path / "root/lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld", "")
    assert [tool and tool.linker for tool in [find.rust.__wrapped__()]] == [""]


def test_the_way_to_a_missing_wheel_is_a_command_that_works_where_this_program_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No package index has ours, so none is asked for `batchwasm[...]`; what pipx installed has no pip of its own."""
    pinned = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    for package in pinned["project"]["optional-dependencies"]["toolchains"]:
        assert find.wheel(package.partition("==")[0]) == f"{shlex.quote(sys.executable)} -m pip install {package}"
    (tmp_path / "my venv").mkdir()
    (tmp_path / "my venv/pipx_metadata.json").touch()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "my venv"))
    assert find.wheel("ziglang").startswith("pipx inject 'my venv' ziglang==")
