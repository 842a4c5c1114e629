"""A Fleet is an Executor: calls, futures, cancelling, its end."""

from __future__ import annotations

import concurrent.futures
import inspect
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest

from batchwasm import BadArgument, Fleet, SourceError, SpecError, TaskFailed, api
from batchwasm.model import Outcome
from tests.command import ROOT


def test_a_function_gives_its_value(fleet: Fleet, echo: Path) -> None:
    function = fleet.function(echo, "echo")
    assert function([1.5, float("inf")]) == [1.5, float("inf")]
    assert function(a=[2.0]) == [2.0]
    assert fleet.submit(function, []).result() == []


def test_a_function_has_name_signature_and_help(fleet: Fleet, echo: Path) -> None:
    function = fleet.function(echo, "echo")
    assert function.__name__ == "echo"
    assert "echo, as WAT has it." in (function.__doc__ or "")
    assert list(inspect.signature(function).parameters) == ["a"]
    assert "list<f64>" in repr(function)


def test_arguments_that_do_not_fit_are_refused_at_once_by_name(fleet: Fleet, picky: Path) -> None:
    function = fleet.function(picky, "picky")
    for args, named, told in [
        ((300,), {}, "300 does not fit u8"),
        ((), {}, "takes 1 argument"),
        ((1,), {"a": 2}, "given twice"),
        ((), {"x": 2}, "x is no parameter"),
    ]:
        with pytest.raises(BadArgument, match=told):
            function(*args, **named)


def test_each_way_to_fail_says_why(fleet: Fleet, picky: Path) -> None:
    function = fleet.function(picky, "picky", time_limit=0.5, memory="8MiB")
    found = {}
    for number in (13, 14, 15, 16):
        with pytest.raises(TaskFailed) as caught:
            function(number)
        found[number] = (caught.value.outcome, caught.value.code)
        assert caught.value.call == f"picky({number})"
        assert caught.value.host == "localhost"
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert found == {
        13: ("trapped", "unreachable"),
        14: ("timed_out", "time_limit"),
        15: ("failed", "exit_code"),
        16: ("failed", "bad_value"),
    }
    assert function(17) == 17


def test_futures_are_those_of_concurrent_futures(fleet: Fleet, picky: Path) -> None:
    function = fleet.function(picky, "picky")
    futures = [fleet.submit(function, number) for number in (1, 13, 2)]
    done, pending = concurrent.futures.wait(futures, timeout=60)
    assert not pending
    assert isinstance(futures[1].exception(), TaskFailed)
    assert {future.result() for future in done if future.exception() is None} == {1, 2}


def test_a_future_that_is_cancelled_stops_its_guest_and_makes_room(fleet: Fleet, picky: Path) -> None:
    function = fleet.function(picky, "picky")
    endless = [fleet.submit(function, 14) for _ in range(2 * (os.cpu_count() or 1))]
    with pytest.raises(concurrent.futures.TimeoutError):
        endless[0].result(timeout=0.5)
    assert all(future.cancel() for future in endless)
    assert concurrent.futures.wait(endless, timeout=10).not_done == set()
    assert function(5) == 5
    fleet.shutdown()
    status = api.status(fleet.folder)
    assert (status.state, status.tasks.cancelled, status.tasks.succeeded) == ("finished", len(endless), 1)


def test_large_arguments_and_values_travel_as_files_and_leave_none(fleet: Fleet, echo: Path) -> None:
    function = fleet.function(echo, "echo")
    values = [n / 7 for n in range(200_000)]  # 1.6 MB
    assert function(values) == values
    fleet.shutdown()
    assert sorted(path.name for path in fleet.folder.path.iterdir() if not path.name.startswith("journal")) == [
        "arguments",
        "inventory.toml",
        "jobs.toml",
        "manifest.json",
        "tasks",
        "wasm",
    ]
    assert [path for name in ("arguments", "tasks") for path in (fleet.folder.path / name).rglob("*.*")] == []


def test_numpy_arrays_go_in_and_come_out(fleet: Fleet, echo: Path) -> None:
    import numpy

    function = fleet.function(echo, "echo", numpy=True)
    given = numpy.linspace(0, 1, 1000)
    found = function(given)
    assert isinstance(found, numpy.ndarray)
    assert (found == given).all()


def test_an_instance_is_fresh_for_each_call_or_reused(fleet: Fleet, counter: Path) -> None:
    fresh, kept = fleet.function(counter, "counter"), fleet.function(counter, "counter", reuse=True)
    assert set(fleet.map(fresh, [0] * 20)) == {1}
    assert max(fleet.map(kept, [0] * 200)) > 1


def test_what_is_wrong_with_a_function_is_told_where_it_is_made(fleet: Fleet, echo: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has no function other"):
        fleet.function(echo, "other")
    with pytest.raises(SpecError, match="lots"):
        fleet.function(echo, "echo", memory="lots")
    with pytest.raises(SpecError, match="there is no file"):
        fleet.function(tmp_path / "none.rs", "f")


def test_the_run_can_be_read_by_name_but_is_not_the_newest(fleet: Fleet, picky: Path) -> None:
    function = fleet.function(picky, "picky")
    assert list(fleet.map(function, [1, 2, 3])) == [1, 2, 3]
    fleet.shutdown()
    rows = list(api.results(api.find(fleet.folder.name)))
    assert [(row.index, row.value, row.outcome) for row in rows] == [(n, n + 1, "succeeded") for n in range(3)]
    assert fleet.folder.wasm("picky").read_bytes() == picky.read_bytes()
    assert "picky" in fleet.folder.wit("picky").read_text()
    with pytest.raises(api.RunError):
        api.find(None)


def test_a_fleet_that_was_shut_down_says_so(fleet: Fleet, picky: Path) -> None:
    function = fleet.function(picky, "picky")
    future = fleet.submit(function, 3)
    fleet.shutdown()
    assert future.result() == 3
    with pytest.raises(RuntimeError, match="shut down"):
        function(1)


def test_leaving_by_an_exception_does_not_wait_for_what_runs(home: Path, picky: Path) -> None:
    fleet = Fleet()
    future = fleet.submit(fleet.function(picky, "picky"), 14)
    fleet.__exit__(ZeroDivisionError, ZeroDivisionError(), None)  # would wait for ever
    assert future.cancelled()


def test_functions_of_others_are_refused(fleet: Fleet, picky: Path) -> None:
    with pytest.raises(TypeError, match=r"fleet\.function"):
        fleet.submit(len, [])
    with Fleet() as other, pytest.raises(ValueError, match="another Fleet"):
        fleet.submit(other.function(picky, "picky"), 1)
    with pytest.raises(TypeError, match="belongs to a Fleet of this process"):
        pickle.dumps(fleet.function(picky, "picky"))


def test_no_host_left_is_an_error_of_every_call_and_a_warning(
    home: Path, picky: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Fleet(hosts="127.0.0.1", wait_hosts_s=0) as fleet:
        function = fleet.function(picky, "picky")
        future = fleet.submit(function, 1)
        with pytest.raises(api.WorldError, match="no host"):
            future.result(timeout=60)
        with pytest.raises(api.WorldError):
            function(2)
    assert "host 127.0.0.1:" in caplog.text


SCRIPT = """
import os, sys
import batchwasm
fleet = batchwasm.Fleet()
function = fleet.function(sys.argv[1], "picky")
print(function(1), flush=True)
endless = fleet.submit(function, 14)
if sys.argv[2] == "fork":
    pid = os.fork()
    if not pid:
        try:
            function(1)
        except RuntimeError as error:
            print("child:", error, flush=True)
        sys.exit(0)
    os.waitpid(pid, 0)
"""


@pytest.mark.parametrize("how", ["forgets", "fork"])
def test_a_script_that_forgets_its_fleet_ends_and_leaves_nothing(home: Path, picky: Path, how: str) -> None:
    """That no process stays is seen by the fixture which looks for leftovers."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", SCRIPT, str(picky), how],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "1"
    assert ("child: this Fleet was made before a fork" in done.stdout) == (how == "fork")


def test_results_of_a_failed_call_are_in_the_journal(fleet: Fleet, picky: Path) -> None:
    with pytest.raises(TaskFailed):
        fleet.function(picky, "picky")(13)
    fleet.shutdown()
    assert api.status(fleet.folder).by_outcome == {Outcome.TRAPPED.word: 1}


def test_one_cancelled_call_of_many_harms_no_other(fleet: Fleet, picky: Path) -> None:
    function = fleet.function(picky, "picky")
    for _ in fleet.map(function, [1] * 200):
        pass  # now they are known to be short, and travel together
    futures = [fleet.submit(function, 14 if n % 50 == 7 else 1) for n in range(200)]
    for future in futures[7::50]:
        assert future.cancel()
        assert future.cancel()  # again is no error
    assert [f.result(timeout=60) for n, f in enumerate(futures) if n % 50 != 7] == [1] * 196
    fleet.shutdown()
    assert api.status(fleet.folder).tasks.cancelled == 4


def test_cancelling_one_large_call_leaves_those_with_equal_arguments(fleet: Fleet, echo: Path) -> None:
    function = fleet.function(echo, "echo")
    values = [0.5] * 200_000
    futures = [fleet.submit(function, values) for _ in range(8)]
    assert futures[3].cancel()
    assert [f.result(timeout=60) == values for n, f in enumerate(futures) if n != 3] == [True] * 7


def test_a_function_that_fits_no_host_is_told_and_the_others_go_on(fleet: Fleet, picky: Path) -> None:
    large = fleet.function(picky, "picky", memory="900GiB")
    with pytest.raises(SpecError, match="900 GiB of memory, more than any host"):
        large(1)
    assert fleet.function(picky, "picky")(2) == 2


def test_a_callback_can_submit_but_not_wait(fleet: Fleet, picky: Path) -> None:
    function = fleet.function(picky, "picky")
    told: list[object] = []
    chained: list[concurrent.futures.Future[int]] = []

    def callback(future: concurrent.futures.Future[int]) -> None:
        chained.append(fleet.submit(function, future.result() + 1))
        with pytest.raises(RuntimeError, match="can't wait"):
            function(1)
        told.append(future)

    fleet.submit(function, 1).add_done_callback(callback)
    deadline = time.monotonic() + 60
    while not told:
        assert time.monotonic() < deadline
        time.sleep(0.01)  # for another thread
    assert chained[0].result(timeout=60) == 2


def test_keys_that_mean_nothing_here_are_refused(fleet: Fleet, picky: Path) -> None:
    with pytest.raises(SpecError, match="sweep: calls are made one by one"):
        fleet.function(picky, "picky", sweep={"n": [1]})


def test_a_fleet_that_is_dropped_lets_its_hosts_go(home: Path, picky: Path) -> None:
    fleet = Fleet()
    fleet.function(picky, "picky")(1)
    thread = fleet._scheduler.thread
    del fleet
    thread.join(30)
    assert not thread.is_alive()


def test_the_end_of_a_long_stderr_is_told(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "loud.c").write_text(
        "#include <stdio.h>\n#include <stdlib.h>\n"
        'void loud(void) { for (int i = 0; i < 20000; i++) fprintf(stderr, "line %d\\n", i); abort(); }\n'
    )
    with pytest.raises(TaskFailed) as caught:
        fleet.function(tmp_path / "loud.c", "loud")()
    assert caught.value.stderr.endswith("line 19999\n")
