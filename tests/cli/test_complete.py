"""Completion as a shell asks for it, and with a real Tab in the shells that are here."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from batchwasm.cli.complete import _starting_with
from batchwasm.functions.types import String
from tests import reactors
from tests.cli.terminal import ROOT, read_all
from tests.command import Cli
from tests.guests import HELLO_WAT

SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(batchwasm completion bash)"'),
    "zsh": (["zsh", "-f", "-i"], 'autoload -U compinit; compinit -u -D; eval "$(batchwasm completion zsh)"'),
    "fish": (["fish", "--no-config", "-i"], "batchwasm completion fish | source"),
}

Ask = Callable[..., list[str]]


@pytest.fixture
def ask(batchwasm: Cli) -> Ask:
    """What bash is offered for a command line, the last word of which is being typed."""

    def offers(*words: str) -> list[str]:
        line = " ".join(("batchwasm", *words))
        env = {"_BATCHWASM_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words))}
        return [line.partition(",")[2] or line for line in batchwasm(code=None, env=env).out.splitlines() if line]

    return offers


def test_commands_and_options_are_offered(ask: Ask) -> None:
    assert ask("s") == ["status", "schema"]
    assert {"run", "hosts", "completion"} <= set(ask(""))
    assert "tui" in ask("")
    assert ask("results", "--fa") == ["--failed"]
    assert ask("results", "--outcome", "t") == ["trapped", "timed_out"]
    assert ask("completion", "") == ["bash", "zsh", "fish"]
    assert ask("--v") == ["--version"]


def test_jobs_files_and_sources_are_offered(ask: Ask, batchwasm: Cli) -> None:
    for name in ("jobs.toml", "more.toml", "pi.rs", "notes.txt"):
        (batchwasm.folder / name).touch()
    (batchwasm.folder / "sub").mkdir()
    (batchwasm.folder / "sub" / "deep.toml").touch()
    assert ask("run", "") == ["jobs.toml", "more.toml", "pi.rs"]
    assert ask("run", "m") == ["more.toml"]
    assert ask("run", "-i", "") == ["jobs.toml", "more.toml"]
    assert ask("compile", "") == ["pi.rs"]
    assert ask("run", "sub/") == ["sub/deep.toml"]


FUNCTIONS = {
    "stats.cpp": "namespace ns { double mean(double x) { return x; } }\nint median() { return 1; }\n",
    "text.rs": "fn lower(t: &str) -> String { t.into() }\nmod inner { pub fn upper(t: &str) -> String { t.into() } }\n",
    "more.go": "package more\n\nfunc Twice(x int) int { return 2 * x }\n",
    "plain.c": "int half(int x) { return x / 2; }\nint main(void) { return half(0); }\n",
}


def test_functions_of_a_source_are_offered_behind_its_colon(ask: Ask, batchwasm: Cli) -> None:
    for name, text in FUNCTIONS.items():
        (batchwasm.folder / name).write_text(text)
    reactors.write(batchwasm.folder / "ready.wasm", reactors.ECHO, "echo", String(), String())
    assert ask("call", "") == [*sorted((*FUNCTIONS, "ready.wasm"))]
    for command in ("call", "map", "compile"):
        # As bash has it: what is behind the colon is a word of its own.
        assert ask(command, "stats.cpp:") == ["median", "ns::mean"]
        assert ask(command, "stats.cpp", ":", "me") == ["median"]
        assert ask(command, "stats.cpp", ":", "ns", "::") == ["mean"]
        assert ask(command, "text.rs:") == ["inner::upper", "lower"]
        assert ask(command, "more.go:") == ["Twice"]
        assert ask(command, "plain.c:") == ["half"]
        assert ask(command, "ready.wasm:") == ["echo"]
        assert ask(command, "none.rs:") == []
    assert ask("call", "sta") == ["stats.cpp:median", "stats.cpp:ns::mean"]
    assert ask("compile", "sta") == ["stats.cpp"]
    assert ask("compile", "plain.c", "sta") == ["stats.cpp"]


def test_the_shell_itself_completes_folders_and_names_with_odd_characters(ask: Ask, batchwasm: Cli) -> None:
    (batchwasm.folder / "my jobs.toml").touch()
    assert ask("run", "") == ["file,"]
    assert ask("run", "nowhere/") == ["file,"]


def test_hosts_of_the_inventory_are_offered_one_after_another(ask: Ask, batchwasm: Cli) -> None:
    (batchwasm.folder / "inventory.toml").write_text('[hosts."lab[01-03]"]\n[hosts.big]\n')
    assert ask("hosts", "check", "--hosts", "lab") == ["lab01", "lab02", "lab03"]
    assert ask("hosts", "check", "--hosts", "big,lab0") == ["big,lab01", "big,lab02", "big,lab03"]
    (batchwasm.folder / "other.toml").write_text("[hosts.other]\n")
    assert ask("hosts", "check", "-i", "other.toml", "--hosts", "") == ["other"]


def test_tasks_and_hosts_of_the_newest_run_are_offered_to_be_replayed(ask: Ask, batchwasm: Cli) -> None:
    (batchwasm.folder / "hello.wat").write_text(HELLO_WAT)
    batchwasm("run", "hello.wat", "--sweep", "n=1..3", "--", "{n}")
    assert ask("replay", "hello/") == ["hello/0", "hello/1", "hello/2"]
    assert ask("replay", "hello/0", "--host", "") == ["localhost"]


def test_nothing_is_offered_and_nothing_said_where_files_are_wrong(ask: Ask, batchwasm: Cli) -> None:
    (batchwasm.folder / "inventory.toml").write_text("nonsense = [")
    assert ask("hosts", "check", "--hosts", "") == []
    assert ask("logs", "") == []
    env = {"_BATCHWASM_COMPLETE": "bash_complete", "COMP_WORDS": "batchwasm 'unclosed", "COMP_CWORD": "x"}
    assert batchwasm(code=1, env=env).err == ""


@pytest.mark.parametrize(
    ("digits", "total", "found"),
    [
        ("", 3, [0, 1, 2]),
        ("0", 100, [0]),
        ("1", 13, [1, 10, 11, 12]),
        ("12", 13, [12]),
        ("13", 13, []),
        ("01", 13, []),
        ("x", 13, []),
        ("²", 13, []),
    ],
)
def test_indexes_are_found_by_their_first_digits(digits: str, total: int, found: list[int]) -> None:
    assert list(_starting_with(digits, total)) == found


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_gets_a_script_and_answers_in_its_own_form(batchwasm: Cli, shell: str) -> None:
    script = batchwasm("completion", shell).out
    assert f"_BATCHWASM_COMPLETE={shell}_complete" in script
    typed = {"COMP_WORDS": "batchwasm stat", "COMP_CWORD": "stat" if shell == "fish" else "1"}
    answer = batchwasm(env={"_BATCHWASM_COMPLETE": f"{shell}_complete", **typed}).out
    assert "status" in answer


@pytest.mark.parametrize("shell", [shell for shell in SHELLS if shutil.which(shell)])
def test_a_real_tab_completes_a_command_and_a_file(shell: str, tmp_path: Path) -> None:
    (tmp_path / "jobs.toml").touch()
    (tmp_path / "stats.c").write_text("int median(void) { return 1; }\nint mode(void) { return 2; }\n")
    call = "call stats.c:median"
    assert call in typed(shell, tmp_path, "echo batchwasm; batchwasm call stats.c:me\t", call)
    assert "batchwasm status" in typed(shell, tmp_path, "batchwasm statu\t", "batchwasm status")
    assert "run jobs.toml" in typed(shell, tmp_path, "echo batchwasm; batchwasm run jo\t", "run jobs.toml")


def read_until(leader: int, mark: str) -> str:
    """All that is shown, as plain text, until `mark` is in it, or for a minute: the test says what is missing then."""
    found, deadline = b"", time.monotonic() + 60
    while mark not in plain(found) and time.monotonic() < deadline:
        if select.select([leader], [], [], 1.0)[0]:
            found += os.read(leader, 4096)
    return plain(found)


def plain(shown: bytes) -> str:
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\x1b\(B", "", shown.decode(errors="replace"))
    return re.sub(r".\x08", "", text)


def typed(shell: str, folder: Path, line: str, wanted: str) -> str:
    """What an interactive shell shows when `line` is typed at its prompt, up to `wanted`, as plain text."""
    program = folder / "bin" / "batchwasm"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec "{sys.executable}" -m batchwasm "$@"\n')
    program.chmod(0o755)
    command, setup = SHELLS[shell]
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 250, 0, 0))  # so that no line is wrapped
    env = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "TERM": "xterm", "PS1": "$ "}
    process = subprocess.Popen(
        command,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        cwd=folder,
        env=env,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(follower)
    os.write(leader, f"{setup}; echo re''ady\n".encode())
    read_until(leader, "ready")  # what is typed while a shell starts may be cut into pieces
    os.write(leader, line.encode())
    shown = read_until(leader, wanted)
    os.write(leader, b" --version\nexit\n")
    read_all(leader)
    process.wait(30)
    return shown


def test_new_hosts_are_offered_from_what_ssh_knows(ask: Ask, home: Path, batchwasm: Cli) -> None:
    (home / ".ssh").mkdir()
    (home / ".ssh/config").write_text("Host lab01 lab0* !x\nhost=gpu1\n  HostName y\n")
    (home / ".ssh/known_hosts").write_text("lab02,10.0.0.2 ssh-ed25519 AAAA\n|1|a|b ssh-rsa AAAA\n[z]:22 ssh-rsa A\n")
    (batchwasm.folder / "inventory.toml").write_text("[hosts.lab01]\n")
    assert ask("hosts", "add", "") == ["gpu1", "lab02", "10.0.0.2"]
    assert ask("hosts", "add", "alice@la") == ["alice@lab02"]
    assert ask("hosts", "add", "gpu1", "g") == []
    assert ask("hosts", "add", "x", "--transport", "o") == ["openssh"]
