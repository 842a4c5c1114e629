"""The key of a task: a digest of all that its result follows from, made of the very work that hosts are sent.

Not in it are limits (a success within them is one without them, too), what is reserved, and where it may run; nor the
BATCHWASM_* variables, which differ in every run.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from batchwasm.known import Parts
from batchwasm.runner.protocol import TaskWork, Work

PART_BYTES = 16  # of a part's digest: compared, never trusted; the key itself is of the whole ones
LISTED = 1000  # names behind a digest that are kept, to say which of them changed


class Key(NamedTuple):
    """A task's key, what it is made of, and the names behind parts that have several."""

    key: bytes
    parts: Parts
    lists: Mapping[bytes, Mapping[str, str]]


class _Listed(NamedTuple):
    digest: bytes
    items: Mapping[str, str]


class Keys:
    """Keys of the tasks of a batch; what all of them share is digested once."""

    def __init__(self, work: Work, how: str, seal: bytes) -> None:
        """`how` says how the module is used. `seal` is a random key: who sees the digest of a secret must not find it
        by trying."""
        self._work, self._seal = work, seal
        self._head = _named("artifact", work.artifact.encode()) + _named("how", how.encode())
        self._seeded = "seeded" in how.split()
        self._args = _args(work, work.args)
        self._env = self._variables(work.env)
        self._inputs = _files(work.inputs)
        self._outputs = _digest(sorted(work.outputs))

    def of(self, task: TaskWork) -> Key:
        """`task` is one of the batch, as it is sent."""
        work = self._work
        env = self._env if task.env is None else self._variables(task.env)
        inputs = self._inputs if task.inputs is None else _files([*work.inputs, *task.inputs])
        parts = Parts(
            args=self._args_of(task) if not self._seeded else _digest([self._args_of(task).hex(), work.job, task.task]),
            stdin=bytes.fromhex(task.stdin or work.stdin or ""),
            env=env.digest,
            inputs=inputs.digest,
            outputs=self._outputs if task.outputs is None else _digest(sorted(task.outputs)),
        )
        whole = hashlib.sha256(self._head)
        for name, part in zip(Parts._fields, parts, strict=True):
            whole.update(_named(name, part))
        lists = {each.digest[:PART_BYTES]: each.items for each in (env, inputs) if 0 < len(each.items) <= LISTED}
        return Key(whole.digest(), Parts(*(part[:PART_BYTES] for part in parts)), lists)

    def _args_of(self, task: TaskWork) -> bytes:
        if not self._work.call:
            return self._args if task.args is None else _args(self._work, task.args)
        if task.arguments_file is not None:
            return bytes.fromhex(task.arguments_file)
        return hashlib.sha256(task.arguments or b"").digest()

    def _variables(self, env: Mapping[str, str]) -> _Listed:
        """Their values are nobody's business, and some of them are secrets."""
        sealed = {
            name: hmac.digest(self._seal, value.encode("utf-8", "surrogateescape"), "sha256").hex()
            for name, value in env.items()
        }
        return _Listed(_digest(sorted(sealed.items())), sealed)


def _args(work: Work, args: Sequence[str]) -> bytes:
    return _digest([work.job, *args])  # argv[0] is the job's name


def _files(inputs: Sequence[tuple[str, str]]) -> _Listed:
    items = dict(inputs)
    return _Listed(_digest(sorted(items.items())), items)


def _named(name: str, part: bytes) -> bytes:
    return b"%s %d %s" % (name.encode(), len(part), part)


def _digest(value: object) -> bytes:
    return hashlib.sha256(json.dumps(value, separators=(",", ":")).encode()).digest()
