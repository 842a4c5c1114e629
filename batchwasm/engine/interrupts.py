"""Ctrl-C and SIGTERM, while a run goes on."""

from __future__ import annotations

import asyncio
import os
import signal

from batchwasm.core.state import State
from batchwasm.engine.loop import Loop
from batchwasm.errors import EXIT_INTERRUPTED

SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def to_its_end(loop: Loop, signals: bool) -> State:
    """The run, until it ends or, with `signals` (in the main thread only), somebody wants no more of it."""
    if signals:
        for number in SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, _interrupt, loop)
    return await loop.run()


def _interrupt(loop: Loop) -> None:
    """The first signal stops the guests and ends the run in order; the second ends us on the spot."""
    loop.stop("interrupted", "interrupted; 'batchwasm resume' goes on with what has not finished")
    for number in SIGNALS:
        asyncio.get_running_loop().remove_signal_handler(number)
        signal.signal(number, lambda *_: os._exit(EXIT_INTERRUPTED))
