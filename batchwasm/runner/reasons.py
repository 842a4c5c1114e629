"""From how a guest's run ended to an outcome with its reason: a code that stays, and a sentence for a person."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Callable, NamedTuple

from . import abi
from .box import Usage
from .engines import INTERRUPT, TRAPS, End
from .watch import Stop

SUCCEEDED, FAILED, TRAPPED, TIMED_OUT, OUT_OF_MEMORY, LIMIT_EXCEEDED, INVALID, LOST = 2, 3, 4, 5, 6, 7, 8, 12
"""model.Outcome, which this package can't import."""

WORDS_BYTES = 64 * 1024
"""How much of stderr's end is looked at for a guest's last words."""
_PAGE_BYTES = 65536
_KIB, _MIB, _GIB = 1024, 1024**2, 1024**3
_ADDRESSES = 2**32  # in a memory
_FRAMES = 5
_FRAMES_TOLD = 20  # by wasmtime, at most
_WORDS_LETTERS = 300
_NAMED_PATTERNS = 3
_TEXT_LETTERS = 2000  # names in a module may be of 100 KB each, and a report of many tasks must fit into a frame
_MINIMUM = re.compile(r"memory minimum size of (\d+) pages exceeds memory limits")
_FRAME = re.compile(r"^ *\d+: +(?:0x[0-9a-f]+ - )?(?:<unknown>|[^!\n]*)!(.+)$", re.MULTILINE)
_FAULT = re.compile(r"memory fault at wasm address 0x([0-9a-f]+)")
_RUST_FAILED = re.compile(r"memory allocation of (\d+) bytes failed")
_CAUSE = re.compile(r"Caused by:\n(?:    (?:\d+: )?(.+))", re.MULTILINE)
# What runtimes say when they give up; the first kind of a module's own language wins over its last line.
_LAST_WORDS = re.compile(
    r"^(thread .* panicked at .*|panic: .*|fatal error: .*|.*uncaught exception.*|libc\+\+abi: .*|Assertion failed: .*"
    r"|memory allocation of \d+ bytes failed.*)$",
    re.MULTILINE,
)


class Limits(NamedTuple):
    """Those of a batch."""

    memory_bytes: int
    stdout_bytes: int
    disk_bytes: int
    files: int


class Facts(NamedTuple):
    """What was found after the guest's end."""

    stdout_bytes: int
    """Written, more than the limit where it was hit."""
    stderr_bytes: int
    usage: Usage | None
    """None: its folders are nested too deep to be counted."""
    missing: Sequence[str]
    dropped: int
    words: Callable[[], str]
    """Its last words on stderr; read only where something went wrong."""


class Verdict(NamedTuple):
    """An outcome and why."""

    outcome: int
    exit_code: int | None = None
    code: str = ""
    text: str = ""
    limit: float | None = None
    used: float | None = None


def judge(end: End, stop: Stop | None, limits: Limits, facts: Facts) -> Verdict:
    """A program: the first that is so of ended by us, a limit passed, no memory, trap, exit code, missing output."""
    ended = _ended(end, stop, limits, facts)
    if ended is not None:
        return ended
    exit_code = _plain(end.exit_code)
    if exit_code != 0:
        bad = _out_of_memory(end, limits) if end.asked_pages is not None else None
        bad = bad or (_trapped(end, limits, facts) if exit_code is None else _failed(exit_code, facts))
        return bad._replace(exit_code=exit_code)
    if facts.missing:
        return Verdict(FAILED, 0, "missing_output", _missing(facts.missing))
    return Verdict(SUCCEEDED, 0)


def judge_call(end: End, stop: Stop | None, limits: Limits, facts: Facts) -> Verdict:
    """A call: the same, with an error that it reported for an exit code. One that returned has no exit code."""
    ended = _ended(end, stop, limits, facts)
    if ended is not None:
        return ended
    if end.answer is None:
        bad = _out_of_memory(end, limits) if end.asked_pages is not None else _not_returned(end, limits, facts)
        return bad._replace(exit_code=_plain(end.exit_code))
    try:
        said = abi.error_of(end.answer)
    except abi.BadAnswer as error:
        return Verdict(FAILED, None, "bad_value", f"the function reported an error that can't be read: {error}")
    if said is not None and said.kind == "argument":
        return Verdict(FAILED, None, "argument", said.text or "its arguments don't fit its parameters")
    if said is not None:
        return _raised(said.text or "raised an error without a message", end, limits)
    if facts.missing:
        return Verdict(FAILED, None, "missing_output", _missing(facts.missing))
    return Verdict(SUCCEEDED)


def _ended(end: End, stop: Stop | None, limits: Limits, facts: Facts) -> Verdict | None:
    """What comes before all that a guest says of itself."""
    if stop is not None and end.trap == INTERRUPT and stop.code == "time_limit":
        text = f"ran longer than its time_limit of {stop.limit:g} s{_where(end.text)}"
        return Verdict(TIMED_OUT, None, "time_limit", text, stop.limit, round(stop.used, 6))
    passed = _passed(limits, facts) or _stopped(end, stop, limits)
    if passed is not None:
        return passed._replace(exit_code=_plain(end.exit_code))
    return _refused(end, limits) if end.refused else None


def _plain(exit_code: int | None) -> int | None:
    """As a shell shows it: exit(-1) is 255. No code but 0 becomes 0."""
    if exit_code is None or 0 <= exit_code <= 255:
        return exit_code
    return exit_code & 0xFF or 1


def _passed(limits: Limits, facts: Facts) -> Verdict | None:
    for name, written in (("stdout", facts.stdout_bytes), ("stderr", facts.stderr_bytes)):
        if written > limits.stdout_bytes:
            return over(Stop(name, limits.stdout_bytes, written))
    if facts.usage is None:
        text = "its folders are nested too deep, or paths in them are too long, to be looked through"
        return Verdict(LIMIT_EXCEEDED, None, "files", text, limits.files)
    if facts.usage.bytes > limits.disk_bytes:
        return over(Stop("disk", limits.disk_bytes, facts.usage.bytes))
    if facts.usage.files > limits.files:
        return over(Stop("files", limits.files, facts.usage.files))
    if facts.dropped:
        text = f"the names of its outputs are too long together; {facts.dropped} of them were left out"
        return Verdict(LIMIT_EXCEEDED, None, "files", text, limits.files)
    return None


def _stopped(end: End, stop: Stop | None, limits: Limits) -> Verdict | None:
    """A limit seen to be passed while the guest ran, though it no longer is."""
    return over(stop) if stop is not None and end.trap == INTERRUPT else None


def over(stop: Stop) -> Verdict:
    """The verdict of a passed limit."""
    limit, used = int(stop.limit), int(stop.used)
    if stop.code in ("stdout", "stderr"):
        text = f"wrote more to {stop.code} than its stdout_limit of {size(limit)}"
    elif stop.code == "disk":
        text = f"put {size(used)} or more into its folder, above its disk limit of {size(limit)}"
    else:
        text = f"made {used} or more files and folders, above its limit of {limit}"
    return Verdict(LIMIT_EXCEEDED, None, stop.code, text, limit, used)


def _refused(end: End, limits: Limits) -> Verdict:
    minimum = _MINIMUM.search(end.text)
    if minimum is None:
        return Verdict(INVALID, None, "module_refused", f"this host's wasmtime does not start the module: {end.text}")
    used = int(minimum.group(1)) * _PAGE_BYTES
    text = f"needs {size(used)} of memory to start, above its limit of {size(limits.memory_bytes)}"
    return Verdict(OUT_OF_MEMORY, None, "memory", text, limits.memory_bytes, used)


def _out_of_memory(end: End, limits: Limits) -> Verdict:
    asked = size((end.asked_pages or 0) * _PAGE_BYTES)
    text = f"asked for {asked} more at {size(end.memory_bytes)} of {size(limits.memory_bytes)}"
    return Verdict(OUT_OF_MEMORY, None, "memory", text, limits.memory_bytes, end.memory_bytes)


def _trapped(end: End, limits: Limits, facts: Facts) -> Verdict:
    code, happened = _trap(end)
    words = facts.words()
    failed = _RUST_FAILED.match(words) if code == "unreachable" else None
    if failed is not None:  # too much for its allocator, which gave up before it asked
        text = (
            f"asked for {size(int(failed.group(1)))} at once at {size(end.memory_bytes)} of {size(limits.memory_bytes)}"
        )
        return Verdict(OUT_OF_MEMORY, None, "memory", text, limits.memory_bytes, end.memory_bytes)
    return Verdict(TRAPPED, None, code, happened + (f": {words}" if words else "") + _where(end.text))


def _trap(end: End) -> tuple[str, str]:
    told = TRAPS.get(end.trap if end.trap is not None else -1)
    if told is None:
        if "thrown Wasm exception" in end.text:
            return "uncaught_exception", "it threw an exception that nothing caught"
        return "trap", _cause(end.text)
    return _out_of_bounds(told, end.text) if told[0] == "out_of_bounds" else told


def _out_of_bounds(told: tuple[str, str], text: str) -> tuple[str, str]:
    """What compilers keep of the stack in linear memory grows down to 0, and from there to the end of 4 GiB."""
    frames = _FRAME.findall(text)
    if len(frames) < _FRAMES_TOLD or len(set(frames)) == len(frames):
        return told
    fault = _FAULT.search(text)
    if fault is None:  # of an operation on many bytes, as what fills an array with zeros
        return told[0], f"{told[1]}, perhaps because endless recursion has exhausted its stack"
    if abs(int(fault.group(1), 16) - _ADDRESSES) > _MIB:
        return told
    return "stack", "its stack is exhausted, perhaps by endless recursion"


def _not_returned(end: End, limits: Limits, facts: Facts) -> Verdict:
    exit_code = _plain(end.exit_code)
    if end.unusable:
        return Verdict(FAILED, None, "bad_value", f"the function's module {end.unusable}")
    if exit_code is None:
        return _trapped(end, limits, facts)
    if exit_code == 0:
        return Verdict(FAILED, None, "no_value", "called exit(0) instead of returning a value")
    return _failed(exit_code, facts)


def _raised(text: str, end: End, limits: Limits) -> Verdict:
    """An error after a refusal of memory is what became of it: std::bad_alloc, and all that catches it."""
    if end.asked_pages is None:
        return Verdict(FAILED, None, "raised", text)
    bad = _out_of_memory(end, limits)
    return bad._replace(text=f"{bad.text}, and raised: {text}")


def _failed(exit_code: int, facts: Facts) -> Verdict:
    words = facts.words()
    return Verdict(FAILED, None, "exit_code", f"exited with code {exit_code}" + (f": {words}" if words else ""))


def _missing(patterns: Sequence[str]) -> str:
    named = ", ".join(patterns[:_NAMED_PATTERNS])
    more = f" and {len(patterns) - _NAMED_PATTERNS} more" if len(patterns) > _NAMED_PATTERNS else ""
    return f"left no file that matches {named}{more}; write '?' after an output that may be missing"


def _cause(text: str) -> str:
    found = _CAUSE.search(text)
    return found.group(1) if found else text.split("\n", 1)[0]


def _where(text: str) -> str:
    """The innermost functions of a backtrace, where the module has names for them."""
    names = [name for name in _FRAME.findall(text) if not name.startswith("<wasm function")]
    return f" (in {' < '.join(names[:_FRAMES])})" if names else ""


def last_words(stderr: bytes) -> str:
    """Of a guest's stderr, what its runtime said on giving up, else the last line; '' where it is empty."""
    text = stderr.decode("utf-8", "replace")
    found = list(_LAST_WORDS.finditer(text))
    if not found:
        lines = text.rstrip().rsplit("\n", 1)
        return lines[-1].strip()[:_WORDS_LETTERS]
    words = found[-1].group(1).strip()
    if words.endswith(":"):  # newer Rust puts the message on the next line
        words += " " + text[found[-1].end() :].lstrip("\n").split("\n", 1)[0]
    return words[:_WORDS_LETTERS]


def brief(text: str) -> str:
    """A reason's text, cut where a module's names make it too long."""
    return text if len(text) <= _TEXT_LETTERS else text[:_TEXT_LETTERS] + " ..."


def size(count: int) -> str:
    """Bytes for people: `1.06 MiB`."""
    for unit, name in ((_GIB, "GiB"), (_MIB, "MiB"), (_KIB, "KiB")):
        if count >= unit and (unit != _GIB or (count % _MIB == 0 and count >= 10 * _GIB)):
            return f"{round(count / unit, 2):g} {name}"
    return f"{count} bytes"
