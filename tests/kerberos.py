"""A Kerberos realm of a test's own: MIT's KDC with its database and port, a user, hosts with keytabs, tickets."""

from __future__ import annotations

import getpass
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.sshd import Pairs, Servers, Sshd, checked, configure, die_with_us, free_port, loopback

REALM = "BATCHWASM.TEST"
PASSWORD = "secret"
PROGRAMS = ("krb5kdc", "kdb5_util", "kadmin.local", "kinit", "kdestroy")
_SBIN = ("/usr/sbin", "/usr/local/sbin")

UNKNOWN = loopback(63)
"""The server of the tests listens there, too, and Kerberos has not heard of it."""
OPTIONS = (
    "GSSAPIAuthentication yes",
    "GSSAPIStrictAcceptorCheck no",  # its name is that of this machine otherwise
    "AuthorizedKeysFile none",
    f"ListenAddress {UNKNOWN}",
)

CLIENT = """
[libdefaults]
  default_realm = {realm}
  dns_lookup_kdc = false
  dns_lookup_realm = false
  dns_canonicalize_hostname = false
  rdns = false
[realms]
  {realm} = {{
    kdc = {kdc}
  }}
"""
SERVER = """
[kdcdefaults]
  kdc_listen = {kdc}
  kdc_tcp_listen = {kdc}
[realms]
  {realm} = {{
    database_name = {folder}/principals
    key_stash_file = {folder}/stash
    acl_file = {folder}/acl
  }}
[logging]
  kdc = FILE:{folder}/log
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Realm:
    """`environment` is what its clients have; the user's cache of tickets is empty at first."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"KRB5_CONFIG": f"{self.folder}/krb5.conf", "KRB5CCNAME": f"FILE:{self.folder}/tickets"}

    def make(self) -> None:
        """Its database, with the user of the tests."""
        address = loopback(61)
        kdc = f"{address}:{free_port(address)}"
        values = {"realm": REALM, "kdc": kdc, "folder": self.folder}
        (self.folder / "krb5.conf").write_text(CLIENT.format(**values))
        (self.folder / "kdc.conf").write_text(SERVER.format(**values))
        self._run("kdb5_util", "create", "-s", "-P", "master")
        self.has(getpass.getuser(), f"-pw {PASSWORD}")

    def has(self, principal: str, key: str) -> None:
        self._kadmin(f"addprinc {key} {principal}", f'Principal "{principal}@{REALM}" created')

    def host(self, name: str) -> Pairs:
        """The environment of an sshd that Kerberos knows by this name."""
        keytab = self.folder / f"keytab-{name}"
        self.has(f"host/{name}", "-randkey")
        self._kadmin(f"ktadd -k {keytab} host/{name}", "added to keytab")
        return (("KRB5_CONFIG", f"{self.folder}/krb5.conf"), ("KRB5_KTNAME", f"FILE:{keytab}"))

    def kinit(self, *options: str) -> None:
        """A ticket for the user of the tests, as they get one."""
        self._run("kinit", *options, getpass.getuser(), typed=f"{PASSWORD}\n")

    def kdestroy(self) -> None:
        self._run("kdestroy", "-q")

    def kinit_expired(self) -> None:
        """A ticket that is not valid any more."""
        self.kinit("-l", "1s")  # there is no shorter one
        expired = time.time() + 2  # the second in which it ends counts still, for some
        while time.time() < expired:
            time.sleep(0.05)  # for a clock that Kerberos reads: nothing to wait for

    def _kadmin(self, request: str, done: str) -> None:
        """It ends with 0 whatever happened: what it says is looked at."""
        said = self._run("kadmin.local", "-q", request)
        assert done in said, f"{request}: {said}"

    def _run(self, program: str, *args: str, typed: str = "") -> str:
        """What it says."""
        command = [_program(program), *args]
        done = subprocess.run(
            command, input=typed, capture_output=True, text=True, env=self._environment(), check=False, cwd=self.folder
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0, f"{command}: {said}"
        return said

    def _environment(self) -> Mapping[str, str]:
        return {**os.environ, **self.environment, "KRB5_KDC_PROFILE": f"{self.folder}/kdc.conf"}

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Its KDC answers."""
        with subprocess.Popen(
            [_program("krb5kdc"), "-n"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environment(),
            preexec_fn=die_with_us,
        ) as kdc:
            try:
                assert kdc.stdout is not None
                assert select.select([kdc.stdout], [], [], 10)[0], "the KDC says nothing"
                said = kdc.stdout.readline()  # written after it listens
                assert b"starting" in said, said.decode()
                yield
            finally:
                kdc.terminate()


def _program(name: str) -> str:
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *_SBIN))) or name


@pytest.fixture(scope="session")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    """Skips where there is no KDC."""
    if missing := [name for name in PROGRAMS if not Path(_program(name)).is_absolute()]:
        pytest.skip(f"no {', '.join(missing)}: install krb5-kdc, krb5-admin-server and krb5-user")
    realm = Realm(folder=tmp_path_factory.mktemp("realm"))
    realm.make()
    with realm.serving():
        yield realm


@pytest.fixture(scope="session")
def kerberized_server(ssh_servers: Servers, realm: Realm) -> Sshd:
    """One that takes tickets, and no key. Use `kerberized`, which checks each test."""
    address = loopback(62)
    return ssh_servers.make("kerberized", address=address, options=OPTIONS, own_environment=realm.host(address))


@pytest.fixture
def kerberized(
    kerberized_server: Sshd, realm: Realm, ssh_servers: Servers, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sshd]:
    """A server that takes tickets, for a user who has none yet; fails if a process is left there."""
    for name, value in realm.environment.items():
        monkeypatch.setenv(name, value)
    realm.kdestroy()
    for [server] in checked([kerberized_server], ssh_servers, home):
        configure(home, "Host *\n  GSSAPIAuthentication yes\n")
        yield server
