"""From a new host that takes tickets of Kerberos to a run on it."""

from __future__ import annotations

from pathlib import Path

from tests.command import Cli
from tests.guests import HELLO_WAT
from tests.kerberos import Realm
from tests.sshd import Sshd


def test_a_ticket_is_all_that_a_new_host_and_a_run_need(batchwasm: Cli, kerberized: Sshd, realm: Realm) -> None:
    realm.kinit()
    said = batchwasm("hosts", "add", "kerberized", "-i", "inventory.toml").err
    assert 'kerberized: ssh does not get in, transport = "openssh" does' in said
    assert (batchwasm.folder / "inventory.toml").read_text() == '[hosts.kerberized]\ntransport = "openssh"\n'
    (batchwasm.folder / "hello.wat").write_text(HELLO_WAT)
    batchwasm("run", "hello.wat")
    [row] = batchwasm("results", "--json").rows
    assert (row["host"], row["stdout"]) == ("kerberized", "hello\n")


def test_a_check_by_keys_alone_names_the_transport_that_takes_tickets(
    batchwasm: Cli, kerberized: Sshd, realm: Realm
) -> None:
    inventory: Path = batchwasm.folder / "inventory.toml"
    inventory.write_text("[hosts.kerberized]\n")
    assert "get a Kerberos ticket with kinit" in batchwasm("hosts", "check", code=3).out
    realm.kinit()
    [row] = batchwasm("hosts", "check", "--json", code=3).rows
    assert (row["transport"], row["works_by"], row["error"]["code"]) == ("ssh", "openssh", "auth")
    inventory.write_text('[hosts.kerberized]\ntransport = "openssh"\n')
    [row] = batchwasm("hosts", "check", "--json").rows
    assert (row["good"], row["auth"], row["works_by"]) == (True, True, "openssh")


def test_without_a_ticket_a_new_host_and_a_run_say_how_to_get_one(batchwasm: Cli, kerberized: Sshd) -> None:
    assert "get a Kerberos ticket with kinit" in batchwasm("hosts", "add", "kerberized", "--yes", code=3).err
    (batchwasm.folder / "inventory.toml").write_text('[hosts.kerberized]\ntransport = "openssh"\n')
    (batchwasm.folder / "hello.wat").write_text(HELLO_WAT)
    assert "get a Kerberos ticket with kinit" in batchwasm("run", "hello.wat", code=3).err
