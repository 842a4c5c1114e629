"""The JSON Schema of both files and our parser take the same texts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import jsonschema
import pytest
import tomli
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchwasm import spec
from batchwasm.errors import SpecError
from batchwasm.spec import inventory, jobs, sources
from batchwasm.spec.axes import FORMS
from batchwasm.spec.one_source import value_toml
from batchwasm.spec.settings import JOB_KEYS
from tests.spec.folder import Folder

ROOT = Path(__file__).parent.parent.parent
Which = Literal["jobs", "inventory"]
VALIDATORS = {which: jsonschema.Draft7Validator(spec.schema(which)) for which in ("jobs", "inventory")}


def taken(which: Which, text: str) -> bool:
    """Whether the schema takes a text."""
    return VALIDATORS[which].is_valid(tomli.loads(text))


@pytest.mark.parametrize("which", ["jobs", "inventory"])
def test_a_schema_is_one_and_is_json(which: Which) -> None:
    schema = spec.schema(which)
    jsonschema.Draft7Validator.check_schema(schema)
    assert json.loads(json.dumps(schema)) == schema
    assert schema["title"] == f"batchwasm {which}.toml"


@pytest.mark.parametrize("which", ["jobs", "inventory"])
def test_every_key_is_described_and_no_table_takes_unknown_ones(which: Which) -> None:
    for path, table in tables(spec.schema(which), which):
        assert table.get("additionalProperties") is not True
        assert "additionalProperties" in table, path
        for name, key in table.get("properties", {}).items():
            assert key.get("description") or "anyOf" in key, f"{path}.{name}"


def tables(schema: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object schema in a schema."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield path, schema
        for key, value in schema.items():
            yield from tables(value, f"{path}.{key}")
    elif isinstance(schema, list):
        for number, value in enumerate(schema):
            yield from tables(value, f"{path}[{number}]")


def test_schema_and_parser_know_the_same_keys() -> None:
    top = spec.schema("jobs")["properties"]
    job = top["jobs"]["additionalProperties"]["properties"]
    assert set(top) == set(jobs.TOP_KEYS)
    assert set(job) == set(top["defaults"]["properties"]) == set(JOB_KEYS)
    assert set(job["build"]["properties"]) == set(sources.BUILD_KEYS)
    forms = {name for form in job["sweep"]["additionalProperties"]["anyOf"] for name in form.get("properties", {})}
    assert forms == {*FORMS, "rows"}
    hosts = spec.schema("inventory")["properties"]
    assert set(hosts) == set(inventory.TOP_KEYS)
    assert set(hosts["hosts"]["additionalProperties"]["properties"]) == set(inventory.HOST_KEYS)


# ------------------------------------------------------------------------------------------- examples, in files


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*/jobs.toml")), ids=lambda path: path.parent.name)
def test_the_jobs_of_every_example_are_right_for_both(path: Path) -> None:
    assert spec.load(path)[0].text == path.read_text(encoding="utf-8")
    assert taken("jobs", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/*.toml")), ids=lambda path: path.stem)
def test_every_inventory_to_copy_is_right_for_both(path: Path) -> None:
    assert spec.load_inventory(None, inventory=path, hosts=None).hosts
    assert taken("inventory", path.read_text(encoding="utf-8"))


# -------------------------------------------------------------------------------------------- examples, of keys

RIGHT = [
    'source = ["a.c", "b.cpp"]',
    "build = {}",
    'build = { flags = ["-g"], defines = { N = 1, M = true, S = "x" }, include = ["inc"], optimize = "s" }',
    "build.optimize = 3",
    'args = ["{n}", 1, 0.5, true, ""]',
    'env = { A = "x", "b c" = 1, D = true }',
    'stdin = "in.txt"',
    'inputs = ["in.txt", "*.txt", { from = "in.txt" }, { from = "in.txt", to = "d/x" }]',
    'outputs = ["out/**", "log?", "a..b"]',
    "cpus = 2",
    "cpus = 2.0",
    "cpus = 0.25",
    "gpus = 2",
    "gpus = 0.5",
    "resources = { licence = 1.5, none = 0 }",
    'any = [{ gpus = 1, memory = "1GiB" }, { cpus = 4, resources = { licence = 1 } }, {}]',
    'labels = ["fast-disk", "!slow"]',
    "priority = -5",
    "after = []",
    "max_parallel = 3",
    'max_parallel = { "*" = 10, fast-disk = 2 }',
    'retries = 3\nretry_on = ["failed", "exit:75"]',
    "retries = 3\nmemory_growth = 1.5",
    "isolate = true",
    "cache = true",
    "deterministic = true",
    'secret = ["API_TOKEN", "_k2"]',
    "memory = 4194304",
    'memory = "1.5 GiB"',
    "time_limit = 0.5",
    'time_limit = "1h30m"',
    'time_limit = "90"',
    'stdout_limit = 0\ndisk = "0"\nfiles = 0',
    'sweep = { n = [1, "x", true, 0.5], m = { range = [0, 5] }, l = { linspace = [0, 1, 3] } }',
    "sweep = { n = { logspace = [0, 3, 4] }, m = { range = [0, 1, 0.1] } }",
    'sweep = { n = { glob = "*.txt" }, m = { lines = "in.txt" }, r = { rows = "p.csv" } }',
    'sweep = { rows = "p.csv" }',
    'sweep = { rows = "p.csv", m = [1] }',
    "sweep.rows = [1, 2]",
    'sweep = { n = [1, 2], m = [3, 4] }\nzip = [["n", "m"]]',
    "sweep = { n = [1, 2] }\ninclude = [{ n = 5 }]\nomit = [{ n = 1 }]",
    "include = [{ n = 5 }]",
    'hosts = "lab[01-02]"',
    'exclude = ["lab01", "lab[02-02]"]',
    'mounts = ["data"]',
]
WRONG = [
    "sourc = 1",
    "build = 5",
    "build = { optimise = 1 }",
    "build = { optimize = 5 }",
    "build = { optimize = true }",
    "build = { flags = [1] }",
    "build = { defines = { N = false } }",
    'build = { defines = { "a-b" = 1 } }',
    'args = "x"',
    "args = [1979-05-27]",
    'env = ["A"]',
    "env = { A = [1] }",
    'env = { BATCHWASM_X = "1" }',
    'env = { "A=B" = "1" }',
    "stdin = 1",
    'stdin = ""',
    "inputs = [1]",
    'inputs = ["@prep"]',
    'inputs = [{ from = "@prep" }]',
    'inputs = [{ to = "x" }]',
    'inputs = [{ from = "in.txt", mode = 1 }]',
    'outputs = ["/x"]',
    'outputs = ["a/../../x"]',
    'outputs = [".."]',
    "cpus = 0",
    "cpus = -0.5",
    "gpus = 1.5",
    "gpus = -1",
    "gpus = true",
    "resources = { licence = -1 }",
    'resources = { "a b" = 1 }',
    'resources = ["licence"]',
    "any = []",
    "any = { gpus = 1 }",
    "any = [1]",
    "any = [{ gpu = 1 }]",
    "any = [{ cpus = 0 }]",
    'labels = "fast"',
    'labels = ["a b"]',
    'labels = ["!"]',
    'labels = ["*"]',
    "priority = 0.5",
    'priority = "high"',
    "after = 5",
    "after = [5]",
    "after = { each = true }",
    'after = { job = "j", all = true }',
    'after = { job = "j", each = 1 }',
    "max_parallel = 0",
    "max_parallel = 1.5",
    "max_parallel = { fast = 0 }",
    'max_parallel = { "a b" = 1 }',
    "retries = -1",
    "retries = true",
    'retries = 1\nretry_on = "failed"',
    'retries = 1\nretry_on = ["lost"]',
    'retries = 1\nretry_on = ["succeeded"]',
    'retries = 1\nretry_on = ["exit:"]',
    "retries = 1\nmemory_growth = 0.5",
    'retries = 1\nmemory_growth = "2"',
    'isolate = "yes"',
    "cache = 1",
    'deterministic = "yes"',
    'secret = ["A B"]',
    'secret = ["BATCHWASM_JOB"]',
    "secret = [5]",
    'cpus = "1"',
    "cpus = true",
    'memory = "lots"',
    'memory = "1TB"',
    "memory = -1",
    "memory = 1.5",
    "time_limit = 0",
    "time_limit = -1",
    'time_limit = ""',
    'time_limit = "1 h"',
    'time_limit = "30m1h"',
    "files = -1",
    "sweep = []",
    "sweep = { n = [] }",
    "sweep = { n = 5 }",
    "sweep = { n = [[1]] }",
    "sweep = { job = [1] }",
    'sweep = { "a b" = [1] }',
    "sweep = { n = {} }",
    "sweep = { n = { range = [1] } }",
    "sweep = { n = { range = [1, 2, 3, 4] } }",
    'sweep = { n = { range = ["a", "b"] } }',
    "sweep = { n = { rnge = [1, 2] } }",
    "sweep = { n = { range = [1, 2], glob = 'x' } }",
    'sweep = { glob = "*.txt" }',
    'sweep = { n = { rows = "in.txt" } }',
    'sweep = { n = [1] }\nzip = ["n"]',
    "include = [{}]",
    "include = [{ n = [1] }]",
    "include = { n = 1 }",
    "hosts = 5",
    "hosts = [5]",
    'mounts = ["a b"]',
    "verify = 0",
    "verify = 0",
    "cache = 1",
    'function = ""',
    "function = 1",
    'function = "f"\nreuse = "yes"',
]


def prepared(folder: Folder) -> Folder:
    """With what the examples name."""
    for name in ("a.c", "b.cpp", "inc/a.h", "in.txt"):
        folder.write(name, "x\n")
    folder.write("p.csv", "a,b\n1,2\n")
    offered = 'mounts = { data = "/data" }\nlabels = ["fast-disk"]\nresources = { licence = 2 }\n'
    folder.write("inventory.toml", '[hosts."lab[01-03]"]\n' + offered)
    return folder


def job_text(keys: str) -> str:
    return f"[jobs.j]\n{keys}\n" if keys.startswith("source") else f'[jobs.j]\nsource = "a.c"\n{keys}\n'


@pytest.mark.parametrize("keys", RIGHT)
def test_keys_that_are_right_are_right_for_both(folder: Folder, keys: str) -> None:
    assert prepared(folder).run(job_text(keys)).jobs
    assert taken("jobs", job_text(keys))


@pytest.mark.parametrize("keys", WRONG)
def test_keys_that_are_wrong_are_wrong_for_both(folder: Folder, keys: str) -> None:
    assert prepared(folder).wrong(job_text(keys))
    assert not taken("jobs", job_text(keys))


@pytest.mark.parametrize(
    "keys",
    [
        'after = "j"',
        'after = ["j"]',
        'after = { job = "j", each = true }',
        'after = [{ job = "j" }]',
        'inputs = ["@j/out/*.csv"]',
        'inputs = [{ from = "@j/out/*.csv", to = "in/" }]',
        'args = ["@j", "@@j", "@nobody"]',
    ],
)
def test_what_is_said_of_another_job_is_right_for_both(folder: Folder, keys: str) -> None:
    text = job_text('function = "f"\noutputs = ["out/*.csv"]') + f'[jobs.k]\nsource = "a.c"\n{keys}\n'
    assert [after.job for after in prepared(folder).run(text).jobs[1].after] == ["j"]
    assert taken("jobs", text)


@pytest.mark.parametrize(
    ("top", "right"),
    [
        ('name = "a-b_1"', True),
        ('name = "a b"', False),
        ("max_failures = 1", True),
        ('max_failures = "5%"', True),
        ('max_failures = "12.5 %"', True),
        ("max_failures = 0", False),
        ('max_failures = "5"', False),
        ("defaults = { cpus = 2 }", True),
        ("defaults = { cpu = 2 }", False),
        ("default = {}", False),
    ],
)
def test_keys_at_the_top_are_right_or_wrong_for_both(folder: Folder, top: str, right: bool) -> None:
    text = top + "\n" + job_text("")
    if right:
        assert prepared(folder).run(text).jobs
    else:
        assert prepared(folder).wrong(text)
    assert taken("jobs", text) is right


@pytest.mark.parametrize("text", ["", 'name = "x"', "[jobs]", '[jobs."a b"]\nsource = "a.c"', "jobs = 5", "jobs.a = 5"])
def test_files_without_a_job_are_wrong_for_both(folder: Folder, text: str) -> None:
    assert prepared(folder).wrong(text)
    assert not taken("jobs", text)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("[hosts.a]", True),
        ('[hosts."lab[01-03,7].cs, b"]\naddress = "{name}.x"', True),
        ('[defaults]\nuser = "u"\n[hosts.a]\nport = 22\ncpus = 4\nmemory = "1GiB"\ntransport = "local"', True),
        ('[hosts.a]\nworkdir = "~/b"\npython = "/usr/bin/python3"\n[hosts.a.mounts]\nx = "/x"', True),
        ("", False),
        ("[hosts]", False),
        ("hosts = 5", False),
        ("[host.a]", False),
        ('[hosts."-a"]', False),
        ('[hosts."a b"]\n[hosts."/x"]', False),
        ("[hosts.a]\ncpus = 0", False),
        ("[hosts.a]\nport = 65536", False),
        ('[hosts.a]\ntransport = "slurm"', False),
        ('[hosts.a]\nuser = "-x"', False),
        ('[hosts.a]\naddress = "a b"', False),
        ('[hosts.a]\nworkdir = "x"', False),
        ('[hosts.a]\nmounts = { "a b" = "/x" }', False),
        ('[hosts.a]\nmounts = { a = "x" }', False),
        ("[hosts.lab.cs]\ncpus = 1", False),
        ('[hosts.a]\ngpus = 0\nlabels = ["x", "cuda12.2"]\nresources = { licence = 2, none = 0 }', True),
        ('[hosts.a]\nmax_load = 0.8\nmin_free_memory = "2GiB"\nhours = "20:00-08:00"\nmin_idle = "15m"', True),
        ('[hosts.a]\nhours = ["0:00-8:00", "20:00-24:00"]\nmin_idle = 0\nwhen_busy = "leave"', True),
        ("[hosts.a]\ngpus = -1", False),
        ("[hosts.a]\ngpus = 0.5", False),
        ('[hosts.a]\nlabels = "x"', False),
        ('[hosts.a]\nlabels = ["!x"]', False),
        ("[hosts.a]\nresources = { licence = -1 }", False),
        ("[hosts.a]\nmax_load = 0", False),
        ('[hosts.a]\nmin_free_memory = "lots"', False),
        ('[hosts.a]\nhours = "20-8"', False),
        ('[hosts.a]\nhours = "24:00-08:00"', False),
        ("[hosts.a]\nhours = [20]", False),
        ("[hosts.a]\nmin_idle = -1", False),
        ('[hosts.a]\nwhen_busy = "stop"', False),
    ],
)
def test_inventories_are_right_or_wrong_for_both(folder: Folder, text: str, right: bool) -> None:
    if right:
        assert folder.hosts(text)
    else:
        assert folder.wrong_hosts(text)
    assert taken("inventory", text) is right


TEXTS = st.sampled_from(["a.c", "in.txt", "5%", "90s", "1GiB", "lab01", "a", "", "../x", "/x"])
SCALARS = st.one_of(st.integers(-2, 5), st.floats(-1, 5), st.booleans(), TEXTS)
NAMES = st.sampled_from(["n", "m", "from", "to", "range", "glob", "rows", "flags", "optimize", "A", "job"])
ANY = st.recursive(SCALARS, lambda v: st.one_of(st.lists(v, max_size=3), st.dictionaries(NAMES, v, max_size=2)))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(st.sampled_from(JOB_KEYS[1:]), ANY, max_size=3))
def test_what_the_parser_takes_the_schema_takes(folder: Folder, keys: dict[str, object]) -> None:
    text = job_text("\n".join(f"{key} = {value_toml(value)}" for key, value in keys.items()))
    try:
        prepared(folder).load(text)
    except SpecError:
        return
    assert taken("jobs", text), text
