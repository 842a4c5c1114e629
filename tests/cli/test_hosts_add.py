"""hosts add: from a machine that nobody here knows to a table in the inventory, over real servers."""

from __future__ import annotations

import shutil
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchwasm import spec
from batchwasm.model import Host
from tests.cli.terminal import on_a_terminal
from tests.cli.test_logging_in import left_open
from tests.command import Cli
from tests.password_server import CODE, PASSWORD, USER, PasswordServer, listening
from tests.pkcs11 import ENTER_PIN, PIN, Token
from tests.sshd import Servers, Sshd, configure, new_key

OWN = ".config/batchwasm/inventory.toml"


def hosts_of(path: Path) -> dict[str, Host]:
    return {host.name: host for host in spec.load_inventory(None, inventory=path, hosts=None).hosts}


@pytest.fixture
def pool(ssh_pool: list[Sshd], home: Path) -> list[Sshd]:
    """Three servers that take our key, and whose keys are not known here."""
    (home / ".ssh/known_hosts").unlink()
    return ssh_pool


@pytest.fixture
def locked(tmp_path: Path, home: Path) -> Iterator[PasswordServer]:
    """A server that knows no key of ours."""
    server = PasswordServer(name="locked", folder=tmp_path / "locked")
    with listening(server):
        (home / ".ssh").mkdir(mode=0o700)
        (home / ".ssh/config").write_text(server.ssh_config)
        yield server


# ------------------------------------------------------------------------------------------- keys, then a table


def test_a_new_host_is_in_the_users_own_inventory_with_its_key_accepted(
    batchwasm: Cli, pool: list[Sshd], home: Path
) -> None:
    before = pool[0].log.count("Connection from")
    ended = batchwasm("hosts", "add", f"root@{pool[0].name}", "--yes")
    # To see its key, to log in, to look: sshd counts those that end without a login, too.
    assert pool[0].log.count("Connection from") == before + 3
    assert pool[0].fingerprint in ended.err
    assert (home / OWN).read_text() == '[hosts.sshd-a]\nuser = "root"\n'
    assert f"1 host was added to {home / OWN}:" in ended.err
    assert "next: batchwasm run SOURCE\n" in ended.err
    assert ended.out.splitlines()[1].split("\t")[:3] == ["sshd-a", "good", "known"]
    batchwasm("hosts", "check")


def test_without_a_terminal_no_key_is_accepted_and_nothing_is_written(
    batchwasm: Cli, pool: list[Sshd], home: Path
) -> None:
    ended = batchwasm("hosts", "add", pool[0].name, "--json", code=2)
    assert [(row["host"], row["state"], row["error"]["code"]) for row in ended.rows] == [("sshd-a", "not_added", "key")]
    assert pool[0].fingerprint in ended.err
    assert "--yes accepts the keys above" in ended.err
    assert not (home / OWN).exists()
    assert not (home / ".ssh/known_hosts").exists()


def test_on_a_terminal_it_asks_once_for_all_hosts_and_no_means_nothing(
    batchwasm: Cli, pool: list[Sshd], home: Path
) -> None:
    command = ("-m", "batchwasm", "hosts", "add", "sshd-a", "sshd-b", "sshd-c")
    code, shown = on_a_terminal(*command, cwd=batchwasm.folder, answers=[("[y/N]", "n\n")])
    assert (code, shown.count("[y/N]")) == (2, 1)
    assert not (home / OWN).exists()
    code, shown = on_a_terminal(*command, cwd=batchwasm.folder, answers=[("[y/N]", "y\n")])
    assert (code, shown.count("[y/N]")) == (0, 1)
    assert list(hosts_of(home / OWN)) == ["sshd-a", "sshd-b", "sshd-c"]


@pytest.mark.parametrize("command", ["add", "trust"])
def test_a_fingerprint_is_whole_however_narrow_the_terminal(batchwasm: Cli, pool: list[Sshd], command: str) -> None:
    (batchwasm.folder / "pool.toml").write_text("[hosts.sshd-a]\n")
    args = {"add": ("add", "sshd-a"), "trust": ("trust", "-i", "pool.toml")}[command]
    told = {"columns": 60, "answers": [("[y/N]", "n\n")], "cwd": batchwasm.folder}
    code, shown = on_a_terminal("-m", "batchwasm", "hosts", *args, **told)  # type: ignore[arg-type]
    assert (code, "sshd-a, known as [" in shown) == (2, True)
    assert f"\n  ssh-ed25519 {pool[0].fingerprint}\n" in shown


def test_json_tells_of_each_host_and_nothing_else_is_on_stdout(batchwasm: Cli, pool: list[Sshd]) -> None:
    (batchwasm.folder / "inventory.toml").write_text("[hosts.sshd-b]\n")
    rows = batchwasm("hosts", "add", "sshd-a", "sshd-b", "nohost.invalid", "--yes", "--json", code=3).rows
    assert {row["schema"] for row in rows} == {"host-add/1"}
    assert {row["host"]: row["state"] for row in rows} == {
        "sshd-b": "there",
        "sshd-a": "added",
        "nohost.invalid": "not_added",
    }
    by_name = {row["host"]: row for row in rows}
    assert by_name["sshd-a"]["check"]["good"] is True
    assert by_name["sshd-a"]["inventory"] == str(batchwasm.folder / "inventory.toml")
    assert by_name["nohost.invalid"]["error"]["code"] == "unreachable"


def test_a_changed_host_key_is_never_accepted(batchwasm: Cli, pool: list[Sshd], home: Path) -> None:
    (home / ".ssh/known_hosts").write_text(pool[0].known_hosts_line.replace(pool[0].host_key, pool[1].host_key))
    assert "CHANGED" in batchwasm("hosts", "add", pool[0].name, "--yes", code=3).err
    assert not (home / OWN).exists()


# ------------------------------------------------------------------------------------------------ which are kept


def test_hosts_that_do_not_work_are_left_out_unless_asked_for(batchwasm: Cli, pool: list[Sshd], home: Path) -> None:
    ended = batchwasm("hosts", "add", "sshd-a", "nohost.invalid", "--yes", code=3)
    assert list(hosts_of(home / OWN)) == ["sshd-a"]
    assert "nohost.invalid: not added; " in ended.err
    batchwasm("hosts", "add", "nohost.invalid", "--anyway")
    assert list(hosts_of(home / OWN)) == ["sshd-a", "nohost.invalid"]


def test_a_host_that_does_not_answer_is_waited_for_once_and_a_terminal_tells(
    batchwasm: Cli, pool: list[Sshd], home: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        configure(home, f"Host mute\n  HostName 127.0.0.1\n  Port {port}\n  ConnectTimeout 2\n")
        command = ("-m", "batchwasm", "hosts", "add", "sshd-a", "mute")
        # What is typed before a question is there is no answer to it.
        answers = [("asking 2 hosts for their keys ...", "n\n"), ("[y/N]", "y\n")]
        code, shown = on_a_terminal(*command, cwd=batchwasm.folder, answers=answers)
        assert code == 3, shown
        mute.setblocking(False)
        for _ in range(2):  # a login, and a look whether it takes connections at all
            mute.accept()[0].close()
        with pytest.raises(BlockingIOError):
            mute.accept()
    assert list(hosts_of(home / OWN)) == ["sshd-a"]


def test_where_no_host_works_nothing_is_written(batchwasm: Cli, home: Path) -> None:
    batchwasm("hosts", "add", "nohost.invalid", code=3)
    assert not (home / ".config").exists()


def test_a_transport_that_works_is_written_where_ssh_does_not(
    batchwasm: Cli, ssh_servers: Servers, pool: list[Sshd], home: Path
) -> None:
    odd = ssh_servers.make("odd", options=["KexAlgorithms sntrup761x25519-sha512@openssh.com"])
    ssh_servers.client.install(home, [*pool, odd])
    (home / ".ssh/known_hosts").unlink()
    said = batchwasm("hosts", "add", "odd", "sshd-a", "--yes").err
    assert 'odd: ssh does not get in, transport = "openssh" does' in said
    assert (home / OWN).read_text() == '[hosts.odd]\ntransport = "openssh"\n\n[hosts.sshd-a]\n'
    batchwasm("hosts", "add", "odd", "-i", "other.toml", "--transport", "ssh", code=3)


# -------------------------------------------------------------------------------------------------- the password


def add_locked(batchwasm: Cli, *options: str, stdin: str = f"{PASSWORD}\n", code: int = 0) -> str:
    args = ("hosts", "add", f"{USER}@locked", "--yes", "--password-stdin", *options)
    return batchwasm(*args, stdin=stdin, code=code).err


def test_a_password_puts_the_users_key_there_and_is_not_kept(
    batchwasm: Cli, locked: PasswordServer, home: Path, tmp_path: Path
) -> None:
    new_key(home / ".ssh/id_ed25519")
    said = add_locked(batchwasm)
    assert "locked: ~/.ssh/id_ed25519 is known there now" in said
    assert locked.authorized_keys.read_text() == (home / ".ssh/id_ed25519.pub").read_text()
    assert stat.S_IMODE(locked.authorized_keys.stat().st_mode) == 0o600
    assert stat.S_IMODE(locked.authorized_keys.parent.stat().st_mode) == 0o700
    assert locked.tried == [PASSWORD]
    assert locked.refused == 1  # sshd counts them, and soon lets nobody in for a while
    assert (home / OWN).read_text() == f'[hosts.locked]\nuser = "{USER}"\n'
    written = [path.read_bytes() for path in tmp_path.parent.rglob("*") if path.is_file()]
    assert not [data for data in written if PASSWORD.encode() in data]
    batchwasm("hosts", "check")


def test_a_host_that_was_written_into_the_inventory_by_hand_gets_a_key_by_password(
    batchwasm: Cli, locked: PasswordServer, home: Path
) -> None:
    new_key(home / ".ssh/id_ed25519")
    path = batchwasm.folder / "inventory.toml"
    path.write_text(f'[hosts.locked]\nuser = "{USER}" # mine\n')
    batchwasm("hosts", "trust", "--yes")
    assert "by a password: batchwasm hosts add locked" in batchwasm("hosts", "check", code=3).out
    args = ("hosts", "add", "locked", "--password-stdin", "--json")
    (row,) = batchwasm(*args, stdin=f"{PASSWORD}\n").rows
    assert (row["state"], row["installed_key"], row["check"]["good"]) == ("there", "~/.ssh/id_ed25519", True)
    assert locked.authorized_keys.read_text() == (home / ".ssh/id_ed25519.pub").read_text()
    assert path.read_text() == f'[hosts.locked]\nuser = "{USER}" # mine\n'


def test_keys_that_are_there_already_stay(batchwasm: Cli, locked: PasswordServer, home: Path, tmp_path: Path) -> None:
    for path in (home / ".ssh/id_ed25519", tmp_path / "other"):
        new_key(path)
    other, mine = (path.read_text() for path in (tmp_path / "other.pub", home / ".ssh/id_ed25519.pub"))
    locked.authorized_keys.parent.mkdir()
    locked.authorized_keys.write_text(f"# of others\n{other.rstrip()}")
    add_locked(batchwasm)
    assert locked.authorized_keys.read_text() == f"# of others\n{other}{mine}"


def test_who_has_no_key_gets_one_made(batchwasm: Cli, locked: PasswordServer, home: Path) -> None:
    assert "made a key of your own: ~/.ssh/id_ed25519" in add_locked(batchwasm)
    assert stat.S_IMODE((home / ".ssh/id_ed25519").stat().st_mode) == 0o600
    of_private = subprocess.run(["ssh-keygen", "-yf", home / ".ssh/id_ed25519"], check=True, capture_output=True).stdout
    assert of_private.decode().split()[:2] == (home / ".ssh/id_ed25519.pub").read_text().split()[:2]
    assert locked.authorized_keys.read_text() == (home / ".ssh/id_ed25519.pub").read_text()


def test_a_wrong_password_puts_nothing_there(batchwasm: Cli, locked: PasswordServer, home: Path) -> None:
    new_key(home / ".ssh/id_ed25519")
    assert "does not take that password of user alice" in add_locked(batchwasm, stdin="guess\n", code=3)
    assert locked.refused == 2
    assert not locked.authorized_keys.exists()
    assert not (home / OWN).exists()


def test_on_a_terminal_the_password_is_asked_for_without_echo_and_again_where_it_is_wrong(
    batchwasm: Cli, locked: PasswordServer, home: Path
) -> None:
    code, shown = on_a_terminal(
        *("-m", "batchwasm", "hosts", "add", f"{USER}@locked"),
        cwd=batchwasm.folder,
        answers=[
            ("Accept this key", "y\n"),
            ("Make ~/.ssh/id_ed25519", "\n"),
            ("not kept): ", "guess\n"),
            ("not kept): ", f"{PASSWORD}\n"),
        ],
    )
    assert code == 0
    assert locked.tried == ["guess", PASSWORD]
    assert PASSWORD not in shown
    assert "guess" not in shown
    assert list(hosts_of(home / OWN)) == ["locked"]


def test_an_interrupt_at_the_password_leaves_the_inventory_as_it_was(
    batchwasm: Cli, locked: PasswordServer, home: Path
) -> None:
    new_key(home / ".ssh/id_ed25519")
    path = batchwasm.folder / "inventory.toml"
    path.write_text("[hosts.a]")
    code, shown = on_a_terminal(
        *("-m", "batchwasm", "hosts", "add", "--yes", f"{USER}@locked"),
        cwd=batchwasm.folder,
        answers=[("not kept): ", "\x03\n")],
        controlling=True,
    )
    assert code == 130
    assert "Traceback" not in shown
    assert path.read_text() == "[hosts.a]"
    assert not locked.authorized_keys.exists()


def test_where_nobody_can_be_asked_no_key_is_made_and_an_empty_stdin_is_told(
    batchwasm: Cli, locked: PasswordServer, home: Path
) -> None:
    said = batchwasm("hosts", "add", f"{USER}@locked", "--yes", code=3).err
    assert "give the password with --password-stdin" in said
    assert not (home / ".ssh/id_ed25519").exists()
    said = add_locked(batchwasm, stdin="", code=3)
    assert "stdin, where the password should be, is empty" in said
    assert "--password-stdin" not in said


def test_an_interrupt_at_a_question_ends_its_line_and_says_that_nothing_was_written(
    batchwasm: Cli, pool: list[Sshd], home: Path
) -> None:
    add = ("-m", "batchwasm", "hosts", "add", "sshd-a")
    answers = [("[y/N]", "\x03\n")]  # a key, too: a signal just before input() waits is heard at the next one
    code, shown = on_a_terminal(*add, cwd=batchwasm.folder, answers=answers, controlling=True)
    assert (code, shown.splitlines()[-1]) == (130, f"nothing was written into {home / OWN}")


def test_without_a_terminal_it_says_what_answers_for_a_password(
    batchwasm: Cli, locked: PasswordServer, home: Path
) -> None:
    new_key(home / ".ssh/id_ed25519")
    said = batchwasm("hosts", "add", f"{USER}@locked", "--yes", code=3).err
    assert "give the password with --password-stdin" in said
    assert (locked.tried, locked.refused) == ([], 1)


def test_a_server_that_asks_for_a_password_in_a_question_of_its_own_gets_it(
    batchwasm: Cli, locked: PasswordServer
) -> None:
    locked.prompts = ("Password: ",)
    add_locked(batchwasm)
    assert locked.tried == [PASSWORD]


def test_a_server_that_wants_a_code_too_gets_no_password_and_the_way_by_hand_is_told(
    batchwasm: Cli, locked: PasswordServer, home: Path
) -> None:
    locked.prompts = ("Password: ", "Verification code: ")
    said = add_locked(batchwasm, code=3)
    assert "ControlPersist=8h" in said
    assert (locked.tried, locked.refused) == ([], 1)
    assert not (home / ".ssh/id_ed25519").exists()


def test_on_a_terminal_ssh_itself_asks_for_a_code(batchwasm: Cli, locked: PasswordServer, home: Path) -> None:
    locked.prompts = ("Password: ", "Verification code: ")
    code, shown = on_a_terminal(
        *("-m", "batchwasm", "hosts", "add", "--yes", f"{USER}@locked"),
        cwd=batchwasm.folder,
        answers=[("Password: ", f"{PASSWORD}\n"), ("Verification code: ", f"{CODE}\n")],
        controlling=True,
    )
    assert code == 0, shown
    assert (home / OWN).read_text() == f'[hosts.locked]\nuser = "{USER}"\ntransport = "openssh"\n'
    assert locked.refused == 1


def test_on_a_terminal_ssh_itself_asks_for_a_tokens_pin(
    batchwasm: Cli, tokened: Sshd, token: Token, home: Path
) -> None:
    configure(home, f"Host *\n  PKCS11Provider {token.library}\n")
    add = ("-m", "batchwasm", "hosts", "add", "tokened")
    with left_open("tokened"):
        code, shown = on_a_terminal(*add, cwd=batchwasm.folder, answers=[(ENTER_PIN, f"{PIN}\n")], controlling=True)
    assert code == 0, shown
    assert (home / OWN).read_text() == '[hosts.tokened]\ntransport = "openssh"\n'


def test_a_code_that_is_wanted_after_the_password_is_ssh_s_to_ask_for(
    batchwasm: Cli, locked: PasswordServer, home: Path
) -> None:
    locked.prompts, locked.in_turn = ("Password: ", "Verification code: "), True
    said = add_locked(batchwasm, code=3)
    assert "not the password" not in said
    assert "ControlPersist=8h" in said
    locked.tried.clear()
    code, shown = on_a_terminal(
        *("-m", "batchwasm", "hosts", "add", "--yes", f"{USER}@locked"),
        cwd=batchwasm.folder,
        answers=[
            ("not kept): ", f"{PASSWORD}\n"),
            ("Password: ", f"{PASSWORD}\n"),
            ("Verification code: ", f"{CODE}\n"),
        ],
        controlling=True,
    )
    assert code == 0, shown
    assert locked.tried == [PASSWORD, PASSWORD, CODE]
    assert hosts_of(home / OWN)["locked"].transport == "openssh"


@pytest.fixture
def three(tmp_path: Path, home: Path) -> Iterator[list[PasswordServer]]:
    """Servers that know no key of ours, with one password."""
    servers = [PasswordServer(name=f"locked{n}", folder=tmp_path / f"locked{n}") for n in range(3)]
    with listening(*servers):
        (home / ".ssh").mkdir(mode=0o700)
        (home / ".ssh/config").write_text("".join(server.ssh_config for server in servers))
        yield servers


def test_a_wrong_password_is_tried_on_one_host_only(batchwasm: Cli, three: list[PasswordServer], home: Path) -> None:
    new_key(home / ".ssh/id_ed25519")
    code, shown = on_a_terminal(
        *("-m", "batchwasm", "hosts", "add", "--yes", f"{USER}@locked[0-2]"),
        cwd=batchwasm.folder,
        answers=[("not kept): ", "guess\n"), ("not kept): ", f"{PASSWORD}\n")],
    )
    assert code == 0, shown
    assert "not the password of alice on locked0\n" in shown
    assert [server.tried for server in three] == [["guess", PASSWORD], [PASSWORD], [PASSWORD]]
    for server in three:
        server.tried.clear()
        server.authorized_keys.unlink()
    (home / OWN).unlink()
    args = ("hosts", "add", f"{USER}@locked[0-2]", "--password-stdin")
    said = batchwasm(*args, stdin="guess\n", code=3).err
    assert "locked2: the password was wrong on another host of this user, and was not tried here" in said
    assert [server.tried for server in three] == [["guess"], [], []]


@pytest.mark.parametrize("key", ["\n", "\x04"], ids=["Enter", "Ctrl-D"])
def test_who_gives_no_password_for_a_host_leaves_it_out_and_keeps_those_that_are_in(
    batchwasm: Cli, three: list[PasswordServer], home: Path, key: str
) -> None:
    new_key(home / ".ssh/id_ed25519")
    three[1].password = "another"
    code, shown = on_a_terminal(
        *("-m", "batchwasm", "hosts", "add", "--yes", f"{USER}@locked[0-1]"),
        cwd=batchwasm.folder,
        answers=[("not kept): ", f"{PASSWORD}\n"), ("not kept): ", key)],
        controlling=True,
    )
    assert code == 3, shown
    assert "locked1: not added; " in shown
    assert list(hosts_of(home / OWN)) == ["locked0"]


def test_hosts_that_have_another_password_are_asked_for_theirs_by_name(
    batchwasm: Cli, three: list[PasswordServer], home: Path
) -> None:
    new_key(home / ".ssh/id_ed25519")
    for server, password in zip(three, ("first", "second", "third"), strict=True):
        server.password = password
    code, shown = on_a_terminal(
        *("-m", "batchwasm", "hosts", "add", "--yes", f"{USER}@locked[0-2]"),
        cwd=batchwasm.folder,
        answers=[("not kept): ", f"{password}\n") for password in ("guess", "first", "second", "guess", "third")],
    )
    assert code == 0, shown
    assert "not the password of alice on locked0\n" in shown
    assert "not the password of alice on locked1, locked2\nno key of yours is known to locked1; " in shown
    assert shown.count("not the password of alice on locked2\n") == 1
    assert [server.tried for server in three] == [["guess", "first"], ["first", "second"], ["first", "guess", "third"]]
    assert [server.refused for server in three] == [2, 2, 3]  # by key, and one for each wrong password
    assert list(hosts_of(home / OWN)) == ["locked0", "locked1", "locked2"]


def test_whether_a_key_may_be_made_is_asked_once(batchwasm: Cli, three: list[PasswordServer], home: Path) -> None:
    code, shown = on_a_terminal(
        *("-m", "batchwasm", "hosts", "add", f"{USER}@locked[0-2]"),
        cwd=batchwasm.folder,
        answers=[("Accept these 3 keys", "y\n"), ("Make ~/.ssh/id_ed25519", "n\n")],
    )
    assert code == 3
    assert shown.count("You have no ssh key") == 1


def test_a_server_that_takes_no_password_is_not_offered_one(batchwasm: Cli, locked: PasswordServer, home: Path) -> None:
    locked.passwords = False
    new_key(home / ".ssh/id_ed25519")
    said = add_locked(batchwasm, code=3)
    assert "refuses user alice (tried: ~/.ssh/id_ed25519;" in said
    assert (locked.tried, locked.refused) == ([], 1)


def test_a_key_with_a_passphrase_that_no_agent_holds_is_told(
    batchwasm: Cli, locked: PasswordServer, home: Path
) -> None:
    new_key(home / ".ssh/id_ed25519", "passphrase")
    assert "ssh-add ~/.ssh/id_ed25519" in add_locked(batchwasm, code=3)
    assert locked.tried == []


def test_a_server_that_hangs_up_after_so_many_keys_is_given_the_password(
    batchwasm: Cli, ssh_servers: Servers, pool: list[Sshd], home: Path
) -> None:
    few = ("MaxAuthTries 2", "PasswordAuthentication yes", "PermitRootLogin yes", "AuthorizedKeysFile none")
    server = ssh_servers.make("few", options=few)
    ssh_servers.client.install(home, [*pool, server])
    for kind in ("rsa", "ecdsa"):
        new_key(home / f".ssh/id_{kind}", kind=kind)
    said = batchwasm("hosts", "add", "few", "--password-stdin", stdin="guess\n", code=3).err
    assert "does not take that password of user root" in said
    assert server.log.count("Too many authentication failures") == 1
    assert server.log.count("Failed password") == 1
    ssh_servers.release(server)


def test_a_server_whose_own_questions_ask_nothing_is_given_the_password(
    batchwasm: Cli, ssh_servers: Servers, pool: list[Sshd], home: Path
) -> None:
    """An sshd without PAM offers keyboard-interactive by default, and refuses it each time, without a question."""
    asks = ("KbdInteractiveAuthentication yes", "PasswordAuthentication yes", "PermitRootLogin yes")
    server = ssh_servers.make("asks", options=(*asks, "AuthorizedKeysFile none"))
    ssh_servers.client.install(home, [*pool, server])
    said = batchwasm("hosts", "add", "asks", "--password-stdin", stdin="guess\n", code=3).err
    assert "does not take that password of user root" in said
    assert "Too many authentication failures" not in server.log
    assert server.log.count("Failed password") == 1
    ssh_servers.release(server)


def test_a_server_that_wants_a_password_besides_a_key_gets_none_for_it(
    batchwasm: Cli, ssh_servers: Servers, pool: list[Sshd], home: Path
) -> None:
    both = ("PasswordAuthentication yes", "AuthenticationMethods publickey,password")
    server = ssh_servers.make("both", options=both)
    ssh_servers.client.install(home, [*pool, server])
    said = batchwasm("hosts", "add", "both", "--password-stdin", stdin="guess\n", code=3).err
    assert "asks user root for more than a key: 'password'; log in once yourself" in said
    assert "Partial publickey for root" in server.log
    assert "Failed password" not in server.log
    ssh_servers.release(server)


def test_on_a_terminal_ssh_asks_for_the_passphrase_of_a_key(batchwasm: Cli, pool: list[Sshd], home: Path) -> None:
    lock = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", str(home / ".ssh/id_ed25519")]
    subprocess.run(lock, check=True, stdout=subprocess.DEVNULL)
    add = ("-m", "batchwasm", "hosts", "add", "--yes", "sshd-a")
    answers = [("Enter passphrase", "secret\n")]
    with left_open("sshd-a"):
        code, shown = on_a_terminal(*add, cwd=batchwasm.folder, answers=answers, controlling=True)
    assert code == 0, shown
    assert (home / OWN).read_text() == '[hosts.sshd-a]\ntransport = "openssh"\n'


def test_on_a_terminal_ssh_asks_for_a_passphrase_where_a_password_would_do_too(
    batchwasm: Cli, locked: PasswordServer, home: Path
) -> None:
    new_key(home / ".ssh/id_ed25519", "passphrase")
    locked.authorized_keys.parent.mkdir()
    shutil.copy(home / ".ssh/id_ed25519.pub", locked.authorized_keys)
    add = ("-m", "batchwasm", "hosts", "add", "--yes", f"{USER}@locked")
    answers = [("Enter passphrase", "passphrase\n")]
    code, shown = on_a_terminal(*add, cwd=batchwasm.folder, answers=answers, controlling=True)
    assert code == 0, shown
    assert locked.tried == []
    assert hosts_of(home / OWN)["locked"].transport == "openssh"


# ------------------------------------------------------------------------------------------------------ the file


def test_what_is_in_the_inventory_stays_byte_for_byte(batchwasm: Cli, pool: list[Sshd]) -> None:
    path = batchwasm.folder / "inventory.toml"
    text = '# ours\n[hosts.z]   # the last\ncpus = 0x10\n\n[defaults]\nuser = "root" # all'
    path.write_text(text)
    path.chmod(0o640)
    batchwasm("hosts", "add", "root@sshd-b", "--yes", "--label", "a", "--label", "b")
    assert path.read_text() == f'{text}\n\n[hosts.sshd-b]\nlabels = ["a", "b"]\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(entry.name for entry in batchwasm.folder.iterdir()) == ["inventory.toml"]


def test_an_inventory_that_cannot_be_written_is_told_before_a_host_is_asked(
    batchwasm: Cli, home: Path, tmp_path: Path
) -> None:
    said = batchwasm("hosts", "add", "nohost.invalid", "-i", "/proc/lab/pool.toml", code=3).err
    assert "/proc/lab/pool.toml: can't be written: " in said
    (tmp_path / "file").touch()
    said = batchwasm("hosts", "add", "nohost.invalid", "-i", tmp_path / "file/pool.toml", code=3).err
    assert "can't be written: " in said
    assert "nohost" not in said
    path = batchwasm.folder / "inventory.toml"
    path.write_text("[hosts.a]\n")
    path.chmod(0o444)
    said = batchwasm("hosts", "add", "nohost.invalid", code=3).err
    assert "can't be written: it is read-only; name another one with -i" in said


def test_a_link_to_an_inventory_stays_one(batchwasm: Cli, pool: list[Sshd], tmp_path: Path) -> None:
    (tmp_path / "real.toml").write_text("")
    (batchwasm.folder / "inventory.toml").symlink_to(tmp_path / "real.toml")
    batchwasm("hosts", "add", "sshd-b", "--yes")
    assert (batchwasm.folder / "inventory.toml").is_symlink()
    assert (tmp_path / "real.toml").read_text() == "[hosts.sshd-b]\n"


def test_name_address_and_port_are_written(batchwasm: Cli, pool: list[Sshd], home: Path) -> None:
    configure(home, "Host 127.0.*\n  User root\n")
    port = str(pool[0].port)
    said = batchwasm("hosts", "add", pool[0].address, "--name", "one", "--port", port, "-i", "my lab.toml", "--yes").err
    (host,) = hosts_of(batchwasm.folder / "my lab.toml").values()
    assert (host.name, host.address, host.port) == ("one", pool[0].address, pool[0].port)
    assert "next: batchwasm run SOURCE -i 'my lab.toml'" in said


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["lab[1-"], "never closed"),
        (["a", "b", "--name", "one"], "'one': 1 name for 2 hosts; give each host one"),
        (["a", "a"], "'a' is named twice; two users or ports of one machine are two hosts"),
        (["alice@a:2222"], "'alice@a:2222' has a port in it; write alice@a --port 2222"),
        (["a", "--workdir", "rel"], "hosts.a.workdir: 'rel' is a path on the host"),
        (["there", "--port", "23"], "hosts.there: is there already, with another port"),
        ([], "Missing argument"),
    ],
)
def test_what_is_wrong_with_what_was_given_is_2_before_anything(
    batchwasm: Cli, home: Path, args: list[str], words: str
) -> None:
    (batchwasm.folder / "inventory.toml").write_text("[hosts.there]\n")
    assert words in batchwasm("hosts", "add", *args, code=2).err


def test_an_inventory_that_is_wrong_is_2_and_stays(batchwasm: Cli) -> None:
    path = batchwasm.folder / "inventory.toml"
    path.write_text("[hosts.a]\nprot = 1\n")
    assert "did you mean 'port'" in batchwasm("hosts", "add", "b", code=2).err
    assert path.read_text() == "[hosts.a]\nprot = 1\n"


def test_a_host_that_is_there_already_is_looked_at_and_its_entry_stays(batchwasm: Cli, home: Path) -> None:
    path = batchwasm.folder / "inventory.toml"
    path.write_text('[hosts."lab[01-12]"]\naddress = "{name}.invalid"\n')
    ended = batchwasm("hosts", "add", "lab03", "--json", code=3)
    assert "inventory.toml already, and its entry stays as it is" in ended.err
    assert "inventory.toml, but can't be used yet" in ended.err
    (row,) = ended.rows
    assert (row["state"], row["error"]["code"]) == ("there", "unreachable")
    assert path.read_text() == '[hosts."lab[01-12]"]\naddress = "{name}.invalid"\n'
