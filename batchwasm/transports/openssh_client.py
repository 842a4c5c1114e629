"""The system's `ssh` as a program: its command lines for one host, what it answers, where its sockets are.

It reads its own configuration, so everything that ssh_config can say counts (Kerberos, tokens, Match exec, ...).
Nothing is forwarded and nobody is asked for anything, whatever it says there.
"""

from __future__ import annotations

import asyncio
import functools
import os
import pwd
import re
import secrets
import shlex
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from batchwasm.errors import HostError
from batchwasm.transports import gates, groups
from batchwasm.transports.ssh_config import CONNECT_TIMEOUT_S, DEFAULT_KEYS, Endpoint, Settings, existing

GATEWAYS_DEEP = 8
KEEPALIVE_S, KEEPALIVE_MISSED = 10, 3  # a cable that is pulled is noticed after 40 s
PERSIST_S = 60  # a connection without a command ends by itself, also where we were killed
SAID_LIMIT_BYTES = 64 * 1024
LOCAL_S = 10.0  # for what ssh does without the network; Match exec in ssh_config may take a while
SOCKET_LIMIT_BYTES = 104 - 18  # sun_path on macOS, less what ssh appends while it binds
SYSTEM_CONFIG = "/etc/ssh/ssh_config"
_ALWAYS = (
    *("-x", "-a"),
    *("-oRequestTTY=no", "-oRemoteCommand=none", "-oPermitLocalCommand=no"),
    *("-oClearAllForwardings=yes", "-oTunnel=no"),
    *("-oLogLevel=INFO", f"-oServerAliveInterval={KEEPALIVE_S}", f"-oServerAliveCountMax={KEEPALIVE_MISSED}"),
)
_UNDONE = {
    "stdinnull": ("no", "-oStdinNull=no"),
    "forkafterauthentication": ("no", "-oForkAfterAuthentication=no"),
    "sessiontype": ("default", "-oSessionType=default"),
    "logverbose": ("none", "-oLogVerbose=none"),
}
"""What it must be, and is where nothing is said of it: an ssh before 8.7 does not know these and would end there."""
_SILENTLY = ("-oBatchMode=yes",)
_METHODS = re.compile(r"Permission denied \(([^)]*)\)")
_WITH_PATHS = re.compile(
    r"^\s*(?:IdentityFile|CertificateFile|IdentityAgent|UserKnownHostsFile|ControlPath|Include)\b.*$", re.I | re.M
)
_HOME = re.compile(r"(?<=[\s\"=])~/")
_RELATIVE = re.compile(r"^(\s*Include\s+)(?=[^/~\"\s])", re.I | re.M)
NOTHING = "true"
"""A command for who wants a login only."""
_ALONE = ("-oControlMaster=no", "-oControlPath=none")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """How a command line of ssh ended; code 255 is ssh's own, None is out of time."""

    code: int | None
    out: str
    words: str
    """Its stderr."""


async def run(arguments: Sequence[str], within_s: float) -> Ran:
    """Raises HostError where there is no ssh. It has no terminal, so it can't ask."""
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=silent(),
            start_new_session=True,
        )
    except OSError as error:
        raise no_program(error) from error
    try:
        async with asyncio.timeout(within_s):
            out, words = await process.communicate()
        code = process.returncode
    except TimeoutError:
        out, words, code = b"", b"", None
    finally:
        if process.returncode is None:
            groups.kill(process.pid)
            await process.wait()
    return Ran(code=code, out=_text(out), words=_text(words))


def silent() -> dict[str, str]:
    """Our environment for an ssh that may ask nobody: those that it starts for gateways hear of no BatchMode."""
    # The program that asks is no program, for an ssh older than 8.4, which does not know whether it is required.
    return {**os.environ, "SSH_ASKPASS_REQUIRE": "never", "SSH_ASKPASS": "false"}


def _text(data: bytes) -> str:
    return data[-SAID_LIMIT_BYTES:].decode("utf-8", "replace").replace("\r\n", "\n")


def no_program(error: OSError) -> HostError:
    cause = f"this machine's ssh does not start: {error.strerror or error}"
    return HostError("local", cause, "install it (openssh-client), or set another `transport` in the inventory")


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """Command lines for one endpoint; `via` are gateways that are gone through instead of those of ssh_config."""

    endpoint: Endpoint
    via: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    """See `undoing`."""

    def undoing(self, said: Options) -> Client:
        """With options against what ssh_config says that would keep a command, or its bytes, from us."""
        return replace(self, undo=said.undo)

    def line(self, *options: str, command: str | None = None, asks: bool = False) -> list[str]:
        """Options of ours come first: ssh takes the first value it finds."""
        port = [f"-p{self.endpoint.port}"] if self.endpoint.port is not None else []
        user = [f"-l{self.endpoint.user}"] if self.endpoint.user is not None else []
        jumps = [f"-J{','.join(self.via)}"] if self.via else []
        silently = () if asks else _SILENTLY
        what = [] if command is None else [command]
        ours = (*options, *silently, *_ALWAYS, *self.undo)
        return [*_ssh(), *ours, *port, *user, *jumps, "--", self.endpoint.name, *what]

    def alone(self, *options: str, command: str | None = None) -> list[str]:
        """For a connection of its own."""
        return self.line(*options, *_ALONE, command=command)

    def master(self, socket: str, said: Options, *options: str) -> list[str]:
        """Logs in, listens on `socket`, and goes to the background."""
        control = ("-f", "-N", "-oControlMaster=yes", f"-oControlPath={quoted(socket)}")
        return self.line(*control, _timeout(said), *options)

    def shared(self, socket: str, said: Options, *options: str) -> list[str]:
        """Asks in its terminal, and leaves a connection that listens on `socket`; one that is there already is used.

        Without a command (-N) one that came second would stay for ever, and listen nowhere.
        """
        # -n leaves what is typed ahead to who asks next; ssh asks on /dev/tty.
        control = ("-n", "-oControlMaster=auto", f"-oControlPath={quoted(socket)}")
        return self.line(*control, _timeout(said), *options, command=NOTHING, asks=True)

    def over(self, socket: str, *options: str, command: str | None = None) -> list[str]:
        """Over a master's connection and never another: without one `ProxyCommand` fails at once."""
        control = ("-oControlMaster=no", f"-oControlPath={quoted(socket)}", "-oProxyCommand=false")
        return self.line(*options, *control, command=command)

    async def says(self, name: str) -> Options:
        """What ssh makes of its configuration for this endpoint."""
        # Without a command an ssh that is told to fork ends here, too.
        async with gates.local():
            ran = await run(self.line("-G", command=NOTHING), LOCAL_S)
        if ran.code != 0:
            what = config_fault(ran.words) or f"ssh does not say within {LOCAL_S:.0f} s what it makes of ~/.ssh/config"
            raise HostError("config", f"{name}: {what}", "mend it; try: ssh -G HOST")
        return Options(ran.out)


def _timeout(said: Options) -> str:
    return f"-oConnectTimeout={said.connect_timeout_s:.0f}"


async def check_route(name: str, client: Client, options: Options) -> None:
    """Raises HostError where ssh would start one ssh after the other for ever: it looks for no circle by itself.

    Only the first gateway's own configuration counts: to the others ssh goes through those before them.
    """
    seen = {(options.host, options.port)}
    hops = client.via or options.jumps
    while hops:
        options = await Client(endpoint=Endpoint.parse(hops[0])).says(name)
        if (options.host, options.port) in seen:
            cause = f"{name}: ProxyJump goes round in circles at {options.host} port {options.port}"
            raise HostError("config", cause, "mend ~/.ssh/config; for `Host *` write `Host * !GATEWAY`")
        seen.add((options.host, options.port))
        hops = options.jumps


async def checks_keys(name: str, client: Client) -> bool | None:
    """False where ssh does not check the key of this host, or of a gateway that it goes through.

    None is unknown: ssh does not understand its configuration, or takes too long to say what it makes of it.
    """
    try:
        options = await client.says(name)
        for _ in range(GATEWAYS_DEEP):
            if options.strict == "no":
                return False
            if not options.jumps:
                return True
            # The first is gone to by its own ways, to the others through those before them.
            options, *others = [await Client(endpoint=Endpoint.parse(jump)).says(name) for jump in options.jumps]
            if any(other.strict == "no" for other in others):
                return False
    except HostError:
        pass
    return None


class Options:
    """The answer of `ssh -G`."""

    def __init__(self, text: str) -> None:
        self._lists: dict[str, list[str]] = {}
        for line in text.splitlines():
            key, _, value = line.partition(" ")
            self._lists.setdefault(key.lower(), []).append(value)

    def one(self, key: str, default: str = "") -> str:
        return self._lists.get(key, [default])[0]

    def all(self, key: str) -> list[str]:
        return self._lists.get(key, [])

    @property
    def host(self) -> str:
        return self.one("hostname")

    @property
    def port(self) -> int:
        return int(self.one("port", "22"))

    @property
    def control_path(self) -> str | None:
        """Where a master of the user's own listens, if it does."""
        path = self.one("controlpath", "none")
        return None if path == "none" else path

    @property
    def undo(self) -> tuple[str, ...]:
        """See Client.undoing."""
        return tuple(option for key, (plain, option) in _UNDONE.items() if self.one(key, plain) != plain)

    @property
    def jumps(self) -> tuple[str, ...]:
        found = self.one("proxyjump", "none")
        return () if found == "none" else tuple(found.split(","))

    @property
    def proxied(self) -> bool:
        return bool(self.jumps) or self.one("proxycommand", "none") != "none"

    @property
    def connect_timeout_s(self) -> float:
        text = self.one("connecttimeout", "none")
        return float(text) if text.isdigit() and int(text) else CONNECT_TIMEOUT_S

    @property
    def strict(self) -> str:
        word = self.one("stricthostkeychecking", "ask")
        return {"off": "no", "false": "no", "true": "yes"}.get(word, word)

    @property
    def first_gate(self) -> str:
        """The machine that is connected to first."""
        return self.jumps[0] if self.jumps else f"{self.host}:{self.port}"

    def settings(self, endpoint: Endpoint) -> Settings:
        """For who looks into known_hosts and at keys as the other transports do."""
        alias = self.one("hostkeyalias", "none")
        mine = [path for path in _paths(self.one("userknownhostsfile")) if path != "none"]
        everybodys = [path for path in _paths(self.one("globalknownhostsfile")) if path != "none"]
        return Settings(
            endpoint=endpoint,
            host=self.host,
            port=self.port,
            user=self.one("user"),
            host_key_alias=None if alias == "none" else alias,
            host_key_algorithms=None,
            jumps=(),
            proxy_command=None,
            strict=self.strict,
            hash_known_hosts=self.one("hashknownhosts") in ("yes", "true"),
            user_known_hosts=Path(mine[0]) if mine else None,
            known_hosts=existing([*mine, *everybodys]),
            identity_files=existing(self.all("identityfile")),
            identities_only=self.one("identitiesonly") == "yes",
            connect_timeout_s=self.connect_timeout_s,
            config_files=(),
        )


def _paths(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def quoted(path: str | Path) -> str:
    """As one word of ssh_config without tokens in it."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"'


def last_line(words: str) -> str:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def config_fault(words: str) -> str:
    """Which line ssh does not understand, in the file that the user knows."""
    lines = [line.replace(str(_moved_to(os.path.expanduser("~"))), "~/.ssh/config") for line in words.splitlines()]
    return next((line.strip() for line in lines if re.search(r"line \d+:", line)), last_line("\n".join(lines)))


# ---------------------------------------------------------------------------------------------- our own folder


@functools.cache
def folder() -> Path:
    """Where masters listen: 0700, local, and short enough for a socket's path. Raises HostError."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    for base in (runtime, "/tmp"):
        path = Path(base or "/tmp") / f"batchwasm-ssh-{os.getuid()}"
        if len(os.fsencode(path / new_name())) > SOCKET_LIMIT_BYTES:
            continue
        try:
            path.mkdir(mode=0o700, exist_ok=True)
            found = path.lstat()
        except OSError:
            continue
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
            return path
    cause = f"/tmp/batchwasm-ssh-{os.getuid()} can't be made, or is not a folder of yours alone"
    raise HostError("local", f"{cause}; ssh's control sockets lie there", "remove it, or look at /tmp")


def new_name() -> str:
    return secrets.token_hex(6)


def is_there(socket: str) -> bool:
    return os.path.exists(socket)


def removed(socket: str) -> None:
    """Where its master did not do so."""
    Path(socket).unlink(missing_ok=True)


def _ssh() -> list[str]:
    return [shutil.which("ssh") or "ssh", *configuration()]


def configuration() -> list[str]:
    """Options that name ssh's files; none where it finds them itself, in the passwd entry's home and not in $HOME.

    Raises HostError for whom passwd has not.
    """
    home = os.path.expanduser("~")
    try:
        found = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError as error:
        cause = f"this machine's ssh works for nobody without a line in /etc/passwd, and user {os.getuid()} has none"
        raise HostError("local", cause, 'have one added, or set `transport = "ssh"` and the variable USER') from error
    if os.path.realpath(home) == os.path.realpath(found):
        return []
    # A file and not options, because ssh passes it on to the ssh that it starts for a gateway.
    text = _moved(Path(home) / ".ssh")
    path = _moved_to(home)
    if not path.is_file() or path.read_text(errors="surrogateescape") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f"ssh_config.{new_name()}")
        aside.write_text(text, errors="surrogateescape")
        aside.replace(path)
    return ["-F", str(path)]


def _moved_to(home: str) -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or f"{home}/.cache") / "batchwasm/ssh_config"


def _moved(ssh: Path) -> str:
    """The configuration of that folder, where `~` means its parent, and then the system's. What it includes stays."""
    mine = (ssh / "config").read_text(errors="surrogateescape") if (ssh / "config").is_file() else ""
    mine = _WITH_PATHS.sub(lambda found: _HOME.sub(f"{ssh.parent}/", found[0]), mine)
    mine = _RELATIVE.sub(rf"\g<1>{ssh}/", mine)
    names = [] if "identityfile" in mine.lower() else [name for name in DEFAULT_KEYS if (ssh / name).is_file()]
    lines = [
        mine,
        "Host *",
        f"UserKnownHostsFile {quoted(ssh / 'known_hosts')} {quoted(ssh / 'known_hosts2')}",
        *(f"IdentityFile {quoted(ssh / name)}" for name in names),
        *([f"Include {SYSTEM_CONFIG}"] if os.path.isfile(SYSTEM_CONFIG) else []),
    ]
    return "".join(f"{line}\n" for line in lines)


def methods(words: str) -> tuple[str, ...]:
    """What a server that refused would have taken."""
    found = _METHODS.findall(words)
    return tuple(found[-1].split(",")) if found else ()
