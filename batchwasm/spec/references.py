"""What a job says of other jobs of its file: `after`, `@JOB/GLOB` in its inputs, `@JOB` in its arguments.

One job's table is read at a time, so what it names is only noted here; graph.py finds circles when all are read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from batchwasm.model import After, Input, JobName, ValueOf
from batchwasm.spec import template
from batchwasm.spec.nodes import NAME, Node, did_you_mean, present

_OUTPUTS = re.compile(r"@([^/]*)/(.+)", re.DOTALL)
_ESCAPED = re.compile(rf"@@+{NAME.pattern}", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sibling:
    """What others may take of a job of the file, as its table says before it is read."""

    has_function: bool
    has_outputs: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class References:
    """Reads a job's references to the others, and notes which they are."""

    siblings: Mapping[JobName, Sibling]
    """All jobs of the file."""
    taken: dict[JobName, Node] = field(default_factory=dict)
    """Jobs whose outputs or values this one takes, each where it is named first."""
    awaited: dict[JobName, Node] = field(default_factory=dict)
    """Those of `after`."""

    def after(self, node: Node) -> tuple[After, ...]:
        """The jobs of a list of names and { job, each }, or of one of these."""
        items = node.items if isinstance(node.value, list) else [node]
        found: dict[JobName, After] = {}
        for item in items:
            after = self._one_after(item)
            if after is None:
                continue
            if after.job in found:
                item.wrong(f"{after.job!r} comes twice; write it once")
            found.setdefault(after.job, after)
            self.awaited.setdefault(after.job, item)
        return tuple(found.values())

    def _one_after(self, node: Node) -> After | None:
        if not isinstance(node.value, dict):
            name, each = node, False
        else:
            fields = node.known(("job", "each"))
            if "job" not in fields:
                node.wrong('misses job; write { job = "NAME", each = true }')
                return None
            name, each = fields["job"], present(fields, "each", Node.flag, False)
        text = name.text()
        if text is None:
            return None
        if text not in self.siblings:
            name.wrong(self._unknown(text))
            return None
        return After(job=text, each=each)

    def outputs(self, node: Node, text: str, names: frozenset[str]) -> Input | None:
        """The input that `@JOB/GLOB` is."""
        match = _OUTPUTS.fullmatch(text)
        if match is None:
            node.wrong(f"{text!r} names no outputs; write '@JOB/GLOB' for those of a job, or './{text}' for a file")
            return None
        job, glob = match[1], match[2]
        if job not in self.siblings:
            node.wrong(self._unknown(job, f" (a file is written './{text}')"))
            return None
        if glob.startswith("/") or ".." in glob.split("/"):
            node.wrong(f"{glob!r} leaves the task's folder; write a glob inside it, such as '@{job}/out/**'")
        if not self.siblings[job].has_outputs:
            node.wrong(f"the job {job!r} has no outputs; write outputs = [...] into it")
            return None
        self.taken.setdefault(job, node)
        return Input(source=template.parse(glob, names), job=job)

    def value(self, node: Node, text: str) -> ValueOf | None:
        """What `@JOB` stands for, as a whole argument; None for a text that means nothing but itself."""
        job = text[1:]
        if not text.startswith("@") or job not in self.siblings:
            return None
        if not self.siblings[job].has_function:
            cure = f"take its outputs by inputs = ['@{job}/...']"
            node.wrong(
                f"the job {job!r} has no function, so it gives no value; {cure}, or write '@{text}' for the text"
            )
        self.taken.setdefault(job, node)
        return ValueOf(job=job)

    def _unknown(self, job: str, otherwise: str = "") -> str:
        near = did_you_mean(job, self.siblings) or f"; jobs are {_some(self.siblings)}"
        return f"there is no job {job!r}{otherwise}{near}"


def _some(names: Mapping[JobName, Sibling]) -> str:
    return ", ".join(list(names)[:8]) + (", ..." if len(names) > 8 else "")


def literal(text: str) -> str:
    """`@@x` means the text @x, whatever jobs there are."""
    return text[1:] if _ESCAPED.fullmatch(text) else text


def escaped(text: str) -> str:
    """How `text` is written where it is meant literally."""
    return f"@{text}" if re.fullmatch(rf"@+{NAME.pattern}", text, re.ASCII) else text
