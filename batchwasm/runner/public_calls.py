"""The plain way to run a guest: wasmtime's public Python API alone. Slower by ten, and never wrong about its own C API.

Used where `selftest` finds that the thin way does not fit the library. Same results, same tests.
"""

from __future__ import annotations

from collections.abc import Callable
from ctypes import addressof, c_ubyte
from typing import Any, NamedTuple

import wasmtime

from . import abi, growth
from .abi import Arguments
from .bodies import VALUE_INLINE_BYTES
from .engines import NO_MEMORY, TABLE_ELEMENTS, TABLES, End, Engine, Launch, LaunchError, func_type
from .fixed import FUNCTIONS, MODULE, FixedWorld, Misused


class _Exit(Exception):
    """Carries a guest's proc_exit through the call."""


class Linked(NamedTuple):
    """A module with its imports."""

    pre: wasmtime.InstancePre
    first: str | None = None
    """Of a function's module: the export to be called before all else."""


class PublicCalls:
    """Runs guests of one engine. Not for two threads at once, and one guest at a time."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._exit_code: int | None = None
        self._store: wasmtime.Store | None = None
        self._exports: Any = {}
        self._open: Linked | None = None
        """Whose instance a call has left for the next one."""
        # WASI's own knows only the codes below 126, and calls all others an error without a number.
        engine.linker.define_func(MODULE, "proc_exit", func_type("i", ""), self._exit)
        self.fixed = FixedWorld() if engine.deterministic else None
        """Of a deterministic guest: to be restarted before each run and call."""
        if self.fixed is not None:
            for name, params in FUNCTIONS.items():
                function = _fixed_function(getattr(self.fixed, name))
                engine.linker.define_func(MODULE, name, func_type(params, "i"), function, access_caller=True)

    def link(self, module: wasmtime.Module) -> Linked:
        """What `run` takes. Raises Refused where an import is missing."""
        return Linked(self.engine.link(module))

    def link_function(self, module: wasmtime.Module) -> Linked:
        """What `call` takes. Raises Refused where an import is missing, or it is no function's module."""
        return Linked(*self.engine.link_function(module))

    def run(self, linked: Linked, launch: Launch) -> End:
        """Run `_start` in a new store and instance. Raises LaunchError where the guest's world can't be made."""
        try:
            store = self._new_store(launch)
            bad = self._begin(store, linked)
            if bad is not None:
                return bad
            start = self._exports.get("_start")
            if not isinstance(start, wasmtime.Func):
                return End(None, text="it does not export a function _start", refused=True)
            result = self._enter(store, start)
            return result if isinstance(result, End) else End(0, None, "", self._memory_bytes(store))
        finally:
            self.close()

    def call(self, linked: Linked, launch: Launch, arguments: Arguments) -> End:
        """Call a function, in the instance that was left open, else in a new store and instance.

        The instance stays open, and with it a long answer's view, until `close`; one that did not return is closed.
        Raises LaunchError where the guest's world can't be made, OSError where arguments can't be read.
        """
        bad = None
        if self._store is None or self._open is not linked:
            store = self._new_store(launch)
            bad = self._begin(store, linked) or self._begin_function(store, linked)
        else:
            store = self._store
            store.set_epoch_deadline(1)
            self._exit_code = None
        end = self._called(store, arguments) if bad is None else bad
        if end.answer is None:
            self.close()
        return end

    def close(self) -> None:
        """Drop the instance that a call has left open, if there is one."""
        if self._store is not None:
            store, self._store, self._exports, self._open = self._store, None, {}, None
            store.close()

    # -------------------------------------------------------------------------------------------- an instance

    def _new_store(self, launch: Launch) -> wasmtime.Store:
        self.close()
        store = self._store = wasmtime.Store(self.engine.engine)
        store.set_limits(memory_size=launch.memory_bytes, table_elements=TABLE_ELEMENTS, tables=TABLES, memories=1)
        store.set_epoch_deadline(1)
        store.set_wasi(_wasi(launch))
        self._exit_code = None
        return store

    def _begin(self, store: wasmtime.Store, linked: Linked) -> End | None:
        """A new instance; how that ended, where it did not work."""
        try:
            instance = linked.pre.instantiate(store)
        except (wasmtime.Trap, _Exit) as error:  # in the module's start function: there is no instance to ask
            return self._ended(error, 0, None)
        except wasmtime.WasmtimeError as error:
            return End(None, text=str(error), refused=True)
        self._exports = instance.exports(store)
        return None

    def _begin_function(self, store: wasmtime.Store, linked: Linked) -> End | None:
        """Lets the module set itself up; how that ended, where it did not work."""
        bad = None if linked.first is None else self._enter(store, self._exports[linked.first])
        self._open = linked
        return bad if isinstance(bad, End) else None

    def _called(self, store: wasmtime.Store, arguments: Arguments) -> End:
        exports = self._exports
        memory: wasmtime.Memory = exports["memory"]
        size = abi.size_of(arguments)
        if size > abi.MOST_BYTES:
            return self._unusable(store, f"can't take {size} bytes of arguments")
        at = self._enter(store, exports["bw_alloc"], _signed(size))
        if isinstance(at, End):
            return at
        at &= 0xFFFFFFFF
        memory_bytes = memory.data_len(store)
        if at == 0 or at + size > memory_bytes:
            return self._unusable(store, abi.bad_room(at, size, memory_bytes))
        room = _view(store, memory, at, size)
        if isinstance(arguments, bytes):
            room[:] = arguments
        else:
            abi.fill(room, arguments)
        result = self._enter(store, exports["bw_call"], _signed(at), _signed(size))
        if isinstance(result, End):
            return result
        at, size = result >> 32 & 0xFFFFFFFF, result & 0xFFFFFFFF
        memory_bytes = memory.data_len(store)
        if size == 0 or at + size > memory_bytes:
            return self._unusable(store, abi.bad_answer(at, size, memory_bytes))
        answer = _view(store, memory, at, size)  # anew, because memory may have moved
        inline = size <= VALUE_INLINE_BYTES
        return End(None, None, "", memory_bytes, self._asked(store), False, bytes(answer) if inline else answer)

    def _unusable(self, store: wasmtime.Store, why: str) -> End:
        return End(None, None, "", self._memory_bytes(store), self._asked(store), unusable=why)

    def _enter(self, store: wasmtime.Store, function: wasmtime.Func, *values: int) -> Any:
        """What a function gives; an End where it did not return."""
        try:
            return function(store, *values)
        except (wasmtime.Trap, wasmtime.WasmtimeError, _Exit) as error:
            return self._ended(error, self._memory_bytes(store), self._asked(store))

    def _ended(self, error: Exception, memory_bytes: int, asked: int | None) -> End:
        if self._exit_code is not None:
            return End(self._exit_code, None, "", memory_bytes, asked)
        if isinstance(error, wasmtime.Trap):
            code = error.trap_code
            return End(None, -1 if code is None else int(code.value), error.message, memory_bytes, asked)
        return End(None, -1, str(error), memory_bytes, asked)

    def _memory_bytes(self, store: wasmtime.Store) -> int:
        for name in ("memory", growth.MEMORY):
            memory = self._exports.get(name)
            if isinstance(memory, wasmtime.Memory):
                return memory.data_len(store)
        return 0

    def _asked(self, store: wasmtime.Store) -> int | None:
        """Pages that the last refused growth asked for."""
        mark = self._exports.get(growth.REFUSAL)
        value = mark.value(store) if isinstance(mark, wasmtime.Global) else 0
        return value & 0xFFFFFFFF if isinstance(value, int) and value else None

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


def _fixed_function(function: Callable[..., int]) -> Callable[..., int]:
    """A function of the world as wasmtime calls it."""

    def called(caller: wasmtime.Caller, *values: int) -> int:
        memory = caller.get("memory")
        if not isinstance(memory, wasmtime.Memory):
            raise wasmtime.WasmtimeError(NO_MEMORY)
        try:
            seen = _view(caller, memory, 0, memory.data_len(caller))
            return function(seen, *[value & 0xFFFFFFFF for value in values])
        except Misused as error:
            raise wasmtime.WasmtimeError(str(error)) from error

    return called


def _view(store: Any, memory: wasmtime.Memory, at: int, size: int) -> memoryview:
    """A guest's memory as it is: valid until the guest runs again or is gone."""
    start = addressof(memory.data_ptr(store).contents) + at
    return memoryview((c_ubyte * size).from_address(start)).cast("B")


def _signed(number: int) -> int:
    """An i32 as wasmtime-py takes it."""
    return number - 2**32 if number >= 2**31 else number
