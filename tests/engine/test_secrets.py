"""What jobs take from this machine's environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchwasm.engine import secrets
from batchwasm.errors import SpecError
from batchwasm.model import Job, RunSpec, Source
from batchwasm.spec.sweep import Combinations

TEXT = '[defaults]\nsource = "a.wat"\nsecret = ["TOKEN"]\n[jobs.a]\n[jobs.b]\nsecret = ["KEY", "TOKEN"]\n[jobs.c]\n'


def spec(**names: tuple[str, ...]) -> RunSpec:
    jobs = [
        Job(name=name, source=Source(language="wat", paths=()), sweep=Combinations(axes=()), secret=secret)
        for name, secret in names.items()
    ]
    return RunSpec(name="r", folder=Path("/"), jobs=tuple(jobs), text=TEXT)


def test_each_job_has_the_values_of_its_own_names() -> None:
    run = spec(a=("TOKEN",), b=("KEY", "TOKEN"), c=())
    found = secrets.read(run, environ={"TOKEN": "open sesame", "KEY": "knock knock", "OTHER": "x"})
    assert {job: dict(each.values) for job, each in found.items()} == {
        "a": {"TOKEN": "open sesame"},
        "b": {"KEY": "knock knock", "TOKEN": "open sesame"},
    }
    assert found["a"].redact(b"open sesame, knock knock") == b"***, knock knock"


def test_all_that_are_missing_are_told_at_once_with_what_to_do() -> None:
    with pytest.raises(SpecError) as caught:
        secrets.read(spec(a=("TOKEN",), b=("KEY", "TOKEN")), environ={"OTHER": "x", "KEY": "\udcff"})
    assert [str(problem) for problem in caught.value.problems] == [
        "defaults.secret[0]: TOKEN is not set in this environment; set it and export it (export TOKEN=...)",
        "jobs.b.secret[0]: the value of KEY is not UTF-8, so no guest can be given it; set another one",
        "jobs.b.secret[1]: TOKEN is not set in this environment; set it and export it (export TOKEN=...)",
    ]


def test_a_short_value_is_a_warning_that_does_not_tell_it() -> None:
    heard: list[str] = []
    secrets.read(spec(a=("PIN", "TOKEN")), heard.append, {"PIN": "123", "TOKEN": "open sesame"})
    (warning,) = heard
    assert warning.startswith("warning: the value of PIN is shorter than 4 bytes")
    assert "123" not in warning


def test_they_are_hidden_from_programs_that_are_started_meanwhile() -> None:
    environ = {"TOKEN": "open sesame", "PATH": "/bin"}
    with secrets.hidden(secrets.read(spec(a=("TOKEN",)), environ=environ), environ):
        assert environ == {"PATH": "/bin"}
    assert environ == {"TOKEN": "open sesame", "PATH": "/bin"}


def test_what_is_printed_of_it_has_names_alone() -> None:
    held = secrets.Secrets({"TOKEN": "open sesame"})
    assert repr(held) == "Secrets(TOKEN)"
