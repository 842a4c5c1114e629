"""What the documents list is what the code has."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from batchwasm.core.events import KINDS
from batchwasm.journal import Journal

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


def test_links_between_documents_lead_somewhere() -> None:
    for document in [ROOT / "README.md", *DOCS.glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
