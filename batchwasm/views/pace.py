"""How fast a run goes and until when, out of its state and of samples of how far it was. Pure.

The time that is left is work over speed, and then a tail. Work is what the tasks that are left take: the mean duration
of each job's attempts, times its cpus and its attempts a task; of one that runs what is left of that. Speed is the work
that was done a second lately, which knows of hosts that came and went and of what is lost between two tasks. At the end
slots have nothing more to do while others still work: that tail is half a duration, and more where durations differ.
Nothing ends before the longest chain of jobs that come after each other does, nor before what runs.

It is uncertain, as far as that is measured, because durations differ (their deviation, over the tasks that are left),
because their mean is known of few tasks only, because the speed changed over the time that was looked at, and because
of the tail. These add as independent errors; `left_low_s` and `left_high_s` are 1.28 deviations away, which eight of
ten normally distributed errors are not. Where jobs are left of which nothing ended yet, they are taken to be like the
others, or to take three times as long, or a third. Of runs that a few very long tasks decide (a lognormal distribution
of sigma 1, say) it says too little, and too surely: nobody has seen these tasks yet.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from batchwasm.core.jobstate import JobState
from batchwasm.core.state import State
from batchwasm.journalrows import Progress
from batchwasm.views.model import Pace

RECENT_S = 30.0
SPANS = 60
LONGEST_S = 1800.0  # of a sparkline: what was before is in the chart of the whole run
SPEED_S = 60.0  # over which the speed is measured at least, where there is as much
SPEED_TASKS = 3.0  # durations; a shorter time says little of a run of long tasks
SPEED_PARTS = 6
Z = 1.2816  # deviations of a normal distribution within which eight of ten are
UNLIKE = 3.0  # so many times as long, or as short, as others may a job's tasks take of which none has ended
_LEAST_SPREAD = 0.05  # of the speed: no machine is steadier


def pace(state: State, samples: Sequence[Progress], *, goes_on: bool) -> Pace:
    """`samples` are in their order, the last one of now, or of the end of a run that does not go on."""
    lately = _of_this_life(state, samples)
    left = _left(state, lately) if goes_on and state.paused is None else None
    since, span_s = _spans(samples)
    done = _Line([sample.at for sample in samples], [float(_done(sample)) for sample in samples])
    rates = tuple(
        max(0.0, done.at(since + (n + 1) * span_s) - done.at(since + n * span_s)) / span_s for n in range(SPANS)
    )
    return Pace(
        rate=_rate(lately, done),
        rates=rates if samples else (),
        span_s=span_s,
        left_s=None if left is None else left.mean_s,
        left_low_s=None if left is None else left.low_s,
        left_high_s=None if left is None else left.high_s,
    )


def _done(sample: Progress) -> int:
    return sample.succeeded + sample.failed + sample.dropped


def _of_this_life(state: State, samples: Sequence[Progress]) -> Sequence[Progress]:
    """Those since its scheduler was started the last time and gave a host something: what came before is no measure of
    how fast it goes, and neither is the time without one, nor that in which it compiled and connected."""
    first = bisect_left(samples, state.opened_at, key=lambda sample: sample.at)
    # Until its hosts are there again, what they were sent counts as running, and as lost once they have forgotten it.
    while first < len(samples) and not (samples[first].running and samples[first].hosts):
        first += 1
    for n in range(first + 1, len(samples)):
        before, after = samples[n - 1], samples[n]
        # More than this life can have done is lost: of what was sent before it seemed to run until hosts told better.
        if before.work_s - after.work_s > (after.at - state.opened_at) * max(before.cpus, after.cpus):
            first = n
    return samples[first:]


def _spans(samples: Sequence[Progress]) -> tuple[float, float]:
    """From when on, and how long each is."""
    if not samples:
        return 0.0, 1.0
    age_s = samples[-1].at - samples[0].at
    span_s = max(1.0, min(age_s, LONGEST_S) / SPANS)
    return samples[-1].at - SPANS * span_s, span_s


class _Line:
    """A value over time, straight between points; before the first and after the last as there."""

    def __init__(self, ats: list[float], values: list[float]) -> None:
        self._ats, self._values = ats, values

    def at(self, at: float) -> float:
        n = bisect_left(self._ats, at)
        if n == len(self._ats):
            return self._values[-1] if self._values else 0.0
        if n == 0:
            return self._values[0]
        before, after = self._ats[n - 1], self._ats[n]
        share = (at - before) / (after - before)
        return self._values[n - 1] + share * (self._values[n] - self._values[n - 1])


def _rate(samples: Sequence[Progress], done: _Line) -> float | None:
    """Over the last half minute in which any ran, since people had tasks run again that were done before."""
    samples = samples[
        max((n for n in range(1, len(samples)) if _done(samples[n]) < _done(samples[n - 1])), default=0) :
    ]
    ran = [n for n, sample in enumerate(samples) if sample.running]
    if not ran or len(samples) < 2:
        return None
    stop = samples[min(ran[-1] + 1, len(samples) - 1)].at
    start = max(samples[ran[0]].at, stop - RECENT_S)
    return max(0.0, done.at(stop) - done.at(start)) / (stop - start) if stop > start else None


# ---------------------------------------------------------------------------------------------- what is left


@dataclass(frozen=True, slots=True)
class _Left:
    mean_s: float
    low_s: float
    high_s: float


@dataclass(frozen=True, slots=True)
class _Job:
    """What is left of one."""

    waiting: int
    sent: int
    """To hosts, those that run among them."""
    elapsed_s: Sequence[float]
    """Of each that runs: since when."""
    cpus: float
    mean_s: float
    """Of an attempt."""
    tries: float
    """Attempts a task."""
    deviation_s: float
    known: int
    """Attempts that tell."""

    @property
    def waiting_s(self) -> float:
        """Of those that wait, together."""
        return self.waiting * self.tries * self.mean_s

    @property
    def work_s(self) -> float:
        """Of all, in seconds of cpus."""
        ahead_s = (self.sent - len(self.elapsed_s)) * self.mean_s
        share, fixed_s = self._rest
        rests_s = share * sum(self.mean_s - at for at in self.elapsed_s if at < self.mean_s)
        return (self.waiting_s + ahead_s + rests_s + fixed_s * len(self.elapsed_s)) * self.cpus

    @property
    def longest_rest_s(self) -> float:
        """Of those that run."""
        share, fixed_s = self._rest
        return share * max(0.0, self.mean_s - min(self.elapsed_s)) + fixed_s if self.elapsed_s else 0.0

    @property
    def _rest(self) -> tuple[float, float]:
        """What is left of one that runs: a share of what is missing to a mean, and something besides.

        Where all take the same it is all that is missing; where they differ a lot it does not matter how long it has
        run already, and more than a mean is left of what happens to run (renewal theory's residual life).
        """
        if not self.mean_s:
            return 0.0, 0.0
        square = (self.deviation_s / self.mean_s) ** 2
        varied = min(1.0, square)
        return 1.0 - varied, varied * self.mean_s * (1.0 + square) / 2.0


def _left(state: State, samples: Sequence[Progress]) -> _Left | None:
    known = [job for job in state.jobs if job.usage.count]
    if not known or not samples:
        return None
    jobs = _jobs(state, known, samples[-1].at)
    running = [job for job in jobs if job.sent]
    if not running:
        return None  # nobody knows when something starts
    speed, spread = _speed(samples, max(job.mean_s for job in running))
    if not speed:
        return None
    work_s = sum(job.work_s for job in jobs)
    least_s = max(_chain_s(state, jobs), *(job.longest_rest_s for job in running))
    slots = max(1.0, min(speed / max(job.cpus for job in running), float(sum(len(job.elapsed_s) for job in running))))
    tail_s, tail_spread = _tail(jobs, running, slots)
    mean_s = max(least_s, work_s / speed + tail_s, 0.5 * work_s / speed + _longest_s(jobs))
    errors = [_durations_s(jobs) / speed, work_s / speed * spread, tail_spread]
    error_s = Z * math.sqrt(sum(error * error for error in errors))
    unknown_s = sum(job.waiting_s * job.cpus for job in jobs if not job.known) / speed
    surely_s = max(job.longest_rest_s - Z * job.deviation_s for job in running)
    low_s = max(0.0, min(mean_s, max(surely_s, mean_s - error_s - unknown_s * (1.0 - 1.0 / UNLIKE))))
    return _Left(mean_s, low_s, mean_s + error_s + unknown_s * (UNLIKE - 1.0))


def _jobs(state: State, known: Sequence[JobState], now: float) -> list[_Job]:
    """All of them; something has ended of the `known` ones."""
    elapsed_s: list[list[float]] = [[] for _ in state.jobs]
    sent = [0] * len(state.jobs)
    for batch in state.batches.values():
        if batch.remaining:
            sent[batch.job] += len(batch.remaining)
            if batch.firm:
                elapsed_s[batch.job].append(max(0.0, now - batch.since))
    return [
        _of_job(job, count, spent_s, known) for job, count, spent_s in zip(state.jobs, sent, elapsed_s, strict=True)
    ]


def _of_job(job: JobState, sent: int, elapsed_s: Sequence[float], known: Sequence[JobState]) -> _Job:
    """Those that ended first are the short ones: where durations differ, or few have ended, what those that run have
    taken by now counts in the mean, too; wholly where durations are exponential."""
    usage, cpus, verify = job.usage, job.plan.cpus, max(1, job.plan.verify)
    if not usage.count:
        count = sum(other.usage.count for other in known)
        mean_s = sum(other.usage.wall_s for other in known) / count
        return _Job(job.waiting, sent, elapsed_s, cpus, mean_s, float(verify), mean_s, 0)
    ended = max(1, job.plan.tasks - job.waiting - job.running)
    tries = min(max(1.0, usage.count / ended), 1.0 + job.plan.retries) if job.plan.retries else 1.0
    square = usage.deviation_s**2
    varied = min(1.0, square / usage.mean_s**2) if usage.mean_s else 0.0
    counts = max(varied, 0.5 * len(elapsed_s) / (len(elapsed_s) + usage.count))
    mean_s = (usage.wall_s + counts * sum(elapsed_s)) / usage.count
    # As if one more had been seen that is off by all of its mean: the first one or two agree with themselves too well.
    square += (mean_s - usage.mean_s) ** 2
    deviation_s = math.sqrt((usage.count * square + mean_s**2) / (usage.count + 1))
    return _Job(job.waiting, sent, elapsed_s, cpus, mean_s, tries * verify, deviation_s, usage.count)


def _speed(samples: Sequence[Progress], task_s: float) -> tuple[float, float]:
    """Work a second lately, and its relative deviation."""
    now = samples[-1].at
    start = max(samples[0].at, now - max(SPEED_S, SPEED_TASKS * task_s))
    if now <= start:
        return 0.0, 0.0
    work = _Line([sample.at for sample in samples], [sample.work_s for sample in samples])
    speed = (work.at(now) - work.at(start)) / (now - start)
    if speed <= 0:
        return 0.0, 0.0
    part_s = (now - start) / SPEED_PARTS
    parts = [(work.at(start + (n + 1) * part_s) - work.at(start + n * part_s)) / part_s for n in range(SPEED_PARTS)]
    mean = sum(parts) / SPEED_PARTS
    deviation = math.sqrt(sum((part - mean) ** 2 for part in parts) / (SPEED_PARTS - 1))
    return speed, max(_LEAST_SPREAD, deviation / speed / math.sqrt(SPEED_PARTS))


def _tail(jobs: Sequence[_Job], running: Sequence[_Job], slots: float) -> tuple[float, float]:
    """How long slots are idle at the end, while others still work, and its deviation."""
    last = [job for job in jobs if job.waiting] or running
    mean_s = max(job.mean_s for job in last)
    deviation_s = max(job.deviation_s for job in last)
    varied = deviation_s / mean_s if mean_s else 0.0
    shared = 1.0 - 1.0 / slots
    latest = _latest(slots) * max(1.0, 2.0 * varied)  # more where few take very long
    heavy_s = 2.0 * deviation_s * max(0.0, varied - 0.5)
    if not any(job.waiting for job in jobs):
        return shared * deviation_s * latest / 2.0, deviation_s + heavy_s
    return shared * (mean_s + deviation_s * latest) / 2.0, shared * mean_s / 3.0 + deviation_s / 2.0 + heavy_s


def _latest(count: float) -> float:
    """By how many deviations the last of so many is late, normally distributed."""
    return math.sqrt(2.0 * math.log(count)) if count > 1 else 0.0


def _longest_s(jobs: Sequence[_Job]) -> float:
    """Of all that wait; on average it starts when half of the work is done."""
    return max(
        (
            job.mean_s + job.deviation_s * _latest(job.waiting) * max(1.0, job.deviation_s / job.mean_s)
            for job in jobs
            if job.waiting and job.mean_s
        ),
        default=0.0,
    )


def _durations_s(jobs: Sequence[_Job]) -> float:
    """Deviation of the work that is left: of so many durations together, and of their mean, known of few."""
    squares = 0.0
    for job in jobs:
        if job.known:
            tasks, square = job.waiting * job.tries + job.sent, (job.deviation_s * job.cpus) ** 2
            squares += tasks * square + tasks * tasks * square / job.known
    return math.sqrt(max(0.0, squares))


def _chain_s(state: State, jobs: Sequence[_Job]) -> float:
    """Of jobs that come after each other, a task of each."""
    found: list[float] = []
    for n, job in enumerate(state.jobs):  # a job comes after others that are before it, or of a file in any order
        before = max((found[after.job] for after in job.plan.after if after.job < n), default=0.0)
        found.append(before + (jobs[n].mean_s if job.waiting else 0.0))
    return max(found, default=0.0)
