"""What becomes of an attempt: the guest's world, outcomes with reasons, outputs; by both ways to call wasmtime."""

from __future__ import annotations

import hashlib
import os
import time

import pytest

from batchwasm.model import Outcome
from batchwasm.runner import reasons
from batchwasm.runner.protocol import Row, TaskWork
from tests.runner.forked import MIB, Forked, wat


def outcome(row: Row) -> tuple[str, str]:
    return Outcome(row.outcome).word, row.detail.code if row.detail else ""


def text(row: Row) -> str:
    assert row.detail is not None
    return row.detail.text


def outputs(row: Row) -> dict[str, bytes]:
    assert row.detail is not None
    assert all(output.inline for output in row.detail.outputs)
    return {output.path: content for output, content in zip(row.detail.outputs, row.files, strict=True)}


def test_the_numbers_of_outcomes_are_those_of_the_model() -> None:
    for name in ("SUCCEEDED", "FAILED", "TRAPPED", "TIMED_OUT", "OUT_OF_MEMORY", "LIMIT_EXCEEDED", "INVALID", "LOST"):
        assert getattr(reasons, name) == Outcome[name]


# ---------------------------------------------------------------------------------------------- the world


def test_a_guest_gets_its_arguments_after_the_jobs_name(host: Forked) -> None:
    assert host.tool("args", "zwei Wörter", "").stdout.decode() == "box\nargs\nzwei Wörter\n\n"


def test_a_guest_sees_its_own_environment_and_nothing_of_the_hosts(host: Forked) -> None:
    row = host.tool("env", env={"A": "1", "B": "ü"})
    lines = dict(line.split("=", 1) for line in row.stdout.decode().splitlines())
    seed = lines.pop("BATCHWASM_SEED")
    assert 0 <= int(seed) < 2**63
    assert lines == {
        "PWD": "/",
        "A": "1",
        "B": "ü",
        "BATCHWASM_RUN": "night",
        "BATCHWASM_JOB": "box",
        "BATCHWASM_INDEX": "0",
        "BATCHWASM_ATTEMPT": "1",
    }


def test_index_and_attempt_are_the_tasks_and_the_seed_is_the_same_at_every_attempt(host: Forked) -> None:
    work = host.work(host.toolbox, [TaskWork(7, 1), TaskWork(7, 2), TaskWork(8, 1)], args=["env"])
    envs = [dict(line.split("=", 1) for line in row.stdout.decode().splitlines()) for row in host.run(work)]
    assert [(e["BATCHWASM_INDEX"], e["BATCHWASM_ATTEMPT"]) for e in envs] == [("7", "1"), ("7", "2"), ("8", "1")]
    assert envs[0]["BATCHWASM_SEED"] == envs[1]["BATCHWASM_SEED"] != envs[2]["BATCHWASM_SEED"]


def test_a_task_may_have_arguments_environment_and_stdin_of_its_own(host: Forked) -> None:
    stdin = host.file(b"own stdin")
    tasks = [TaskWork(0, 1), TaskWork(1, 1, args=["stdin"], env={"X": "2"}, stdin=stdin), TaskWork(2, 1)]
    rows = host.run(host.work(host.toolbox, tasks, args=["say", "shared"], env={"X": "1"}))
    assert [row.stdout for row in rows] == [b"shared\n", b"own stdin", b"shared\n"]


def test_stdin_is_empty_where_none_is_given(host: Forked) -> None:
    assert host.tool("stdin").stdout == b""


def test_stdin_is_read_from_its_start_by_each_task(host: Forked) -> None:
    content = os.urandom(300_000)
    work = host.work(host.toolbox, [["stdin"], ["say", "no"], ["stdin"]], stdin=host.file(content))
    rows = host.run(work)
    assert [row.stdout for row in rows] == [b"", b"no\n", b""]
    for index in (0, 2):
        assert (host.root / "spool" / str(work.batch) / str(index) / "stdout").read_bytes() == content


def test_output_without_a_newline_is_kept_and_stays_with_its_task(host: Forked) -> None:
    stdin = host.file(b"no newline")
    rows = host.run(host.work(host.toolbox, [["stdin"], []], stdin=stdin))
    assert [row.stdout for row in rows] == [b"no newline", b""]


def test_stdout_and_stderr_are_told_apart(host: Forked) -> None:
    row = host.tool("say", "out", "err", "trouble")
    assert (row.stdout, row.stderr) == (b"out\n", b"trouble\n")
    assert outcome(row) == ("succeeded", "")


def test_long_output_goes_to_the_spool_with_its_digest(host: Forked) -> None:
    content = os.urandom(700_000)
    row = host.tool("stdin", stdin=host.file(content))
    assert row.stdout == b""
    assert row.detail is not None
    assert row.detail.stdout_spooled == (len(content), hashlib.sha256(content).hexdigest())
    assert host.spooled("stdout") == content


def test_a_folder_of_the_host_is_a_read_only_mount(host: Forked) -> None:
    data = host.root / "data"
    data.mkdir(exist_ok=True)
    (data / "table").write_text("rows")
    row = host.tool("cat", "/mnt/sets/table", "write", "/mnt/sets/mine", "3", mounts={"sets": str(data)})
    assert row.stdout.startswith(b"rows/mnt/sets/mine: ")
    assert sorted(path.name for path in data.iterdir()) == ["table"]


def test_a_mount_that_is_not_there_is_invalid(host: Forked) -> None:
    row = host.tool("say", "x", mounts={"sets": "/does/not/exist"})
    assert outcome(row) == ("invalid", "folder")
    assert "/does/not/exist" in text(row)


@pytest.mark.parametrize("path", ["/etc/passwd", "../etc/passwd", "/../../etc/passwd"])
def test_no_path_leads_out_of_the_folder(host: Forked, path: str) -> None:
    assert b"root:" not in host.tool("cat", path).stdout


def test_a_link_does_not_lead_out_of_the_folder(host: Forked) -> None:
    row = host.tool("symlink", "../../../../../../../etc/passwd", "p", "cat", "p")
    assert b"root:" not in row.stdout


def test_a_zero_byte_in_an_argument_is_refused_and_not_cut(host: Forked) -> None:
    row = host.tool("say", "a\0b")
    assert outcome(row) == ("invalid", "arguments")


# ------------------------------------------------------------------------------------------------- inputs


def test_inputs_lie_where_they_shall_in_folders_too(host: Forked) -> None:
    inputs = [("a b.txt", host.file(b"first")), ("deep/er/ü.txt", host.file(b"second"))]
    row = host.tool("cat", "a b.txt", "cat", "deep/er/ü.txt", inputs=inputs)
    assert row.stdout == b"firstsecond"


def test_a_tasks_inputs_come_to_those_of_its_batch(host: Forked) -> None:
    shared, own = host.file(b"shared"), host.file(b"own")
    tasks = [TaskWork(0, 1, inputs=[("own", own)]), TaskWork(1, 1)]
    rows = host.run(host.work(host.toolbox, tasks, args=["ls", "."], inputs=[("shared", shared)]))
    assert [sorted(row.stdout.split()) for row in rows] == [[b"own", b"shared"], [b"shared"]]


@pytest.mark.parametrize("verb", [["write", "in", "3"], ["truncate", "in"]])
def test_an_input_can_not_be_changed_even_by_root(host: Forked, verb: list[str]) -> None:
    digest = host.file(b"precious")
    row = host.tool(*verb, "cat", "in", inputs=[("in", digest)])
    assert row.stdout.startswith(b"in: ")
    assert row.stdout.endswith(b"precious")
    assert (host.root / "cache/files" / digest).read_bytes() == b"precious"


def test_an_input_that_a_task_removed_is_back_for_the_next(host: Forked) -> None:
    inputs = [("in", host.file(b"here"))]
    rows = host.run(
        host.work(host.toolbox, [["rm", "in"], ["cat", "in"], ["rename", "in", "x"], ["ls", "."]], inputs=inputs)
    )
    assert [row.stdout for row in rows] == [b"", b"here", b"", b"in\n"]


def test_a_missing_input_is_invalid_and_the_others_run(host: Forked) -> None:
    tasks = [TaskWork(0, 1, inputs=[("gone.txt", "0" * 64)]), TaskWork(1, 1)]
    rows = host.run(host.work(host.toolbox, tasks, args=["say", "x"]))
    assert [outcome(row) for row in rows] == [("invalid", "input_missing"), ("succeeded", "")]
    assert "gone.txt" in text(rows[0])


def test_nothing_of_a_task_is_left_for_the_next(host: Forked) -> None:
    rows = host.run(
        host.work(host.toolbox, [["write", "x", "1", "mkdir", "d"], ["ls", "."], ["write", "x", "1"], ["ls", "."]])
    )
    assert [row.stdout for row in rows] == [b"", b"", b"", b""]


def test_nothing_of_a_batch_is_left_after_it(host: Forked) -> None:
    host.tool("write", "x", "1")
    host.tool("say", "second")  # the first one's end is before the second's start
    assert not (host.root / "scratch/box/x").exists()


# ------------------------------------------------------------------------------------------------ outputs


def test_outputs_come_back_by_their_globs(host: Forked) -> None:
    script = [
        "write",
        "a.csv",
        "2",
        "write",
        "b.txt",
        "3",
        "mkdir",
        "out",
        "write",
        "out/c.csv",
        "4",
        "write",
        ".h",
        "1",
    ]
    row = host.tool(*script, outputs=["*.csv", "out/**"])
    assert outcome(row) == ("succeeded", "")
    assert outputs(row) == {"a.csv": b"xx", "out/c.csv": b"xxxx"}
    assert row.detail is not None
    assert row.detail.outputs[0].sha256 == hashlib.sha256(b"xx").hexdigest()


def test_names_with_spaces_and_unicode_and_empty_files_come_back(host: Forked) -> None:
    row = host.tool("write", "a b.txt", "1", "write", "ü\n.txt", "0", outputs=["**"])
    assert outputs(row) == {"a b.txt": b"x", "ü\n.txt": b""}


def test_a_large_output_goes_to_the_spool(host: Forked) -> None:
    row = host.tool("mkdir", "d", "write", "d/big", "3000000", "write", "small", "1", outputs=["d/big", "small"])
    assert row.detail is not None
    big, small = row.detail.outputs
    assert big == ("d/big", 3_000_000, hashlib.sha256(b"x" * 3_000_000).hexdigest(), False)
    assert (small.inline, row.files) == (True, (b"x",))
    assert host.spooled("out/d/big") == b"x" * 3_000_000


def test_many_small_outputs_together_go_to_the_spool_too(host: Forked) -> None:
    script = [part for k in range(20) for part in ("write", f"f{k:02}", "65536")]
    row = host.tool(*script, outputs=["f*"])
    assert row.detail is not None
    assert [output.inline for output in row.detail.outputs] == [True] * 16 + [False] * 4
    assert host.spooled("out/f19") == b"x" * 65536


def test_a_missing_output_fails_the_task_by_name(host: Forked) -> None:
    row = host.tool("write", "a.txt", "1", outputs=["*.csv", "a.txt"])
    assert outcome(row) == ("failed", "missing_output")
    assert "*.csv" in text(row)
    assert row.exit_code == 0
    assert outputs(row) == {"a.txt": b"x"}


def test_an_output_that_may_be_missing_does_not(host: Forked) -> None:
    assert outcome(host.tool("say", "x", outputs=["*.csv?"])) == ("succeeded", "")


def test_an_untouched_input_is_no_output(host: Forked) -> None:
    row = host.tool("write", "new", "1", outputs=["*"], inputs=[("old", host.file(b"old"))])
    assert outputs(row) == {"new": b"x"}


def test_what_a_task_wrote_is_counted_without_its_inputs(host: Forked) -> None:
    row = host.tool(
        "write", "new", "1000", "write", "scratch", "24", outputs=["new"], inputs=[("old", host.file(b"old"))]
    )
    assert row.detail is not None
    assert row.detail.disk_bytes == 1024
    assert host.tool("say", "x").detail is None


def test_outputs_come_back_whatever_the_outcome(host: Forked) -> None:
    row = host.tool("write", "a", "1", "abort", outputs=["a", "b"])
    assert outcome(row) == ("trapped", "unreachable")
    assert outputs(row) == {"a": b"x"}


def test_a_link_is_never_an_output(host: Forked) -> None:
    row = host.tool(
        "symlink", "../../../../../../etc/hostname", "evil", "mkdir", "d", "symlink", "..", "d/up", outputs=["**?"]
    )
    assert row.detail is None


# ----------------------------------------------------------------------------------------- bad endings


@pytest.mark.parametrize(
    ("given", "code"), [(3, 3), (125, 125), (126, 126), (200, 200), (255, 255), (-1, 255), (256, 1)]
)
def test_an_exit_code_fails_the_task(host: Forked, given: int, code: int) -> None:
    row = host.tool("say", "before", "err", "it went wrong", "exit", str(given))
    assert outcome(row) == ("failed", "exit_code")
    assert row.exit_code == code
    assert text(row) == f"exited with code {code}: it went wrong"
    assert row.stdout == b"before\n"


def test_exit_0_is_a_success(host: Forked) -> None:
    row = host.one(host.artifact(wat("(call $exit (i32.const 0))")))
    assert (outcome(row), row.exit_code) == (("succeeded", ""), 0)


TRAPS = {
    "unreachable": "unreachable",
    "(drop (i32.load (i32.const -8)))": "out_of_bounds",
    "(drop (i32.div_s (i32.const 1) (i32.const 0)))": "division_by_zero",
    "(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))": "integer_overflow",
    "(drop (i32.trunc_f32_s (f32.const nan)))": "bad_conversion",
    '(table 1 funcref) (func (export "_start") (call_indirect (i32.const 0)))': "indirect_call",
    '(func $f (export "_start") (call $f))': "stack",
    '(tag $t) (func (export "_start") (throw $t))': "uncaught_exception",
    '(func $f unreachable) (start $f) (func (export "_start"))': "unreachable",
}


@pytest.mark.parametrize(("body", "code"), TRAPS.items())
def test_a_trap_has_its_own_code(host: Forked, body: str, code: str) -> None:
    row = host.one(host.artifact(wat(body)))
    assert outcome(row) == ("trapped", code)
    assert row.exit_code is None
    assert len(text(row)) > 10


def test_after_a_trap_the_next_task_is_as_good_as_new(host: Forked) -> None:
    rows = host.run(host.work(host.toolbox, [["abort"], ["say", "fine"]]))
    assert [outcome(row)[0] for row in rows] == ["trapped", "succeeded"]
    assert rows[1].stdout == b"fine\n"


def test_last_words_are_in_the_reason_of_a_trap(host: Forked) -> None:
    row = host.tool("err", "Assertion failed: n > 0 (a.c: main: 3)", "err", "bye", "abort")
    assert "Assertion failed: n > 0 (a.c: main: 3)" in text(row)


def test_a_module_without_start_is_invalid(host: Forked) -> None:
    row = host.one(host.artifact(wat('(func (export "no_start"))')))
    assert outcome(row) == ("invalid", "module_refused")


def test_a_module_that_imports_what_nobody_offers_is_invalid(host: Forked) -> None:
    row = host.one(host.artifact(wat('(func (export "_start"))').replace(b"proc_exit", b"proc_exut")))
    assert outcome(row) == ("invalid", "module_refused")
    assert "proc_exut" in text(row)


# -------------------------------------------------------------------------------------------------- memory


@pytest.mark.parametrize("script", [["allocate", "1000"], ["huge", "900"]])
def test_running_out_of_memory_is_known(host: Forked, script: list[str]) -> None:
    row = host.tool(*script)
    assert outcome(row) == ("out_of_memory", "memory")
    assert row.detail is not None
    assert row.detail.limit == 64 * MIB
    assert row.detail.used == row.peak_memory_bytes
    assert text(row).startswith("asked for ")
    assert text(row).endswith(" of 64 MiB")


def test_a_guest_that_copes_with_a_refusal_succeeds(host: Forked) -> None:
    row = host.tool("cope", "1000")
    assert outcome(row) == ("succeeded", "")
    assert row.stdout.startswith(b"refused after ")


def test_a_plain_abort_is_not_out_of_memory(host: Forked) -> None:
    assert outcome(host.tool("allocate", "10", "abort")) == ("trapped", "unreachable")


def test_a_module_that_starts_above_the_limit_is_out_of_memory(host: Forked) -> None:
    row = host.tool("say", "x", memory_bytes=MIB)
    assert outcome(row) == ("out_of_memory", "memory")
    assert row.detail is not None
    assert (row.detail.limit, row.detail.used) == (MIB, 20 * 65536)
    assert "above its limit of 1 MiB" in text(row)


def test_peak_memory_is_what_the_guest_grew_to(host: Forked) -> None:
    small, large = host.tool("say", "x"), host.tool("allocate", "20")
    assert small.peak_memory_bytes < 4 * MIB
    assert 20 * MIB < large.peak_memory_bytes < 64 * MIB


def test_a_large_table_does_not_need_the_pool(host: Forked) -> None:
    assert outcome(host.one(host.artifact(wat('(table 50000 funcref) (func (export "_start"))')))) == ("succeeded", "")


# ---------------------------------------------------------------------------------------------------- time


def test_a_guest_that_spins_is_ended_on_time(host: Forked) -> None:
    row = host.tool("say", "before", "spin", time_s=0.2)
    assert outcome(row) == ("timed_out", "time_limit")
    assert row.detail is not None
    assert row.detail.limit == 0.2
    assert row.detail.used is not None
    assert 0.2 <= row.detail.used < 5
    assert row.wall_us >= 200_000
    assert row.cpu_us > 5_000  # of 200,000 that it would take alone
    assert row.stdout == b"before\n"


def test_time_starts_anew_with_each_task(host: Forked) -> None:
    rows = host.run(host.work(host.toolbox, [["sleep", "120"]] * 4, time_s=0.3))
    assert [outcome(row) for row in rows] == [("succeeded", "")] * 4


# -------------------------------------------------------------------------------------- output and disk


@pytest.mark.parametrize(("fd", "code"), [("1", "stdout"), ("2", "stderr")])
@pytest.mark.parametrize("verb", ["flood", "flood-on"])
def test_too_much_output_is_its_own_outcome(host: Forked, fd: str, code: str, verb: str) -> None:
    row = host.tool(verb, fd, stdout_bytes=100_000)
    assert outcome(row) == ("limit_exceeded", code)
    assert row.detail is not None
    assert row.detail.limit == 100_000
    assert row.wall_us < 5_000_000
    assert host.spooled(code) == b"y" * 100_000


def test_output_up_to_the_limit_is_fine(host: Forked) -> None:
    stdin = host.file(b"z" * 5000)
    assert outcome(host.tool("stdin", stdin=stdin, stdout_bytes=5000)) == ("succeeded", "")
    assert outcome(host.tool("stdin", stdin=stdin, stdout_bytes=4999)) == ("limit_exceeded", "stdout")


def test_a_file_larger_than_the_disk_limit_is_cut_short_and_named(host: Forked) -> None:
    row = host.tool("write", "big", str(50 * MIB), disk_bytes=8 * MIB)
    assert outcome(row) == ("limit_exceeded", "disk")
    assert row.detail is not None
    assert (row.detail.limit, row.detail.used) == (8 * MIB, 8 * MIB + 1)


def test_many_files_together_count_too(host: Forked) -> None:
    script = ["write", "a", "600000", "write", "b", "600000"]
    assert outcome(host.tool(*script, disk_bytes=1_200_000)) == ("succeeded", "")
    assert outcome(host.tool(*script, disk_bytes=1_199_999)) == ("limit_exceeded", "disk")


def test_a_disk_flood_is_noticed_while_the_guest_runs(host: Forked) -> None:
    row = host.tool("write", "a", "600000", "write", "b", "600000", "spin", disk_bytes=MIB, time_s=30)
    assert outcome(row) == ("limit_exceeded", "disk")
    assert row.wall_us < 5_000_000


def test_a_file_of_holes_counts_in_full(host: Forked) -> None:
    assert outcome(host.tool("sparse", "s", str(3 * MIB), disk_bytes=2 * MIB)) == ("limit_exceeded", "disk")
    assert outcome(host.tool("sparse", "s", str(2 * MIB), disk_bytes=2 * MIB)) == ("succeeded", "")


def test_too_many_files_are_named(host: Forked) -> None:
    assert outcome(host.tool("many", "10", files=10)) == ("succeeded", "")
    row = host.tool("many", "11", files=10)
    assert outcome(row) == ("limit_exceeded", "files")
    assert row.detail is not None
    assert (row.detail.limit, row.detail.used) == (10, 11)


def test_inputs_do_not_count(host: Forked) -> None:
    inputs = [(f"in/{k}", host.file(b"i" * 1000)) for k in range(5)]
    assert outcome(host.tool("many", "2", inputs=inputs, files=2, disk_bytes=2)) == ("succeeded", "")


def test_folders_nested_without_end_are_named_and_removed(host: Forked) -> None:
    row = host.tool("deep", "200", files=1000)
    assert outcome(row) == ("limit_exceeded", "files")
    assert host.tool("ls", ".").stdout == b""


def test_rows_say_when_and_how_long(host: Forked) -> None:
    before = time.time()
    row = host.tool("sleep", "30")
    assert before <= row.started_at <= time.time()
    assert 30_000 <= row.wall_us < 2_000_000
    assert row.cpu_us < row.wall_us
