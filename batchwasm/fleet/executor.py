"""Fleet: an Executor whose functions run as WebAssembly on a pool of machines."""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import tempfile
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, InvalidStateError
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib import metadata, resources
from pathlib import Path
from typing import Any, NoReturn

from batchwasm import results, transports
from batchwasm import spec as spec_files
from batchwasm.artifacts import Store, build, signature_of
from batchwasm.core.events import Event, HostLeft, HostRefused
from batchwasm.engine.plan import Plan, Watcher
from batchwasm.errors import Problem, SpecError
from batchwasm.fleet.function import Function
from batchwasm.fleet.mapping import Rows, mapped
from batchwasm.fleet.outcome import Ending, failure, value_of
from batchwasm.fleet.thread import Batch, SchedulerThread
from batchwasm.functions import of_module
from batchwasm.model import Inventory, Job, Outcome, RunSpec
from batchwasm.spec.jobs import run_name
from batchwasm.spec.sweep import Added
from batchwasm.version import __version__

KEEP_RUNS = 50
MEANINGLESS = frozenset({"args", "sweep", "zip", "include", "omit", "source", "function", "after"})
"""Keys of a job that a function of a fleet has not."""
JOIN_S = 30.0  # for the scheduler to take leave of its hosts
_log = logging.getLogger("batchwasm")
_schedulers: weakref.WeakSet[SchedulerThread] = weakref.WeakSet()


class Fleet(Executor):
    """Machines that call functions; use it in a `with`, or `shutdown()` it.

    `inventory` is a file (default: found as `batchwasm run` finds it, else this machine alone), `hosts` a hostlist
    instead. Raises SpecError, WorldError. Belongs to the process that made it: after a fork make another one.
    """

    def __init__(
        self,
        inventory: str | Path | None = None,
        *,
        hosts: str | None = None,
        wait_hosts_s: float = 600.0,
        name: str = "fleet",
        runs_dir: str | Path | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        self._given = {"inventory": None if inventory is None else Path(inventory), "hosts": hosts}
        self.inventory: Inventory = spec_files.load_inventory(Path.cwd(), **self._given)  # type: ignore[arg-type]
        self._store = Store()
        self._pid = os.getpid()
        self._closed = False
        self._names: set[str] = set()
        self._lock = threading.Lock()
        self._futures: weakref.WeakSet[_CallFuture] = weakref.WeakSet()
        self.folder = _folder(name, runs_dir)
        """The run's: journal, wasm, what calls left."""
        self.folder.write_text(self.folder.jobs, "# Calls of functions, made one by one: see journal.db\n")
        self.folder.write_text(self.folder.inventory, self.inventory.text)
        spec = RunSpec(name=name, folder=Path.cwd(), jobs=())
        plan = Plan(
            run=secrets.token_hex(8),
            spec=spec,
            inventory=self.inventory,
            store=self._store,
            wait_hosts_s=wait_hosts_s,
            version=__version__,
            open=True,
        )
        _import_first(self.inventory)
        self._watcher = watcher or _Logged()
        self._scheduler = SchedulerThread(plan, self.folder, self._watcher)
        if self._scheduler.broken is not None:
            raise self._scheduler.broken
        _schedulers.add(self._scheduler)
        # Dropped without a word, it lets its hosts go.
        self._dropped = weakref.finalize(self, self._scheduler.stop)
        self._dropped.atexit = False

    def __repr__(self) -> str:
        count = len(self.inventory.hosts)
        return f"<Fleet of {count} host{'s' if count != 1 else ''}{', shut down' if self._closed else ''}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Fleet belongs to the process that made it; make another one in each process")

    # ------------------------------------------------------------------------------------------ functions

    def function(
        self, source: str | Path | Iterable[str | Path], name: str, *, numpy: bool = False, **settings: object
    ) -> Function:
        """A function of a source, compiled now, shipped with its first call.

        `settings` are keys of a job in jobs.toml: memory, time_limit, cpus, env, reuse, build, hosts, ... With `numpy`
        its lists of numbers come back as arrays. Raises SpecError, SourceError.
        """
        self._check_usable()
        job = self._job(source, name, settings)
        signature_of(job.name, job.source)  # what is wrong with it is told before a compiler is looked for
        self._watcher.compiling(job.name, "")
        hint = partial(self._watcher.compiling, job.name)
        artifact = build(job.name, job.source, self._store, talk=hint)
        self._watcher.compiled(job.name, artifact)
        signature = of_module(artifact.path.read_bytes())
        assert signature is not None
        number = self._scheduler.add_job(job, artifact)
        return Function(self, number, signature, artifact, self.folder.arguments(job.name), numpy=numpy)

    def _job(self, source: str | Path | Iterable[str | Path], function: str, settings: Mapping[str, object]) -> Job:
        refused = sorted(set(settings) & MEANINGLESS)
        if refused:
            raise SpecError([Problem(file="", line=None, key=key, text="calls are made one by one") for key in refused])
        sources = [source] if isinstance(source, str | Path) else list(source)
        given: dict[str, object] = {**settings, "function": function}
        if len(sources) > 1:
            given["source"] = [os.path.abspath(each) for each in sources]
        try:
            spec, _ = spec_files.from_source(Path(sources[0]), [], settings=given, **self._given)  # type: ignore[arg-type]
        except SpecError as error:
            raise SpecError([replace(problem, key=_as_argument(problem.key)) for problem in error.problems]) from error
        name = base = run_name(function)
        number = 1
        with self._lock:
            while name in self._names:
                number += 1
                name = f"{base}-{number}"
            self._names.add(name)
        return replace(spec.jobs[0], name=name, sweep=Added())

    # ---------------------------------------------------------------------------------------------- calls

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """A Future of the call's value; its `cancel` works until the value is there, and stops what runs long.

        Raises BadArgument for arguments that don't fit the function; the Future raises TaskFailed.
        """
        self._check_usable()
        function = self._function(fn)
        given = function.bind(args, kwargs)
        future = _CallFuture(self._scheduler, self.folder, function, given)
        future.batch = Batch(function.job, [function.encode(given)], future.ended, 0)
        self._scheduler.push(future.batch)
        self._futures.add(future)
        return future

    def map(
        self,
        fn: Any,
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        ordered: bool = True,
        in_flight: int = 10_000,
    ) -> Iterator[Any]:
        """The values of `fn(a, b, ...)` for the items of the iterables, taken together; lazily, as they are asked for.

        At most `in_flight` calls are under way or wait to be taken, however long the iterables are. In their order,
        or with `ordered=False` as they come. A call that fails raises TaskFailed in its place, and the rest is
        withdrawn. `timeout` is in seconds, for the whole; `chunksize` has no effect: calls always travel in batches.
        """
        rows = ((items, items) for items in zip(*iterables, strict=False))
        return self._mapped(fn, rows, ordered=ordered, in_flight=in_flight, timeout_s=timeout, failures=False)

    def starmap(
        self, fn: Any, rows: Iterable[tuple[Any, ...]], *, ordered: bool = True, in_flight: int = 10_000
    ) -> Iterator[Any]:
        """As `map`, where each row has all arguments of a call."""
        pairs = ((tuple(row), tuple(row)) for row in rows)
        return self._mapped(fn, pairs, ordered=ordered, in_flight=in_flight, timeout_s=None, failures=False)

    def outcomes(self, fn: Any, rows: Rows, *, in_flight: int = 10_000) -> Iterator[Any]:
        """As `starmap` in order, with failures as values: TaskFailed and BadArgument are yielded, not raised.

        Of each pair in `rows` the first has the arguments, or is an exception, which then takes the call's place; the
        second is what to name the call by in a message.
        """
        return self._mapped(fn, rows, ordered=True, in_flight=in_flight, timeout_s=None, failures=True)

    def _mapped(self, fn: Any, rows: Rows, **options: Any) -> Iterator[Any]:
        self._check_usable()
        return mapped(self._scheduler, self._function(fn), self.folder, rows, **options)

    # ------------------------------------------------------------------------------------------- its end

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """No more calls; with `wait` returns when all have ended, with `cancel_futures` cancels them first.

        Without either, what was submitted still runs to its end; the script's own end waits for it.
        """
        if self._pid != os.getpid():
            return  # a child of a fork: the fleet is its parent's
        if not self._closed:
            self._closed = True
            self._scheduler.close()
            self._dropped.detach()
        if cancel_futures:
            for future in list(self._futures):
                future.cancel()
            self._scheduler.stop()
        if wait:
            self._scheduler.check_caller()
            self._scheduler.join()

    def __exit__(self, kind: object, error: object, trace: object) -> bool | None:
        self.shutdown(wait=True, cancel_futures=kind is not None)
        return None

    def _check_usable(self) -> None:
        if self._pid != os.getpid():
            raise RuntimeError("this Fleet was made before a fork; make one in the process that uses it")
        if self._closed:
            raise RuntimeError("this Fleet was shut down; make another one")
        if self._scheduler.broken is not None:
            raise self._scheduler.broken

    def _function(self, fn: Any) -> Function:
        if not isinstance(fn, Function):
            raise TypeError(f"{fn!r} can't run on a Fleet; give it what fleet.function(SOURCE, NAME) returned")
        if fn._fleet is not self:
            raise ValueError(f"{fn.__name__} belongs to another Fleet; make it with this one's function()")
        return fn


class _Logged(Watcher):
    """Says what a person should know of hosts: a script shows warnings on stderr unless it is told otherwise."""

    def happened(self, event: Event) -> None:
        if isinstance(event, HostRefused | HostLeft):
            _log.warning("host %s: %s", event.host, event.text)

    def note(self, text: str) -> None:
        _log.warning("%s", text)


class _CallFuture(Future[Any]):
    """Cancels also what runs already."""

    def __init__(
        self, scheduler: SchedulerThread, folder: results.RunFolder, function: Function, given: object
    ) -> None:
        super().__init__()
        self._scheduler, self._folder, self._call, self._given = scheduler, folder, function, given
        self.batch: Batch | None = None

    def ended(self, _: int, ending: Ending | BaseException) -> None:
        """In the scheduler's thread."""
        self._scheduler.finish(lambda: self._end(ending))

    def _end(self, ending: Ending | BaseException) -> None:
        self.batch = None  # which holds this future: without the circle both go as soon as nobody wants them
        with suppress(InvalidStateError):  # it was cancelled meanwhile
            if isinstance(ending, BaseException):
                self.set_exception(ending)
                return
            try:
                if ending.record.outcome == Outcome.SUCCEEDED:
                    self.set_result(self._call.decode(value_of(ending, self._folder)))
                else:
                    self.set_exception(failure(ending, self._call.__name__, self._given, self._folder))
            except Exception as error:  # whatever it is, it is for who waits: too little memory for the value, say
                self.set_exception(error)

    def result(self, timeout: float | None = None) -> Any:
        if not self.done():
            self._scheduler.check_caller()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        if not self.done():
            self._scheduler.check_caller()
        return super().exception(timeout)

    def cancel(self) -> bool:
        if self.cancelled():
            return True
        if not super().cancel():
            return False
        self.set_running_or_notify_cancel()  # who waits for it is told
        batch = self.batch  # another thread may take it away
        if batch is not None:
            self._scheduler.withdraw(batch, [0])
        return True


def _import_first(inventory: Inventory) -> None:
    """What the scheduler's thread would import: a child that is forked meanwhile would wait for that for ever."""
    for host in {host.transport: host for host in inventory.hosts}.values():
        transports.make(host)
    resources.files("batchwasm.runner")
    metadata.version("wasmtime")


def _as_argument(key: str) -> str:
    """A command line's --time-limit is Python's time_limit."""
    return key.removeprefix("--").replace("-", "_").lower() if key.startswith("--") else key.lower()


def _folder(name: str, runs_dir: str | Path | None) -> results.RunFolder:
    if runs_dir is not None:
        return results.create(name, Path(runs_dir))
    calls = results.calls_dir()
    if calls is None:
        return results.create(name, Path(tempfile.gettempdir()), indexed=False)
    results.prune_calls(KEEP_RUNS - 1)
    return results.create(name, calls, indexed=False)


@atexit.register
def _end_all() -> None:
    """A fleet that was shut down is waited for, as executors are; one that was forgotten leaves no guest behind."""
    for scheduler in list(_schedulers):
        if scheduler.pid == os.getpid() and scheduler.thread.is_alive():
            if scheduler.closed:
                scheduler.join()
            else:
                scheduler.stop()
                scheduler.join(JOIN_S)
