"""The keys of a job beside its source and sweep."""

from __future__ import annotations

import pytest

from batchwasm.model import GIB, MIB, Limits, Request
from tests.spec.folder import Folder


def test_a_job_without_keys_has_the_defaults_of_the_contract(folder: Folder) -> None:
    job = folder.job("")
    assert job.limits == Limits(
        memory_bytes=512 * MIB, time_s=None, stdout_bytes=64 * MIB, disk_bytes=GIB, files=10_000
    )
    assert job.request == Request(cpus=1, memory_bytes=512 * MIB)
    assert (job.args, job.env, job.stdin, job.inputs, job.mounts, job.outputs) == ((), {}, None, (), (), ())
    assert (job.hosts, job.exclude, len(job)) == (None, frozenset(), 1)


def test_arguments_are_texts_as_python_writes_numbers_and_json_bools(folder: Folder) -> None:
    job = folder.job('args = ["--n={n}", 3, 0.1, 1e300, true, "", "{n}", "{{n}}"]\nsweep = { n = [0.5] }')
    rendered = [arg.render(job.params(0)) for arg in job.args]
    assert rendered == ["--n=0.5", "3", "0.1", "1e+300", "true", "", "0.5", "{n}"]
    assert [arg.only_name for arg in job.args] == [None] * 6 + ["n", None]


def test_job_and_index_are_known_in_every_template(folder: Folder) -> None:
    folder.write("in-j.txt")
    job = folder.job(
        'args = ["{job}/{index}"]\nenv = { A = "{index}" }\noutputs = ["{job}.out"]\nstdin = "in-{job}.txt"'
    )
    params = job.params(0)
    assert job.args[0].render(params) == "j/0"
    assert job.env["A"].render(params) == "0"
    assert job.outputs[0].render(params) == "j.out"
    assert job.stdin is not None
    assert job.stdin.render(params) == "in-j.txt"


def test_env_holds_texts_numbers_and_bools_and_adds_to_that_of_the_defaults(folder: Folder) -> None:
    folder.write("a.c")
    text = '[defaults]\nenv = { A = "1", B = "2" }\nargs = ["x"]\n[jobs.j]\nsource = "a.c"\nenv = { B = 3, C = true }'
    [job] = folder.run(text).jobs
    assert {name: value.render({}) for name, value in job.env.items()} == {"A": "1", "B": "3", "C": "true"}
    assert [arg.render({}) for arg in job.args] == ["x"]


def test_a_key_of_a_job_replaces_that_of_the_defaults(folder: Folder) -> None:
    folder.write("a.c")
    text = '[defaults]\nargs = ["x"]\ncpus = 2\nsource = "a.c"\n[jobs.one]\nargs = []\n[jobs.two]\ncpus = 3'
    [one, two] = folder.run(text).jobs
    assert (one.args, one.request.cpus, two.request.cpus, len(two.args)) == ((), 2, 3, 1)


def test_limits_are_bytes_and_seconds_and_memory_is_also_reserved(folder: Folder) -> None:
    job = folder.job('memory = "1GiB"\ntime_limit = "1h30m"\nstdout_limit = 10\ndisk = "2MB"\nfiles = 0\ncpus = 2.0')
    assert job.limits == Limits(memory_bytes=GIB, time_s=5400.0, stdout_bytes=10, disk_bytes=2_000_000, files=0)
    assert job.request == Request(cpus=2, memory_bytes=GIB)


def test_hosts_and_exclude_are_hostlists_or_lists_of_them(folder: Folder) -> None:
    folder.write("inventory.toml", '[hosts."lab[01-09]"]\n')
    job = folder.job('hosts = "lab[01-03],lab09"\nexclude = ["lab01", "lab[02-02]"]')
    assert job.hosts == frozenset({"lab01", "lab02", "lab03", "lab09"})
    assert job.exclude == {"lab01", "lab02"}


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ('args = "x"', "3: jobs.j.args: 'x' is not a list; write [ ... ]"),
        ("args = [[1.0]]", "3: jobs.j.args[0]: a list is not an argument; write a string, number or bool"),
        ("args = [1979-05-27]", "3: jobs.j.args[0]: 1979-05-27 is not a string, number or bool"),
        ('args = ["a\\u0000b"]', "3: jobs.j.args[0]: a NUL character can't be passed on; leave it out"),
        ("env = []", "3: jobs.j.env: a list is not a table; write { KEY = VALUE }"),
        ('env = { "A=B" = "1" }', "3: jobs.j.env.\"A=B\": 'A=B' can't name a variable; leave out '=' and NUL"),
        ('env = { BATCHWASM_JOB = "1" }', "3: jobs.j.env.BATCHWASM_JOB: variables that start with BATCHWASM_ are set"),
        ("env = { A = [1] }", "3: jobs.j.env.A: a list is not a string, number or bool"),
        ("stdin = 5", "3: jobs.j.stdin: 5 is not a string"),
        ('stdin = ""', "3: jobs.j.stdin: is empty; write something, or leave the key out"),
        ('inputs = "a"', "3: jobs.j.inputs: 'a' is not a list"),
        ("inputs = [5]", "3: jobs.j.inputs[0]: 5 is not an input; write a glob, or { from"),
        ('inputs = [{ to = "a" }]', "3: jobs.j.inputs[0]: misses from"),
        ('inputs = [{ from = "a.c", too = "b" }]', "3: jobs.j.inputs[0].too: unknown key; did you mean 'to'?"),
        ('mounts = ["a b"]', "3: jobs.j.mounts[0]: 'a b' can't name a mount; use letters, digits, '-' and '_'"),
        ('outputs = ["/abs"]', "3: jobs.j.outputs[0]: '/abs' leaves the task's folder"),
        ('outputs = ["a/../../b"]', "3: jobs.j.outputs[0]: 'a/../../b' leaves the task's folder"),
        ("cpus = 0", "3: jobs.j.cpus: 0 is not a number above 0; write such as 4 or 0.25"),
        ("cpus = -1", "3: jobs.j.cpus: -1 is not a number above 0"),
        ("cpus = 0.0005", "3: jobs.j.cpus: 0.0005 is finer than a thousandth; write such as 0.25"),
        ('cpus = "2"', "3: jobs.j.cpus: '2' is not a number above 0"),
        ("cpus = true", "3: jobs.j.cpus: true is not a number above 0"),
        ("cpus = inf", "3: jobs.j.cpus: inf is not a number above 0"),
        ("cpus = nan", "3: jobs.j.cpus: nan is not a number above 0"),
        ('memory = "lots"', "3: jobs.j.memory: 'lots' is not a size; write bytes or a size such as '256MiB'"),
        ("memory = 512", "3: jobs.j.memory: 512 is too little: a c module needs 2 MiB to start"),
        ('time_limit = "soon"', "3: jobs.j.time_limit: 'soon' is not a duration; write seconds or a duration such as"),
        ("time_limit = 0", "3: jobs.j.time_limit: is no time at all; write how long a task may run"),
        ('stdout_limit = "-1"', "3: jobs.j.stdout_limit: '-1' is not a size"),
        ("disk = 1.5", "3: jobs.j.disk: 1.5 is not a size"),
        ("files = -1", "3: jobs.j.files: -1 is not a whole number from 0 up"),
        ('hosts = "lab["', "3: jobs.j.hosts: 'lab[' has a '[' that is never closed"),
        ("exclude = [5]", "3: jobs.j.exclude[0]: 5 is not a string"),
        ("deterministic = 1", "3: jobs.j.deterministic: 1 is not true or false"),
        ('secret = "TOKEN"', "3: jobs.j.secret: 'TOKEN' is not a list; write [ ... ]"),
        ('secret = ["MY TOKEN"]', "3: jobs.j.secret[0]: 'MY TOKEN' is not a variable's name; use letters, digits"),
        ('secret = ["A", "BATCHWASM_X"]', "3: jobs.j.secret[1]: variables that start with BATCHWASM_ are set by"),
        ('env = { T = "1" }\nsecret = ["T"]', "4: jobs.j.secret[0]: T is in env as well, where all can read it"),
    ],
)
def test_a_key_that_is_wrong_says_where_and_what_would_be_right(folder: Folder, keys: str, says: str) -> None:
    found = folder.wrong_job(keys)
    assert len(found) == 1
    assert found[0].startswith(says)


def test_secrets_are_names_each_once_and_a_jobs_own_replace_those_of_the_defaults(folder: Folder) -> None:
    text = '[defaults]\nsource = "a.c"\nsecret = ["A"]\ndeterministic = true\n'
    text += '[jobs.a]\n[jobs.b]\nsecret = ["B", "C", "B"]\n'
    folder.write("a.c")
    a, b = folder.run(text + "deterministic = false\n").jobs
    assert (a.secret, b.secret) == (("A",), ("B", "C"))
    assert (a.deterministic, b.deterministic) == (True, False)


@pytest.mark.parametrize(
    ("source", "memory", "enough"),
    [("a.go", "4MiB", True), ("a.go", "3MiB", False), ("a.rs", "2MiB", True), ("a.rs", "2097151", False)],
)
def test_memory_below_what_a_module_needs_to_start_is_refused(
    folder: Folder, source: str, memory: str, enough: bool
) -> None:
    keys = f'memory = "{memory}"'
    if enough:
        assert folder.job(keys, source).limits.memory_bytes == folder.job(keys, source).request.memory_bytes
    else:
        assert "is too little" in folder.wrong_job(keys, source)[0]
