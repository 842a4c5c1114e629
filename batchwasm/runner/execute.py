"""An attempt from its order to its row: the guest's world, the guest's run, what came of it.

The guest sees one folder as /, its arguments, its environment, stdio, clocks, random numbers; nothing else.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import time
from collections.abc import Sequence
from ctypes import c_char_p
from typing import Any, Callable, NamedTuple

from . import abi, gpus, limits, outputs, reasons, room
from .abi import Arguments
from .box import Box, MissingInput, TooDeep, Usage
from .cache import BadModule, Loaded, Modules
from .engines import INTERRUPT, End, Launch, LaunchError
from .fixed import FixedWorld
from .page import Page, WorkerSettings
from .protocol import INLINE_BYTES, Detail, Row, TaskWork, Work
from .reasons import INVALID, LOST, SUCCEEDED, WORDS_BYTES, Facts, Limits, Verdict
from .redact import Redaction
from .seed import seed_of
from .stdio import MARGIN_BYTES, Capture, last_bytes
from .watch import Stop, Watch

_MIB = 1024 * 1024
_GO_LIMIT_FROM_BYTES = 16 * _MIB  # below, there is nothing left to hold back
_NO_USAGE = Usage(0, 0)


class _Started(NamedTuple):
    """A guest that runs."""

    task: TaskWork
    at: float
    """Unix time."""
    ns: int
    """By the page's clock, which stands still while the worker is suspended."""
    cpu_ns: int


class Attempts:
    """Runs the tasks of one batch after another in this process."""

    def __init__(self, settings: WorkerSettings, page: Page, modules: Modules) -> None:
        self._page = page
        self._modules = modules
        self._box = Box(os.path.join(settings.scratch, "box"), settings.cache)
        self._files = os.path.join(settings.cache, "files")
        self._stdout = Capture(1, settings.scratch)
        self._stderr = Capture(2, settings.scratch)
        self._cpu_until_s = 0.0
        self._started: _Started | None = None
        self._fixed: FixedWorld | None = None
        """Of a deterministic batch."""
        self._redact: Redaction | None = None
        """Of a batch with secrets."""
        self._kept = False
        """The instance of the last call is open, for the next one."""

    # -------------------------------------------------------------------------------------------- a batch

    def begin(self, work: Work, watch: Watch, gpu_indexes: Sequence[int] = ()) -> None:
        """What all tasks of a batch have in common. A module that can't run here shows in each task's row."""
        self._work = work
        self._gpus = gpus.variables(gpu_indexes)
        self._watch = watch
        self._limits = Limits(work.memory_bytes, work.stdout_bytes, work.disk_bytes, work.files)
        self._loaded: Loaded | None = None
        self._bad: Verdict | None = None
        self._fixed = None
        self._redact = _redaction(work) or None if work.secret else None
        self._judge = reasons.judge_call if work.call else reasons.judge
        self._page.compile(self._page.now_ns())
        try:
            self._loaded = self._modules.load(work.artifact, function=work.call, deterministic=work.deterministic)
            self._fixed = self._loaded.calls.fixed
            self._launch = self._new_launch(work.args, work.env, self._stdin(work.stdin))
        except (BadModule, LaunchError) as error:
            self._bad = Verdict(INVALID, None, error.code, str(error))
        self._stdout.open(work.stdout_bytes)
        self._stderr.open(work.stdout_bytes)
        # One byte more than allowed shows that there was more.
        largest = max(work.disk_bytes + 1, work.stdout_bytes + MARGIN_BYTES)
        limits.set_for_guest(memory_bytes=work.memory_bytes, largest_file_bytes=largest)

    def end(self) -> None:
        """The batch is over: leave nothing of its tasks."""
        if self._loaded is not None:
            self._keep(False)
        limits.set_for_us()
        self._stdout.reset()
        self._stderr.reset()
        self._box.empty()

    # -------------------------------------------------------------------------------------------- a task

    def run(self, position: int, task: TaskWork) -> Row:
        """One attempt, whatever comes of it. Raises nothing that a guest, a module or this host's disk can cause."""
        self._page.stage(position)
        try:
            if self._bad is not None:
                return self._row_of(task, self._bad)
            return self._call(task) if self._work.call else self._program(task)
        except MissingInput as error:
            return self._row_of(task, Verdict(INVALID, None, "input_missing", f"input {error} is not in the cache"))
        except LaunchError as error:
            return self._row_of(task, Verdict(INVALID, None, error.code, str(error)))
        except OSError as error:
            self._stdout.reset()
            self._stderr.reset()
            return self._row_of(task, self._trouble(error))

    def given_up(self, stop: Stop) -> Row:
        """The row of a guest that is asleep in the host and will not come back."""
        assert self._started is not None
        try:
            with limits.spare_files():
                return self._finish(self._started, End(None, INTERRUPT), stop)
        except OSError as error:
            return self._row_of(self._started.task, self._trouble(error))

    def interrupt(self) -> None:
        """End the guest."""
        self._modules.interrupt()

    def look(self) -> Stop | None:
        """A limit of output that the guest has passed."""
        limit = self._limits.stdout_bytes
        for name, capture in (("stdout", self._stdout), ("stderr", self._stderr)):
            written = capture.written
            if written > limit:
                return Stop(name, limit, written)
        return None

    def scan(self) -> Stop | None:
        """A limit of its folder that the guest has passed."""
        try:
            with limits.spare_files():
                usage = self._usage()
                hidden_bytes = self._box.hidden_bytes()
        except FileNotFoundError:
            return None  # the folder is gone: the guest ended meanwhile
        except OSError as error:
            if error.errno != errno.EMFILE:
                return None
            usage, hidden_bytes = None, 0  # it took even our own descriptors
        used_bytes = hidden_bytes + (usage.bytes if usage is not None else 0)
        if used_bytes > self._limits.disk_bytes:
            return Stop("disk", self._limits.disk_bytes, used_bytes)
        if usage is None or usage.files > self._limits.files:
            return Stop("files", self._limits.files, usage.files if usage is not None else self._limits.files)
        return None

    # -------------------------------------------------------------------------------------------- the guest

    def _program(self, task: TaskWork) -> Row:
        assert self._loaded is not None
        self._prepare(task)
        return self._finish(*self._guest(task, self._loaded.calls.run, self._loaded.linked, self._launch_of(task)))

    def _call(self, task: TaskWork) -> Row:
        """One call, in the instance of the one before where that is allowed and it left nothing behind."""
        assert self._loaded is not None
        calls, linked = self._loaded.calls, self._loaded.linked
        own = task.env is not None or task.stdin is not None or task.inputs is not None
        if own:
            self._keep(False)  # it has another world, and the folder that it sees is about to be removed
        keep = False
        arguments, launch = self._arguments(task), self._launch
        try:
            if not self._kept:
                self._prepare(task)
                launch = self._launch_of(task)
            started, end, stop = self._guest(task, calls.call, linked, launch, arguments)
            row = self._finish(started, end, stop)
            # After a refusal it could be taken for out of memory in a later call.
            returned = end.answer is not None and end.asked_pages is None and stop is None
            keep = self._work.reuse and returned and not own and self._box.untouched()
            return row
        finally:
            self._keep(keep)
            if not isinstance(arguments, bytes):
                arguments.close()

    def _keep(self, keep: bool) -> None:
        assert self._loaded is not None
        self._kept = keep
        if not keep:
            self._loaded.calls.close()

    def _arguments(self, task: TaskWork) -> Arguments:
        if task.arguments_file is None:
            return abi.NO_ARGUMENTS if task.arguments is None else task.arguments
        try:
            return io.FileIO(os.path.join(self._files, task.arguments_file))
        except FileNotFoundError as error:
            raise LaunchError("input_missing", "the file of its arguments is not in the cache") from error

    def _prepare(self, task: TaskWork) -> None:
        self._box.prepare(self._work.inputs if task.inputs is None else [*self._work.inputs, *task.inputs])

    def _guest(self, task: TaskWork, enter: Callable[..., End], *given: Any) -> tuple[_Started, End, Stop | None]:
        cpu_ns = time.process_time_ns()
        if cpu_ns > self._cpu_until_s * 1e9:
            self._cpu_until_s = limits.raise_cpu(cpu_ns / 1e9, self._work.time_s)
        started = self._started = _Started(task, time.time(), self._page.now_ns(), cpu_ns)
        if self._loaded is None or self._loaded.touches:
            self._box.lend()
        if self._fixed is not None:
            self._fixed.restart(seed_of(self._work.job, task.task))
        self._page.start(started.ns)
        self._watch.begin(self._work.time_s)
        try:
            end = enter(*given)
        finally:
            stop = self._watch.end()
        return started, end, stop

    def _finish(self, started: _Started, end: End, stop: Stop | None) -> Row:
        wall_us = (self._page.now_ns() - started.ns) // 1000
        cpu_us = (time.process_time_ns() - started.cpu_ns) // 1000
        self._page.collect()
        task = started.task
        wanted = self._work.outputs if task.outputs is None else task.outputs
        stdout_bytes, stderr_bytes = self._stdout.written, self._stderr.written
        untouched = self._box.untouched()
        if untouched and stop is None and not (stdout_bytes or stderr_bytes or wanted) and abi.is_value(end.answer):
            # Most calls end so: there is nothing to judge, and to do that all the same would cost half of a call.
            ran = wall_us, cpu_us, end.memory_bytes
            return Row(task.task, task.number, SUCCEEDED, None, started.at, *ran, value=end.answer)  # type: ignore[arg-type]
        if stop is None and (not untouched or end.exit_code or end.trap is not None):
            # What failed may have failed for want of room, and what it wrote may be cut short, whatever it says.
            room.check(self._box.path)
        usage = _NO_USAGE if untouched else self._usage()
        collected = outputs.NOTHING
        if wanted and usage is not None:
            collected = outputs.collect(self._box, wanted, self._spool(task, "out"), self._limits.files)
        facts = Facts(stdout_bytes, stderr_bytes, usage, collected.missing, collected.dropped, self._words)
        verdict = self._told(self._judge(end, stop, self._limits, facts))
        stdout, stdout_spooled = self._take(self._stdout, stdout_bytes, task, "stdout")
        stderr, stderr_spooled = self._take(self._stderr, stderr_bytes, task, "stderr")
        value, value_spooled = self._value(end, verdict, task)
        detail = None
        disk_bytes = 0 if usage is None else usage.bytes
        if verdict.code or collected.outputs or disk_bytes or stdout_spooled or stderr_spooled or value_spooled:
            detail = _detail(verdict)._replace(
                outputs=collected.outputs,
                disk_bytes=disk_bytes,
                stdout_spooled=stdout_spooled,
                stderr_spooled=stderr_spooled,
                value_spooled=value_spooled,
            )
        return Row(
            task.task,
            task.number,
            verdict.outcome,
            verdict.exit_code,
            started.at,
            wall_us,
            cpu_us,
            end.memory_bytes,
            stdout,
            stderr,
            detail,
            collected.contents,
            value,
        )

    def _row_of(self, task: TaskWork, verdict: Verdict) -> Row:
        """Of an attempt whose guest never started."""
        verdict = self._told(verdict)
        return Row(task.task, task.number, verdict.outcome, None, time.time(), 0, 0, 0, detail=_detail(verdict))

    def _trouble(self, error: OSError) -> Verdict:
        """It is not the guest's fault: the attempt is lost, and another is made."""
        return Verdict(LOST, None, "host", f"trouble on this host: {room.words(error, self._box.path)}")

    def _told(self, verdict: Verdict) -> Verdict:
        """Before it is cut: of what is left of a secret nobody would know what it was."""
        return verdict if self._redact is None else verdict._replace(text=self._redact.text(verdict.text))

    def _usage(self) -> Usage | None:
        try:
            return self._box.usage(self._limits.files)
        except TooDeep:
            return None

    def _words(self) -> str:
        tail = last_bytes(self._stderr, WORDS_BYTES)
        if tail and self._redact is not None:
            tail = self._redact(tail, cut_before=len(tail) == WORDS_BYTES)
        return reasons.last_words(tail) if tail else ""

    def _take(self, capture: Capture, written: int, task: TaskWork, name: str) -> tuple[bytes, Any]:
        """What the guest wrote, up to the limit and without secrets: as bytes, or as (size, sha256) of a file in the
        spool."""
        if not written:
            return b"", None
        count = min(written, self._limits.stdout_bytes)
        try:
            if count <= INLINE_BYTES:
                text = capture.read(count)
                return text if self._redact is None else self._redact(text, cut_after=written > count), None
            os.makedirs(self._spool(task, ""), mode=0o700, exist_ok=True)
            return b"", capture.save(self._spool(task, name), count, self._redact)
        finally:
            capture.reset()

    def _value(self, end: End, verdict: Verdict, task: TaskWork) -> tuple[bytes | None, tuple[int, str] | None]:
        """What a function gave: as bytes, or as (size, sha256) of a file in the spool."""
        answer = end.answer if verdict.outcome == SUCCEEDED else None
        if answer is None or isinstance(answer, bytes):
            return answer, None
        os.makedirs(self._spool(task, ""), mode=0o700, exist_ok=True)
        digest = hashlib.sha256()
        with limits.larger_files(), open(self._spool(task, "value"), "xb", buffering=0) as file:
            for at in range(0, len(answer), _MIB):
                chunk = answer[at : at + _MIB]
                digest.update(chunk)
                file.write(chunk)
        return None, (len(answer), digest.hexdigest())

    def _spool(self, task: TaskWork, name: str) -> str:
        return os.path.join(self._work.spool, str(task.task), name)

    # -------------------------------------------------------------------------------------------- its world

    def _launch_of(self, task: TaskWork) -> Launch:
        launch = self._launch
        if task.args is not None or task.env is not None or task.stdin is not None:
            work = self._work
            launch = self._new_launch(
                work.args if task.args is None else task.args,
                work.env if task.env is None else task.env,
                self._stdin(work.stdin if task.stdin is None else task.stdin),
            )
        values = launch.values
        values[-1] = b"%d" % task.task
        values[-2] = b"%d" % task.number
        values[-3] = b"%d" % seed_of(self._work.job, task.task)
        return launch

    def _new_launch(self, args: Sequence[str], env: dict[str, str], stdin: str | None) -> Launch:
        work = self._work
        given = {"PWD": "/"}
        if self._loaded is not None and self._loaded.go and work.memory_bytes >= _GO_LIMIT_FROM_BYTES:
            # A little below the cap, Go collects its garbage in time; without this it dies at twice what it needs.
            given["GOMEMLIMIT"] = str(work.memory_bytes - max(4 * _MIB, work.memory_bytes // 10))
        given.update(env)
        given.update({"BATCHWASM_RUN": work.run, "BATCHWASM_JOB": work.job, **self._gpus})
        names = [
            *given,
            "BATCHWASM_SEED",
            "BATCHWASM_ATTEMPT",
            "BATCHWASM_INDEX",
        ]  # the last three as _launch_of has it
        mounts = [
            (os.fsencode(os.path.expanduser(path)), f"/mnt/{name}".encode(), False)
            for name, path in work.mounts.items()
        ]
        return Launch(
            _array([work.job] if work.call else [work.job, *args], "arguments"),
            _array(names, "environment"),
            _array([*given.values(), "", "", ""], "environment"),
            ((os.fsencode(self._box.path), b"/", True), *mounts),
            None if stdin is None else os.fsencode(stdin),
            work.memory_bytes,
        )

    def _stdin(self, digest: str | None) -> str | None:
        if digest is None:
            return None
        path = os.path.join(self._files, digest)
        if not os.path.isfile(path):
            raise LaunchError("input_missing", "the file for stdin is not in the cache")
        return path


def _redaction(work: Work) -> Redaction:
    """The values that all tasks of the batch are given under these names."""
    env = work.tasks[0].env if work.tasks and work.tasks[0].env is not None else work.env
    return Redaction(env[name] for name in work.secret if name in env)


def _detail(verdict: Verdict) -> Detail:
    return Detail(verdict.code, reasons.brief(verdict.text), verdict.limit, verdict.used)


def _array(texts: Sequence[str], code: str) -> Any:
    """Texts as C has them. Raises LaunchError for what C can't have."""
    try:
        encoded = [text.encode() for text in texts]
    except UnicodeEncodeError as error:
        raise LaunchError(code, f"{error.object!r} is not Unicode that a guest could be given") from error
    for item in encoded:
        if b"\0" in item:
            raise LaunchError(code, f"{item.decode()!r} has a zero byte, which ends a text for a guest")
    return (c_char_p * len(encoded))(*encoded)
