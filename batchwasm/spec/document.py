"""A TOML file off the disk: its text, its values, its lines. The one module of spec that calls tomli."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

import tomli

from batchwasm.errors import Problem
from batchwasm.spec import lines
from batchwasm.spec.nodes import Node, Report

LARGEST_BYTES = 64 * 1024 * 1024  # a jobs.toml is written by hand; a gigabyte given by mistake must not fill the memory
_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    text: str
    root: Node | None
    """None where the file can't be read; `report` says why."""
    report: Report


def read(path: Path, file: str) -> Document:
    """The document at `path`, named `file` in problems."""
    try:
        with open(path, "rb") as stream:
            chunks = itertools.islice(iter(lambda: stream.read(_CHUNK_BYTES), b""), LARGEST_BYTES // _CHUNK_BYTES + 1)
            data = b"".join(chunks)
        if len(data) > LARGEST_BYTES:
            return _unreadable(file, f"is larger than {LARGEST_BYTES // 2**20} MiB; is it the right file?")
        return parse(data.decode("utf-8-sig"), file)
    except FileNotFoundError:
        return _unreadable(file, "there is no such file")
    except OSError as error:
        return _unreadable(file, f"can't be read: {os.strerror(error.errno or 0)}")
    except UnicodeDecodeError as error:
        return _unreadable(file, f"is not UTF-8 text: byte {error.start} is {data[error.start]:#04x}")


def parse(text: str, file: str) -> Document:
    """The document that `text` is."""
    try:
        value = tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        return _unreadable(file, f"is not TOML: {error.msg} (column {error.colno})", error.lineno, text)
    except ValueError:
        return _unreadable(file, "has a number of too many digits")
    except RecursionError:
        return _unreadable(file, "is nested too deeply")
    report = Report(file=file, lines=lines.scan(text))
    return Document(text=text, root=Node(value=value, path=(), report=report), report=report)


def _unreadable(file: str, why: str, line: int | None = None, text: str = "") -> Document:
    report = Report(file=file)
    report.found.append(Problem(file=file, line=line, key="", text=why))
    return Document(text=text, root=None, report=report)
