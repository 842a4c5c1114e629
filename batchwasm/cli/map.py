"""`map FILE:FUNCTION < args.jsonl`: call a function for every line; the values as JSON lines, in order."""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import TYPE_CHECKING, Any

import click

from batchwasm.cli import complete
from batchwasm.cli.calling import OPTIONS_FIRST, calling_options, fleet_of, read_target
from batchwasm.errors import EXIT_CANCELLED, EXIT_SUCCEEDED, EXIT_TASKS_FAILED, TaskFailed
from batchwasm.escape import say

if TYPE_CHECKING:
    from batchwasm.fleet import Function
    from batchwasm.functions import Param

SCHEMA = "value/1"
READ_BYTES = 256 * 1024
QUEUED = 16  # reads that wait to be mapped
PAUSE_S = 0.02
TOLD_FAILURES = 5  # on stderr; all of them are lines of the output


@click.command("map", context_settings=OPTIONS_FIRST)
@calling_options
@click.option("--json", "as_json", is_flag=True, help="A JSON object for every line: index, outcome, value, reason.")
@click.option(
    "--in-flight", type=click.IntRange(1), default=10_000, show_default=True, help="Calls at a time, at most."
)
@click.argument("target", metavar="FILE:FUNCTION", shell_complete=complete.functions)
def command(
    target: str,
    inventory: Path | None,
    hosts: str | None,
    wait_hosts_s: float,
    quiet: bool,
    as_json: bool,
    in_flight: int,
    **given: Any,
) -> int:
    """Call a function for every line of stdin, and print the values as JSON lines, in the same order.

    A line is JSON: the argument of a function that takes one; else an array with all arguments, or an object with them
    by name. A call that fails gives the line {"outcome": ..., "reason": {"code": ..., "text": ...}}, and exit code 1
    at the end; the others go on.
    """
    found = read_target(target, inventory, hosts, given)
    with fleet_of("map", found, inventory, hosts, wait_hosts_s, quiet) as (fleet, function, progress):
        numbers: deque[int] = deque()
        failed, code = 0, EXIT_SUCCEEDED
        is_shown = sys.stdout.isatty()
        for index, value in enumerate(fleet.outcomes(function, _rows(function, numbers), in_flight=in_flight)):
            number = numbers.popleft()
            if is_shown:
                progress.give_way()  # drawn again, it would take the last line with it
                is_shown = False
            sys.stdout.write(_line(function, index, value, as_json) + "\n")
            if isinstance(value, Exception):
                failed += 1
                is_cancelled = isinstance(value, TaskFailed) and value.outcome == "cancelled"
                code = EXIT_CANCELLED if is_cancelled or code == EXIT_CANCELLED else EXIT_TASKS_FAILED
                if failed <= TOLD_FAILURES:
                    _tell(say if quiet else progress.note, number, value, last=failed == TOLD_FAILURES)
        sys.stdout.flush()
    return code


def _rows(function: Function, numbers: deque[int]) -> Iterator[tuple[tuple[Any, ...] | Exception, Any]]:
    """The arguments of every line, and the line; a line that is not right is an exception in its place.

    `numbers` gets the number of each, for who takes the values.
    """
    from batchwasm.fleet.mapping import PAUSE
    from batchwasm.functions.values import BadArgument

    number = 0
    for lines in _stdin():
        if not lines:
            sys.stdout.flush()  # whoever gives a line and waits for its value gets it
            yield PAUSE
        for line in lines:
            number += 1
            if not line.strip():
                continue
            numbers.append(number)
            try:
                yield _arguments(function, line), _Named(line)
            except BadArgument as error:
                yield error, _Named(line)


def _stdin() -> Iterator[list[bytes]]:
    """Lines as they come, many at a time; none where there is nothing for a moment."""
    chunks: Queue[list[bytes]] = Queue(QUEUED)
    reader = Thread(target=_read, args=(chunks,), daemon=True)
    reader.start()
    while True:
        try:
            lines = chunks.get(timeout=PAUSE_S)
        except Empty:
            yield []
            continue
        if not lines:
            return
        yield lines


def _read(chunks: Queue[list[bytes]]) -> None:
    rest = b""
    while data := os.read(sys.stdin.fileno(), READ_BYTES):
        *lines, rest = (rest + data).split(b"\n")
        if lines:
            chunks.put(lines)
    if rest:
        chunks.put([rest])
    chunks.put([])


class _Named(str):
    """A line of the input, as it names a call in messages."""

    def __new__(cls, line: bytes) -> _Named:
        return super().__new__(cls, line[:400].decode("utf-8", "replace").strip())

    def __repr__(self) -> str:
        return str(self)


def _arguments(function: Function, line: bytes) -> tuple[Any, ...]:
    """Raises BadArgument."""
    from batchwasm.functions.values import BadArgument

    params = function.signature.params
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadArgument(f"it is not JSON: {error}") from error
    if len(params) == 1:
        found = [found]
    elif isinstance(found, dict):
        found = function.bind((), found)
    if not isinstance(found, list | tuple) or len(found) != len(params):
        raise BadArgument(f"write an array with the {len(params)} arguments of {function.signature}")
    return tuple(_converted(param, value) for param, value in zip(params, found, strict=True))


def _converted(param: Param, value: object) -> object:
    from batchwasm.functions.json_values import from_json
    from batchwasm.functions.values import BadArgument

    try:
        return from_json(param.type, value)
    except BadArgument as error:
        raise error.inside(param.name) from None


def _line(function: Function, index: int, value: object, as_json: bool) -> str:
    from batchwasm.functions.json_values import dumps

    head: dict[str, Any] = {"schema": SCHEMA, "index": index} if as_json else {}
    if isinstance(value, Exception):
        head |= _why(value)
        return json.dumps({**head, "value": None} if as_json else head)
    result = function.signature.result
    text = "null" if result is None else dumps(result, value)
    if not as_json:
        return text
    return f'{json.dumps({**head, "outcome": "succeeded", "reason": None})[:-1]}, "value": {text}}}'


def _why(error: Exception) -> dict[str, Any]:
    if isinstance(error, TaskFailed):
        return {"outcome": error.outcome, "reason": {"code": error.code, "text": error.message}}
    return {"outcome": "invalid", "reason": {"code": "argument", "text": str(error)}}


def _tell(tell: Callable[[str], None], number: int, error: Exception, *, last: bool) -> None:
    tell(f"line {number}: {error}")
    if last:
        tell("more failures are not told here: each is a line of the output")
