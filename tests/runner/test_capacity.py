"""Who may start next."""

from __future__ import annotations

from dataclasses import dataclass

from batchwasm.runner.capacity import NOTHING, PATIENCE_S, Host, Room

GIB = 1 << 30
HOST = Room(4, 8 * GIB)
SMALL = Room(1, GIB)


@dataclass
class Asking:
    """A run that wants something."""

    name: str
    cap: Room = HOST
    used: Room = NOTHING
    served: int = 0
    wants: Room | None = SMALL
    waits_since: float = 0.0


def chosen(*runs: Asking, now: float = 0.0) -> str | None:
    run = Host[Asking](HOST).next(runs, now)
    return run.name if run else None


def test_nothing_is_chosen_where_nobody_wants_anything() -> None:
    assert chosen() is None
    assert chosen(Asking("a", wants=None)) is None


def test_the_run_with_the_smallest_share_goes_first() -> None:
    assert chosen(Asking("a", used=Room(2, GIB)), Asking("b", used=Room(1, GIB))) == "b"


def test_memory_counts_as_much_as_cpus_in_a_share() -> None:
    assert chosen(Asking("a", used=Room(1, 6 * GIB)), Asking("b", used=Room(2, GIB))) == "b"


def test_among_equal_shares_the_one_served_longest_ago_goes_first() -> None:
    assert chosen(Asking("a", served=7), Asking("b", served=3)) == "b"


def test_what_all_runs_hold_counts() -> None:
    assert chosen(Asking("a", used=Room(4, GIB), wants=None), Asking("b")) is None
    assert chosen(Asking("a", used=Room(1, 8 * GIB), wants=None), Asking("b")) is None


def test_a_run_never_holds_more_than_its_own_cap() -> None:
    assert chosen(Asking("a", cap=Room(1, 8 * GIB), used=Room(1, GIB)), Asking("b", wants=None)) is None


def test_an_inventory_that_says_more_than_is_there_is_taken_at_its_word() -> None:
    assert chosen(Asking("a", cap=Room(9, 8 * GIB), used=Room(8, GIB))) == "a"


def test_a_small_batch_passes_a_large_one_for_a_while_only() -> None:
    holder = Asking("holder", used=Room(3, GIB), wants=None)
    large = Asking("large", wants=Room(4, GIB), waits_since=10.0)
    small = Asking("small", served=1)
    assert chosen(holder, large, small, now=10.0 + PATIENCE_S) == "small"
    assert chosen(holder, large, small, now=10.1 + PATIENCE_S) is None


def test_a_run_at_its_own_cap_holds_nobody_up_however_long_it_waits() -> None:
    capped = Asking("capped", cap=Room(1, 8 * GIB), used=Room(1, 0), waits_since=-100.0)
    assert chosen(capped, Asking("b", used=Room(2, 0))) == "b"
