"""Reports become records and files: what a host says is checked before anything of it is kept."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path
from typing import Any, cast

import pytest

from batchwasm.engine import collect
from batchwasm.engine.depot import Depot
from batchwasm.errors import HostError, WorldError
from batchwasm.model import Outcome
from batchwasm.results import RunFolder
from batchwasm.runner.protocol import Detail, OutputFile, Redaction, Row
from tests.engine.fake_host import FakeDepot


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def row(detail: Detail | None = None, *files: bytes, **fields: Any) -> Row:
    plain = Row(3, 1, Outcome.SUCCEEDED, 0, 1.5, 2_000_000, 1_000_000, 65536, b"out", b"err", detail, files)
    return plain._replace(**fields)


def small(path: str, content: bytes) -> OutputFile:
    return OutputFile(path, len(content), sha256(content), True)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(path=tmp_path)


async def collected(
    folder: RunFolder, row: Row, depot: FakeDepot | None = None, redact: Redaction | None = None
) -> Any:
    return await collect.collect(row, "j", folder, cast(Depot, depot or FakeDepot()), "/spool/7", None, redact)


def test_a_plain_row_is_a_record_in_seconds() -> None:
    record = collect.record(row())
    assert (record.task, record.number, record.wall_s, record.cpu_s, record.stdout) == (3, 1, 2.0, 1.0, b"out")
    assert (record.reason_code, record.reason_text, record.outputs) == (None, None, None)


@pytest.mark.parametrize("outcome", [0, 1, Outcome.MISMATCH, Outcome.CANCELLED, Outcome.SKIPPED, 99])
def test_outcomes_that_are_not_a_hosts_to_tell_are_refused(outcome: int) -> None:
    with pytest.raises(HostError, match="not its to tell"):
        collect.record(row(outcome=outcome))


@pytest.mark.parametrize("made_up", [{"wall_us": 10**18}, {"wall_us": -1}, {"cpu_us": -5}])
def test_durations_that_no_attempt_can_take_are_refused(made_up: dict[str, int]) -> None:
    with pytest.raises(HostError, match="reported an attempt of"):
        collect.record(row(**made_up))


def test_a_reason_is_cut_to_what_a_person_reads() -> None:
    record = collect.record(row(Detail(code="c" * 1000, text="t" * 1_000_000)))
    assert record.reason_code is not None
    assert record.reason_text is not None
    assert (len(record.reason_code), len(record.reason_text)) == (64, collect.REASON_LIMIT)


async def test_files_lie_where_the_contract_says_and_are_listed(folder: RunFolder) -> None:
    big = b"x" * 70_000
    depot = FakeDepot(remote={"/spool/7/3/out/b/big": big, "/spool/7/3/stdout": big, "/spool/7/3/stderr": b"e"})
    outputs = [small("a ü", b"abc"), OutputFile("b/big", len(big), sha256(big), False)]
    detail = Detail(outputs=outputs, stdout_spooled=(len(big), sha256(big)), stderr_spooled=(1, sha256(b"e")))
    record = await collected(folder, row(detail, b"abc", stdout=b"", stderr=b""), depot)
    files = {str(path.relative_to(folder.path)) for path in folder.path.rglob("*") if path.is_file()}
    assert files == {f"tasks/j/3/{name}" for name in ("out/a ü", "out/b/big", "stdout", "stderr")}
    assert (record.stdout, record.stdout_path, record.stderr_path) == (None, "tasks/j/3/stdout", "tasks/j/3/stderr")
    assert '"path":"a ü"' in record.outputs


async def test_what_a_host_says_is_kept_without_the_values_of_secrets(folder: RunFolder) -> None:
    """The worker leaves them out already; a host need not."""
    redact = Redaction(["open sesame"])
    said = row(Detail(code="exit_code", text="no open sesame"), stdout=b"<open sesame>", stderr=b"open sesame!")
    record = collect.record(said, None, redact)
    assert (record.stdout, record.stderr, record.reason_text) == (b"<***>", b"***!", "no ***")
    big = b"open sesame " * 7000
    depot = FakeDepot(remote={f"/spool/7/3/{name}": big for name in ("stdout", "stderr", "out/o")})
    spooled = (len(big), sha256(big))
    outputs = [OutputFile("o", *spooled, False)]
    detail = Detail(text="no open sesame", outputs=outputs, stdout_spooled=spooled, stderr_spooled=spooled)
    kept = await collected(folder, row(detail, stdout=b"", stderr=b""), depot, redact)
    assert kept.reason_text == "no ***"
    assert folder.stdout("j", 3).read_bytes() == folder.stderr("j", 3).read_bytes() == b"*** " * 7000
    assert folder.output("j", 3, "o").read_bytes() == big


async def test_what_a_lost_attempt_left_is_gone(folder: RunFolder) -> None:
    await collected(folder, row(Detail(outputs=[small("old", b"1"), small("both", b"1")]), b"1", b"1"))
    await collected(folder, row(Detail(outputs=[small("both/new", b"2")]), b"2", number=2))
    assert [str(path) for path in folder.outputs("j", 3).rglob("*") if path.is_file()] == [
        str(folder.outputs("j", 3) / "both/new")
    ]


@pytest.mark.parametrize(
    "outputs",
    [
        [OutputFile("x", 1, sha256(b"y"), True)],
        [small("../x", b"x")],
        [small("x", b"x"), small("x/y", b"x")],
        [small("x/y", b"x"), small("x", b"x")],
    ],
    ids=["another digest", "a way out", "a file that is a folder", "a folder that is a file"],
)
async def test_a_host_that_lies_is_named_as_one(folder: RunFolder, outputs: list[OutputFile]) -> None:
    with pytest.raises(HostError) as raised:
        await collected(folder, row(Detail(outputs=outputs), *[b"x"] * len(outputs)))
    assert raised.value.code == "protocol"


async def test_a_full_disk_here_is_no_hosts_fault(folder: RunFolder) -> None:
    class Full(FakeDepot):
        async def get(self, *args: object, **kwargs: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(WorldError, match=r"tasks/j/3/stdout can't be written: the disk is full"):
        await collected(folder, row(Detail(stdout_spooled=(1, sha256(b"x")))), Full())


def digest(row: Row, redact: Redaction | None = None) -> str | None:
    return collect.record(row, None, redact, compared=True).digest


def test_a_digest_is_of_what_was_given_and_not_of_how_it_went() -> None:
    given = digest(row(Detail(outputs=[small("b", b"1"), small("a", b"2")]), b"1", b"2"))
    assert given == digest(
        row(
            Detail(outputs=[small("a", b"2"), small("b", b"1")]),
            b"2",
            b"1",
            stderr=b"x",
            wall_us=1,
            peak_memory_bytes=1,
        )
    )
    others = [row(stdout=b"other"), row(Detail(outputs=[small("a", b"1"), small("b", b"2")]), b"1", b"2"), row()]
    assert len({given, *map(digest, others)}) == 4


def test_a_large_output_counts_as_a_small_one_and_what_failed_is_not_compared() -> None:
    assert digest(row(Detail(stdout_spooled=(3, sha256(b"out"))), stdout=b"")) == digest(row())
    assert digest(row(outcome=Outcome.FAILED, exit_code=1)) is None
    assert collect.record(row()).digest is None
