"""The plain way to run a guest: wasmtime's public Python API alone. Slower by ten, and never wrong about its own C API.

Used where `calls.available` finds that the thin way does not fit the library. Same results, same tests.
"""

from __future__ import annotations

from typing import Any

import wasmtime

from . import growth
from .engines import TABLE_ELEMENTS, TABLES, End, Engine, Launch, LaunchError


class _Exit(Exception):
    """Carries a guest's proc_exit through the call."""


class PublicCalls:
    """Runs guests of one engine. Not for two threads at once."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._exit_code: int | None = None
        kind = wasmtime.FuncType([wasmtime.ValType.i32()], [])
        # WASI's own knows only the codes below 126, and calls all others an error without a number.
        engine.linker.define_func("wasi_snapshot_preview1", "proc_exit", kind, self._exit)

    def link(self, module: wasmtime.Module) -> wasmtime.InstancePre:
        """What `run` takes. Raises Refused where an import is missing."""
        return self.engine.link(module)

    def run(self, pre: wasmtime.InstancePre, launch: Launch) -> End:
        """Run `_start` in a new store and instance. Raises LaunchError where the guest's world can't be made."""
        with wasmtime.Store(self.engine.engine) as store:
            store.set_limits(memory_size=launch.memory_bytes, table_elements=TABLE_ELEMENTS, tables=TABLES, memories=1)
            store.set_epoch_deadline(1)
            store.set_wasi(_wasi(launch))
            self._exit_code = None
            return self._start(store, pre)

    def _start(self, store: wasmtime.Store, pre: wasmtime.InstancePre) -> End:
        try:
            instance = pre.instantiate(store)
        except wasmtime.Trap as trap:  # a trap in the module's start function: there is no instance to ask
            return self._bad_end(trap, 0, None)
        except _Exit:
            return End(self._exit_code)
        except wasmtime.WasmtimeError as error:
            return End(None, text=str(error), refused=True)
        exports = instance.exports(store)
        start = exports.get("_start")
        if not isinstance(start, wasmtime.Func):
            return End(None, text="it does not export a function _start", refused=True)
        try:
            start(store)
        except (wasmtime.Trap, wasmtime.WasmtimeError, _Exit) as error:
            return self._bad_end(error, _memory_bytes(store, exports), _asked(store, exports))
        return End(0, None, "", _memory_bytes(store, exports))

    def _bad_end(self, error: Exception, memory_bytes: int, asked: int | None) -> End:
        if self._exit_code is not None:
            return End(self._exit_code, None, "", memory_bytes, asked)
        if isinstance(error, wasmtime.Trap):
            code = error.trap_code
            return End(None, -1 if code is None else int(code.value), error.message, memory_bytes, asked)
        return End(None, -1, str(error), memory_bytes, asked)

    def _exit(self, code: int) -> None:
        self._exit_code = code & 0xFFFFFFFF
        raise _Exit


def _wasi(launch: Launch) -> wasmtime.WasiConfig:
    wasi = wasmtime.WasiConfig()
    try:
        wasi.argv = [value.decode() for value in launch.argv]
        wasi.env = [(name.decode(), value.decode()) for name, value in zip(launch.names, launch.values)]
    except UnicodeDecodeError as error:
        raise LaunchError("arguments", "an argument or a variable is not UTF-8") from error
    wasi.inherit_stdout()
    wasi.inherit_stderr()
    try:
        if launch.stdin is not None:
            wasi.stdin_file = launch.stdin
    except wasmtime.WasmtimeError as error:
        raise LaunchError("stdin", "the file for stdin can't be opened on this host") from error
    for folder, guest, writable in launch.preopens:
        try:
            wasi.preopen_dir(folder.decode(), guest.decode(), writable)
        except wasmtime.WasmtimeError as error:
            raise LaunchError("folder", f"{folder.decode()} can't be opened on this host") from error
    return wasi


def _memory_bytes(store: wasmtime.Store, exports: Any) -> int:
    for name in ("memory", growth.MEMORY):
        memory = exports.get(name)
        if isinstance(memory, wasmtime.Memory):
            return memory.data_len(store)
    return 0


def _asked(store: wasmtime.Store, exports: Any) -> int | None:
    mark = exports.get(growth.REFUSAL)
    value = mark.value(store) if isinstance(mark, wasmtime.Global) else 0
    return value & 0xFFFFFFFF if isinstance(value, int) and value else None
