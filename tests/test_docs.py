"""What the documents list is what the code has."""

from __future__ import annotations

import ast
import re
import sqlite3
from pathlib import Path

from batchwasm.core.events import KINDS
from batchwasm.journal import Journal
from batchwasm.model import Outcome
from batchwasm.runner.engines import TRAPS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def code_words(text: str) -> set[str]:
    """Everything set in backquotes."""
    return set(re.findall(r"`([^`\n]+)`", text))


def test_the_journal_document_has_every_kind_of_event() -> None:
    rows = re.findall(r"^\| `([A-Z]\w+)` \|", (DOCS / "journal.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(KINDS)


def test_the_journal_document_has_every_table_and_column(tmp_path: Path) -> None:
    Journal.create(tmp_path / "journal.db").close()
    with sqlite3.connect(tmp_path / "journal.db") as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {row[1] for table in tables for row in connection.execute(f"PRAGMA table_info({table})")}
    connection.close()
    assert {*tables, *columns} - code_words((DOCS / "journal.md").read_text()) == set()


def reason_codes() -> set[str]:
    """The codes that the program can give a task: first words of what makes a reason, wherever it is made."""
    places = {"Verdict": 2, "Stop": 0, "Detail": 0, "LaunchError": 0, "BadModule": 0}
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
    made_elsewhere = {"stdout", "stderr", "trap", "uncaught_exception"}  # taken from a variable
    assert documented - made_elsewhere == reason_codes() - made_elsewhere


def test_links_between_documents_lead_somewhere() -> None:
    for document in [ROOT / "README.md", *DOCS.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
