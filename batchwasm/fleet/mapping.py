"""Many calls of one function for one consumer: rows are pulled as values are taken, a bounded number is on the way.

All but the ends of calls happens in the consumer's own thread: pulling rows, encoding, decoding.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from typing import Any

from batchwasm.engine.arguments import Given, size
from batchwasm.errors import TaskFailed
from batchwasm.fleet.function import Function
from batchwasm.fleet.outcome import Ending, failure, value_of
from batchwasm.fleet.thread import Batch, SchedulerThread
from batchwasm.functions.values import BadArgument
from batchwasm.model import Outcome
from batchwasm.results import RunFolder

Row = tuple["tuple[Any, ...] | Exception", Any]
Rows = Iterable[Row]
"""(arguments of a call, what names it in messages); an exception takes the place of a call that can't be made."""
PAUSE: Row = ((), None)
"""In the place of a row: there is none just now, so what is there is sent, and values are given out."""
PAUSE_S = 0.05  # until rows are looked for again
CHUNK = 512  # calls that go in together
CHUNK_S = 0.002  # how long rows are pulled before those that are there go in
BYTES_LIMIT = 256 * 1024**2  # of arguments that are on the way, and of values that wait to be taken


class _Results:
    """Ends of calls by the numbers of their rows; filled by the scheduler's thread, emptied by the consumer's."""

    def __init__(self, ordered: bool) -> None:
        self._ordered = ordered
        self._there: dict[int, Ending | BaseException] = {}
        """Where they are taken in order."""
        self._arrived: deque[tuple[int, Ending | BaseException]] = deque()
        """Where they are taken as they come."""
        self._next = 0
        self._condition = threading.Condition()
        self._waiting = False
        self._bytes_in = self._bytes_out = 0  # each is written by one thread alone

    def done(self, number: int, ending: Ending | BaseException) -> None:
        self._bytes_in += _value_bytes(ending)
        if self._ordered:
            self._there[number] = ending
        else:
            self._arrived.append((number, ending))
        if self._waiting and (not self._ordered or number == self._next):
            with self._condition:
                self._waiting = False  # once is enough: who wakes takes all that is there
                self._condition.notify()

    @property
    def held_bytes(self) -> int:
        """Of values that nobody took yet."""
        return self._bytes_in - self._bytes_out

    @property
    def ready(self) -> bool:
        return self._next in self._there if self._ordered else bool(self._arrived)

    def take(self) -> tuple[int, Ending | BaseException]:
        """The next one; it is `ready`."""
        if self._ordered:
            number, ending = self._next, self._there.pop(self._next)
            self._next += 1
        else:
            number, ending = self._arrived.popleft()
        self._bytes_out += _value_bytes(ending)
        return number, ending

    def wait(self, timeout_s: float | None) -> bool:
        """Until one is ready; False where the time is over before."""
        with self._condition:
            self._waiting = True  # before the look: whoever comes after it notifies
            try:
                return self._condition.wait_for(lambda: self.ready, timeout_s)
            finally:
                self._waiting = False


def _value_bytes(ending: Ending | BaseException) -> int:
    return len(ending.record.value or b"") if isinstance(ending, Ending) else 0


class _Sent:
    """A call that is on the way."""

    __slots__ = ("batch", "named", "size")

    def __init__(self, named: object, size: int) -> None:
        self.named, self.size = named, size
        self.batch: Batch | None = None


class _Mapping:
    def __init__(
        self, scheduler: SchedulerThread, function: Function, folder: RunFolder, rows: Rows, ordered: bool, limit: int
    ) -> None:
        self._scheduler, self._function, self._folder = scheduler, function, folder
        self._rows = iter(rows)
        self._limit = max(1, limit)
        self._results = _Results(ordered)
        self._sent: dict[int, _Sent] = {}
        """Those that were not taken yet."""
        self._bytes = 0
        self._count = 0
        self._exhausted = False

    def endings(self, deadline: float | None) -> Generator[tuple[object, Ending | BaseException]]:
        """What names each call in messages, and how it ended; until the monotonic time `deadline`."""
        try:
            while True:
                paused = not self._fill()
                if not self._sent and self._exhausted:
                    return
                left_s = None if deadline is None else deadline - time.monotonic()
                if left_s is not None and left_s <= 0:
                    raise TimeoutError(f"{self._function.__name__}: not all values came in time")
                if not self._sent or not self._results.wait(PAUSE_S if paused else left_s):
                    continue
                while self._results.ready:
                    number, ending = self._results.take()
                    sent = self._sent.pop(number)
                    self._bytes -= sent.size
                    yield sent.named, ending
                    if self._wants_more:
                        break
        finally:
            self._withdraw()

    @property
    def _has_room(self) -> bool:
        return self._bytes < BYTES_LIMIT and self._results.held_bytes < BYTES_LIMIT

    @property
    def _wants_more(self) -> bool:
        """Half empty: filled up in large steps, so that calls travel together."""
        return not self._exhausted and len(self._sent) <= self._limit // 2 and self._bytes <= BYTES_LIMIT // 2

    def _fill(self) -> bool:
        """False where there are no rows just now, but may be soon."""
        while not self._exhausted and len(self._sent) < self._limit and self._has_room:
            if not self._send_chunk():
                return False
            if self._results.ready:
                break  # whoever waits for values goes first; the next look is soon
        return True

    def _send_chunk(self) -> bool:
        """Pull rows, for a moment at most, and send them; False where there are none just now."""
        until = time.monotonic() + CHUNK_S
        first, arguments, calls = self._count, list[Given](), list[_Sent]()
        most = min(CHUNK, self._limit - len(self._sent))
        while len(arguments) < most and self._bytes < BYTES_LIMIT:
            row = next(self._rows, None)
            if row is None:
                self._exhausted = True
                break
            if row is PAUSE:
                self._push(first, arguments, calls)
                return False
            given, named = row
            try:
                if isinstance(given, Exception):
                    raise given
                encoded = self._function.encode(given)
            except Exception as error:
                # It has its place among the others, but nothing is sent for it.
                self._push(first, arguments, calls)
                self._sent[self._count] = _Sent(named, 0)
                self._results.done(self._count, error)
                self._count += 1
                return True
            sent = self._sent[self._count] = _Sent(named, size(encoded))
            self._bytes += sent.size
            self._count += 1
            arguments.append(encoded)
            calls.append(sent)
            if time.monotonic() > until:
                break
        self._push(first, arguments, calls)
        return True

    def _push(self, first: int, arguments: list[Given], calls: list[_Sent]) -> None:
        if arguments:
            batch = Batch(self._function.job, arguments, self._results.done, first)
            for call in calls:
                call.batch = batch
            self._scheduler.push(batch)

    def _withdraw(self) -> None:
        """What is still on the way when nobody takes values any more."""
        batches: dict[Batch, list[int]] = {}
        for number, sent in self._sent.items():
            if sent.batch is not None:
                batches.setdefault(sent.batch, []).append(number)
        for batch, numbers in batches.items():
            self._scheduler.withdraw(batch, numbers)


def mapped(
    scheduler: SchedulerThread,
    function: Function,
    folder: RunFolder,
    rows: Rows,
    *,
    ordered: bool,
    in_flight: int,
    timeout_s: float | None,
    failures: bool,
) -> Iterator[Any]:
    """The values of calls, lazily; see Fleet.map. With `failures` a call that failed is a value, too."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    mapping = _Mapping(scheduler, function, folder, rows, ordered, in_flight)
    return _values(mapping.endings(deadline), function, folder, failures)


def _values(
    endings: Generator[tuple[object, Ending | BaseException]], function: Function, folder: RunFolder, failures: bool
) -> Iterator[Any]:
    with closing(endings):  # what is on the way is withdrawn at once, also where a traceback holds this frame
        for named, ending in endings:
            if isinstance(ending, Ending) and ending.record.outcome == Outcome.SUCCEEDED:
                yield function.decode(value_of(ending, folder))
                continue
            error = failure(ending, function.__name__, named, folder) if isinstance(ending, Ending) else ending
            if not failures or not isinstance(error, TaskFailed | BadArgument):
                raise error
            yield error
