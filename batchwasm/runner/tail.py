"""What a guest has written so far, while it runs: read out of its worker's own descriptors, Linux only.

The worker takes no notice: what is read from is opened anew, so its place in the file stays its own. As it may go on
to its next task at any moment, and write that one's output over this one's, its page is looked at before and after.
"""

from __future__ import annotations

import os

from .page import GUEST
from .protocol import Output, Tail
from .rescue import rescue
from .slots import Worker

LIMIT_BYTES = 256 * 1024
"""Of each stream in one answer: the rest is asked for by the next one."""


def tail(worker: Worker, order: Tail) -> Output | None:
    """The answer; None where the worker's guest is not at that task, or can't be looked at.

    Raises ProtocolError where the batch's body can't be read.
    """
    view = worker.current()
    if view is None or view.phase != GUEST or not view.started_ns or min(order.stdout_from, order.stderr_from) < 0:
        return None
    assert worker.batch is not None
    outline = worker.batch.outline
    if outline.tasks[view.position : view.position + 1] != [order.task]:
        return None
    captured = rescue(worker.pid)
    try:
        if captured.stdout is None or captured.stderr is None:
            return None
        stdout = _part(*captured.stdout, order.stdout_from, outline.stdout_bytes)
        stderr = _part(*captured.stderr, order.stderr_from, outline.stdout_bytes)
    except OSError:
        return None
    finally:
        captured.close()
    if worker.current() != view:
        return None
    return Output(order.batch, order.task, order.stdout_from, order.stderr_from, len(stdout), stdout + stderr)


def _part(fd: int, written: int, start: int, limit_bytes: int) -> bytes:
    size = min(written, limit_bytes) - start
    return os.pread(fd, min(size, LIMIT_BYTES), start) if size > 0 else b""
