"""A script for sh reaches sh unchanged through whatever login shell there is."""

from __future__ import annotations

import shlex
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwasm.transports.login_shell import portable

SHELLS = [
    path for name in ("sh", "dash", "bash", "zsh", "ksh", "tcsh", "bsd-csh", "fish") if (path := shutil.which(name))
]
NASTY = "it's a \"wéird\" \\ one! $HOME `id` * ~ #x ; & | < > ( ) { } \n second\tline \\' !! %d \\0 \r"


def said(shell: str, script: str) -> bytes:
    done = subprocess.run([shell, "-c", portable(script)], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=True)
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("text", ["plain", "", NASTY])
def test_an_argument_arrives_as_it_was(shell: str, text: str) -> None:
    assert said(shell, f"printf %s {shlex.quote(text)}") == text.encode()


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40))
def test_every_text_arrives_as_it_was(text: str) -> None:
    assert said("/bin/sh", f"printf %s {shlex.quote(text)}") == text.encode()


@pytest.mark.parametrize("script", ["echo a", "echo 'a'"])
def test_the_line_has_nothing_on_which_login_shells_differ(script: str) -> None:
    line = portable(script)
    start, inner, end = line.split("'")
    assert (start, end) == ("exec /bin/sh -c ", "")
    assert "!" not in inner
    assert "\n" not in inner


@pytest.mark.parametrize("shell", SHELLS)
def test_an_exit_code_passes_through(shell: str) -> None:
    assert subprocess.run([shell, "-c", portable("exit '7'")]).returncode == 7
