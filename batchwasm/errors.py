"""Every exception that leaves a layer of batchwasm, one class per thing a caller would do differently.

    BatchwasmError              anything we raise on purpose; the CLI prints its text, never a traceback
    ├── SpecError               exit 2: jobs.toml, inventory or command line are wrong; carries all problems at once
    ├── SourceError             exit 2: a source does not compile, or its wasm can't be run here
    ├── HostError               one host can't be used, with cause and cure; the run goes on without it
    │   └── HostLost            the connection to a host that worked is gone; its tasks run again elsewhere
    ├── WorldError              exit 3: nothing here can go on (no host left)
    │   ├── DiskFull            and a person who makes room mends it: the run can be resumed then
    │   └── RunHeld             another process works on the run, which needs nothing
    ├── RunError                exit 2: a run folder that is not there, ambiguous, or of a later version
    └── TaskFailed              exit 1: a call made from Python did not succeed (4: it was cancelled)

A task that went wrong is a value, `model.Outcome`; only to who waits for a function's value it is a TaskFailed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

EXIT_SUCCEEDED = 0
EXIT_TASKS_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_WORLD = 3
EXIT_CANCELLED = 4
EXIT_INTERRUPTED = 130


class BatchwasmError(Exception):
    """Anything batchwasm raises on purpose; `str()` says where, what, and what to do instead."""

    exit_code = EXIT_BAD_INPUT


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing wrong with what the user wrote: `jobs.toml:7: jobs.pi.memory: 'lots' is not a size; write '256MiB'`."""

    file: str
    """As the user would name it; '' where there is none (a command line)."""
    line: int | None
    key: str
    """Path of keys, such as `jobs.pi.memory`; '' where the whole file is meant."""
    text: str
    """What was found and what would be right."""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line is not None else self.file
        return ": ".join(part for part in (where, self.key, self.text) if part)


class SpecError(BatchwasmError):
    """All problems of the files and of the command line, found before anything was started."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class SourceError(BatchwasmError):
    """A job's source can't become a module that runs; `str()` has the compiler's own words under the job's name."""


class HostError(BatchwasmError):
    """One host can't be used. `code` is stable (`key`, `auth`, `unreachable`, `python`, `disk`, ...)."""

    exit_code = EXIT_WORLD

    def __init__(self, code: str, cause: str, cure: str = "") -> None:
        self.code = code
        self.cause = cause
        self.cure = cure
        super().__init__(f"{cause}; {cure}" if cure else cause)

    def beside(self, host: str) -> str:
        """Cause and cure where the host's name stands in front of them anyway."""
        return str(self).removeprefix(f"{host}: ")

    @property
    def waiting_may_help(self) -> bool:
        """False where only a person can mend it: then nobody waits for `--wait-hosts`."""
        return self.code in WAITING_MAY_HELP


WAITING_MAY_HELP = frozenset({"unreachable", "lost", "timeout", "busy", "penalty"})


class HostLost(HostError):
    """The connection to a host that worked is gone, or what came through it can't be trusted."""

    def __init__(self, cause: str) -> None:
        super().__init__("lost", cause)


class WorldError(BatchwasmError):
    """Nothing here can go on: no host is left, the journal can't be written."""

    exit_code = EXIT_WORLD


class DiskFull(WorldError):
    """A disk here, or the user's share of it, is full; `str()` says which path, how much is free and to be written."""


class RunHeld(WorldError):
    """Another process works on the run already; `str()` says which."""


class RunError(BatchwasmError):
    """A run that was asked for is not there, is ambiguous, or was written by a version that we can't read."""


class TaskFailed(BatchwasmError):
    """A call of a function did not succeed; `str()` has the call, the outcome, the reason and the end of its stderr."""

    exit_code = EXIT_TASKS_FAILED

    def __init__(
        self, *, outcome: str, code: str, message: str, stderr: str = "", host: str = "", call: str = ""
    ) -> None:
        self.outcome = outcome
        """`failed`, `trapped`, `timed_out`, ...: docs/outcomes.md."""
        self.code = code
        """The reason's code: `raised`, `out_of_bounds`, ..."""
        self.message = message
        """Of the function itself where it raised, else the reason in words."""
        self.stderr = stderr
        """The end of what it wrote there."""
        self.host = host
        """Where it ran; '' where that is not known."""
        self.call = call
        """The function with its arguments' repr, cut short."""
        if outcome == "cancelled":
            self.exit_code = EXIT_CANCELLED
        where = f" on {host}" if host else ""
        told = f"{call} {outcome.replace('_', ' ')}{where}: {message}"
        super().__init__(f"{told}\n{stderr.rstrip()}" if stderr.strip() else told)

    def __reduce__(self) -> tuple[object, ...]:
        return _task_failed, (self.outcome, self.code, self.message, self.stderr, self.host, self.call)


def _task_failed(outcome: str, code: str, message: str, stderr: str, host: str, call: str) -> TaskFailed:
    """For pickle, which passes arguments by position."""
    return TaskFailed(outcome=outcome, code=code, message=message, stderr=stderr, host=host, call=call)
