"""What a job reserves."""

from __future__ import annotations

import pytest

from batchwasm.model import GIB, MIB, Request
from tests.spec.folder import Folder


@pytest.fixture(autouse=True)
def files(folder: Folder) -> None:
    folder.write("a.c")
    folder.write("inventory.toml", "[hosts.a]\nresources = { licence = 10, fast = 1 }\n")


@pytest.mark.parametrize(
    ("keys", "request_"),
    [
        ("cpus = 0.25", Request(cpus=0.25)),
        ("cpus = 1.125", Request(cpus=1.125)),
        ("gpus = 2", Request(gpus=2)),
        ("gpus = 1.0", Request(gpus=1)),
        ("gpus = 0.5", Request(gpus=0.5)),
        ("gpus = 0", Request()),
        ("resources = { licence = 1, fast = 0.5 }", Request(resources={"licence": 1, "fast": 0.5})),
        ("resources = { licence = 0 }", Request()),
        ("any = [{}]", Request()),
    ],
)
def test_a_job_reserves_whole_things_and_shares(folder: Folder, keys: str, request_: Request) -> None:
    job = folder.job(keys)
    assert job.requests == (request_,)
    assert [type(n) for n in (job.request.cpus, job.request.gpus)] == [type(n) for n in (request_.cpus, request_.gpus)]


def test_resources_merge_by_key_and_0_takes_back_what_the_defaults_say(folder: Folder) -> None:
    text = '[defaults]\nsource = "a.c"\nresources = { licence = 1, fast = 1 }\n[jobs.a]\n'
    a, b = folder.run(text + "[jobs.b]\nresources = { licence = 2, fast = 0 }\n").jobs
    assert (a.request.resources, b.request.resources) == ({"licence": 1, "fast": 1}, {"licence": 2})


def test_alternatives_are_what_the_job_reserves_but_for_what_they_say(folder: Folder) -> None:
    job = folder.job(
        """\
memory = "1GiB"
cpus = 2
resources = { licence = 1 }
any = [
    { gpus = 1, cpus = 0.5 },
    { cpus = 4, memory = "2GiB", resources = { fast = 1 } },
    { resources = { licence = 0 } },
]
"""
    )
    assert job.requests == (
        Request(cpus=0.5, gpus=1, memory_bytes=GIB, resources={"licence": 1}),
        Request(cpus=4, memory_bytes=2 * GIB, resources={"licence": 1, "fast": 1}),
        Request(cpus=2, memory_bytes=GIB),
    )
    assert (job.request, job.limits.memory_bytes) == (job.requests[0], GIB)


def test_alternatives_of_the_defaults_are_replaced_as_a_whole(folder: Folder) -> None:
    text = '[defaults]\nsource = "a.c"\nany = [{ gpus = 1 }, { cpus = 4 }]\n[jobs.a]\nmemory = "64MiB"\n'
    a, b = folder.run(text + "[jobs.b]\nany = [{ cpus = 3 }]\n").jobs
    assert a.requests == (Request(gpus=1, memory_bytes=64 * MIB), Request(cpus=4, memory_bytes=64 * MIB))
    assert b.requests == (Request(cpus=3),)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ("cpus = 1e13", "3: jobs.j.cpus: 10000000000000.0 is not a number above 0"),
        ("gpus = 1.5", "3: jobs.j.gpus: 1.5 is neither a number of gpus nor a share of one; write such as 2 or 0.5"),
        ("gpus = -1", "3: jobs.j.gpus: -1 is not a number above 0"),
        ("gpus = false", "3: jobs.j.gpus: false is not a number above 0"),
        ("gpus = 0.3333", "3: jobs.j.gpus: 0.3333 is finer than a thousandth"),
        ("resources = 5", "3: jobs.j.resources: 5 is not a table; write { KEY = VALUE }"),
        ("resources = { licence = -1 }", "3: jobs.j.resources.licence: -1 is not a number above 0"),
        ('resources = { "a b" = 1 }', "3: jobs.j.resources.\"a b\": 'a b' can't name a resource"),
        ("any = []", "3: jobs.j.any: is an empty list; name an alternative, or leave it out"),
        ("any = { gpus = 1 }", "3: jobs.j.any: a table is not a list"),
        ("any = [1]", "3: jobs.j.any[0]: 1 is not a table"),
        ("any = [{ gpu = 1 }]", "3: jobs.j.any[0].gpu: unknown key; did you mean 'gpus'"),
        ("any = [{ cpus = 1 }, { cpus = 0 }]", "3: jobs.j.any[1].cpus: 0 is not a number above 0"),
        (
            'any = [{ memory = "1MiB" }]',
            "3: jobs.j.any[0].memory: '1MiB' is less than the job's memory, 512 MiB, which a task may use; lower that",
        ),
    ],
)
def test_a_need_that_is_wrong_says_where_and_what_would_be_right(folder: Folder, keys: str, says: str) -> None:
    [problem] = folder.wrong_job(keys)
    assert problem.startswith(says)
