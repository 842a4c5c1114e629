"""What is left of a host: exact sums, gpus each for itself, nothing promised twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batchwasm.core.room import Amount, Room, amount_of, offer_of
from batchwasm.model import Request


def amount(cpus: float = 1, memory: int = 0, gpus: float = 0, **resources: float) -> Amount:
    return amount_of(Request(cpus=cpus, memory_bytes=memory, gpus=gpus, resources=resources))


def room(cpus: float = 8, memory: int = 100, gpus: int = 0, **resources: float) -> Room:
    return Room(offer_of(cpus, memory, gpus, resources))


def test_ten_tenths_of_a_cpu_are_one_cpu() -> None:
    found = room(cpus=1)
    for _ in range(10):
        assert found.fits_now(amount(cpus=0.1))
        found.take(amount(cpus=0.1), firm=True)
    assert not found.fits_now(amount(cpus=0.001))


def test_shares_of_a_gpu_go_onto_one_and_whole_ones_need_a_free_one() -> None:
    found = room(gpus=2)
    assert found.take(amount(gpus=0.5), firm=True) == (0,)
    assert found.take(amount(gpus=0.25), firm=True) == (0,)
    assert found.take(amount(gpus=1), firm=True) == (1,)
    assert not found.fits_now(amount(gpus=1))
    assert not found.fits_now(amount(gpus=0.5))
    assert found.fits_now(amount(gpus=0.25))


def test_three_tasks_of_six_tenths_do_not_fit_on_two_gpus() -> None:
    found = room(gpus=2)
    for _ in range(2):
        found.take(amount(gpus=0.6), firm=True)
    assert list(found.lacks_rare(amount(gpus=0.6))) == ["gpus"]


def test_what_a_host_does_not_name_it_does_not_have() -> None:
    assert not room().fits_now(amount(licence=1))
    assert room(licence=1).fits_now(amount(licence=1))
    assert not room(licence=1).offer.fits(amount(licence=2))


@given(
    st.lists(
        st.builds(
            amount,
            cpus=st.sampled_from([0.001, 0.25, 1, 3]),
            memory=st.integers(0, 60),
            gpus=st.sampled_from([0, 0.3, 0.5, 1, 2]),
            licence=st.integers(0, 2),
        ),
        max_size=30,
    ),
    st.randoms(use_true_random=False),
)
def test_nothing_is_promised_twice_and_all_comes_back(amounts: list[Amount], random: object) -> None:
    found = room(cpus=8, memory=200, gpus=3, licence=3)
    held: list[tuple[Amount, tuple[int, ...]]] = []
    for wanted in amounts:
        if found.fits_now(wanted):
            held.append((wanted, found.take(wanted, firm=True)))
            assert min(found.all_cpus, found.all_memory, *found.gpus, *found.resources.values()) >= 0
            assert len(held[-1][1]) == -(-wanted.gpus // 1000)
        elif held:
            given_back = held.pop(random.randrange(len(held)))  # type: ignore[attr-defined]
            found.give(*given_back, firm=True)
    for each in held:
        found.give(*each, firm=True)
    assert (found.all_cpus, found.all_memory, found.gpus) == (8000, 200, [1000, 1000, 1000])
