"""Files of earlier runs: copied whole and as they were, or not at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from batchwasm.engine import originals
from batchwasm.engine.originals import Gone, copy
from batchwasm.errors import WorldError


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("kernel", [True, False])
def test_a_copy_has_the_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, kernel: bool) -> None:
    if not kernel:
        monkeypatch.delattr(os, "copy_file_range", raising=False)
        monkeypatch.setattr(originals, "BLOCK_BYTES", 1000)
    data = os.urandom(10_000)
    (tmp_path / "from").write_bytes(data)
    copy(tmp_path / "from", tmp_path / "deep/to", digest(data), len(data))
    assert (tmp_path / "deep/to").read_bytes() == data
    assert os.listdir(tmp_path / "deep") == ["to"]


@pytest.mark.parametrize("damage", ["content", "size", "gone", "link", "folder"])
def test_what_is_not_as_it_was_is_not_copied(tmp_path: Path, damage: str) -> None:
    source = tmp_path / "from"
    match damage:
        case "content":
            source.write_bytes(b"12346")
        case "size":
            source.write_bytes(b"1234")
        case "link":
            (tmp_path / "other").write_bytes(b"12345")
            source.symlink_to("other")
        case "folder":
            source.mkdir()
    with pytest.raises(Gone):
        copy(source, tmp_path / "to/file", digest(b"12345"), 5)
    assert not (tmp_path / "to/file").exists()


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(b"1")
    (tmp_path / "to").touch()
    with pytest.raises(WorldError, match="can't be written"):
        copy(tmp_path / "from", tmp_path / "to/file", None)
