"""The keys of a job beside its source and sweep: argv, env, files, what it reserves, its limits, its hosts."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from batchwasm.model import After, Input, Limits, Request, Template, Value, ValueOf, text_of
from batchwasm.spec import hostlist, needs, policy, template
from batchwasm.spec.keys import Keys
from batchwasm.spec.nodes import Node, is_text, present
from batchwasm.spec.policy import Policy
from batchwasm.spec.quantities import duration_s, shown, size_bytes
from batchwasm.spec.references import References, literal

JOB_KEYS = (
    *("source", "build", "function", "reuse", "args", "env", "stdin", "inputs", "mounts", "outputs"),
    *("cpus", "memory", "gpus", "resources", "any", "time_limit", "stdout_limit", "disk", "files"),
    *("sweep", "zip", "include", "omit", "hosts", "exclude", "labels", "priority", "after", "max_parallel"),
    *("retries", "retry_on", "memory_growth", "isolate", "verify"),
    *("cache", "deterministic", "secret"),
)
RESERVED_ENV = "BATCHWASM_"
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
"""What a shell can export."""
Names = frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a job's table says beside its source and sweep."""

    args: tuple[Template | ValueOf, ...]
    values: tuple[Value, ...]
    reuse: bool
    env: Mapping[str, Template]
    stdin: Template | None
    inputs: tuple[Input, ...]
    mounts: tuple[str, ...]
    outputs: tuple[Template, ...]
    requests: tuple[Request, ...]
    limits: Limits
    hosts: frozenset[str] | None
    exclude: frozenset[str]
    after: tuple[After, ...]
    """As written; those whose outputs or values it takes are in the references."""
    policy: Policy
    deterministic: bool
    secret: tuple[str, ...]


def read(keys: Keys, names: Names, references: References) -> Settings:
    """The settings of a job that knows `names`; of the defaults, for their problems only."""
    nodes = keys.all
    called = "function" in nodes
    if "reuse" in keys.own and not called:
        keys.own["reuse"].wrong(
            "only calls of a function can share an instance; name one by function = ..., or leave it out"
        )
    limits = _limits(nodes)
    after = present(
        nodes, "after", references.after, ()
    )  # before what it takes, so that this is where a circle is told
    env = _env(keys.merged("env"), names)
    return Settings(
        args=() if called else present(nodes, "args", lambda node: _args(node, names, references), ()),
        values=present(nodes, "args", lambda node: _values(node, names, references), ()) if called else (),
        reuse=present(nodes, "reuse", Node.flag, False),
        env=env,
        stdin=present(nodes, "stdin", lambda node: _stdin(node, names), None),
        inputs=present(nodes, "inputs", lambda node: _inputs(node, names, references), ()),
        mounts=present(nodes, "mounts", _mounts, ()),
        outputs=present(nodes, "outputs", lambda node: _outputs(node, names), ()),
        requests=needs.read(keys, limits.memory_bytes),
        limits=limits,
        hosts=present(nodes, "hosts", _hosts, None),
        exclude=present(nodes, "exclude", _hosts, frozenset()),
        after=after,
        policy=policy.read(keys),
        deterministic=present(nodes, "deterministic", Node.flag, False),
        secret=present(nodes, "secret", lambda node: _secret(node, env), ()),
    )


def _args(node: Node, names: Names, references: References) -> tuple[Template | ValueOf, ...]:
    """argv[1..]: strings are templates or another job's value, numbers and bools what they are as text."""
    found: list[Template | ValueOf] = []
    for item in node.items:
        if isinstance(item.value, list | dict):
            item.wrong(f"{shown(item.value)} is not an argument; write a string, number or bool")
            continue
        value = item.scalar()
        if isinstance(value, str):
            found.append(_text(item, value, names, references))
        elif value is not None:
            found.append(template.constant(text_of(value)))
    return tuple(found)


def _text(node: Node, text: str, names: Names, references: References) -> Template | ValueOf:
    """`@JOB` is what that job's function gives, every other text a template."""
    return references.value(node, text) or template.parse(literal(text), names)


def _values(node: Node, names: Names, references: References) -> tuple[Value, ...]:
    """The arguments of a function, as they are; strings in them are templates at any depth."""
    return tuple(_value(item, names, references) for item in node.items)


def _value(node: Node, names: Names, references: References) -> Value:
    if isinstance(node.value, list):
        return _values(node, names, references)
    if isinstance(node.value, dict):
        return {key: _value(field, names, references) for key, field in node.fields.items()}
    if isinstance(node.value, str):  # any text may be passed to a function, with NUL in it, too
        if not is_text(node.value):
            node.wrong(f"{node.value!r} is not Unicode")
        return _text(node, node.value, names, references)
    found = node.scalar()
    return 0 if found is None else found


def _env(fields: Mapping[str, Node], names: Names) -> dict[str, Template]:
    found = {}
    for name, field in fields.items():
        value = field.scalar()
        if not name or "=" in name or "\0" in name:
            field.wrong(f"{name!r} can't name a variable; leave out '=' and NUL")
        elif name.startswith(RESERVED_ENV):
            field.wrong(f"variables that start with {RESERVED_ENV} are set by batchwasm; take another name")
        elif value is not None:
            found[name] = template.parse(value if isinstance(value, str) else text_of(value), names)
    return found


def _secret(node: Node, env: Collection[str]) -> tuple[str, ...]:
    """Names of this machine's variables, each once. Whether they are set is seen when a run starts."""
    found: dict[str, None] = {}
    for item in node.items:
        name = item.text()
        if name is None:
            continue
        if not VARIABLE.fullmatch(name):
            item.wrong(f"{name!r} is not a variable's name; use letters, digits and '_', as in 'API_TOKEN'")
        elif name.startswith(RESERVED_ENV):
            item.wrong(f"variables that start with {RESERVED_ENV} are set by batchwasm; take another name")
        elif name in env:
            item.wrong(f"{name} is in env as well, where all can read it; take it out of one of the two")
        else:
            found[name] = None
    return tuple(found)


def _stdin(node: Node, names: Names) -> Template | None:
    text = node.text()
    return None if text is None else template.parse(text, names)


def _inputs(node: Node, names: Names, references: References) -> tuple[Input, ...]:
    return tuple(found for item in node.items if (found := _input(item, names, references)))


def _input(node: Node, names: Names, references: References) -> Input | None:
    if not isinstance(node.value, str | dict):
        node.wants('an input; write a glob, or { from = "FILE", to = "NAME" }')
        return None
    if isinstance(node.value, str):
        source, to = node, None
    else:
        fields = node.known(("from", "to"))
        if "from" not in fields:
            node.wrong('misses from; write a glob, or { from = "FILE", to = "NAME" }')
            return None
        source, to = fields["from"], fields.get("to")
    text = source.text()
    target = to.text() if to else None
    if text is None or (to and target is None):
        return None
    if text.startswith("@"):
        found = references.outputs(source, text, names)
    else:
        found = Input(source=template.parse(text, names))
    return replace(found, to=template.parse(target, names)) if found and target else found


def _mounts(node: Node) -> tuple[str, ...]:
    found = [item.name("a mount") for item in node.items]
    return tuple(dict.fromkeys(name for name in found if name is not None))


def _outputs(node: Node, names: Names) -> tuple[Template, ...]:
    found = []
    for item in node.items:
        text = item.text()
        if text is None:
            continue
        if text.startswith("/") or ".." in text.split("/"):
            item.wrong(f"{text!r} leaves the task's folder; write a glob inside it, such as 'out/**'")
        found.append(template.parse(text, names))
    return tuple(found)


def _hosts(node: Node) -> frozenset[str] | None:
    """Names of a hostlist, or of a list of them."""
    items = node.items if isinstance(node.value, list) else [node]
    found: set[str] = set()
    for item in items:
        text = item.text()
        names = None if text is None else _expanded(item, text)
        if names is None:
            return None
        found |= set(names)
    return frozenset(found)


def _expanded(node: Node, text: str) -> list[str] | None:
    try:
        return hostlist.expand(text)
    except ValueError as error:
        node.wrong(str(error))
        return None


def _limits(nodes: Mapping[str, Node]) -> Limits:
    usual = Limits()
    return Limits(
        memory_bytes=present(nodes, "memory", _size, usual.memory_bytes),
        time_s=present(nodes, "time_limit", _duration, None),
        stdout_bytes=present(nodes, "stdout_limit", _size, usual.stdout_bytes),
        disk_bytes=present(nodes, "disk", _size, usual.disk_bytes),
        files=present(nodes, "files", lambda node: node.whole(0), usual.files),
    )


def _size(node: Node) -> int | None:
    return node.quantity(size_bytes)


def _duration(node: Node) -> float | None:
    found = node.quantity(duration_s)
    if found == 0:
        node.wrong("is no time at all; write how long a task may run")
        return None
    return found
