"""Orders to a host from what inventory, plan and scheduler say of it, and what is believed of its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from batchwasm.errors import HostError
from batchwasm.model import Host, Request
from batchwasm.runner.protocol import Attach, Attached, Message, Refused, Start, Work

CPUS_LIMIT, GPUS_LIMIT = 4096, 256  # what is believed of a host whose inventory says nothing
ID_LIMIT = 100  # characters of a supervisor's id, which every state of the run carries
SENTENCE_LIMIT, LINES_LIMIT = 500, 50  # what of a host's words is kept


class Reservation(NamedTuple):
    """What a batch has on its host for as long as it runs."""

    need: Request
    isolate: bool
    """In a process of its own."""


def attach_of(host: Host, run: str, incarnation: int, seen: int) -> Attach:
    """`seen` is the last report of this run that is in the journal."""
    courtesy = host.courtesy
    return Attach(
        run,
        incarnation,
        seen,
        host.cpus,
        host.memory_bytes,
        gpus=host.gpus,
        resources=dict(host.resources),
        max_load=courtesy.max_load,
        min_free_memory_bytes=courtesy.min_free_memory_bytes,
        hours=[[window.start, window.stop] for window in courtesy.hours],
        min_idle_s=courtesy.min_idle_s,
        when_busy=courtesy.when_busy,
        host=host.name,
    )


def start_of(work: Work, reserved: Reservation) -> Start:
    """The guest's memory is capped at what is reserved for it, which may have grown since an earlier attempt."""
    need = reserved.need
    if need.memory_bytes:
        work = replace(work, memory_bytes=need.memory_bytes)
    return Start(
        work.batch,
        need.cpus,
        work.memory_bytes,
        work.time_s,
        len(work.tasks),
        work.encode(),
        need.gpus,
        dict(need.resources),
        reserved.isolate,
    )


def answered(host: Host, answer: Message) -> Attached:
    """The answer to an Attach. Raises HostError for one that is no consent, or that can't be."""
    if isinstance(answer, Refused):
        cure = "take one of them out of the inventory" if answer.code == "twin" else ""
        raise HostError(answer.code, in_a_line(answer.text), cure)
    if not isinstance(answer, Attached):
        raise HostError("protocol", f"its runner began with {answer.kind}")
    check_offer(host, answer)
    return answer


def check_offer(host: Host, offer: Attached) -> None:
    """Raises HostError where a host offers what can't be, or more than the inventory lets it."""
    cpus, gpus = host.cpus or CPUS_LIMIT, GPUS_LIMIT if host.gpus is None else host.gpus
    memory = host.memory_bytes or offer.memory_bytes
    if not 0 < offer.cpus <= cpus or not 1 <= offer.memory_bytes <= memory or not 0 <= offer.gpus <= gpus:
        what = f"{offer.cpus} cpus, {offer.memory_bytes} bytes of memory and {offer.gpus} gpus"
        raise HostError("protocol", f"its runner offers {what}")
    if not 0 < len(offer.supervisor) <= ID_LIMIT:
        raise HostError("protocol", f"its runner calls itself {offer.supervisor!r:.80}")


def sentences(lines: Sequence[str]) -> list[str]:
    """What a host tells people, of bounded length."""
    return [sentence(line) for line in lines[:LINES_LIMIT]]


def in_a_line(text: str) -> str:
    """Several of them that came as lines, such as all that is wrong with a file there."""
    return "; ".join(sentences(text.splitlines()))


def sentence(text: str) -> str:
    """One of them; a half of a character, which JSON can hold and nothing else, is a question mark."""
    return text[:SENTENCE_LIMIT].encode(errors="replace").decode()
