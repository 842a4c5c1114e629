"""The speed of a link, measured with little."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from batchwasm.engine import link
from batchwasm.engine.depot import Depot
from batchwasm.errors import HostLost
from tests.engine.depots import depot_on, here


class Slow:
    """A depot at the end of a line of so many bytes a second."""

    def __init__(self, rate: float) -> None:
        self.rate, self.sizes = rate, list[int]()

    async def take(self, data: bytes) -> float:
        self.sizes.append(len(data))
        return 1.0 + len(data) / self.rate

    async def give(self, size: int) -> float:
        return 1.0 + size / self.rate / 2


@pytest.mark.parametrize(("rate", "steps"), [(10_000.0, 1), (1e6, 3), (1e9, 4)])
async def test_a_slow_line_is_given_little_and_its_round_trip_does_not_count(rate: float, steps: int) -> None:
    slow = Slow(rate)
    found = await link.measure(cast("Depot", slow), 1.0)
    assert found.up == pytest.approx(min(rate, link.SIZES[steps - 1] / link.SHORTEST_S), rel=0.01)
    assert found.down == pytest.approx(2 * rate, rel=0.01)
    assert slow.sizes == list(link.SIZES[:steps])


async def test_bytes_are_taken_and_given_and_nothing_is_kept(tmp_path: Path) -> None:
    async with depot_on(here(tmp_path / "w")) as depot:
        assert await depot.take(b"x" * 600_000) > 0
        assert await depot.take(b"") > 0
        assert await depot.give(600_000) > 0
        assert await depot.runners() == []  # the wire is where it was
    assert not (tmp_path / "w").exists()


async def test_a_host_that_gives_another_number_of_bytes_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with depot_on(here(tmp_path / "w")) as depot:
        monkeypatch.setattr("batchwasm.engine.depot._receive", _nothing)
        with pytest.raises(HostLost, match="answers give with 'another number of bytes'"):
            await depot.give(10)


async def _nothing(*_: object) -> str:
    return ""
