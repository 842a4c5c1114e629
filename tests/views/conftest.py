"""A run that is written by the test and one who looks on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batchwasm.results import RunFolder
from batchwasm.views import View
from tests.views.written import Written


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    """Live: this process is its scheduler."""
    written = Written(RunFolder(path=tmp_path))
    with closing(written.journal), written.folder.held():
        yield written


@pytest.fixture
def view(written: Written) -> Iterator[View]:
    with View(written.folder) as view:
        view.look()
        yield view
