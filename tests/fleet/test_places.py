"""Where people make fleets: in a notebook's running event loop, in a thread, in children of multiprocessing."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from batchwasm import Fleet
from tests.command import ROOT


async def test_a_fleet_works_inside_a_running_event_loop_as_a_notebook_has_it(home: Path, picky: Path) -> None:
    """A cell is code in a running loop. Calls wait, in one cell or over several; futures can be awaited."""
    fleet = Fleet()
    function = fleet.function(picky, "picky")
    assert function(1) == 1
    assert list(fleet.map(function, range(10))) == list(range(10))
    assert await asyncio.wrap_future(fleet.submit(function, 2)) == 2
    assert await asyncio.gather(*(asyncio.wrap_future(fleet.submit(function, n)) for n in range(10))) == list(range(10))
    fleet.shutdown()


def test_a_fleet_is_used_from_many_threads_at_once(fleet: Fleet, picky: Path) -> None:
    function = fleet.function(picky, "picky")
    found: dict[int, list[int]] = {}

    def use(n: int) -> None:
        found[n] = [*fleet.map(function, [n] * 200), function(n)]

    threads = [threading.Thread(target=use, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: [n] * 201 for n in range(8)}


SCRIPT = """
import multiprocessing
import sys
import batchwasm

def work(n):
    with batchwasm.Fleet() as fleet:
        return sum(fleet.map(fleet.function(sys.argv[1], "picky"), [n] * 5))

def use(fleet):
    return repr(fleet)

if __name__ == "__main__":
    with batchwasm.Fleet() as fleet:
        function = fleet.function(sys.argv[1], "picky")
        with multiprocessing.get_context(sys.argv[2]).Pool(2) as pool:
            print(function(7), pool.map(work, [1, 2, 3]), function(8))
            for mine in (fleet, function):
                try:
                    pool.map(use, [mine])
                except TypeError as error:
                    print(error)
"""


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_children_of_multiprocessing_make_fleets_of_their_own(
    home: Path, picky: Path, tmp_path: Path, method: str
) -> None:
    """That nothing stays behind is seen by the fixture which looks for leftovers."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", script, picky, method],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, *refused = done.stdout.splitlines()
    assert first == "7 [5, 10, 15] 8"
    assert len(refused) == 2
    assert all("to a Fleet of this process" in line or "the process that made it" in line for line in refused)
