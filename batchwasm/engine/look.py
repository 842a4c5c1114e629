"""Asks a host what it would say to a run, and installs nothing: the modules that know are sent, and run there."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import Iterator
from importlib import resources

from batchwasm.engine.announced import Announced
from batchwasm.engine.orders import GPUS_LIMIT, attach_of, in_a_line, sentence, sentences
from batchwasm.engine.pack import tomli_files
from batchwasm.engine.python import start_python
from batchwasm.errors import HostError, HostLost
from batchwasm.model import Host
from batchwasm.transports import Transport

MAGIC = b"\nbatchwasm-look/1\n"
LOOK_S = 60.0  # Python from a slow file server, a gpu's driver that wakes up, a second of measuring
ANSWER_LIMIT_BYTES = 256 * 1024
KIND_LIMIT = 40  # letters of a file system's type
GUARDS = ("sealed_output", "read_only_inputs", "memory_backstop", "oom_order", "end_with_runner")
"""What runner/guards.py tells of; docs/hosts.md says what each is."""
MODULES = (
    *("__init__", "look", "courtesy", "gpus", "others", "owner", "keyboard", "logind", "facts", "guards"),
    *("protocol", "bodies", "redact", "seed"),
)
_BOOT = "import sys; b = sys.stdin.buffer; exec(b.read(int(b.readline())))"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FileSystem:
    """Where a folder is."""

    kind: str
    """`ext4`, `nfs4`; '' where that can't be told."""
    network: bool
    """Other hosts may see it too."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What was seen."""

    gpus: int
    rules: tuple[str, ...]
    """What the owner's host.toml says, a line each."""
    refused: str
    """Why the owner lets nothing run there; '' where he does."""
    busy: str
    """Why nothing would start there now: what was measured, and the bound; '' where something would."""
    logind: str
    """Why a lost connection would end what runs there, and what prevents that; '' where it would not."""
    kills: bool
    """The processes of this user's logins are ended with them, unless they find a way out."""
    home: FileSystem
    guards: dict[str, bool]
    """Protections of tasks by the kernel -> whether they hold there."""


async def look(host: Host, transport: Transport) -> Look:
    """Over a connected transport. Raises HostError."""
    process = await start_python(transport, host.python, host.workdir, _BOOT)
    try:
        async with asyncio.timeout(LOOK_S):
            await process.write(_question(host))
            announced = await Announced.wait(process, (MAGIC,))
            answer = b"" if announced is None else await _rest(announced)
    except TimeoutError as error:
        raise HostError("timeout", f"{host.name}: it was not looked at within {LOOK_S:.0f} s", "try again") from error
    finally:
        with contextlib.suppress(HostError):
            await process.close()
    return _seen(host.name, answer, process.stderr_tail)


def _question(host: Host) -> bytes:
    program = resources.files("batchwasm.runner").joinpath("sent.py").read_bytes()
    attach = attach_of(host, "check", 1, 0)
    given = json.dumps({"sources": dict(_sources()), "order": dataclasses.asdict(attach)}).encode()
    return b"%d\n%b%d\n%b" % (len(program), program, len(given), given)


def _sources() -> Iterator[tuple[str, str]]:
    runner = resources.files("batchwasm.runner")
    for name in MODULES:
        yield _module(f"batchwasm_runner/{name}.py"), runner.joinpath(f"{name}.py").read_text(encoding="utf-8")
    for path, content in tomli_files():
        yield _module(path), content.decode()


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


async def _rest(announced: Announced) -> bytes:
    answer = b""
    while len(answer) <= ANSWER_LIMIT_BYTES and (data := await announced.read(ANSWER_LIMIT_BYTES)):
        answer += data
    return answer


def _seen(name: str, answer: bytes, said: str) -> Look:
    """Every field checked: the host is not trusted."""
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError) as error:
        words = sentence(said.strip().splitlines()[-1]) if said.strip() else "it said nothing"
        raise HostLost(f"{name}: looking at it failed: {words}") from error
    match found:
        case {
            "gpus": int() as gpus,
            "rules": [*rules],
            "refused": str() as refused,
            "busy": str() as busy,
            "logind": str() as ends,
            "kills": bool() as kills,
            "home": {"file_system": str() as kind, "network": bool() as network},
            "guards": {**guards},
        } if 0 <= gpus <= GPUS_LIMIT and all(isinstance(line, str) for line in rules):
            return Look(
                gpus=gpus,
                rules=tuple(sentences(rules)),
                refused=in_a_line(refused),
                busy=sentence(busy),
                logind=in_a_line(ends),
                kills=kills,
                home=FileSystem(kind=in_a_line(kind)[:KIND_LIMIT], network=network),
                guards={name: held is True for name, held in guards.items() if name in GUARDS},
            )
    raise HostLost(f"{name}: being looked at, it answers {answer!r:.80}")
