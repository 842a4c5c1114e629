"""hosts check: how far one comes with a host, and what stands in the way."""

from __future__ import annotations

import dataclasses
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchwasm.engine.check import check
from batchwasm.engine.deploy import install
from batchwasm.engine.look import GUARDS, MODULES
from batchwasm.errors import HostError
from batchwasm.model import Courtesy, Host
from tests.engine.depots import depot_on, executable, here, python_that_mounts
from tests.sshd import Servers, Sshd, configure, free_port, loopback, new_key, sshd_path
from tests.test_architecture import hosts_pythons


async def test_a_good_host_shows_what_it_is(ssh_pool: list[Sshd]) -> None:
    found = await check(ssh_pool[0].host)
    assert found.good
    assert found.reached
    assert (found.key, found.auth, found.runner, found.warnings) == ("known", True, False, ())
    assert found.facts is not None
    assert found.facts.cpus == len(os.sched_getaffinity(0))
    assert found.facts.workdir == str(ssh_pool[0].workdir)
    assert found.latency_s is not None
    assert 0 < found.latency_s < 5
    assert found.clock_skew_s is not None
    assert abs(found.clock_skew_s) < 5


async def test_looking_installs_nothing(ssh_pool: list[Sshd]) -> None:
    found = await check(ssh_pool[0].host)
    assert found.look is not None
    assert not ssh_pool[0].workdir.exists()


async def test_the_speed_of_the_link_is_measured_both_ways_and_that_of_this_machine_is_not(
    ssh_pool: list[Sshd], tmp_path: Path
) -> None:
    found = await check(ssh_pool[0].host)
    assert found.speed is not None
    assert found.speed.up > 0
    assert found.speed.down > 0
    assert (await check(here(tmp_path / "w"))).speed is None


async def test_steps_are_told_as_they_come(ssh_pool: list[Sshd]) -> None:
    steps: list[str] = []
    await check(ssh_pool[0].host, on_step=steps.append)
    assert steps == ["connecting", "looking", "measuring"]


async def test_what_protects_tasks_there_and_where_its_home_is_are_shown(ssh_pool: list[Sshd]) -> None:
    found = await check(ssh_pool[0].host)
    assert found.look is not None
    assert found.look.guards == dict.fromkeys(GUARDS, True)
    assert (found.look.home.kind != "", found.look.home.network) == (True, False)
    assert found.look.kills is False


async def test_a_home_on_a_network_file_system_is_seen(tmp_path: Path) -> None:
    """By a Python for which the list of mounts says so."""
    inner = f'mount --bind {tmp_path}/mounts /proc/$$/mounts && exec {sys.executable} "$@"'
    write(tmp_path / "mounts", "server:/home / nfs4 rw 0 0\n")
    looked = executable(tmp_path / "python", f'exec unshare --mount --map-root-user sh -c {shlex.quote(inner)} sh "$@"')
    found = await check(here(tmp_path / "w", looked))
    assert found.look is not None
    assert (found.look.home.kind, found.look.home.network) == ("nfs4", True)


# ------------------------------------------------------------------------------------------------ other ways


@pytest.fixture
def modern(ssh_servers: Servers, home: Path) -> Iterator[Sshd]:
    """A server that agrees only on what neither asyncssh nor paramiko has."""
    server = ssh_servers.make("modern", options=["KexAlgorithms sntrup761x25519-sha512@openssh.com"])
    ssh_servers.client.install(home, [server])
    yield server
    server.end()


async def test_a_server_that_asyncssh_can_not_negotiate_with_is_reached_by_another_transport(modern: Sshd) -> None:
    steps: list[str] = []
    found = await check(modern.host, on_step=steps.append)
    assert found.error is not None
    assert (found.error.code, found.good, found.reached, found.works) == ("protocol", False, True, "openssh")
    assert [(way.transport, way.works) for way in found.others] == [("openssh", True), ("paramiko", False)]
    assert found.advice == 'transport = "openssh" in the inventory works'
    assert "trying openssh" in steps
    assert found.facts is not None  # what else there is to know is known
    found = await check(dataclasses.replace(modern.host, transport="openssh"))
    assert (found.good, found.works, found.others, found.key) == (True, "openssh", (), "known")


async def test_where_its_key_is_unknown_too_the_other_way_comes_as_far_as_that(modern: Sshd, home: Path) -> None:
    (home / ".ssh/known_hosts").write_text("")
    found = await check(modern.host)
    assert found.works == "openssh"
    assert found.advice.endswith("works, once its key is accepted: batchwasm hosts trust modern")


async def test_a_configuration_that_asyncssh_does_not_understand_is_left_to_the_systems_ssh(
    ssh_pool: list[Sshd], home: Path
) -> None:
    configure(home, "Host *\n  ConnectTimeout 1m\n")
    found = await check(ssh_pool[0].host)
    assert found.error is not None
    assert (found.error.code, found.works) == ("config", "openssh")
    found = await check(dataclasses.replace(ssh_pool[0].host, transport="openssh"))
    assert (found.good, found.key) == (True, "known")


async def test_an_address_that_only_the_systems_ssh_knows_is_found_by_it(ssh_pool: list[Sshd], home: Path) -> None:
    """It knows canonical names, and goes through a command to this one."""
    server = ssh_pool[0]
    port = free_port(server.address)
    through = f"Match canonical\n  ProxyCommand {sshd_path()} -i -f {server.folder}/sshd_config\n"
    (home / ".ssh/config").write_text(f"{through}Host *\n  CanonicalizeHostname always\n")
    (home / ".ssh/known_hosts").write_text(f"[{server.address}]:{port} {server.host_key}\n")
    found = await check(Host(name="x", address=server.address, port=port))
    assert found.error is not None
    assert (found.error.code, found.works) == ("unreachable", "openssh")
    assert [way.transport for way in found.others] == ["openssh"]


@pytest.mark.parametrize("trouble", ["key", "name", "down"])
async def test_what_is_the_same_for_all_transports_is_not_tried_again(
    ssh_pool: list[Sshd], home: Path, trouble: str
) -> None:
    host = ssh_pool[0].host
    if trouble == "key":
        (home / ".ssh/known_hosts").write_text("")
    elif trouble == "name":
        host = Host(name="x", address="no-such-host.invalid")
    else:
        host = Host(name="x", address="127.0.0.1", port=free_port("127.0.0.1"))
    assert (await check(host)).others == ()


@pytest.mark.parametrize("transport", ["ssh", "openssh", "paramiko"])
async def test_a_login_that_is_refused_is_not_tried_again_with_the_same_keys(
    ssh_pool: list[Sshd], home: Path, transport: str
) -> None:
    """sshd counts them, and lets nobody in for a while from where it refused a few."""
    (home / ".ssh/id_ed25519").unlink()
    new_key(home / ".ssh/id_ed25519")
    before = ssh_pool[0].refused
    found = await check(dataclasses.replace(ssh_pool[0].host, transport=transport))
    assert (found.auth, found.others, found.works, found.advice) == (False, (), None, "")
    assert ssh_pool[0].refused == before + 1


async def test_a_login_that_is_known_to_be_refused_is_not_tried(ssh_pool: list[Sshd]) -> None:
    before = ssh_pool[0].log.count("Connection from")
    found = await check(ssh_pool[0].host, refused=HostError("auth", "no"))
    assert (found.reached, found.key, found.auth, found.good) == (True, "known", False, False)
    assert ssh_pool[0].log.count("Connection from") == before


@pytest.fixture
def users_own(ssh_pool: list[Sshd], home: Path, tmp_path: Path) -> Iterator[None]:
    """ssh is logged in to sshd-a by a key that is not the user's any more, and goes on to be."""
    shutil.move(home / ".ssh/id_ed25519", tmp_path / "key")
    configure(home, f"Host *\n  ControlPath {tmp_path}/s\n")
    client = ["ssh", "-F", str(home / ".ssh/config"), f"-oUserKnownHostsFile={home}/.ssh/known_hosts"]
    subprocess.run([*client, "-fNM", "-i", str(tmp_path / "key"), "sshd-a"], check=True, stderr=subprocess.DEVNULL)
    yield
    subprocess.run([*client, "-Oexit", "sshd-a"], check=True, capture_output=True)


async def test_where_keys_are_refused_a_connection_of_the_users_own_is_found(
    ssh_pool: list[Sshd], users_own: None
) -> None:
    """For all that only ssh can show, such as a ticket; see transports/elsewhere.py."""
    found = await check(ssh_pool[0].host)
    assert [(way.transport, way.works) for way in found.others] == [("openssh", True)]
    assert found.advice == 'transport = "openssh" in the inventory works'


# ------------------------------------------------------------------------------------- owners, gpus, courtesy


def write(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.fixture
def host_toml(ssh_pool: list[Sshd]) -> Iterator[Path]:
    """Of the owner of the first server; not there yet."""
    path = ssh_pool[0].home / ".config/batchwasm/host.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    yield path
    shutil.rmtree(ssh_pool[0].home / ".config")


async def test_what_the_owner_allows_is_shown(ssh_pool: list[Sshd], host_toml: Path) -> None:
    write(host_toml, 'cpus = 1\nwhen_busy = "leave"\n')
    found = await check(ssh_pool[0].host)
    assert found.good
    assert found.look is not None
    assert found.look.rules == (f"cpus = 1 ({host_toml})", f'when_busy = "leave" ({host_toml})')
    assert (found.look.gpus, found.look.refused, found.look.busy, found.look.logind) == (0, "", "", "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("users = []", "lets nobody use it, not "),
        ("cpus = 1\nmemroy = 2", "host.toml:2: memroy: unknown key; did you mean 'memory'?"),
    ],
)
async def test_a_host_whose_owner_does_not_want_us_or_is_not_understood_is_bad(
    ssh_pool: list[Sshd], host_toml: Path, text: str, words: str
) -> None:
    write(host_toml, text)
    found = await check(ssh_pool[0].host)
    assert found.error is not None
    assert (found.error.code, found.error.waiting_may_help) == ("owner", False)
    assert words in found.error.cause


async def test_all_that_is_wrong_with_an_owners_file_is_told_in_full_and_in_a_line(
    ssh_pool: list[Sshd], host_toml: Path
) -> None:
    write(host_toml, 'cpus = 0\nhours = "8"\nmax_load = "x"\nmin_idle = "soon"\nmin_free_memory = "lots"\nusers = "me"')
    found = await check(ssh_pool[0].host)
    assert found.error is not None
    assert found.error.cause.count("; /") == 5
    assert "\n" not in found.error.cause
    assert found.error.cause.endswith('users: "me" is no list of user names; write it as ["alice", "bob"]')


async def test_a_host_that_is_busy_now_says_why(tmp_path: Path) -> None:
    courtesy = Courtesy(min_free_memory_bytes=2**60, max_load=10_000.0, min_idle_s=1.0)
    found = await check(dataclasses.replace(here(tmp_path / "w"), courtesy=courtesy))
    assert found.good
    assert found.look is not None
    assert found.look.busy.startswith("memory free ")
    assert found.look.busy.endswith(" GiB under min_free_memory 1.07374e+09 GiB")


async def test_gpus_are_shown_and_more_of_them_than_there_are_are_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "nvidia-smi", "echo 'GPU 0: NVIDIA A100 (UUID: GPU-1)'")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    found = await check(dataclasses.replace(here(tmp_path / "w"), gpus=2))
    assert found.look is not None
    assert found.look.gpus == 1
    assert "gpus is 2 in the inventory, and 1 were found" in found.warnings


@pytest.mark.parametrize("python", hosts_pythons())
async def test_any_python_from_3_9_up_can_be_looked_at_from(tmp_path: Path, home: Path, python: str) -> None:
    (home / ".config/batchwasm").mkdir(parents=True)
    (home / ".config/batchwasm/host.toml").write_text("gpus = 0")
    found = await check(here(tmp_path / "w", python))
    assert found.error is None
    assert found.look is not None
    assert found.look.rules == (f"gpus = 0 ({home}/.config/batchwasm/host.toml)",)


async def test_a_host_that_answers_nonsense_is_not_believed(tmp_path: Path) -> None:
    """Its Python is started four times: to tell its version and for the depot, then the same to look."""
    python = executable(
        tmp_path / "python",
        f'n=$(cat {tmp_path}/n 2>/dev/null); echo "$n." > {tmp_path}/n\n'
        f'case "$n" in ...) printf "\\nbatchwasm-look/1\\n{{\\"gpus\\": -1}}";; *) exec {sys.executable} "$@";; esac',
    )
    found = await check(here(tmp_path / "w", python))
    assert found.error is not None
    assert "answers b'{\"gpus\": -1}'" in found.error.cause


async def test_an_installed_runner_is_seen(tmp_path: Path) -> None:
    host = here(tmp_path / "w")
    async with depot_on(host) as depot:
        await install(host.name, depot, lambda *_: None)
    assert (await check(host)).runner is True


async def test_a_host_that_is_down_is_not_reached(home: Path) -> None:
    found = await check(Host(name="x", address=loopback(1), port=free_port(loopback(1))))
    assert not found.good
    assert not found.reached
    assert (found.key, found.auth, found.facts, found.latency_s) == (None, None, None, None)
    assert found.error is not None
    assert found.error.code == "unreachable"


async def test_an_unknown_key_is_reached_but_not_logged_in_to(ssh_pool: list[Sshd], home: Path) -> None:
    (home / ".ssh/known_hosts").write_text("")
    found = await check(ssh_pool[0].host)
    assert found.reached
    assert (found.key, found.auth) == ("unknown", None)
    assert found.error is not None
    assert ssh_pool[0].fingerprint in found.error.cause


async def test_a_changed_key_is_told(ssh_pool: list[Sshd], home: Path) -> None:
    a, b, _ = ssh_pool
    (home / ".ssh/known_hosts").write_text(f"[{a.address}]:{a.port} {b.host_key}\n")
    assert (await check(a.host)).key == "changed"


async def test_a_refused_login_has_a_known_key(ssh_pool: list[Sshd], home: Path) -> None:
    (home / ".ssh/id_ed25519").unlink()
    new_key(home / ".ssh/id_rsa", kind="rsa")
    found = await check(ssh_pool[0].host)
    assert found.reached
    assert (found.key, found.auth) == ("known", False)


async def test_a_key_that_is_not_checked_is_a_warning(ssh_pool: list[Sshd], home: Path) -> None:
    configure(home, "Host sshd-a\n  StrictHostKeyChecking no\n")
    found = await check(ssh_pool[0].host)
    assert found.good
    assert found.key == "unchecked"
    assert "not checked" in found.warnings[0]


async def test_a_gateway_whose_key_is_not_checked_is_a_warning(ssh_pool: list[Sshd], home: Path) -> None:
    configure(home, "Host sshd-a\n  StrictHostKeyChecking no\nHost sshd-b\n  ProxyJump sshd-a\n")
    assert (await check(ssh_pool[1].host)).key == "unchecked"


async def test_a_host_without_python_is_logged_in_to_and_named(ssh_pool: list[Sshd]) -> None:
    found = await check(dataclasses.replace(ssh_pool[0].host, python="/no/python"))
    assert (found.reached, found.auth, found.facts) == (True, True, None)
    assert found.error is not None
    assert found.error.code == "python"


async def test_a_workdir_that_can_not_be_written_is_an_error(tmp_path: Path) -> None:
    python = python_that_mounts(tmp_path / "python", tmp_path / "w", "-t tmpfs -o ro none")
    found = await check(here(tmp_path / "w", python))
    assert found.error is not None
    assert found.error.code == "permission"
    assert found.facts is not None


@pytest.mark.parametrize("folder", ["/proc", "a program"])
async def test_a_workdir_that_can_not_be_made_is_an_error(tmp_path: Path, folder: str) -> None:
    executable(tmp_path / "a program", "")
    workdir = tmp_path / folder / "nope"
    host = here(workdir)
    found = await check(host)
    assert found.error is not None
    assert (found.error.code, found.error.cure) == ("permission", "set a `workdir` that you may write in the inventory")
    assert f"{workdir} can't be made or written by user {os.getuid()}" in found.error.cause
    async with depot_on(host) as depot:
        with pytest.raises(HostError, match=f"{workdir} can't be made or written: No") as caught:
            await install(host.name, depot, lambda *_: None)
    assert (caught.value.code, caught.value.cure) == (found.error.code, found.error.cure)


async def test_a_disk_without_room_for_the_runner_is_an_error_and_little_room_a_warning(tmp_path: Path) -> None:
    python = python_that_mounts(tmp_path / "python", tmp_path / "w", "-t tmpfs -o size=1m none")
    found = await check(here(tmp_path / "w", python))
    assert found.error is not None
    assert found.error.code == "disk"
    assert "GiB are free" in found.warnings[0]


async def test_a_mount_that_is_missing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "file").touch()
    paths = {name: str(tmp_path / name) for name in ("data", "file", "sets")}
    found = await check(dataclasses.replace(here(tmp_path / "w"), mounts=paths))
    assert found.error is not None
    assert found.error.code == "mount"
    assert f"{tmp_path}/file (mount file), {tmp_path}/sets (mount sets) are no folders that user" in found.error.cause
    assert found.error.cure == "mount it, or correct [hosts.here.mounts] in the inventory"
    assert (await check(dataclasses.replace(here(tmp_path / "w"), mounts={"data": paths["data"]}))).good


async def test_more_memory_than_is_there_is_an_error_and_more_cpus_are_a_warning(tmp_path: Path) -> None:
    found = await check(dataclasses.replace(here(tmp_path / "w"), cpus=4096, memory_bytes=2**60))
    assert found.error is not None
    assert found.error.code == "memory"
    assert "memory is 1,099,511,627,776 MiB in the inventory, and it has " in str(found.error)
    assert found.warnings[0].startswith("cpus is 4096 in the inventory, and it has ")
    assert (await check(dataclasses.replace(here(tmp_path / "w"), cpus=1, memory_bytes=2**20))).good


async def test_a_clock_that_is_wrong_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchwasm.engine.check.SKEW_S", -1.0)  # any clock is wrong then
    found = await check(here(tmp_path / "w"))
    assert "its clock is 0 s" in found.warnings[0]


async def test_a_login_that_takes_all_along_is_seen_with_what_prevents_that(
    ssh_pool: list[Sshd], tmp_path: Path
) -> None:
    """Through a real login, into a Python that sees another /run."""
    drop_in = tmp_path / "run/systemd/logind.conf.d/99-kill.conf"
    drop_in.parent.mkdir(parents=True)
    write(drop_in, "[Login]\nKillUserProcesses=yes\nKillExcludeUsers=\n")
    inner = f"mount --bind {tmp_path}/run /run && exec {sys.executable} " + '"$@"'
    python = executable(tmp_path / "python", f"exec unshare --mount --map-root-user sh -c '{inner}' sh " + '"$@"')
    host = dataclasses.replace(ssh_pool[0].host, python=python)
    found = await check(host)
    assert found.good
    (warning,) = found.warnings
    assert "KillUserProcesses" in warning
    assert "'loginctl enable-linger root' there prevents that" in warning
    write(drop_in, "[Login]\nKillUserProcesses=no\n")
    assert (await check(host)).warnings == ()


def test_what_is_sent_to_look_is_all_that_it_imports() -> None:
    there = {f"batchwasm.runner.{name}" for name in MODULES if name != "__init__"}
    program = "import sys, batchwasm.runner.look; print(*[m for m in sys.modules if m.startswith('batchwasm.runner.')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= there
