"""A folder for jobs.toml with an awkward name: spaces, quotes, a glob's characters and a newline in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spec.folder import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    path = tmp_path / 'it\'s a [folder] *\n"of" ünïcode'
    path.mkdir()
    return Folder(path)
