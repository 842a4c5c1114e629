"""What must hold of a State after every event, computed anew from the tasks and batches themselves. For tests."""

from __future__ import annotations

from batchwasm.core.hoststate import HostState
from batchwasm.core.jobstate import CODES, RUNNING, WAITING, JobState
from batchwasm.core.room import Room
from batchwasm.core.state import State
from batchwasm.model import Outcome


def check(state: State) -> None:
    """Raises AssertionError where an index does not agree with the tasks themselves. For tests: it is slow."""
    assert state.milli_cpus == sum(host.room.offer.milli_cpus for host in state.hosts.values() if host.room)
    running: dict[int, dict[int, int]] = {n: {} for n in range(len(state.jobs))}
    for batch in state.batches.values():
        assert batch.remaining or batch.superseded, batch
        assert batch.id in state.hosts[batch.host].batches
        for task in batch.remaining:
            assert not state.jobs[batch.job].has_run(task, batch.host), "it is compared with itself"
            running[batch.job][task] = running[batch.job].get(task, 0) + 1
    assert state.silent == {host.name for host in state.hosts.values() if host.silent}
    assert state.reserved == {host.name for host in state.hosts.values() if host.reserved is not None}
    roomy = [(host.room.rare, host.name) for host in state.hosts.values() if host.room and host.room.has_any]
    assert sorted(roomy) == sorted((rare, name) for rare, names in state.roomy.items() for name in names)
    for host in state.hosts.values():
        _check_room(state, host)
    for n, job in enumerate(state.jobs):
        assert len(job.codes) == job.plan.tasks == sum(job.counts)
        assert job.counts == [job.codes.count(code) for code in range(CODES)]
        assert {t for t, code in enumerate(job.codes) if code == RUNNING} == running[n].keys()
        assert {t for t, count in running[n].items() if count > 1} == job.doubles.keys()
        assert max(running[n].values(), default=1) <= 2, "a task runs three times"
        _check_waiting(state, n, job)
        _check_skipped(state, n, job)
        assert all(job.codes[t] in (WAITING, RUNNING) for t in (*job.losses, *job.spared))
        assert all(job.codes[t] != Outcome.SUCCEEDED for t in job.tries)
        assert job.unwanted <= running[n].keys()
        for task, gave in job.gave.items():
            assert 0 < len(dict(gave)) == len(gave) < job.plan.verify
            assert job.codes[task] == RUNNING or task in job.retries
            assert job.spared[task] >= len(gave)
        assert job.on_hosts.keys() == {batch.id for batch in state.batches.values() if batch.job == n}
        since = [state.batches[id_].since for id_ in job.on_hosts]
        assert since == sorted(since)
        assert (n in state.working) == (job.batches > 0)
    assert state.queue == sorted(
        (-job.plan.priority, n)
        for n, job in enumerate(state.jobs)
        if job.digest is not None and (job.ready.count or job.retries)
    )


def _check_waiting(state: State, n: int, job: JobState) -> None:
    waiting = {t for t, code in enumerate(job.codes) if code == WAITING}
    assert not set(job.ready) & set(job.unseen)
    ready, retries = {*job.ready, *job.unseen}, set(job.retries)
    assert not ready & retries
    assert ready | retries <= waiting
    blocked = waiting - ready - retries
    if not job.plan.after:
        assert not blocked, (n, blocked)
    whole = [state.jobs[a.job] for a in job.plan.after if not a.each]
    assert job.blockers == sum(not other.succeeded for other in whole)
    for task in waiting:
        assert (task in blocked) == (job.blockers > 0 or not state.is_released(job, task))


def _check_skipped(state: State, n: int, job: JobState) -> None:
    """What something before it failed is skipped, and nothing else is."""
    for task, code in enumerate(job.codes) if job.plan.after else ():
        if code in (WAITING, Outcome.SKIPPED):
            assert (code == WAITING) == (state.skipped_because(n, task) is None), (n, task)


def _check_room(state: State, host: HostState) -> None:
    if host.room is None:
        return
    room = Room(host.room.offer)
    taken = [0] * host.room.offer.gpus
    for id_ in host.batches:
        batch = state.batches[id_]
        room.take_these(batch.amount._replace(gpus=0), (), firm=batch.firm)
        for at in batch.gpus:
            if at >= len(taken):
                continue  # it came back with fewer
            taken[at] += min(batch.amount.gpus, 1000)
        assert len(batch.gpus) == -(-batch.amount.gpus // 1000)
    assert (room.all_cpus, room.all_memory) == (host.room.all_cpus, host.room.all_memory)
    assert (room.firm_cpus, room.firm_memory) == (host.room.firm_cpus, host.room.firm_memory)
    assert room.resources == host.room.resources
    assert [1000 - count for count in taken] == host.room.gpus
    assert min([0, *host.room.gpus, *host.room.resources.values()]) >= 0
