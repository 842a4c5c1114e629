"""Events as JSON lines: every kind as its schema says, every text valid JSON."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from batchwasm.core.eventcodec import KINDS, encode
from batchwasm.core.events import Event, HostJoined, HostRefused, Record, TasksFinished, TasksKnown
from batchwasm.telling import eventschema
from batchwasm.telling.eventlines import DROPPED, NAMED_OUTPUTS, TEXT_BYTES, dropped, for_terminal, lines, written
from tests.command import Cli
from tests.telling.told import EVENTS, OK, OUTPUTS

SCHEMA = eventschema.schema()
VALID = jsonschema.Draft7Validator(SCHEMA)
DOCUMENT = (Path(__file__).parents[2] / "docs/events.md").read_text()


def strict(constant: str) -> Any:
    raise AssertionError(f"{constant} is no JSON")


def told(event: Event, seq: int = 3, at: float = 1.5) -> list[Any]:
    """The lines of an event as a program reads them."""
    data = b"".join(map(written, lines(event, seq, at, "run-1", ["a", "b"])))
    return [json.loads(line, parse_constant=strict) for line in data.decode().splitlines()]


def finished(*records: Record) -> TasksFinished:
    return TasksFinished(batch=1, job=1, host="h", records=records)


def test_every_kind_of_event_is_as_the_schema_says() -> None:
    VALID.check_schema(SCHEMA)
    assert {type(event).__name__ for event in EVENTS} == set(KINDS)
    for event in EVENTS:
        for line in told(event):
            VALID.validate(line)
    VALID.validate(json.loads(written(dropped("run-1", 5, 9, 4, 1.5))))


def test_what_is_told_is_all_that_the_schema_has_and_nothing_else() -> None:
    bodies = {each["properties"]["kind"]["const"]: each["properties"]["body"] for each in SCHEMA["oneOf"]}
    assert set(bodies) == {*KINDS, DROPPED}
    for event in EVENTS:
        for line in told(event):
            assert line["body"].keys() == bodies[line["kind"]]["properties"].keys()


def test_a_line_that_is_not_as_the_schema_says_is_seen() -> None:
    (line,) = told(finished(OK))
    line["body"]["attempt"]["outcome"] = "fine"
    with pytest.raises(jsonschema.ValidationError):
        VALID.validate(line)


def test_a_line_is_the_row_of_the_journal_with_its_names() -> None:
    event = HostRefused(host="g", code="key", text="no", waiting_may_help=False)
    assert told(event) == [
        {
            "schema": "event/1",
            "run": "run-1",
            "seq": 3,
            "at": 1.5,
            "kind": "HostRefused",
            "job": None,
            "task": None,
            "host": "g",
            "body": encode(event),
        }
    ]


def test_attempts_that_ended_together_are_a_line_each() -> None:
    first, second = told(finished(OK, OK._replace(task=4, outputs=OUTPUTS, stdout=b"\xff", stderr=None)))
    assert (first["seq"], first["job"], first["task"], first["host"]) == (3, "b", "b/0", "h")
    assert (second["seq"], second["task"]) == (3, "b/4")
    attempt = second["body"]["attempt"]
    assert (attempt["stdout"], attempt["stdout_bytes"], attempt["stderr"]) == ("\ufffd", 1, None)
    assert (attempt["outcome"], attempt["output_files"]) == ("succeeded", 2)
    assert attempt["outputs"][1] == {"path": "b", "bytes": 7, "sha256": "11"}


def test_what_would_make_a_line_long_is_left_to_the_journal() -> None:
    outputs = json.dumps([{"path": f"f{n}", "bytes": n, "sha256": "00"} for n in range(NAMED_OUTPUTS + 1)])
    (line,) = told(finished(OK._replace(stdout=bytes(TEXT_BYTES + 1), stderr=b"e" * TEXT_BYTES, outputs=outputs)))
    attempt = line["body"]["attempt"]
    assert (attempt["stdout"], attempt["stdout_bytes"]) == (None, TEXT_BYTES + 1)
    assert attempt["stderr"] == "e" * TEXT_BYTES
    assert (len(attempt["outputs"]), attempt["output_files"]) == (NAMED_OUTPUTS, NAMED_OUTPUTS + 1)


def test_an_event_of_no_attempt_is_a_line_too() -> None:
    assert told(finished())[0]["body"]["attempt"] is None
    assert told(TasksKnown(job=0, records=[]))[0]["body"] == {"job": 0, "attempt": None}


@pytest.mark.parametrize("text", ["\x1b[31m\x00\x9b\u202e\u2028", "\udce9 caf\u00e9 \U0001f600", 'a"b\\c\n{"x":1}'])
def test_any_text_is_in_a_line_of_valid_json(text: str) -> None:
    event = HostRefused(host=text, code="key", text=text, waiting_may_help=False)
    data = b"".join(map(written, lines(event, 1, 1.0, text, [])))
    assert data.count(b"\n") == 1
    body = json.loads(data.decode("utf-8"), parse_constant=strict)["body"]
    assert body["text"] == text.encode("utf-8", "replace").decode()
    shown = for_terminal(data).decode("ascii")
    assert json.loads(shown) == json.loads(data)
    assert shown.rstrip("\n").isprintable()


def test_what_json_has_no_number_for_is_a_word() -> None:
    facts = {"load": math.inf, "list": [math.nan, {"x": -math.inf}]}
    (line,) = told(HostJoined(host="h", supervisor="s", cpus=1, memory_bytes=1, facts=facts))
    assert line["body"]["facts"] == {"load": "Infinity", "list": ["NaN", {"x": "-Infinity"}]}
    (line,) = told(finished(OK._replace(reason_code="x", reason_text="y", used=math.nan)))
    assert line["body"]["attempt"]["reason"]["used"] == "NaN"
    VALID.validate(line)


def test_the_document_names_every_kind_and_every_field_of_a_line() -> None:
    rows = re.findall(r"^\| (`\w+`[^|]*) \|", DOCUMENT, re.MULTILINE)
    named = {word for row in rows for word in re.findall(r"`(\w+)`", row)}
    (attempt,) = (line["body"]["attempt"] for line in told(finished(OK)))
    line = told(HostRefused(host="g", code="key", text="no", waiting_may_help=False))[0]
    assert {*KINDS, DROPPED} | line.keys() | attempt.keys() == named


def test_the_document_names_the_fields_of_every_body() -> None:
    rows = dict(re.findall(r"^\| (`[A-Z]\w+`(?:, `\w+`)*) \| (.*?) \|", DOCUMENT, re.MULTILINE))
    fields = {
        kind: set(re.findall(r"`(\w+)`", text)) for kinds, text in rows.items() for kind in re.findall(r"\w+", kinds)
    }
    for event in EVENTS:
        for line in told(event):
            assert line["body"].keys() == fields[line["kind"]], line["kind"]


def test_the_schema_is_printed(batchwasm: Cli) -> None:
    assert batchwasm("schema", "events").json == SCHEMA
