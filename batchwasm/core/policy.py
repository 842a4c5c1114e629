"""When something is tried again, where not, and what is enough: numbers with their reasons. Pure functions."""

from __future__ import annotations

import hashlib

from batchwasm.core.events import Record
from batchwasm.core.hoststate import HostState
from batchwasm.core.jobstate import JobState
from batchwasm.model import Outcome

CRASH_LIMIT = 5  # a task that took its host or worker down so often is more likely the cause than the victim
BACKOFF_S, BACKOFF_LIMIT_S = 1.0, 60.0  # doubled each time: a licence server or a full disk gets time to recover
AVOID_S = 60.0  # how long a retry waits for another host than the one it failed on, where there is one
SICK_STREAK = 5  # failures in a row of jobs that succeed elsewhere: by chance that is rare, by a bad host it is sure
ASIDE_S, ASIDE_LIMIT_S = 60.0, 1800.0  # doubled each time: a reboot takes minutes, a broken disk stays broken
RESERVE_S = 10.0  # what a large task waits at most until a host is kept for it
RECALL_S = 0.25  # a batch holds about 15 ms of work: one that is still here after this was misjudged
STRAGGLER_S = 2.0  # nothing shorter is worth a second attempt
STRAGGLER_FACTOR = 3.0  # of the mean duration; and four deviations above it
STRAGGLER_KNOWN = 3  # tasks that ended before the mean says something


def backoff_s(run: str, job: str, task: int, failures: int) -> float:
    """How long a task waits after its nth failure: doubled each time, and spread by half, the same at every replay."""
    wait_s = min(BACKOFF_S * 2.0 ** (failures - 1), BACKOFF_LIMIT_S)
    spread = hashlib.blake2b(f"{run} {job} {task} {failures}".encode(), digest_size=4).digest()
    return wait_s * (0.5 + int.from_bytes(spread, "big") / 2**32)


def aside_s(times: int) -> float:
    """How long a host is set aside for the nth time in a row."""
    return min(ASIDE_S * 2.0**times, ASIDE_LIMIT_S)


def is_retried(job: JobState, record: Record) -> bool:
    """Whether an attempt that failed is tried again, if there is memory for one that is to have more."""
    unnoted = max(0, record.number - job.tries.get(record.task, 0))
    failed = job.failures(record.task) + unnoted  # this one included
    if failed > job.plan.retries or record.task in job.unwanted:
        return False
    return Outcome(record.outcome).word in job.plan.retry_on or f"exit:{record.exit_code}" in job.plan.retry_on


def grows(job: JobState, record: Record) -> bool:
    """Whether the next attempt is to have more memory."""
    return record.outcome == Outcome.OUT_OF_MEMORY and job.plan.memory_growth > 1


def grown_bytes(job: JobState, memory_bytes: int, largest_bytes: int) -> int:
    """The memory of the next attempt, where the one before had `memory_bytes`: at most what the largest host has."""
    return max(memory_bytes, min(int(memory_bytes * job.plan.memory_growth), largest_bytes))


def is_sick(host: HostState) -> bool:
    return host.streak >= SICK_STREAK or (host.asides > 0 and host.streak > 0)


def usual_s(job: JobState) -> float | None:
    """What its tasks take at most, but for those that are late; None where nobody can tell."""
    usage = job.usage
    if usage.count < STRAGGLER_KNOWN:
        return None
    return max(STRAGGLER_FACTOR * usage.mean_s, usage.mean_s + 4 * usage.deviation_s, STRAGGLER_S)
