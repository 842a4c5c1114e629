"""What is right and does nothing."""

from __future__ import annotations

import pytest

from batchwasm import spec
from tests.spec.folder import Folder

IDLE = "a WebAssembly module has one thread, so it can't use {} cpus; the others stay idle for it"
NO_GPU = "no WebAssembly module can reach a gpu yet: the indexes of those reserved are in BATCHWASM_GPUS and"


def warnings(folder: Folder, text: str) -> list[str]:
    folder.write("a.c")
    return spec.warnings(*folder.load(text))


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ("", []),
        ("cpus = 0.5", []),
        ("cpus = 2.5", [f"jobs.j.cpus: {IDLE.format(2.5)}"]),
        ("gpus = 0.5", [f"jobs.j.gpus: {NO_GPU}"]),
        (
            "any = [{ gpus = 1 }, { cpus = 4 }]",
            [f"jobs.j.any[0].gpus: {NO_GPU}", f"jobs.j.any[1].cpus: {IDLE.format(4)}"],
        ),
        ("max_parallel = { licensed = 1 }", []),
        ("cache = true", []),
    ],
)
def test_what_a_module_cannot_use_is_told(folder: Folder, keys: str, says: list[str]) -> None:
    found = warnings(folder, f'[jobs.j]\nsource = "a.c"\n{keys}')
    assert len(found) == len(says)
    assert all(text.startswith(start) for text, start in zip(found, says, strict=True)), found


def test_a_job_with_mounts_takes_nothing_that_is_known(folder: Folder) -> None:
    folder.write("inventory.toml", '[hosts.a]\nmounts = { m = "/nfs" }\n')
    [text] = warnings(folder, '[jobs.j]\nsource = "a.c"\ncache = true\nmounts = ["m"]')
    assert text.startswith("jobs.j.cache: does nothing for a job with mounts: nobody can tell")


def test_calls_that_are_deterministic_and_yet_share_an_instance_are_told(folder: Folder) -> None:
    job = '[jobs.j]\nsource = "a.c"\nfunction = "f"\ndeterministic = true\n'
    assert warnings(folder, job) == []
    (found,) = warnings(folder, job + "reuse = true\n")
    assert found.startswith("jobs.j.reuse: calls that share an instance see what others left there")


def test_a_label_that_limits_nothing_is_told_where_there_is_an_inventory(folder: Folder) -> None:
    folder.write("inventory.toml", '[hosts.a]\nlabels = ["licensed"]\n')
    found = warnings(folder, '[jobs.j]\nsource = "a.c"\nmax_parallel = { licenced = 1, licensed = 2 }')
    says = "no host has the label 'licenced', so it limits nothing; did you mean 'licensed'?"
    assert found == [f"jobs.j.max_parallel.licenced: {says}"]


def test_what_stands_in_the_defaults_is_told_once_and_many_alike_are_counted(folder: Folder) -> None:
    defaults, jobs = '[defaults]\nsource = "a.c"\n', [f"[jobs.j{n}]\n" for n in range(12)]
    assert warnings(folder, defaults + "cpus = 2\n" + "".join(jobs)) == [f"defaults.cpus: {IDLE.format(2)}"]
    found = warnings(folder, defaults + "".join(f"{job}cpus = 2\n" for job in jobs))
    assert (len(found), found[-1]) == (11, "and 2 more like these")
