"""What jobs ask of an inventory that never can give it."""

from __future__ import annotations

import pytest

from tests.spec.folder import Folder

LAB = """\
[hosts."lab[01-03]"]
cpus = 4
memory = "8GiB"
[hosts.lab03.mounts]
data = "/data"
[hosts.big]
cpus = 64
memory = "4GiB"
[hosts.big.mounts]
imagenet = "/nfs"
"""


@pytest.mark.parametrize(
    "keys",
    [
        "cpus = 64",
        'memory = "8GiB"\ncpus = 4',
        'mounts = ["data"]',
        'mounts = ["imagenet"]\ncpus = 50',
        'hosts = "lab03"\nmounts = ["data"]',
        'exclude = "lab[01-03]"',
    ],
)
def test_a_job_that_some_host_can_take_is_right(folder: Folder, keys: str) -> None:
    folder.write("inventory.toml", LAB)
    assert len(folder.job(keys)) == 1


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ('hosts = "lab[01-04]"', "3: jobs.j.hosts: 'lab04' is no host of INVENTORY; did you mean 'lab"),
        ('exclude = "zzz"', "3: jobs.j.exclude: 'zzz' is no host of INVENTORY; hosts are big, lab01, lab02, lab03"),
        ('hosts = "big"\nexclude = "big"', "3: jobs.j.hosts: leave no host of INVENTORY; allow more"),
        ('exclude = "big,lab[01-03]"', "3: jobs.j.exclude: leave no host of INVENTORY; allow more"),
        ('mounts = ["dta"]', "3: jobs.j.mounts: no host of INVENTORY offers 'dta'; did you mean 'data'?"),
        ('mounts = ["data", "imagenet"]', "3: jobs.j.mounts: no host of INVENTORY offers all of data, imagenet"),
        ('mounts = ["data"]\nhosts = "lab01"', "no host of INVENTORY offers 'data'; write [hosts.NAME.mounts] there"),
        ("cpus = 65", "3: jobs.j.cpus: 65 cpus are more than any host has; the nearest is big with 64 (INVENTORY)"),
        (
            'memory = "9GiB"',
            "3: jobs.j.memory: 9 GiB is more than any host has; the nearest is lab01 with 8 GiB (INVENTORY)",
        ),
        (
            'memory = "8GiB"\ncpus = 5',
            "1: jobs.j: no host has both 5 cpus and 8 GiB; the nearest is lab01, which has 4 cpus",
        ),
        (
            'cpus = 5\nmounts = ["data"]',
            "3: jobs.j.cpus: 5 cpus are more than any host it may use has; the nearest is lab03 with 4",
        ),
    ],
)
def test_what_no_host_can_give_is_told_before_anything_starts(folder: Folder, keys: str, says: str) -> None:
    path = folder.write("inventory.toml", LAB)
    [problem] = folder.wrong_job(keys)
    assert says.replace("INVENTORY", str(path)) in problem


def test_what_a_host_does_not_state_may_be_enough(folder: Folder) -> None:
    folder.write("inventory.toml", "[hosts.a]\n[hosts.b]\ncpus = 2\n")
    assert folder.job('cpus = 500\nmemory = "500GiB"').request.cpus == 500


def test_a_key_of_the_defaults_is_told_where_it_stands(folder: Folder) -> None:
    folder.write("inventory.toml", LAB)
    folder.write("a.c")
    text = '[defaults]\nhosts = "lab09"\n[jobs.one]\nsource = "a.c"\n[jobs.two]\nsource = "a.c"\n'
    [problem] = folder.wrong(text)
    assert problem.startswith("2: defaults.hosts: 'lab09' is no host of")


def test_hosts_that_were_not_picked_are_still_known(folder: Folder) -> None:
    folder.write("inventory.toml", LAB)
    folder.write("a.c")
    text = '[jobs.j]\nsource = "a.c"\nhosts = "lab[01-02]"\n'
    run, inventory = folder.load(text, hosts="lab01,big")
    assert [host.name for host in inventory.hosts] == ["lab01", "big"]
    assert run.jobs[0].hosts == frozenset({"lab01", "lab02"})
    [problem] = folder.wrong(text, hosts="big")
    assert "leave no host of" in problem


# ------------------------------------------------------------------------------ labels, gpus, resources, alternatives

POOL = """\
[hosts."lab[01-03]"]
cpus = 4
memory = "8GiB"
gpus = 0
labels = ["fast-disk"]
resources = { licence = 2 }
[hosts.big]
cpus = 64
gpus = 2
labels = ["gpu", "old"]
resources = { licence = 0.5 }
"""


@pytest.mark.parametrize(
    "keys",
    [
        'labels = ["fast-disk"]',
        'labels = ["gpu", "!fast-disk"]',
        'labels = ["!nothing"]',
        "gpus = 2",
        "cpus = 0.25\ngpus = 0.5",
        "resources = { licence = 2 }",
        "any = [{ gpus = 8 }, { cpus = 4 }]",
        'hosts = "lab01"\nany = [{ gpus = 1 }, { cpus = 4 }]',
    ],
)
def test_a_job_that_some_host_of_the_pool_can_take_is_right(folder: Folder, keys: str) -> None:
    folder.write("inventory.toml", POOL)
    assert len(folder.job(keys)) == 1


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ('labels = ["gpuu"]', ["labels: no host of INVENTORY has the label 'gpuu'; did you mean 'gpu'?"]),
        (
            'labels = ["zzz"]',
            ["labels: no host of INVENTORY has the label 'zzz'; write labels = [...] into a host's table there"],
        ),
        (
            'labels = ["gpu", "fast-disk"]',
            ["labels: no host of INVENTORY agrees with all of gpu, fast-disk; ask for fewer"],
        ),
        ('labels = ["gpu", "!old"]', ["labels: no host of INVENTORY agrees with all of gpu, !old; ask for fewer"]),
        ('labels = ["fast-disk"]\nhosts = "big"', ["labels: no host of INVENTORY has the label 'fast-disk'"]),
        ("gpus = 3", ["gpus: 3 gpus are more than any host has; the nearest is big with 2 (INVENTORY)"]),
        ('gpus = 0.5\nexclude = "big"', ["gpus: 0.5 gpus are more than any host it may use has; the nearest is lab01"]),
        ("cpus = 64.5", ["cpus: 64.5 cpus are more than any host has; the nearest is big with 64 (INVENTORY)"]),
        (
            "resources = { licence = 2.25 }",
            ["resources.licence: 2.25 licence are more than any host has; the nearest is lab01 with 2 (INVENTORY)"],
        ),
        (
            "resources = { licens = 1 }",
            ["resources.licens: no host of INVENTORY has the resource 'licens'; did you mean 'licence'?"],
        ),
        (
            'resources = { licence = 1 }\nexclude = "lab[01-03]"',
            ["resources.licence: 1 licence is more than any host it may use has; the nearest is big with 0.5"],
        ),
        (
            'resources = { tape = 1 }\nhosts = "lab02"',
            ["resources.tape: no host of INVENTORY that it may use has the resource 'tape'; write"],
        ),
        (
            'gpus = 1\nresources = { licence = 1 }\nexclude = "lab02"',
            ["no host it may use has both 1 gpu and 1 licence; the nearest is lab01, which has 0 gpus"],
        ),
        (
            "resources = { tape = 1 }",
            ["resources.tape: no host of INVENTORY has the resource 'tape'; write resources = { tape = N } into a"],
        ),
        (
            "gpus = 1\nresources = { licence = 1 }",
            ["no host has both 1 gpu and 1 licence; the nearest is lab01, which has 0 gpus"],
        ),
        (
            "cpus = 5\ngpus = 1\nresources = { licence = 1 }",
            ["no host has both 5 cpus, 1 gpu and 1 licence; the nearest is big, which has 0.5 licence"],
        ),
        (
            "any = [{ gpus = 3 }, { cpus = 65 }]",
            [
                "any[0]: 3 gpus are more than any host has; the nearest is big with 2 (INVENTORY)",
                "any[1]: 65 cpus are more than any host has; the nearest is big with 64 (INVENTORY)",
            ],
        ),
    ],
)
def test_what_no_host_of_the_pool_can_give_is_told(folder: Folder, keys: str, says: list[str]) -> None:
    path = folder.write("inventory.toml", POOL)
    found = folder.wrong_job(keys)
    assert len(found) == len(says)
    for problem, text in zip(found, says, strict=True):
        assert text.replace("INVENTORY", str(path)) in problem


def test_gpus_that_nobody_states_may_be_found_but_resources_are_what_is_stated(folder: Folder) -> None:
    folder.write("inventory.toml", "[hosts.a]\n")
    assert folder.job("gpus = 8").request.gpus == 8
    assert "has the resource 'licence'" in folder.wrong_job("resources = { licence = 1 }")[0]
