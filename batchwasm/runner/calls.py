"""The thin way to run a guest: the C API by ctypes, a tenth of what the public Python API costs.

A wrong call here aborts the process, so this is one small file, used only where `selftest` finds that the library is
the one it was written for, and `public_calls` does the same through the public API. Every address below is held by an
object that outlives its use.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, NamedTuple

import wasmtime

from . import abi, growth
from .abi import Arguments
from .bodies import VALUE_INLINE_BYTES
from .engines import NO_MEMORY, TABLE_ELEMENTS, TABLES, End, Engine, Launch, LaunchError, func_type
from .fixed import FUNCTIONS, MODULE, FixedWorld, Misused
from .library import (
    CALLBACK,
    FUNCTION,
    GLOBAL,
    MEMORY,
    RAW_WORDS,
    SECOND,
    TRAP,
    Export,
    Global64,
    Values,
    address,
    bind,
    error_text,
    new_instance,
    trap_text,
)


class Linked(NamedTuple):
    """A module with its imports, held, and where it lies."""

    pre: wasmtime.InstancePre
    address: int
    first: bytes | None = None
    """Of a function's module: the export to be called before all else."""


class ThinCalls:
    """Runs guests of one engine. Not for two threads at once, and one guest at a time.

    Values that functions take and give, exports and traps all pass through the same few places in memory.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._c = bind()
        self._engine_ptr = address(engine.engine)
        self._instance = new_instance()
        self._instance_at = ctypes.addressof(self._instance)
        self._values = Values()
        self._words = self._values.words
        self._function, self._memory, self._refusal = Export(), Export(), Export()
        self._alloc, self._call = Export(), Export()
        self._mark = Global64()
        self._marks = False
        self._exit_code: int | None = None
        self._store = self._context = 0
        self._open: Linked | None = None
        """Whose instance a call has left for the next one."""
        self._callbacks: list[Any] = []
        """Held for as long as the linker may call them."""
        # WASI's own knows only the codes below 126, and calls all others an error without a number.
        self._define("proc_exit", "i", "", self._exit)
        self.fixed = FixedWorld() if engine.deterministic else None
        """Of a deterministic guest: to be restarted before each run and call."""
        if self.fixed is not None:
            self._define_fixed(self.fixed)

    def link(self, module: wasmtime.Module) -> Linked:
        """What `run` takes. Raises Refused where an import is missing."""
        pre = self.engine.link(module)
        return Linked(pre, address(pre))

    def link_function(self, module: wasmtime.Module) -> Linked:
        """What `call` takes. Raises Refused where an import is missing, or it is no function's module."""
        pre, first = self.engine.link_function(module)
        return Linked(pre, address(pre), None if first is None else first.encode())

    def run(self, linked: Linked, launch: Launch) -> End:
        """Run `_start` in a new store and instance. Raises LaunchError where the guest's world can't be made."""
        try:
            bad = self._begin(linked, launch)
            if bad is not None:
                return bad
            if not self._find(self._function, b"_start", FUNCTION):
                return End(None, text="it does not export a function _start", refused=True)
            bad = self._enter(self._function.at, 0)
            return End(0, None, "", self._memory_bytes()) if bad is None else bad
        finally:
            self.close()

    def call(self, linked: Linked, launch: Launch, arguments: Arguments) -> End:
        """Call a function, in the instance that was left open, else in a new store and instance.

        The instance stays open, and with it a long answer's view, until `close`; one that did not return is closed.
        Raises LaunchError where the guest's world can't be made, OSError where arguments can't be read.
        """
        if self._open is not linked:
            bad = self._begin(linked, launch) or self._begin_function(linked)
        else:
            self._exit_code = None
            self._c.wasmtime_context_set_epoch_deadline(self._context, 1)
            bad = None
        end = self._called(arguments) if bad is None else bad
        if end.answer is None:
            self.close()
        return end

    def close(self) -> None:
        """Drop the instance that a call has left open, if there is one."""
        if self._store:
            self._open = None
            store, self._store = self._store, 0
            self._c.wasmtime_store_delete(store)

    # -------------------------------------------------------------------------------------------- an instance

    def _begin(self, linked: Linked, launch: Launch) -> End | None:
        """A new store and instance; how that ended, where it did not work. Raises LaunchError."""
        self.close()
        c = self._c
        wasi = self._wasi(launch)
        store = self._store = c.wasmtime_store_new(self._engine_ptr, None, None)
        context = self._context = c.wasmtime_store_context(store)
        c.wasmtime_store_limiter(store, launch.memory_bytes, TABLE_ELEMENTS, -1, TABLES, 1)
        c.wasmtime_context_set_epoch_deadline(context, 1)
        error = c.wasmtime_context_set_wasi(context, wasi)
        if error:
            raise LaunchError("world", error_text(error))
        self._exit_code = None
        error = c.wasmtime_instance_pre_instantiate(linked.address, context, self._instance_at, self._values.trap_at)
        if error:
            return End(None, text=error_text(error), refused=True)
        if self._words[TRAP]:  # in the module's start function: there is no instance to ask
            return self._ended(0, 0, None)
        return None

    def _begin_function(self, linked: Linked) -> End | None:
        """Looks the exports up and lets the module set itself up; how that ended, where it did not work."""
        self._find(self._memory, b"memory", MEMORY)  # these three are there, of the right types: they were linked so
        self._find(self._alloc, b"bw_alloc", FUNCTION)
        self._find(self._call, b"bw_call", FUNCTION)
        self._marks = self._find(self._refusal, _REFUSAL_EXPORT, GLOBAL)
        if linked.first is not None:
            self._find(self._function, linked.first, FUNCTION)
            bad = self._enter(self._function.at, 0)
            if bad is not None:
                return bad
        self._open = linked
        return None

    def _called(self, arguments: Arguments) -> End:
        c, words, context, memory_at = self._c, self._words, self._context, self._memory.at
        enter, values_at, trap_at = c.wasmtime_func_call_unchecked, self._values.at, self._values.trap_at
        size = abi.size_of(arguments)
        if size > abi.MOST_BYTES:
            return self._unusable(f"can't take {size} bytes of arguments")
        words[0] = size
        error = enter(context, self._alloc.at, values_at, 1, trap_at)
        if error or words[TRAP]:
            return self._bad(error)
        at = words[0] & 0xFFFFFFFF
        memory_bytes = c.wasmtime_memory_data_size(context, memory_at)
        if at == 0 or at + size > memory_bytes:
            return self._unusable(abi.bad_room(at, size, memory_bytes))
        to = c.wasmtime_memory_data(context, memory_at) + at
        if isinstance(arguments, bytes):
            ctypes.memmove(to, arguments, size)
        else:
            abi.fill(_view(to, size), arguments)
        words[0], words[SECOND] = at, size
        error = enter(context, self._call.at, values_at, 2, trap_at)
        if error or words[TRAP]:
            return self._bad(error)
        at, size = words[0] >> 32, words[0] & 0xFFFFFFFF
        memory_bytes = c.wasmtime_memory_data_size(context, memory_at)
        if size == 0 or at + size > memory_bytes:
            return self._unusable(abi.bad_answer(at, size, memory_bytes))
        here = c.wasmtime_memory_data(context, memory_at) + at  # anew, because memory may have moved
        answer = ctypes.string_at(here, size) if size <= VALUE_INLINE_BYTES else _view(here, size)
        mark = self._mark.read(c, context, self._refusal.at) if self._marks else 0
        return End(None, None, "", memory_bytes, mark & 0xFFFFFFFF if mark else None, False, answer)

    def _unusable(self, why: str) -> End:
        return End(None, None, "", self._memory_bytes(), self._asked(), unusable=why)

    def _enter(self, function_at: int, count: int) -> End | None:
        """Calls a function with what is in `_words`; None where it returned, and its result is there."""
        values = self._values
        error = self._c.wasmtime_func_call_unchecked(self._context, function_at, values.at, count, values.trap_at)
        return self._bad(error) if error or self._words[TRAP] else None

    def _bad(self, error: int | None) -> End:
        """How a call ended that did not return, while the instance can still be asked."""
        return self._ended(error or 0, self._memory_bytes(), self._asked())

    def _ended(self, error: int, memory_bytes: int, asked: int | None) -> End:
        trap, self._words[TRAP] = self._words[TRAP], 0
        code, text = trap_text(trap) if trap else (-1, error_text(error))
        if self._exit_code is not None:
            return End(self._exit_code, None, "", memory_bytes, asked)
        return End(None, code, text, memory_bytes, asked)

    def _find(self, export: Export, name: bytes, kind: int) -> bool:
        return export.find(self._c, self._context, self._instance_at, name, kind)

    def _memory_bytes(self) -> int:
        for name in (b"memory", _MEMORY_EXPORT):
            if self._find(self._memory, name, MEMORY):
                return int(self._c.wasmtime_memory_data_size(self._context, self._memory.at))
        return 0

    def _asked(self) -> int | None:
        """Pages that the last refused growth asked for."""
        if not self._find(self._refusal, _REFUSAL_EXPORT, GLOBAL):
            return None
        mark = self._mark.read(self._c, self._context, self._refusal.at)
        return mark & 0xFFFFFFFF if mark else None

    # ---------------------------------------------------------------------------------------------- its world

    def _wasi(self, launch: Launch) -> int:
        c = self._c
        wasi: int = c.wasi_config_new()
        try:
            if not c.wasi_config_set_argv(wasi, len(launch.argv), launch.argv):
                raise LaunchError("arguments", "an argument is not UTF-8")
            if not c.wasi_config_set_env(wasi, len(launch.names), launch.names, launch.values):
                raise LaunchError("environment", "a variable is not UTF-8")
            if launch.stdin is not None and not c.wasi_config_set_stdin_file(wasi, launch.stdin):
                raise LaunchError("stdin", "the file for stdin can't be opened on this host")
            c.wasi_config_inherit_stdout(wasi)
            c.wasi_config_inherit_stderr(wasi)
            for folder, guest, writable in launch.preopens:
                if not c.wasi_config_preopen_dir(wasi, folder, guest, writable):
                    raise LaunchError("folder", f"{folder.decode()} can't be opened on this host")
        except BaseException:
            c.wasi_config_delete(wasi)
            raise
        return wasi

    def _define(self, name: str, params: str, results: str, function: Callable[..., int | None]) -> None:
        """Our own function over one of WASI's."""
        kind = func_type(params, results)
        callback = CALLBACK(function)
        self._callbacks.append(callback)
        module, own = MODULE.encode(), name.encode()
        error = self._c.wasmtime_linker_define_func_unchecked(
            *(address(self.engine.linker), module, len(module), own, len(own), address(kind), callback, None, None)
        )
        if error:
            raise RuntimeError(error_text(error))

    def _define_fixed(self, world: FixedWorld) -> None:
        for name, params in FUNCTIONS.items():
            self._define(name, params, "i", self._fixed_function(getattr(world, name), len(params)))

    def _fixed_function(self, function: Callable[..., int], count: int) -> Callable[..., int | None]:
        """A function of the world as wasmtime calls it."""
        found = Export()

        def called(_env: int, caller: int, values: Any, _count: int) -> int | None:
            c = self._c
            if not found.find_of_caller(c, caller, b"memory", MEMORY):
                return self._trap(NO_MEMORY)
            context = c.wasmtime_caller_context(caller)
            size = c.wasmtime_memory_data_size(context, found.at)
            memory = _view(c.wasmtime_memory_data(context, found.at) or 0, size)
            try:
                values[0] = function(memory, *[values[RAW_WORDS * k] for k in range(count)])
            except Misused as error:
                return self._trap(str(error))
            return None

        return called

    def _exit(self, _env: int, _caller: int, values: Any, _count: int) -> int | None:
        self._exit_code = int(values[0])
        return self._trap("exit")

    def _trap(self, text: str) -> int | None:
        encoded = text.encode()
        trap: int | None = self._c.wasmtime_trap_new(encoded, len(encoded))
        return trap


def _view(at: int, size: int) -> memoryview:
    """A guest's memory as it is: valid until the guest runs again or is gone."""
    return memoryview((ctypes.c_ubyte * size).from_address(at)).cast("B")


_MEMORY_EXPORT = growth.MEMORY.encode()
_REFUSAL_EXPORT = growth.REFUSAL.encode()
