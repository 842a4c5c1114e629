"""jobs.toml as a whole."""

from __future__ import annotations

import pytest

from batchwasm import spec
from batchwasm.model import MIB
from batchwasm.spec import jobs
from tests.spec.folder import Folder


def test_a_run_is_named_after_its_file_unless_it_says_otherwise(folder: Folder) -> None:
    folder.write("a.c")
    text = '[jobs.a]\nsource = "a.c"\n'
    assert folder.run(text).name == "jobs"
    assert folder.run('name = "tour"\n' + text).name == "tour"
    named = folder.write("my sweep (v2).toml", text)
    assert spec.load(named)[0].name == "my-sweep-v2"


@pytest.mark.parametrize(
    ("stem", "name"), [("a.b", "a-b"), ("ünï", "n"), ("--", "run"), ("", "run"), ("x" * 300, "x" * 200)]
)
def test_any_stem_gives_a_name(stem: str, name: str) -> None:
    assert jobs.run_name(stem) == name


def test_the_first_job_of_the_contract_is_a_hundred_tasks(folder: Folder) -> None:
    folder.write("pi.rs")
    (folder.path / "inc").mkdir()
    run = folder.run(
        """\
name = "tour"                       # default: the file's stem
max_failures = 10                   # stop starting tasks after that many failed ones, or "5%"; default: never
[defaults]                          # any key of a job
memory = "256MiB"

[jobs.pi]
source = "pi.rs"                    # .rs .cpp .cc .c .go .zig .wat .wasm
build = { flags = [], defines = { N = 100 }, include = ["inc"], optimize = "3" }      # optimize: 0 1 2 3 s
args = ["{digits}", "--seed={seed}"]
sweep = { digits = [100, 1000], seed = { range = [0, 50] } }                            # all combinations: 100 tasks
outputs = ["out/**"]
"""
    )
    [job] = run.jobs
    assert (run.name, run.max_failures, len(job), job.limits.memory_bytes) == ("tour", 10, 100, 256 * MIB)
    assert [arg.render(job.params(99)) for arg in job.args] == ["1000", "--seed=49"]
    assert [arg.render(job.params(50)) for arg in job.args] == ["1000", "--seed=0"]


def test_jobs_keep_their_order_and_the_text_is_kept(folder: Folder) -> None:
    folder.write("a.c")
    text = '[jobs.z]\nsource = "a.c"\n[jobs.a]\nsource = "a.c"\nsweep = { n = [1, 2] }\n'
    run = folder.run(text)
    assert [job.name for job in run.jobs] == ["z", "a"]
    assert (run.text, run.folder, run.tasks) == (text, folder.path, 3)


def test_the_share_of_failures_is_of_all_tasks(folder: Folder) -> None:
    folder.write("a.c")
    table = '[jobs.j]\nsource = "a.c"\nsweep = { n = { range = [0, 100] } }\n'
    assert folder.run('max_failures = "5%"\n' + table).max_failures == 5
    assert folder.run("max_failures = 7\n" + table).max_failures == 7
    assert folder.run(table).max_failures is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", ["None: : has no job; write [jobs.NAME] and its source"]),
        ("jobs = 5", ["1: jobs: 5 is not a table; write { KEY = VALUE }"]),
        ("jobs.a = 5", ["1: jobs.a: 5 is not a job; write [jobs.a] and its source"]),
        ("[jobs.a]", ["1: jobs.a: has no source; write source = "]),
        ('[jobs."a b"]\nsource = "a.c"', ["1: jobs.\"a b\": 'a b' can't name a job"]),
        ('[jobs.a]\nsource = "a.c"\nmemry = 5', ["3: jobs.a.memry: unknown key; did you mean 'memory'?"]),
        ('[jobs.a]\nsource = "a.c"\nqqq = 5', ["3: jobs.a.qqq: unknown key; keys are after, any, args, build, cache"]),
        ('nam = "x"\n[jobs.a]\nsource = "a.c"', ["1: nam: unknown key; did you mean 'name'?"]),
        ('name = "a/b"\n[jobs.a]\nsource = "a.c"', ["1: name: 'a/b' can't name a run"]),
        ('max_failures = 0\n[jobs.a]\nsource = "a.c"', ["1: max_failures: 0 is neither a number of tasks from 1 up"]),
        ('[job.a]\nsource = "a.c"', ["None: : has no job", "1: job: unknown key; did you mean 'jobs'?"]),
        ("defaults = 5\n[jobs.a]\nsource = 'a.c'", ["1: defaults: 5 is not a table"]),
    ],
)
def test_a_file_that_is_wrong_says_where_and_what_would_be_right(folder: Folder, text: str, says: list[str]) -> None:
    folder.write("a.c")
    found = folder.wrong(text)
    assert len(found) == len(says)
    assert all(problem.startswith(start) for problem, start in zip(found, says, strict=True)), found


def test_all_problems_of_a_file_are_told_at_once_by_line_and_those_of_the_defaults_once(folder: Folder) -> None:
    folder.write("a.c")
    text = """\
max_failures = "lots"
[defaults]
memory = "huge"
verify = 0
[jobs.one]
source = "b.c"
args = 5
[jobs.two]
source = "a.c"
sweep = { n = { range = [0] } }
[jobs.three]
source = "a.c"
inputs = ["missing.txt"]
"""
    assert [problem.partition(": ")[0] for problem in folder.wrong(text)] == ["1", "3", "4", "6", "7", "10", "13"]


def test_a_wrong_default_is_told_even_where_every_job_replaces_it(folder: Folder) -> None:
    folder.write("a.c")
    found = folder.wrong('[defaults]\nmemory = "huge"\nenv = 5\n[jobs.a]\nsource = "a.c"\nmemory = "1GiB"')
    assert [problem.partition(" is ")[0] for problem in found] == ["2: defaults.memory: 'huge'", "3: defaults.env: 5"]


def test_a_sweep_that_is_wrong_brings_no_problems_of_what_uses_it(folder: Folder) -> None:
    folder.write("a.c")
    text = '[jobs.a]\nsource = "a.c"\nsweep = { f = { glob = "*.none" } }\ninputs = ["{f}"]\nstdin = "{f}"'
    assert [problem.partition(" matches")[0] for problem in folder.wrong(text)] == ["3: jobs.a.sweep.f.glob: no file"]
