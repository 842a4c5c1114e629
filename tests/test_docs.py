"""What the documents list is what the code has."""

from __future__ import annotations

import ast
import functools
import json
import os
import re
import shlex
import sqlite3
import tomllib
from contextlib import closing
from dataclasses import fields
from pathlib import Path

from batchwasm import spec
from batchwasm.cli import hosts_check
from batchwasm.cli.commands import COMMANDS
from batchwasm.core import bottleneck
from batchwasm.core.eventcodec import KINDS
from batchwasm.engine.check import Check
from batchwasm.engine.look import GUARDS
from batchwasm.journal import Journal
from batchwasm.model import Outcome
from batchwasm.results import RunFolder
from batchwasm.runner.engines import TRAPS
from tests.command import Cli
from tests.sshd import Sshd
from tests.test_journal import EVENTS
from tests.toolchains.guests import need

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def code_words(text: str) -> set[str]:
    """Everything set in backquotes."""
    return set(re.findall(r"`([^`\n]+)`", text))


def test_the_journal_document_has_every_kind_of_event() -> None:
    lines = re.findall(r"^\| (`[A-Z]\w+`[^|]*) \|", (DOCS / "journal.md").read_text(), re.MULTILINE)
    rows = [kind for line in lines for kind in re.findall(r"`(\w+)`", line)]
    assert sorted(rows) == sorted(KINDS)


def test_the_journal_document_has_every_table_and_column(tmp_path: Path) -> None:
    Journal.create(tmp_path / "journal.db").close()
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {row[1] for table in tables for row in connection.execute(f"PRAGMA table_info({table})")}
    connection.close()
    assert {*tables, *columns} - code_words((DOCS / "journal.md").read_text()) == set()


def test_the_queries_that_the_journal_document_shows_give_answers(tmp_path: Path) -> None:
    with closing(Journal.create(tmp_path / "journal.db")) as journal:
        journal.append(EVENTS, 0.0)
    queries = re.findall(r"^```sql\n(.*?)^```", (DOCS / "journal.md").read_text(), re.DOTALL | re.MULTILINE)
    assert len(queries) >= 4
    with closing(sqlite3.connect(tmp_path / "journal.db")) as connection:
        answers = [connection.execute(query).fetchall() for query in queries]
    assert all(answers)
    assert ("a/0", "h", 0.2) in answers[0]
    assert answers[1] == [("exit_code", "h", 1, "exited with 3")]


def test_the_journal_document_says_what_is_in_scheduler_json(tmp_path: Path) -> None:
    (tmp_path / "jobs.toml").touch()
    with RunFolder(path=tmp_path).held():
        fields = json.loads((tmp_path / "scheduler.json").read_text())
    assert fields.keys() <= code_words((DOCS / "journal.md").read_text())


def reason_codes() -> set[str]:
    """The codes that the program can give a task: first words of what makes a reason, wherever it is made."""
    places = {"Verdict": 2, "Stop": 0, "Detail": 0, "LaunchError": 0, "BadModule": 0, "Refusal": 2, "NotGiven": 0}
    found = {code for code, _ in TRAPS.values()}
    for path in (ROOT / "batchwasm").rglob("*.py"):
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            name = getattr(call.func, "id", "")
            given = [keyword.value for keyword in call.keywords if keyword.arg == "code"]
            if name in places:
                given += call.args[places[name] : places[name] + 1]
            elif name not in ("TasksCancelled", "ResultReason"):
                continue
            found |= {
                value.value for value in given if isinstance(value, ast.Constant) and isinstance(value.value, str)
            }
    return found - {""}


def test_the_outcomes_document_has_every_outcome_with_its_number() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", (DOCS / "outcomes.md").read_text(), re.MULTILINE)
    assert [(word, int(number)) for word, number in rows] == [(outcome.word, outcome.value) for outcome in Outcome]


def test_the_outcomes_document_has_every_reason_code_and_no_other() -> None:
    rows = re.findall(r"^\| `\w+` \| (`.+?`) \|", (DOCS / "outcomes.md").read_text(), re.MULTILINE)
    documented = {code for row in rows for code in re.findall(r"`(\w+)`", row)}
    # taken from a variable, or made in the core
    made_elsewhere = {"stdout", "stderr", "trap", "uncaught_exception", "cancelled", "withdrawn", "mismatch"}
    assert documented - made_elsewhere == reason_codes() - made_elsewhere


def explain_codes() -> set[str]:
    """The codes of reasons that are written out in the core, words of closed hosts among them."""
    found: set[str] = set()
    for path in (ROOT / "batchwasm/core").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Reason":
                found |= {k.value.value for k in node.keywords if k.arg == "code" and isinstance(k.value, ast.Constant)}
    found |= {"cancelled", "withdrawn"}  # of State.why_cancelled
    return found | set(bottleneck._CLOSED) | {"removed", "cpus", "memory", "gpus", "resource"}


def test_the_document_of_explain_has_every_code_and_no_other() -> None:
    rows = re.findall(r"^\| (`.+?) \|", (DOCS / "explain.md").read_text(), re.MULTILINE)
    assert {code for row in rows for code in re.findall(r"`(\w+)`", row)} == explain_codes()


def test_links_between_documents_lead_somewhere() -> None:
    for document in [ROOT / "README.md", *DOCS.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def toml_blocks() -> list[str]:
    """The files that the README shows."""
    return re.findall(r"^```toml\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)


def test_the_files_that_the_readme_shows_are_right(tmp_path: Path) -> None:
    jobs, inventory = toml_blocks()
    (tmp_path / "jobs.toml").write_text(jobs)
    (tmp_path / "inventory.toml").write_text(inventory)
    (tmp_path / "pi.rs").write_text("fn main() {}\n")
    run, machines = spec.load(tmp_path / "jobs.toml")
    assert run.tasks == 4
    assert len(machines.hosts) == 40


def first_minutes(language: str) -> list[str]:
    """Blocks of the README's opening."""
    opening = (ROOT / "README.md").read_text().partition("## The first minutes\n")[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```", opening, re.DOTALL | re.MULTILINE)


def test_the_first_minutes_of_the_readme_are_as_it_says(
    batchwasm: Cli, ssh_pool: list[Sshd], home: Path, tmp_path: Path
) -> None:
    """A function here, then on a host that nobody here knew: typed as it stands there, but for the host's name."""
    need("go")
    (home / ".ssh/known_hosts").unlink()
    command = tmp_path / "bin/batchwasm"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.join(batchwasm.program)} "$@"\n')
    command.chmod(0o755)
    install, function, pool = first_minutes("sh")
    [values] = first_minutes("console")
    shell = Cli(program=("sh", "-eu", "-c"), folder=batchwasm.folder)
    env = {"PATH": f"{command.parent}:{os.environ['PATH']}"}
    assert shell(function, env=env).out == values
    added = shell(pool.replace("alice@lab01", f"--yes root@{ssh_pool[0].name}"), env=env)
    assert added.out.endswith(values.partition("\n")[2])
    assert f"host {ssh_pool[0].name}: ready" in added.err
    assert "'./batchwasm[toolchains]'" in install
    assert "toolchains" in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def test_the_readme_names_commands_and_keys_that_there_are() -> None:
    text = (ROOT / "README.md").read_text()
    named = set(re.findall(r"^(?:\$ )?batchwasm (\w+)", text, re.MULTILINE))
    assert named <= COMMANDS.keys()
    [table] = re.findall(r"^\| key of a job .*?\n\n", text, re.DOTALL | re.MULTILINE)
    keys = {key for cell in re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE) for key in re.findall(r"`(\w+)`", cell)}
    assert keys == job_keys()


def job_keys() -> set[str]:
    """The keys that a table of jobs.toml may have, as the schema says."""
    schema = spec.schema("jobs")
    job = schema["properties"]["jobs"]["additionalProperties"]
    while "$ref" in job:
        job = functools.reduce(lambda at, name: at[name], job["$ref"].removeprefix("#/").split("/"), schema)
    return set(job["properties"])


def test_every_protection_names_tests_that_there_are() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (DOCS / "protections.md").read_text())
    assert len(named) > 30
    for path, test in named:
        assert re.search(rf"^(async )?def {test}\(", (ROOT / path).read_text(), re.MULTILINE), f"{path}::{test}"


def test_every_row_of_the_protections_names_a_test() -> None:
    rows = re.findall(
        r"^\| (?!shown|---|a guest can't|a host can't)(.+) \|$", (DOCS / "protections.md").read_text(), re.M
    )
    rows = [row for row in rows if not row.startswith("| shown by")]
    assert len(rows) > 20
    assert [row for row in rows if "::test_" not in row] == []


def test_the_hosts_document_has_every_column_key_and_guard() -> None:
    text = (DOCS / "hosts.md").read_text()
    errors = {"code", "cause", "cure"}
    check = hosts_check.as_dict(Check(**{field.name: None for field in fields(Check)} | {"warnings": (), "others": ()}))
    assert {*hosts_check.TITLES, *GUARDS, *check, *errors} - code_words(text) == set()
