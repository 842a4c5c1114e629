"""inventory.toml: where it is found, and what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchwasm import spec
from batchwasm.errors import SpecError
from batchwasm.model import GIB, Host, Inventory
from batchwasm.spec.inventory import LATER_TRANSPORTS, TRANSPORTS
from tests.spec.folder import Folder

LAB = """\
[defaults]
user = "alice"
mounts = { home = "/home" }
[hosts.lab01]
[hosts."lab[02-04]"]
address = "{name}.cs.example.edu"
port = 2222
cpus = 16
memory = "32GiB"
mounts = { imagenet = "/nfs/imagenet" }
[hosts.lab03]
cpus = 8
user = "bob"
mounts = { scratch = "~/scratch" }
[hosts.here]
transport = "local"
workdir = "/scratch/batchwasm"
python = "/opt/py/bin/python3"
"""


def test_hosts_are_as_written_in_that_order(folder: Folder) -> None:
    hosts = folder.hosts(LAB)
    assert list(hosts) == ["lab01", "lab02", "lab03", "lab04", "here"]
    assert hosts["lab01"] == Host(name="lab01", user="alice", mounts={"home": "/home"})
    assert hosts["lab02"] == Host(
        name="lab02",
        address="lab02.cs.example.edu",
        port=2222,
        user="alice",
        cpus=16,
        memory_bytes=32 * GIB,
        mounts={"home": "/home", "imagenet": "/nfs/imagenet"},
    )
    assert (hosts["here"].transport, hosts["here"].workdir) == ("local", "/scratch/batchwasm")
    assert hosts["here"].python == "/opt/py/bin/python3"


def test_a_table_of_its_own_beats_the_range_key_by_key(folder: Folder) -> None:
    host = folder.hosts(LAB)["lab03"]
    assert (host.cpus, host.user, host.port, host.address) == (8, "bob", 2222, "lab03.cs.example.edu")
    assert host.mounts == {"home": "/home", "imagenet": "/nfs/imagenet", "scratch": "~/scratch"}


def test_a_table_of_its_own_beats_a_range_that_comes_later(folder: Folder) -> None:
    hosts = folder.hosts('[hosts.lab02]\ncpus = 1\n[hosts."lab[01-03]"]\ncpus = 2\n')
    assert [(host.name, host.cpus) for host in hosts.values()] == [("lab02", 1), ("lab01", 2), ("lab03", 2)]


def test_what_is_wrong_in_a_table_with_a_wrong_name_is_told_too(folder: Folder) -> None:
    found = folder.wrong_hosts('[hosts."a b"]\ncpus = -1\nusr = "x"')
    assert [line.partition(":")[0] for line in found] == ["1", "2", "3"]


def test_ranges_that_overlap_are_a_problem(folder: Folder) -> None:
    found = folder.wrong_hosts('[hosts."lab[01-05]"]\n[hosts."lab[04-09]"]\n[hosts."lab05,x"]\n')
    assert found == [
        "2: hosts.\"lab[04-09]\": lab04 and 1 more are in 'lab[01-05]' too; a host is in one range only",
        "3: hosts.\"lab05,x\": lab05 is in 'lab[01-05]' too; a host is in one range only",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "None: : has no host; write [hosts.NAME]"),
        ("hosts = 5", "1: hosts: 5 is not a table"),
        ("hosts.a = 5", "1: hosts.a: 5 is not a table"),
        ("[host.a]\n[hosts.b]", "1: host: unknown key; did you mean 'hosts'?"),
        ("[hosts.a]\ncpu = 1", "2: hosts.a.cpu: unknown key; did you mean 'cpus'?"),
        ("[hosts.a]\ncpus = 0", "2: hosts.a.cpus: 0 is not a whole number from 1 to 65536"),
        ("[hosts.a]\nport = 70000", "2: hosts.a.port: 70000 is not a whole number from 1 to 65535"),
        ("[hosts.a]\nmemory = 'lots'", "2: hosts.a.memory: 'lots' is not a size"),
        ("[hosts.a]\ntransport = 'shh'", "2: hosts.a.transport: 'shh' is no transport; did you mean 'ssh'?"),
        ("[hosts.a]\ntransport = 5", "2: hosts.a.transport: 5 is not a string"),
        ("[hosts.a]\nuser = '-oProxyCommand=x'", "2: hosts.a.user: '-oProxyCommand=x' has a space in it, or a '-'"),
        ("[hosts.a]\naddress = 'a b'", "2: hosts.a.address: 'a b' has a space in it"),
        ("[hosts.a]\nworkdir = 'here'", "2: hosts.a.workdir: 'here' is a path on the host; start it with '/' or '~/'"),
        ("[hosts.a.mounts]\nx = 'y'", "2: hosts.a.mounts.x: 'y' is a path on the host"),
        ('[hosts.a.mounts]\n"x y" = "/y"', "2: hosts.a.mounts.\"x y\": 'x y' can't name a mount"),
        ("[hosts.a]\ngpus = 0.5", "2: hosts.a.gpus: 0.5 is not a whole number from 0 to 65536"),
        ('[hosts.a]\nlabels = ["!x"]', "2: hosts.a.labels[0]: '!x' is not a label; write a word such as 'fast-disk'"),
        ("[hosts.a]\nresources = { x = -1 }", "2: hosts.a.resources.x: -1 is not a number above 0"),
        ("[hosts.a]\nresources = 5", "2: hosts.a.resources: 5 is not a table"),
        ('[hosts."lab["]', "1: hosts.\"lab[\": 'lab[' has a '[' that is never closed"),
        ('[hosts."-x"]', "1: hosts.-x: '-x' is not a host name"),
        (
            "[hosts.lab01.cs.edu]\ncpus = 1",
            '1: hosts.lab01.cs: unknown table; a host name with dots is quoted: [hosts."lab01.cs.edu"]',
        ),
        ("[defaults]\nuser = 5\n[hosts.a]\nuser = 'x'", "2: defaults.user: 5 is not a string"),
    ],
)
def test_an_inventory_that_is_wrong_says_where_and_why(folder: Folder, text: str, says: str) -> None:
    [problem] = folder.wrong_hosts(text)
    assert problem.startswith(says)


@pytest.mark.parametrize("name", LATER_TRANSPORTS)
def test_a_transport_of_a_later_version_is_refused_by_name(folder: Folder, name: str) -> None:
    [problem] = folder.wrong_hosts(f'[hosts.a]\ntransport = "{name}"')
    assert problem == f"2: hosts.a.transport: {name}: not in this version; transports are {', '.join(TRANSPORTS)}"


def test_gpus_labels_and_resources_are_what_a_host_has(folder: Folder) -> None:
    text = """\
[defaults]
labels = ["all"]
resources = { licence = 1, tape = 1 }
[hosts."lab[1-3]"]
gpus = 2
resources = { licence = 2, tape = 0 }
[hosts.lab3]
gpus = 0
labels = ["fast-disk", "cuda12.2"]
resources = { scratch = 0.5 }
"""
    hosts = folder.hosts(text)
    assert (hosts["lab1"].gpus, hosts["lab1"].labels, hosts["lab1"].resources) == (2, {"all"}, {"licence": 2})
    assert (hosts["lab3"].gpus, hosts["lab3"].labels) == (0, {"fast-disk", "cuda12.2"})
    assert hosts["lab3"].resources == {"licence": 2, "scratch": 0.5}
    assert folder.hosts("[hosts.a]")["a"].gpus is None


# ----------------------------------------------------------------------------------------- where it is found


def found(folder: Folder, **options: str) -> list[str]:
    given = options.pop("inventory", None)
    inventory = spec.load_inventory(folder.path, inventory=Path(given) if given else None, hosts=options.get("hosts"))
    return [host.name for host in inventory.hosts]


def test_without_any_file_it_is_this_machine_alone(folder: Folder) -> None:
    assert spec.load_inventory(folder.path, inventory=None, hosts=None) == Inventory(
        hosts=(Host(name="localhost", transport="local"),)
    )


def test_the_option_beats_the_variable_beats_the_folder_beats_the_home(
    folder: Folder, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".config/batchwasm").mkdir(parents=True)
    (home / ".config/batchwasm/inventory.toml").write_text("[hosts.from_home]")
    assert found(folder) == ["from_home"]
    folder.write("inventory.toml", "[hosts.beside]")
    assert found(folder) == ["beside"]
    (tmp_path / "v.toml").write_text("[hosts.from_variable]")
    monkeypatch.setenv("BATCHWASM_INVENTORY", str(tmp_path / "v.toml"))
    assert found(folder) == ["from_variable"]
    (tmp_path / "o.toml").write_text("[hosts.from_option]")
    assert found(folder, inventory=str(tmp_path / "o.toml")) == ["from_option"]


def test_commands_without_a_jobs_file_look_in_the_working_folder(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write("inventory.toml", "[hosts.beside]")
    monkeypatch.chdir(folder.path)
    assert [host.name for host in spec.load_inventory(None, inventory=None, hosts=None).hosts] == ["beside"]


def test_an_inventory_keeps_its_text_and_absolute_path(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write("inventory.toml", "[hosts.a]\n")
    monkeypatch.chdir(folder.path)
    inventory = spec.load_inventory(None, inventory=Path("inventory.toml"), hosts=None)
    assert (inventory.path, inventory.text) == (folder.path / "inventory.toml", "[hosts.a]\n")


def test_a_variable_that_names_no_file_is_a_problem_with_its_name(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCHWASM_INVENTORY", "/nope.toml")
    with pytest.raises(SpecError, match=r"/nope.toml \(BATCHWASM_INVENTORY\): there is no such file"):
        found(folder)


# ---------------------------------------------------------------------------------------------------- --hosts


def test_hosts_stand_for_themselves_without_any_file(folder: Folder) -> None:
    inventory = spec.load_inventory(folder.path, inventory=None, hosts="lab[01-02], bob@gpu1,carol@old[1-2]")
    assert list(inventory.hosts) == [
        Host(name="lab01"),
        Host(name="lab02"),
        Host(name="gpu1", user="bob"),
        Host(name="old1", user="carol"),
        Host(name="old2", user="carol"),
    ]


def test_localhost_is_this_machine_unless_a_user_is_given(folder: Folder) -> None:
    local = spec.load_inventory(folder.path, inventory=None, hosts="localhost").hosts
    assert list(local) == [Host(name="localhost", transport="local")]
    over_ssh = spec.load_inventory(folder.path, inventory=None, hosts="me@localhost").hosts
    assert list(over_ssh) == [Host(name="localhost", user="me")]


def test_hosts_of_the_inventory_are_picked_with_their_settings(folder: Folder) -> None:
    folder.write("inventory.toml", LAB)
    inventory = spec.load_inventory(folder.path, inventory=None, hosts="eve@lab03,new")
    assert [(h.name, h.user, h.cpus, h.port) for h in inventory.hosts] == [
        ("lab03", "eve", 8, 2222),
        ("new", None, None, None),
    ]


def test_a_host_that_a_given_inventory_does_not_have_is_a_problem(folder: Folder) -> None:
    path = folder.write("lab.toml", LAB)
    with pytest.raises(SpecError) as caught:
        spec.load_inventory(folder.path, inventory=path, hosts="lab01,lab11")
    [problem] = caught.value.problems
    assert str(problem).startswith(f"--hosts: 'lab11' is no host of {path}; did you mean 'lab01'")


@pytest.mark.parametrize("text", ["", "a,,b", "lab[1", "@a", "-x@a", "a b@c", "x@", "a/b"])
def test_hosts_that_are_no_hostlist_are_a_problem(folder: Folder, text: str) -> None:
    with pytest.raises(SpecError, match=r"^--hosts: "):
        found(folder, hosts=text)
