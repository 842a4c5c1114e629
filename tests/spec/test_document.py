"""Files that can't be read are problems, never tracebacks."""

from __future__ import annotations

from pathlib import Path

from batchwasm.spec import document
from tests.spec.folder import Folder


def problem(path: Path) -> str:
    found = document.read(path, "jobs.toml")
    assert found.root is None
    [only] = found.report.problems
    return str(only)


def test_a_document_has_its_text_its_values_and_its_lines(folder: Folder) -> None:
    found = document.read(folder.write("jobs.toml", "\ufeffa = 1\nb = 2\n"), "jobs.toml")
    assert found.root is not None
    assert (found.root.value, found.text) == ({"a": 1, "b": 2}, "a = 1\nb = 2\n")
    assert found.report.lines.exact(("b",)) == 2


def test_a_syntax_error_has_the_line_and_column_of_tomli(folder: Folder) -> None:
    assert problem(folder.write("x", "a = 1\n\nb = = 2\n")) == "jobs.toml:3: is not TOML: Invalid value (column 5)"


def test_a_key_that_comes_twice_is_a_syntax_error(folder: Folder) -> None:
    assert problem(folder.write("x", "a = 1\na = 2\n")).startswith("jobs.toml:2: is not TOML: Cannot overwrite")


def test_a_missing_file_is_a_problem(folder: Folder) -> None:
    assert problem(folder.path / "x") == "jobs.toml: there is no such file"


def test_a_folder_is_a_problem(folder: Folder) -> None:
    assert problem(folder.path) == "jobs.toml: can't be read: Is a directory"


def test_bytes_that_are_no_text_are_a_problem(folder: Folder) -> None:
    path = folder.write("x")
    path.write_bytes(b"a = '\xff'\n")
    assert problem(path) == "jobs.toml: is not UTF-8 text: byte 5 is 0xff"


def test_a_number_that_python_would_not_read_is_a_problem(folder: Folder) -> None:
    assert problem(folder.write("x", "a = " + "1" * 5000)) == "jobs.toml: has a number of too many digits"


def test_endless_nesting_is_a_problem(folder: Folder) -> None:
    found = document.read(folder.write("x", "a = " + "[" * 20_000 + "]" * 20_000), "jobs.toml")
    assert found.root is None
    assert len(found.report.problems) == 1


def test_a_path_that_no_file_can_have_is_a_problem() -> None:
    assert problem(Path("x" * 5000)) == "jobs.toml: can't be read: File name too long"


def test_a_file_far_too_large_is_not_read_whole() -> None:
    assert problem(Path("/dev/zero")) == "jobs.toml: is larger than 64 MiB; is it the right file?"
