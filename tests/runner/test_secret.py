"""The values of a batch's secrets stay in its guests: they are in no report, and in no file that we write."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from batchwasm.runner.protocol import TaskWork
from tests.runner.forked import MIB, Forked
from tests.runner.reactors import call, error, gives
from tests.runner.test_execute import outcome, text

TOKEN = "open-sésame-42"
SECRET: dict[str, Any] = {"env": {"TOKEN": TOKEN, "USER": "alice"}, "secret": ["TOKEN"]}


def test_a_guest_has_them_and_what_it_prints_has_not(host: Forked) -> None:
    row = host.tool("env", "err", TOKEN, **SECRET)
    assert b"TOKEN=***\nUSER=alice\n" in row.stdout
    assert row.stderr == b"***\n"
    assert row.detail is None


def test_each_task_of_a_job_whose_variables_differ_is_redacted(host: Forked) -> None:
    tasks = [TaskWork(n, 1, ["env"], {"TOKEN": TOKEN, "N": str(n)}) for n in range(2)]
    rows = host.run(host.work(host.toolbox, tasks, secret=["TOKEN"]))
    assert all(f"TOKEN=***\nN={n}\n" in row.stdout.decode() for n, row in enumerate(rows))


def test_the_next_batch_is_as_it_is(host: Forked) -> None:
    host.tool("say", TOKEN, **SECRET)
    assert host.tool("say", TOKEN).stdout.decode() == TOKEN + "\n"


def test_a_reason_is_redacted_before_it_is_cut(host: Forked) -> None:
    row = host.tool("err", "x" * 290 + TOKEN, "exit", "3", **SECRET)
    assert outcome(row) == ("failed", "exit_code")
    assert text(row).endswith("x***")


def test_the_message_of_an_error_that_a_function_raised_is_redacted(host: Forked) -> None:
    row = call(host, gives(error("raised", f"no {TOKEN}")), **SECRET)
    assert (outcome(row), text(row)) == (("failed", "raised"), "no ***")


def test_a_value_is_as_the_function_gave_it(host: Forked) -> None:
    answer = b"\x6f" + TOKEN.encode()
    assert call(host, gives(answer), **SECRET).value == answer


def test_long_output_is_redacted_before_it_lies_in_the_spool(host: Forked) -> None:
    content = (b"." * 999 + TOKEN.encode()) * 3000
    told = content.replace(TOKEN.encode(), b"***")
    row = host.tool("stdin", stdin=host.file(content), **(SECRET | {"stdout_bytes": 8 * MIB}))
    assert row.detail is not None
    assert row.detail.stdout_spooled == (len(told), hashlib.sha256(told).hexdigest())
    assert host.spooled("stdout") == told


def test_of_output_that_is_cut_at_its_limit_no_half_of_one_is_left(host: Forked) -> None:
    for size in (1000, MIB):
        content = b"." * (size - 8) + TOKEN.encode() + b"." * MIB * 5
        row = host.tool("stdin", stdin=host.file(content), **(SECRET | {"stdout_bytes": size}))
        assert outcome(row) == ("limit_exceeded", "stdout")
        kept = row.stdout or host.spooled("stdout")
        assert kept == b"." * (size - 8) + b"***"


def test_no_file_of_the_host_has_one(fresh: Forked) -> None:
    fresh.start()
    row = fresh.tool("env", "say", TOKEN * 10_000, "err", TOKEN, "exit", "1", **SECRET)
    assert outcome(row) == ("failed", "exit_code")
    assert not [path for path in fresh.root.rglob("*") if path.is_file() and holds(path, TOKEN)]


def holds(path: Path, value: str) -> bool:
    return value.encode() in path.read_bytes()
