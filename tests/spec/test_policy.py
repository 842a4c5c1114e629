"""When and where a job's attempts run."""

from __future__ import annotations

import pytest

from batchwasm.model import Retries
from tests.spec.folder import Folder


@pytest.fixture(autouse=True)
def files(folder: Folder) -> None:
    folder.write("a.c")
    folder.write("inventory.toml", '[hosts.a]\nlabels = ["fast-disk", "cuda12.2"]\n')


def test_a_job_that_says_nothing_is_normal(folder: Folder) -> None:
    job = folder.job("")
    assert (job.labels, job.priority, job.max_parallel, job.max_parallel_by_label) == ((), 0, None, {})
    assert (job.retries, job.isolate) == (Retries(), False)


def test_labels_are_those_a_host_must_and_must_not_have_each_once(folder: Folder) -> None:
    job = folder.job('labels = ["fast-disk", "!slow", "cuda12.2", "fast-disk"]')
    assert job.labels == ("fast-disk", "!slow", "cuda12.2")


@pytest.mark.parametrize(
    ("written", "whole", "by_label"),
    [
        ("3", 3, {}),
        ('{ "*" = 10, fast-disk = 2, "cuda12.2" = 1 }', 10, {"fast-disk": 2, "cuda12.2": 1}),
        ("{ fast-disk = 2 }", None, {"fast-disk": 2}),
        ("{}", None, {}),
    ],
)
def test_max_parallel_is_a_number_or_one_a_label(
    folder: Folder, written: str, whole: int | None, by_label: dict[str, int]
) -> None:
    job = folder.job(f"max_parallel = {written}")
    assert (job.max_parallel, job.max_parallel_by_label) == (whole, by_label)


def test_retries_are_how_often_after_what_and_with_which_memory(folder: Folder) -> None:
    job = folder.job('retries = 3\nretry_on = ["timed_out", "out_of_memory", "exit:75"]\nmemory_growth = 2')
    assert job.retries == Retries(count=3, on=frozenset({"timed_out", "out_of_memory", "exit:75"}), memory_growth=2.0)


def test_retries_of_the_defaults_and_of_the_job_go_together(folder: Folder) -> None:
    text = '[defaults]\nsource = "a.c"\nretries = 2\n[jobs.a]\nretry_on = ["trapped"]\n[jobs.b]\nretries = 0\n'
    a, b = folder.run(text).jobs
    assert (a.retries.count, a.retries.on, b.retries.count) == (2, {"trapped"}, 0)


def test_known_results_are_taken_where_a_job_or_the_defaults_say_so(folder: Folder) -> None:
    text = '[defaults]\nsource = "a.c"\ncache = true\n[jobs.a]\n[jobs.b]\ncache = false\n'
    assert [job.cache for job in folder.run(text).jobs] == [True, False]
    assert not folder.job("").cache


def test_priority_is_any_whole_number_and_isolation_is_asked_for(folder: Folder) -> None:
    job = folder.job("priority = -7\nisolate = true")
    assert (job.priority, job.isolate) == (-7, True)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ('labels = "fast-disk"', "3: jobs.j.labels: 'fast-disk' is not a list; write [ ... ]"),
        (
            'labels = ["a b"]',
            "3: jobs.j.labels[0]: 'a b' is not a label; write a word such as 'fast-disk'; '!' in front: must not have",
        ),
        ('labels = ["!!x"]', "3: jobs.j.labels[0]: '!!x' is not a label"),
        (
            'labels = ["fast-disk", "!fast-disk"]',
            "3: jobs.j.labels[1]: '!fast-disk' and 'fast-disk' leave no host; write one of them",
        ),
        ("priority = 1.5", "3: jobs.j.priority: 1.5 is not a whole number"),
        ("max_parallel = 0", "3: jobs.j.max_parallel: 0 is not a whole number from 1 up"),
        ('max_parallel = { "!x" = 1 }', "3: jobs.j.max_parallel.\"!x\": '!x' is not a label; write a host's label, or"),
        ("max_parallel = { x = 0 }", "3: jobs.j.max_parallel.x: 0 is not a whole number from 1 up"),
        ("retries = -1", "3: jobs.j.retries: -1 is not a whole number from 0 up"),
        (
            'retries = 1\nretry_on = ["trappd"]',
            "4: jobs.j.retry_on[0]: 'trappd' is no outcome; did you mean 'trapped'?",
        ),
        (
            'retries = 1\nretry_on = ["75"]',
            "4: jobs.j.retry_on[0]: '75' is no outcome; write failed, trapped, timed_out",
        ),
        ('retries = 1\nretry_on = ["lost"]', "4: jobs.j.retry_on[0]: 'lost' is not a failure: an attempt that is lost"),
        ('retries = 1\nretry_on = ["skipped"]', "4: jobs.j.retry_on[0]: nothing is run again after 'skipped'"),
        ('retries = 1\nretry_on = ["mismatch"]', "4: jobs.j.retry_on[0]: nothing is run again after 'mismatch'"),
        ('retry_on = ["failed"]', "3: jobs.j.retry_on: does nothing without retries; write retries = 3, or leave it"),
        ("memory_growth = 2", "3: jobs.j.memory_growth: does nothing without retries"),
        ("retries = 1\nmemory_growth = 0.9", "4: jobs.j.memory_growth: 0.9 is not a factor from 1 to 2048; 2 doubles"),
        (
            'retries = 1\nretry_on = ["failed"]\nmemory_growth = 2',
            "5: jobs.j.memory_growth: does nothing where retry_on leaves out 'out_of_memory'; add it there",
        ),
        ("isolate = 1", "3: jobs.j.isolate: 1 is not true or false"),
        ('cache = "yes"', "3: jobs.j.cache: 'yes' is not true or false"),
    ],
)
def test_a_key_that_is_wrong_says_where_and_what_would_be_right(folder: Folder, keys: str, says: str) -> None:
    [problem] = folder.wrong_job(keys)
    assert problem.startswith(says)


def test_a_shared_instance_and_a_process_of_its_own_exclude_each_other(folder: Folder) -> None:
    text = '[defaults]\nisolate = true\n[jobs.j]\nsource = "a.c"\nfunction = "f"\nreuse = true\n'
    says = "isolate gives each call a process of its own, reuse one instance to many; leave one out"
    assert folder.wrong(text) == [f"6: jobs.j.reuse: {says}"]
    assert folder.run(text + "isolate = false\n").jobs[0].reuse
