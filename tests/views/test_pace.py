"""How fast and until when, of runs whose end is known since they were simulated."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchwasm import rows
from batchwasm.core.events import (
    AfterJob,
    ArtifactBuilt,
    BatchPlaced,
    Event,
    HostJoined,
    HostPlan,
    JobPlan,
    Record,
    RunOpened,
    RunPaused,
    RunPlanned,
    TasksFinished,
)
from batchwasm.core.scheduler import Scheduler
from batchwasm.core.state import State
from batchwasm.journal import Progress
from batchwasm.model import GIB, Outcome, Request
from batchwasm.simulation import Distribution, parse, simulate
from batchwasm.views.model import Pace
from batchwasm.views.pace import RECENT_S, SPANS, _durations_s, _Job, pace

CPUS = 4


class Watched(Scheduler):
    """A scheduler whose run somebody looks at again and again."""

    def __init__(self, every_s: float) -> None:
        super().__init__(State())
        self._every_s = every_s
        self.samples: list[Progress] = []
        self.said: list[tuple[float, Pace]] = []

    def decide(self, now: float) -> list[Event]:
        decisions = super().decide(now)
        if not self.samples or now >= self.samples[-1].at + self._every_s:
            self.samples.append(rows.progress(self.state, now))
            self.said.append((now, pace(self.state, self.samples, goes_on=True)))
        return decisions


def job(name: str, tasks: int, *after: int) -> JobPlan:
    need = Request(cpus=1, memory_bytes=GIB)
    return JobPlan(name=name, tasks=tasks, needs=(need,), after=tuple(AfterJob(job=n) for n in after))


def watched(jobs: Sequence[JobPlan], durations: Sequence[str], *, hosts: int = 4, every_s: float = 5.0) -> Watched:
    """The run, after its end."""
    scheduler = Watched(every_s)
    pool = [HostPlan(name=f"h{n}", cpus=CPUS, memory_bytes=64 * GIB) for n in range(hosts)]
    models = [parse([text], []).every for text in durations]
    simulate(jobs, pool, [model for model in models if isinstance(model, Distribution)], scheduler=scheduler)
    return scheduler


def right(run: Watched, start: float, stop: float) -> float:
    """The share of moments between these shares of the run at which its end was between the bounds."""
    end = run.state.last_at
    asked = [(at, said) for at, said in run.said if start * end <= at <= stop * end]
    assert len(asked) > 5
    found = [
        said.left_low_s <= end - at <= said.left_high_s
        for at, said in asked
        if said.left_low_s is not None and said.left_high_s is not None
    ]
    assert len(found) > 0.9 * len(asked)
    return sum(found) / len(found)


@settings(max_examples=8, deadline=None)
@given(
    tasks=st.integers(1, 300),
    hosts=st.integers(1, 6),
    shortest_s=st.floats(0.001, 20.0),
    factor=st.floats(1.0, 100.0),
)
def test_what_is_left_is_always_between_its_bounds(tasks: int, hosts: int, shortest_s: float, factor: float) -> None:
    text = f"uniform({shortest_s:.4f}s, {shortest_s * factor + 0.01:.4f}s)"
    run = watched([job("j", tasks), job("k", 5, 0)], [text, text], hosts=hosts, every_s=tasks * shortest_s / hosts / 40)
    for _, said in run.said:
        if said.left_s is not None:
            assert said.left_low_s is not None
            assert said.left_high_s is not None
            assert 0 <= said.left_low_s <= said.left_s <= said.left_high_s


@pytest.mark.parametrize("durations", ["uniform(5s, 50s)", "lognormal(mean=30s, sigma=0.3)"])
def test_of_ten_runs_the_bounds_are_right_for_eight(durations: str) -> None:
    """Within one run they are right, or wrong, for a long time: what was seen so far was typical, or not."""
    shares = [right(watched([job(f"j{n}", 400)], [durations]), 0.15, 0.9) for n in range(10)]
    assert sum(shares) / len(shares) > 0.75


def test_tasks_that_all_take_the_same_end_when_it_was_said() -> None:
    run = watched([job("j", 640)], ["fixed(10s)"])
    end = run.state.last_at
    errors = [abs(said.left_s - (end - at)) for at, said in run.said if said.left_s is not None and at > 0.1 * end]
    assert len(errors) > 30
    assert max(errors) < 10


def test_a_job_of_which_nothing_ended_yet_may_take_longer_than_others_and_the_bounds_say_so() -> None:
    run = watched([job("a", 200), job("b", 200, 0)], ["uniform(5s, 15s)", "uniform(15s, 25s)"])
    half = [said for at, said in run.said if said.left_s and at < 0.3 * run.state.last_at]
    assert right(run, 0.1, 0.3) >= 0.7
    assert all(said.left_high_s > 1.5 * said.left_s for said in half[2:] if said.left_s and said.left_high_s)
    assert right(run, 0.6, 0.9) >= 0.7


def test_nobody_knows_before_anything_ended_while_it_is_paused_and_when_it_is_over() -> None:
    run = watched([job("j", 100)], ["uniform(5s, 15s)"])
    assert run.said[0][1].left_s is None
    ended = pace(run.state, run.samples, goes_on=False)
    assert (ended.left_s, ended.left_low_s, ended.left_high_s) == (None, None, None)
    assert ended.rate is not None

    paused = Watched(5.0)
    paused.observe(RunPaused(text="by alice"), 0.0)
    assert pace(paused.state, run.samples, goes_on=True).left_s is None
    assert pace(State(), [], goes_on=True) == Pace(
        rate=None, rates=(), span_s=1.0, left_s=None, left_low_s=None, left_high_s=None
    )


def sample(at: float, done: int, running: int = 1) -> Progress:
    return Progress(at, 1, 4.0, 4.0, 100, running, done, 0, 0, 0.0)


def test_the_rate_is_that_of_the_last_half_minute_in_which_anything_ran() -> None:
    steady = [sample(float(at), at * 10) for at in range(0, 100, 5)]
    assert pace(State(), steady, goes_on=False).rate == pytest.approx(10.0)
    faster = [*steady, *(sample(95.0 + at, 950 + at * 40) for at in range(5, 40, 5))]
    assert pace(State(), faster, goes_on=False).rate == pytest.approx(40.0)
    idle = [*steady, *(sample(100.0 + at, 990, running=0) for at in range(0, 1000, 5))]
    assert pace(State(), idle, goes_on=False).rate == pytest.approx((990 - 700) / RECENT_S)


def test_a_sparkline_has_the_rates_of_equal_spans_up_to_now() -> None:
    samples = [sample(1000.0 + at, at * 3) for at in range(0, 605, 5)]
    found = pace(State(), samples, goes_on=False)
    assert len(found.rates) == SPANS
    assert found.span_s == pytest.approx(10.0)
    assert found.rates == pytest.approx([3.0] * SPANS)
    assert sum(found.rates) * found.span_s == pytest.approx(1800)


def test_tasks_that_are_tried_again_make_no_negative_rate() -> None:
    samples = [sample(0.0, 0), sample(10.0, 100), sample(20.0, 50), sample(30.0, 50)]
    found = pace(State(), samples, goes_on=False)
    assert found.rate is not None
    assert min(found.rate, *found.rates) >= 0
    assert all(a.at < b.at for a, b in itertools.pairwise(samples))


def opened_at(at: float, *events: Event) -> Scheduler:
    """A run with one job of 400 tasks whose scheduler was started (again) at that time, 100 tasks having ended."""
    scheduler = Scheduler(State())
    begin = RunPlanned(run="0a", name="r", jobs=(job("j", 400),), hosts=(HostPlan(name="h"),))
    built = ArtifactBuilt(job=0, digest="d", bytes=1, language="c", toolchain="zig", cached=False, wall_s=1.0)
    opened = RunOpened(incarnation=1, pid=1, machine="m", version="0")
    joined = HostJoined(host="h", supervisor="s", cpus=1, memory_bytes=GIB, facts={})
    batch = BatchPlaced(batch=1 << 40 | 1, job=0, host="h", ranges=((0, 100),))
    records = [Record(n, 1, Outcome.SUCCEEDED, True, 0, 0.0, 0.0, 2.0, 2.0, 1, b"", b"") for n in range(100)]
    ended = TasksFinished(batch=batch.batch, job=0, host="h", records=records)
    for event in (begin, opened, built, joined, batch, ended):
        scheduler.state.apply(event, 0.0)
    for event in (RunOpened(incarnation=2, pid=1, machine="m", version="0"), *events):
        scheduler.state.apply(event, at)
    return scheduler


def worked(at: float, done: int, work_s: float, *, hosts: int = 1) -> Progress:
    return Progress(at, hosts, 1.0 * hosts, 1.0 * hosts, 400 - done, 1, done, 0, 0, work_s)


FIRST_LIFE = [worked(2.0 * n, n, 2.0 * n) for n in range(101)]


def test_a_run_that_goes_on_has_no_rate_before_anything_runs_again() -> None:
    state = opened_at(1_000.0).state
    waits = Progress(1_000.5, 0, 0.0, 0.0, 300, 0, 100, 0, 0, 200.0)
    found = pace(state, [*FIRST_LIFE, waits, waits._replace(at=1_004.0)], goes_on=True)
    assert (found.rate, found.left_s) == (None, None)


def test_the_time_without_a_scheduler_makes_nothing_slower() -> None:
    joined = HostJoined(host="h", supervisor="s", cpus=1, memory_bytes=GIB, facts={})
    placed = BatchPlaced(batch=2 << 40 | 1, job=0, host="h", ranges=((100, 101),))
    state = opened_at(210.0, joined, placed).state
    again = [worked(215.0 + 0.5 * n, 100 + n // 4, 200.0 + 0.5 * n) for n in range(20)]
    found = pace(state, [*FIRST_LIFE, worked(210.1, 100, 200.0, hosts=0), *again], goes_on=True)
    assert found.rate == pytest.approx(0.5, rel=0.2)
    assert found.left_s == pytest.approx(600.0, rel=0.1)


def test_a_rate_begins_anew_where_tasks_that_had_ended_were_asked_for_again() -> None:
    again = [sample(100.0 + at, 600 + at * 10) for at in range(20)]
    steady = [sample(float(at), at * 10) for at in range(100)]
    assert pace(State(), [*steady, *again], goes_on=False).rate == pytest.approx(10.0)


def test_more_results_than_tasks_are_no_error_of_mathematics() -> None:
    odd = _Job(
        waiting=-5, sent=1, elapsed_s=[1.0], cpus=1.0, mean_s=2.0, tries=1.0, deviation_s=1.0, known=9
    )  # of a journal that somebody wrote otherwise
    assert _durations_s([odd]) == 0.0


def test_what_was_sent_before_and_is_over_by_now_makes_no_negative_speed() -> None:
    """A task that ran when the scheduler was killed seemed to run all the time; it did not."""
    joined = HostJoined(host="h", supervisor="s", cpus=1, memory_bytes=GIB, facts={})
    placed = BatchPlaced(batch=2 << 40 | 1, job=0, host="h", ranges=((100, 101),))
    state = opened_at(1_000.0, joined, placed).state
    seemed = worked(1_001.0, 100, 200.0 + 800.0)
    again = [worked(1_002.0 + 0.5 * n, 101 + n // 4, 202.0 + 0.5 * n) for n in range(20)]
    found = pace(state, [*FIRST_LIFE, seemed, *again], goes_on=True)
    assert found.left_s == pytest.approx(600.0, rel=0.1)
