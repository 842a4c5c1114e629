"""Who may start next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from batchwasm.runner.capacity import NOTHING, PATIENCE_S, WHOLE, Host, Room, Turn, Want, per_gpu, pick

GIB = 1 << 30
HOST = Room.of(4, 8 * GIB)
SMALL = Room.of(1, GIB)


@dataclass
class Asking:
    """A run that wants something."""

    name: str
    cap: Room = HOST
    used: Room = NOTHING
    served: int = 0
    want: Room | None = SMALL
    waits_since: float = 0.0
    held_gpus: dict[int, int] = field(default_factory=dict)
    more: Sequence[Room] = ()
    """What waits in other lanes, from now on."""

    @property
    def wants(self) -> list[Want]:
        first = [Want(self.want, self.waits_since)] if self.want is not None else []
        return first + [Want(needs, float("inf")) for needs in self.more]


def turn(*runs: Asking, now: float = 0.0, room: Room = HOST) -> Turn[Asking] | None:
    return Host[Asking](room).next(runs, now)


def chosen(*runs: Asking, now: float = 0.0) -> str | None:
    found = turn(*runs, now=now)
    return found.run.name if found else None


def test_nothing_is_chosen_where_nobody_wants_anything() -> None:
    assert chosen() is None
    assert chosen(Asking("a", want=None)) is None


def test_the_run_with_the_smallest_share_goes_first() -> None:
    assert chosen(Asking("a", used=Room.of(2, GIB)), Asking("b", used=Room.of(1, GIB))) == "b"


def test_memory_counts_as_much_as_cpus_in_a_share() -> None:
    assert chosen(Asking("a", used=Room.of(1, 6 * GIB)), Asking("b", used=Room.of(2, GIB))) == "b"


def test_among_equal_shares_the_one_served_longest_ago_goes_first() -> None:
    assert chosen(Asking("a", served=7), Asking("b", served=3)) == "b"


def test_what_all_runs_hold_counts() -> None:
    assert chosen(Asking("a", used=Room.of(4, GIB), want=None), Asking("b")) is None
    assert chosen(Asking("a", used=Room.of(1, 8 * GIB), want=None), Asking("b")) is None


def test_a_run_never_holds_more_than_its_own_cap() -> None:
    assert chosen(Asking("a", cap=Room.of(1, 8 * GIB), used=Room.of(1, GIB)), Asking("b", want=None)) is None


def test_an_inventory_that_says_more_than_is_there_is_taken_at_its_word() -> None:
    assert chosen(Asking("a", cap=Room.of(9, 8 * GIB), used=Room.of(8, GIB))) == "a"


def test_a_small_batch_passes_a_large_one_for_a_while_only() -> None:
    holder = Asking("holder", used=Room.of(3, GIB), want=None)
    large = Asking("large", want=Room.of(4, GIB), waits_since=10.0)
    small = Asking("small", served=1)
    assert chosen(holder, large, small, now=10.0 + PATIENCE_S) == "small"
    assert chosen(holder, large, small, now=10.1 + PATIENCE_S) is None


def test_a_run_at_its_own_cap_holds_nobody_up_however_long_it_waits() -> None:
    capped = Asking("capped", cap=Room.of(1, 8 * GIB), used=Room.of(1, 0), waits_since=-100.0)
    assert chosen(capped, Asking("b", used=Room.of(2, 0))) == "b"


# --------------------------------------------------------------------------------- shares, gpus, custom resources


def test_a_quarter_of_a_cpu_taken_four_times_is_one() -> None:
    tenths = NOTHING
    for _ in range(10):
        tenths = tenths.plus(Room.of(0.1, 0))
    assert tenths == Room.of(1, 0)
    assert chosen(Asking("a", used=Room.of(3.75, 0), want=Room.of(0.25, 1))) == "a"
    assert chosen(Asking("a", used=Room.of(3.75, 0), want=Room.of(0.26, 1))) is None


def test_whole_gpus_are_the_lowest_that_are_wholly_free() -> None:
    assert pick({0: 1000, 1: 500, 2: 1000, 3: 1000}, 2000) == (0, 2)
    assert pick({0: 1000, 1: 500}, 2000) is None
    assert pick({}, 0) == ()


def test_a_share_of_a_gpu_goes_where_it_leaves_least() -> None:
    assert pick({0: 1000, 1: 500, 2: 400}, 400) == (2,)
    assert pick({0: 1000, 1: 500, 2: 400}, 450) == (1,)
    assert pick({0: 300, 1: 200}, 400) is None


def test_a_run_that_may_have_one_gpu_never_touches_the_second() -> None:
    four = Room.of(4, 8 * GIB, gpus=2)
    other = Asking("other", cap=four, used=Room.of(1, GIB, 1), held_gpus={0: WHOLE}, want=None)
    one = Asking("one", cap=Room.of(4, 8 * GIB, gpus=1), want=Room.of(1, GIB, 1))
    assert turn(other, one, room=four) is None
    other.held_gpus = {1: WHOLE}
    found = turn(other, one, room=four)
    assert found is not None
    assert found.gpus == (0,)


def test_a_batch_that_waits_for_a_gpu_holds_up_none_that_needs_no_gpu_however_long_it_waits() -> None:
    room = Room.of(4, 8 * GIB, gpus=1)
    holder = Asking("holder", cap=room, used=Room.of(1, GIB, 1), held_gpus={0: WHOLE}, want=None)
    waits = Asking("waits", cap=room, want=Room.of(1, GIB, 1), waits_since=-1000.0, more=[SMALL])
    found = turn(holder, waits, room=room)
    assert found is not None
    assert (found.run.name, found.needs, found.gpus) == ("waits", SMALL, ())
    # ... but for what it needs itself: its cpu is kept for it.
    waits.more = [Room.of(3, GIB)]
    assert turn(holder, waits, room=room) is None


def test_a_custom_resource_is_handed_out_once() -> None:
    room = Room.of(4, 8 * GIB, resources={"licence": 2})
    want = Room.of(1, GIB, resources={"licence": 1.5})
    one = Asking("one", cap=room, want=want)
    assert turn(one, room=room) is not None
    one.used = want
    assert turn(one, room=room) is None
    assert turn(Asking("no such thing here", cap=HOST, want=want), room=room) is None


def test_an_amount_reads_as_a_person_would_say_it() -> None:
    room = Room.of(0.25, 512 << 20, 1, {"licence": 2})
    assert str(room) == "0.25 cpus, 512 MiB of memory, 1 gpus and 2 licence"
    assert str(SMALL) == "1 cpus and 1,024 MiB of memory"


AMOUNTS = st.sampled_from([0.001, 0.1, 0.25, 0.5, 1, 1.5, 2, 3])
NEEDS = st.builds(
    lambda cpus, memory, gpus, licences: Room.of(cpus, memory, gpus, {"licence": licences}),
    AMOUNTS,
    st.integers(1, 4),
    st.sampled_from([0, 0, 0.25, 0.5, 0.75, 1, 2]),
    st.sampled_from([0, 0, 0.5, 1, 2]),
)
ROOM = Room.of(4, 8, 3, {"licence": 2})
CAPS = st.sampled_from([ROOM, Room.of(2, 8, 3, {"licence": 2}), Room.of(4, 4, 1)])


@settings(deadline=None)
@given(st.data())
def test_nothing_is_ever_handed_out_twice_and_all_that_fits_starts_in_the_end(data: st.DataObject) -> None:
    runs = [Asking(str(n), cap=data.draw(CAPS), want=None) for n in range(3)]
    queues = {run.name: data.draw(st.lists(NEEDS.filter(run.cap.fits), max_size=6)) for run in runs}
    held: list[Turn[Asking]] = []
    for served in range(1000):
        for run in runs:
            run.want = queues[run.name][0] if queues[run.name] else None
        found = turn(*runs, now=float(served), room=ROOM)
        if found is None:
            if not held:
                break
            ended = held.pop(data.draw(st.integers(0, len(held) - 1)))
            _change(ended, -1)
            continue
        queues[found.run.name].pop(0)
        found.run.served, found.run.waits_since = served, float(served)
        _change(found, 1)
        held.append(found)
        for run in runs:
            assert run.cap.fits(run.used)
        assert ROOM.fits(NOTHING.plus(runs[0].used).plus(runs[1].used).plus(runs[2].used))
        for index in range(3):
            on_it = [one.needs.gpus for one in held if index in one.gpus]
            assert len(on_it) <= 1 or all(share < WHOLE for share in on_it)
            assert sum(map(per_gpu, on_it)) <= WHOLE
    assert not any(queues.values()), "something that fits into an empty host never started"


def _change(what: Turn[Asking], sign: int) -> None:
    run = what.run
    run.used = run.used.plus(what.needs) if sign > 0 else run.used.minus(what.needs)
    for index in what.gpus:
        run.held_gpus[index] = run.held_gpus.get(index, 0) + sign * per_gpu(what.needs.gpus)
