"""Whether the thin calls fit this host's wasmtime: tried once per host and boot, in a process that may die of it."""

from __future__ import annotations

import ctypes
import os
import signal
import tempfile
import time

from . import engines, growth
from .calls import ThinCalls

PUBLIC_API = "BATCHWASM_PUBLIC_API"
"""Variable that forces the public API where it is 1."""
_TIMEOUT_S = 20.0  # it takes 30 ms
# (module (memory (export "memory") 1) (func (export "_start")
#   (drop (memory.grow (i32.const 1))) (drop (memory.grow (i32.const 65000)))
#   (drop (i32.div_u (i32.const 1) (i32.const 0)))))
_PROBE = bytes.fromhex(
    "0061736d01000000010401600000030201000503010001071302066d656d6f72790200065f73746172740000"
    "0a16011400410140001a41e8fb0340001a410141006e1a0b"
)
# A function's module that gives its arguments back, and takes memory for them that it does not have at first.
_ECHO = bytes.fromhex(
    "0061736d01000000010c0260017f017f60027f7f017e03030200010503010001071f03066d656d6f727902000862775f616c6c6f"
    "6300000762775f63616c6c00010a1a020b00410140001a418480040b0c002000ad4220862001ad840b"
)

# A program that traps unless the monotonic clock of a deterministic guest shows 1000 at its first reading.
_CLOCK = bytes.fromhex(
    "0061736d01000000010b0260037f7e7f017f60000002290116776173695f736e617073686f745f70726576696577310e"
    "636c6f636b5f74696d655f6765740000030201010503010001071302066d656d6f72790200065f737461727400010a1a"
    "01180041014200410810001a410829030042e807520440000b0b000e046e616d65010701000474696d65"
)


def choose_thin(locks: str) -> bool:
    """True for the thin way. To be called before there is an engine or a second thread in this process."""
    if os.environ.get(PUBLIC_API) == "1":
        return False
    path = os.path.join(locks, f"calls-{engines.version()}")
    try:
        with open(path) as file:
            return file.read() == "thin"
    except FileNotFoundError:
        pass
    thin = _survives()
    fd, temporary = tempfile.mkstemp(dir=locks)
    with os.fdopen(fd, "w") as file:
        file.write("thin" if thin else "public")
    os.rename(temporary, path)
    return thin


def _survives() -> bool:
    """A child runs the probe; what it would do to us shows in how it ends."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 2)  # a library that does not fit says so at length
            status = 0 if probe() else 1
        finally:
            os._exit(status)
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline:
        ended, wait_status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return wait_status == 0
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False


def probe() -> bool:
    """A guest that grows, is refused growth and traps: the thin calls must see all three. A function, called twice.

    A clock.
    """
    engine = engines.Engine(pool=engines.pool_works(), keep_resident_bytes=0)
    calls = ThinCalls(engine)
    linked = calls.link(engine.compile(growth.rewrite(_PROBE).wasm))
    none = (ctypes.c_char_p * 0)()
    end = calls.run(linked, engines.Launch(none, none, none, (), None, 1024 * 1024))
    if (end.exit_code, end.trap, end.memory_bytes, end.asked_pages) != (None, _DIVISION, 2 * 65536, 65000):
        return False
    echo = calls.link_function(engine.compile(growth.rewrite(_ECHO).wasm))
    launch = engines.Launch(none, none, none, (), None, 1024 * 1024)
    answers = [calls.call(echo, launch, b"\x81\x05").answer for _ in range(2)]
    calls.close()
    return answers == [b"\x81\x05"] * 2 and _probe_fixed()


def _probe_fixed() -> bool:
    """A deterministic guest, which calls back into this process."""
    calls = ThinCalls(engines.Engine(pool=False, deterministic=True))
    none = (ctypes.c_char_p * 0)()
    linked = calls.link(calls.engine.compile(_CLOCK))
    assert calls.fixed is not None
    calls.fixed.restart(0)
    return calls.run(linked, engines.Launch(none, none, none, (), None, 1024 * 1024)).exit_code == 0


_DIVISION = next(code for code, told in engines.TRAPS.items() if told[0] == "division_by_zero")
