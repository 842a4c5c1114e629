"""A run folder -> what its report tells. Reads its attempts once, and the few events that matter."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from batchwasm import rows
from batchwasm.asking import judge
from batchwasm.core.events import ArtifactBuilt, Event, RunOpened, TasksRetried
from batchwasm.core.state import State
from batchwasm.journal import Journal, Known
from batchwasm.model import Outcome
from batchwasm.report import events, load, picture, pool, reading
from batchwasm.report.events import cut
from batchwasm.report.facts import (
    ArtifactFacts,
    Axis,
    Example,
    Failures,
    Flow,
    HostFacts,
    Report,
    Untold,
)
from batchwasm.report.failing import Group, Way
from batchwasm.report.queue import queue, untold
from batchwasm.report.tally import COLUMNS, FEW_HOSTS, Retry, Tally
from batchwasm.results import RunFolder
from batchwasm.rows import Status
from batchwasm.views.words import Jobs

BINS = 240  # of the time of a run: a chart is some 1,000 pixels wide
SHOWN_JOBS, SHOWN_GROUPS, SHOWN_HOSTS = 50, 40, 100
INVENTORY_CHARS = 32 * 1024
TEXT_CHARS = 500  # of what a guest or a host said: the whole is in the journal
LEAST_SPAN_S = 0.1


def report(folder: RunFolder) -> Report:
    """Raises RunError where the journal is damaged."""
    held = folder.is_held()
    with closing(Journal.open(folder.journal, read_only=True)) as journal:
        known = journal.caught_up()
        state, now = known.state, time.time()
        alive = judge(held, state)
        status = rows.status(state, str(folder.path), alive=alive, now=now)
        return _Gathering(folder, journal, known, status, now).report()


class _Gathering:
    def __init__(self, folder: RunFolder, journal: Journal, known: Known, status: Status, now: float) -> None:
        self.folder, self.journal, self.known, self.status, self.now = folder, journal, known, status, now
        self.state: State = known.state
        ends = max(self.state.last_at, now) if status.state == "running" else self.state.last_at
        span_s = max(ends - self.state.first_at, LEAST_SPAN_S)  # by the clock: without a scheduler, too
        self.axis = Axis(first_at=self.state.first_at, bin_s=span_s / BINS, bins=BINS)
        end_at = self.axis.first_at + span_s
        self.there = pool.presences(self._comings(), self.axis, end_at)
        joined = {
            name: self.there[name].first_at if name in self.there else self.axis.first_at for name in self.state.hosts
        }
        self.tally = Tally(self.axis, self.state.jobs, joined)
        self.tally.take(reading.attempts(journal, COLUMNS, known.attempt), self._retries())
        self.without = list(untold(self.state, self.tally))
        for batch in self.state.batches.values():
            task, number = next(iter(batch.remaining.items()), (0, 1))
            cpus = self.state.jobs[batch.job].plan.needs[batch.need].cpus
            if batch.remaining and batch.firm and status.state == "running":
                self.tally.take_running(batch.host, batch.job, task, number, batch.since, cpus)

    def _comings(self) -> Iterator[tuple[float, Event]]:
        """Of hosts. A scheduler that was killed had them until its last event, not until the next one began."""
        for seq, at, event in reading.numbered(self.journal, pool.KINDS, self.known.seq):
            opened = isinstance(event, RunOpened)
            yield (reading.time_before(self.journal, seq, at) if opened else at), event

    def _retries(self) -> Iterator[Retry]:
        for seq, at, event in reading.numbered(self.journal, (TasksRetried,), self.known.seq):
            assert isinstance(event, TasksRetried)
            yield Retry(seq, at, event.job, event.ranges)

    def report(self) -> Report:
        hosts = sorted(self._hosts(), key=lambda host: host[0])
        names = Jobs((job.plan.name, job.plan.tasks) for job in self.state.jobs)
        said, more_said = events.weightiest(reading.events(self.journal, events.KINDS, self.known.seq), names)
        artifacts = tuple(self._artifacts())
        groups = self.tally.failing.largest(SHOWN_GROUPS)
        spreads = sorted(self.tally.spreads.items(), key=lambda item: -item[1].total_s)
        inventory = self._inventory()
        return Report(
            status=self.status,
            made_at=self.now,
            axis=self.axis,
            versions=self._versions(),
            incarnations=self.state.incarnation,
            attempts=self.tally.attempts,
            again=self.tally.again,
            flow=self._flow(),
            picture=self._picture(),
            durations=tuple(spread.facts(self._job(n)) for n, spread in spreads[:SHOWN_JOBS]),
            more_durations=max(0, len(spreads) - SHOWN_JOBS),
            failures=tuple(self._failures(way, group) for way, group in groups),
            more_failures=len(self.tally.failing) - len(groups),
            more_ways=self.tally.failing.untold,
            untold=tuple(
                Untold(outcome=each.outcome.word, tasks=each.tasks, text=cut(each.text, TEXT_CHARS))
                for each in self.without[:SHOWN_JOBS]
            ),
            more_untold=max(0, len(self.without) - SHOWN_JOBS),
            hosts=tuple(host for _, host in hosts[:SHOWN_HOSTS]),
            more_hosts=max(0, len(hosts) - SHOWN_HOSTS),
            said=said,
            more_said=more_said,
            artifacts=artifacts[:SHOWN_JOBS],
            more_artifacts=max(0, len(artifacts) - SHOWN_JOBS),
            inventory=inventory[:INVENTORY_CHARS],
            more_inventory_bytes=max(0, len(inventory) - INVENTORY_CHARS),
        )

    def _job(self, n: int) -> str:
        return self.state.jobs[n].plan.name

    def _flow(self) -> Flow:
        bins = self.axis.bins
        loads = [each for host in self.tally.hosts.values() for each in host.loads.values()]
        cpus = [host.there for host in self.there.values() if host.there is not None]
        running, waiting, done = queue(self.tally, self.journal, self.known.seq, self.without)
        return Flow(
            cpus=tuple(load.total((each.means() for each in cpus), bins)),
            busy=tuple(load.total((each.means() for each in loads), bins)),
            worked=tuple(self.tally.worked.means()),
            running=tuple(running),
            waiting=tuple(waiting),
            done=tuple(done),
        )

    def _picture(self) -> Any:
        names = list(self.state.hosts)
        if len(names) <= FEW_HOSTS and self.tally.few:
            jobs = [job.plan.name for job in self.state.jobs]
            return picture.timeline(self.tally, jobs, names, self.there)
        return picture.heatmap(self.axis, names, self.tally, self.there)

    def _hosts(self) -> Iterator[tuple[tuple[float, ...], HostFacts]]:
        """Each with what it is ordered by: those with trouble first where there are more than are shown."""
        many = len(self.status.hosts) > SHOWN_HOSTS
        for n, row in enumerate(self.status.hosts):
            did, there = self.tally.hosts.get(row.name), self.there.get(row.name)
            busy = sum(sum(each.means()) for each in did.loads.values()) * self.axis.bin_s if did else 0.0
            facts = HostFacts(
                name=row.name,
                state=row.state,
                reason=cut(row.reason or "", TEXT_CHARS),
                cpus=row.cpus,
                memory_bytes=there.memory_bytes if there else None,
                what=_what(there.facts) if there else "",
                attempts=did.attempts if did else 0,
                succeeded=did.succeeded if did else 0,
                other=did.attempts - did.succeeded if did else 0,
                busy_cpu_s=busy,
                there_cpu_s=there.cpu_s(self.axis) if there else 0.0,
                lost=there.lost if there else 0,
            )
            order: tuple[float, ...] = (-facts.lost, row.state in ("ready", "unused"), -facts.other) if many else ()
            yield (*order, n), facts

    def _failures(self, way: Way, group: Group) -> Failures:
        query = "SELECT reason_text, stderr FROM attempts WHERE id = ?"
        [(message, stderr)] = self.journal.rows(query, (group.first,))
        job = self._job(way.job)
        return Failures(
            job=job,
            outcome=Outcome(way.outcome).word,
            reason=way.reason,
            exit_code=way.exit_code,
            attempts=group.attempts,
            final=group.final,
            hosts=len(group.hosts),
            examples=tuple(Example(task=f"{job}/{task}", host=host) for task, host in group.examples.items()),
            message=cut(message or "", TEXT_CHARS),
            stderr=(stderr or b"")[-4 * TEXT_CHARS :].decode("utf-8", "replace")[-TEXT_CHARS:],
        )

    def _artifacts(self) -> Iterator[ArtifactFacts]:
        built: dict[int, ArtifactBuilt] = {}
        for _, event in reading.events(self.journal, (ArtifactBuilt,), self.known.seq):
            assert isinstance(event, ArtifactBuilt)
            built[event.job] = event
        for n, event in sorted(built.items()):
            yield ArtifactFacts(
                job=self._job(n),
                language=event.language,
                toolchain=event.toolchain,
                digest=event.digest,
                bytes=event.bytes,
            )

    def _versions(self) -> Mapping[str, str]:
        """As the manifest has them, which a run that ended early may lack."""
        found = {"batchwasm": self.state.opened.version if self.state.opened else ""}
        manifest = _json(self.folder.manifest)
        for name in ("batchwasm", "wasmtime", "python"):
            if isinstance(manifest.get(name), str):
                found[name] = manifest[name]
        made_on = manifest.get("made_on")
        if isinstance(made_on, dict):
            found["scheduler on"] = ", ".join(str(made_on[key]) for key in ("machine", "platform") if key in made_on)
        return found

    def _inventory(self) -> str:
        try:
            return self.folder.inventory.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _what(facts: Mapping[str, object]) -> str:
    """`linux x86_64, glibc 2.36, Python 3.11.7`."""
    words = (f"{facts.get('os', '')} {facts.get('machine', '')}".strip(), facts.get("libc"))
    python = facts.get("python")
    return ", ".join(str(word) for word in (*words, f"Python {python}" if python else None) if word)
