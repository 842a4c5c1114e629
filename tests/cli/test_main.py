"""main(): commands by name, --help and --version everywhere, one error boundary, exit codes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

import batchwasm as package
from batchwasm import carried, cli, disk
from batchwasm.cli import commands
from batchwasm.errors import HostError, Problem, RunError, SourceError, SpecError, WorldError
from tests.command import ROOT, Cli

HEAVY = (
    "asyncssh",
    "wasmtime",
    "textual",
    "tree_sitter",
    "cbor2",
    "numpy",
    "paramiko",
    "rich",
    "asyncio",
    "sqlite3",
    "cryptography",
)
LOOK = """
import sys
from batchwasm.cli import main
code = main(sys.argv[2:])
heavy = [name for name in sys.argv[1].split(",") if name in sys.modules]
print("LOADED", *heavy)
sys.exit(code)
"""


def all_commands() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [()]
    for name in commands.COMMANDS:
        command = commands.batchwasm.get_command(click.Context(commands.batchwasm), name)
        assert command is not None, name
        found.append((name,))
        if isinstance(command, click.Group):
            found += [(name, inner) for inner in command.list_commands(click.Context(command))]
    return found


@pytest.mark.parametrize("command", all_commands(), ids=" ".join)
def test_every_command_has_help_and_version(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*command, "--help"]) == 0
    help_text = capsys.readouterr().out
    assert help_text.startswith(f"Usage: {' '.join(('batchwasm', *command))} ")
    assert "--version" in help_text
    assert cli.main([*command, "--version"]) == 0
    assert capsys.readouterr().out == f"batchwasm {package.__version__}\n"


HELP = [
    ["--help"],
    ["--version"],
    *([*name.split(), "--help"] for name in ("run", "call", "map", "compile", "hosts check")),
]


@pytest.mark.parametrize("args", HELP, ids=" ".join)
def test_help_imports_nothing_heavy(args: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK, ",".join(HEAVY), *args],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.splitlines()[-1] == "LOADED"


def test_an_unknown_command_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["stauts"]) == 2
    assert "no such command: stauts; did you mean status?" in capsys.readouterr().err


@pytest.mark.parametrize("args", [[], ["--nonsense"], ["completion"], ["completion", "tcsh"], ["compile", "--json"]])
def test_a_wrong_command_line_is_2_and_nothing_on_stdout(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(args) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Usage: batchwasm" in said.err


# ------------------------------------------------------------------------------------------------ the boundary


def problem(text: str) -> Problem:
    return Problem(file="jobs.toml", line=7, key="jobs.pi.memory", text=text)


@pytest.fixture
def main_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], int]:
    """main() with one command that raises what is given."""

    def run(error: BaseException) -> int:
        def callback() -> None:
            raise error

        command = click.Command("status", callback=callback)
        monkeypatch.setattr(commands.batchwasm, "load", lambda context, name: command)
        return cli.main(["status"])

    return run


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (
            SpecError([problem("'lots' is not a size"), problem("twice")]),
            2,
            "jobs.toml:7: jobs.pi.memory: 'lots' is not a size\njobs.toml:7: jobs.pi.memory: twice\n",
        ),
        (SourceError("pi: error: expected ';'"), 2, "pi: error: expected ';'\n"),
        (RunError("no run"), 2, "no run\n"),
        (WorldError("disk full"), 3, "disk full\n"),
        (HostError("key", "unknown key", "run hosts trust"), 3, "unknown key; run hosts trust\n"),
        (KeyboardInterrupt(), 130, ""),
        (click.Abort(), 130, ""),
        (click.exceptions.Exit(4), 4, ""),
        (
            OSError(errno.ENOSPC, "No space left on device", "/x\x1b"),
            3,
            "/x\\x1b can't be written: the disk is full; make room there\n",
        ),
        (ExceptionGroup("", [WorldError("one"), ExceptionGroup("", [WorldError("two")])]), 3, "one\ntwo\n"),
        (BaseExceptionGroup("", [RunError("same"), RunError("same")]), 2, "same\n"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_errors_are_words_and_an_exit_code(
    main_of: Callable[[BaseException], int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    text: str,
) -> None:
    monkeypatch.setattr(disk, "free", lambda path: None)
    assert main_of(error) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == text


@pytest.mark.parametrize(
    "error",
    [ZeroDivisionError("x\x1b"), FileNotFoundError(errno.ENOENT, "No such file"), ExceptionGroup("g", [KeyError(1)])],
)
def test_what_nobody_raised_on_purpose_is_told_as_a_bug(
    main_of: Callable[[BaseException], int], capsys: pytest.CaptureFixture[str], home: Path, error: BaseException
) -> None:
    assert main_of(error) == 3
    said = capsys.readouterr().err
    assert f"this is a bug in batchwasm: {type(error).__name__}" in said
    assert "Traceback" not in said
    assert "\x1b" not in said
    (report,) = (home / ".local/state/batchwasm").glob("bug-*.txt")
    assert str(report) in said
    assert "Traceback" in report.read_text()


def test_a_bug_is_told_in_full_where_no_file_can_be_written(
    main_of: Callable[[BaseException], int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    assert main_of(ZeroDivisionError()) == 3
    assert "Traceback" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_met_in_silence(batchwasm: Cli) -> None:
    process = batchwasm.start("completion", "bash", env={"PYTHONUNBUFFERED": "1"})
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(30) == 141


def test_the_help_of_the_one_file_names_what_its_start_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["--help"]) == 0
    assert "--unpack-to" not in capsys.readouterr().out
    monkeypatch.setattr(carried, "tree", lambda: tmp_path)
    assert cli.main(["--help"]) == 0
    assert "--unpack-to FOLDER" in capsys.readouterr().out


def test_a_root_without_dev_null_is_told_what_to_mount(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "devnull", "/dev/nothing")
    assert cli.main(["runs"]) == 3
    said = capsys.readouterr().err
    assert "/dev/nothing can't be opened (No such file or directory)" in said
    assert "mount --bind /dev ROOT/dev" in said


def test_closed_stdio_does_no_harm(batchwasm: Cli) -> None:
    program = f"'{sys.executable}' -m batchwasm"
    for redirection, code in ((">&- 2>&- <&-", 0), ("2>&-", 0)):
        shell = ["sh", "-c", f"{program} --version {redirection}"]
        assert subprocess.run(shell, env=batchwasm.environment(None), check=False).returncode == code
    shell = ["sh", "-c", f"{program} stauts >&- 2>&-"]
    assert subprocess.run(shell, env=batchwasm.environment(None), check=False).returncode == 2
