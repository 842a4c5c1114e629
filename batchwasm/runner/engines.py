"""Wasmtime engines as a worker needs them: settings, the pool, linked modules. Never made before the fork.

`calls` and `public_calls` run what this links; only these, and `library`, import wasmtime. An engine of a process must
not exist before it forks: its threads don't survive and the child hangs.
"""

from __future__ import annotations

import os
import platform
import resource
from dataclasses import dataclass
from typing import Any, Callable, NamedTuple, TypeVar

import wasmtime
from wasmtime import _bindings, _ffi

from . import abi

_Made = TypeVar("_Made")
SETTINGS_VERSION = 1
"""Part of the native cache's key: whoever changes what `_config` sets counts up."""
TABLE_ELEMENTS = 1_000_000  # of each table; 8 bytes each on the host, outside of the guest's memory limit
TABLES = 4  # compilers make one or two
_POOL_SLOTS = 2  # one guest runs at a time; the second slot stays warm for the module that alternates with it
_POOL_TABLE_ELEMENTS = 20_000  # what each slot has room for; a module with more runs without the pool
_STACK_LIMIT_BYTES = 4 * 1024 * 1024
_STACK_SHARE = 2  # the guest gets at most half of the thread's stack, the rest is Python's and wasmtime's


INTERRUPT = wasmtime.TrapCode.INTERRUPT.value
TRAPS: dict[int, tuple[str, str]] = {
    code.value: told
    for code, told in (
        (wasmtime.TrapCode.STACK_OVERFLOW, ("stack", "its call stack is exhausted, perhaps by endless recursion")),
        (wasmtime.TrapCode.MEMORY_OUT_OF_BOUNDS, ("out_of_bounds", "it accessed memory out of bounds")),
        (wasmtime.TrapCode.HEAP_MISALIGNED, ("misaligned", "it accessed memory at an unaligned address")),
        (wasmtime.TrapCode.TABLE_OUT_OF_BOUNDS, ("indirect_call", "it called a function that does not exist")),
        (wasmtime.TrapCode.INDIRECT_CALL_TO_NULL, ("indirect_call", "it called a function through a null pointer")),
        (wasmtime.TrapCode.BAD_SIGNATURE, ("indirect_call", "it called a function through a pointer of another type")),
        (wasmtime.TrapCode.INTEGER_OVERFLOW, ("integer_overflow", "an integer division overflowed")),
        (wasmtime.TrapCode.INTEGER_DIVISION_BY_ZERO, ("division_by_zero", "it divided an integer by zero")),
        (
            wasmtime.TrapCode.BAD_CONVERSION_TO_INTEGER,
            ("bad_conversion", "it turned a number that is no integer, or too large, into one"),
        ),
        (wasmtime.TrapCode.UNREACHABLE, ("unreachable", "it aborted, or reached code that it must not reach")),
        (wasmtime.TrapCode.NULL_REFERENCE, ("null_reference", "it used a null reference")),
        (wasmtime.TrapCode.INTERRUPT, ("interrupted", "it was interrupted")),
    )
}
"""(reason code, what happened) by wasmtime's trap code; what is missing here is `trap`."""


NO_MEMORY = "it has no memory that it exports as 'memory'"


class Refused(Exception):
    """The engine does not take this module; `str()` is in its own words."""


class Outgrown(Refused):
    """The module needs more than a pool's slot has: an engine without a pool may take it."""


class End(NamedTuple):
    """How a guest's run ended, before anybody judged it."""

    exit_code: int | None
    """0 where `_start` simply returned; None for a call that returned, and where it came to no end of its own."""
    trap: int | None = None
    """wasmtime's trap code; -1 for a trap without one, such as an exception that nobody caught."""
    text: str = ""
    """The engine's own words, with a backtrace; '' for a plain end."""
    memory_bytes: int = 0
    """Size of the linear memory at the end, which is its largest."""
    asked_pages: int | None = None
    """Pages of 64 KiB that the last refused growth asked for; not read where the end was a plain one."""
    refused: bool = False
    """The guest never started: the module asks for more than its limits, or has an import nobody offers."""
    answer: bytes | memoryview | None = None
    """Of a call that returned: CBOR, unread. Where it is long, a view on the guest's memory, valid while that lives."""
    unusable: str = ""
    """Of a call that did return, but not as docs/abi.md says: what is wrong, as a sentence without its subject."""


@dataclass(frozen=True)
class Launch:
    """All that a guest is started with, as C has it. The arrays may be changed between runs."""

    argv: Any
    """(c_char_p * n) array, UTF-8."""
    names: Any
    """Of the environment, likewise."""
    values: Any
    preopens: tuple[tuple[bytes, bytes, bool], ...]
    """(folder on the host, path in the guest, may be written) each."""
    stdin: bytes | None
    """Path of a file on the host; None is empty."""
    memory_bytes: int


class LaunchError(Exception):
    """The guest's world can't be made: `code` is a reason's, `str()` a sentence."""

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        super().__init__(text)


class Engine:
    """One wasmtime engine and a linker with WASI preview 1."""

    def __init__(self, *, pool: bool, keep_resident_bytes: int = 0, deterministic: bool = False) -> None:
        """`deterministic`: float operations give the same bits on every cpu; `calls` put their own clocks in."""
        self.pool, self.deterministic = pool, deterministic
        config = _config()
        if deterministic:
            config.wasm_relaxed_simd_deterministic = True
            _bindings.wasmtime_config_cranelift_nan_canonicalization_set(config.ptr(), True)
        if pool:
            _use_pool(config, keep_resident_bytes)
        elif resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
            # Somebody limits the address space (ulimit -v): reserve no 4 GiB for each memory, at some cost in speed.
            config.memory_reservation = 0
            config.memory_reservation_for_growth = 0
            config.memory_guard_size = 0
        self.engine = wasmtime.Engine(config)
        self.linker = wasmtime.Linker(self.engine)
        self.linker.define_wasi()
        self.linker.allow_shadowing = True  # `calls` put their own proc_exit over WASI's, and clocks

    def compile(self, wasm: bytes) -> wasmtime.Module:
        """Raises Refused for what is not a valid module."""
        return self._accept(lambda: wasmtime.Module(self.engine, wasm))

    def deserialize(self, native: bytes) -> wasmtime.Module:
        """What `Module.serialize` gave, which must be trusted. Raises Refused for another version's or a broken one."""
        return self._accept(lambda: wasmtime.Module.deserialize(self.engine, native))

    def link(self, module: wasmtime.Module) -> wasmtime.InstancePre:
        """Raises Refused where an import is missing, or `_start` is not what it must be."""
        _check_start(module)
        return self._accept(lambda: self.linker.instantiate_pre(module))

    def link_function(self, module: wasmtime.Module) -> tuple[wasmtime.InstancePre, str | None]:
        """A function's module, and the export to be called first. Raises Refused where it is no such module."""
        first = _check_function(module)
        return self._accept(lambda: self.linker.instantiate_pre(module)), first

    def interrupt(self) -> None:
        """Every guest of this engine that runs now traps at its next loop or call."""
        self.engine.increment_epoch()

    def _accept(self, make: Callable[[], _Made]) -> _Made:
        try:
            return make()
        except wasmtime.WasmtimeError as error:
            text = str(error)
            outgrown = self.pool and ("pool" in text or "exceeds the limit" in text or "per-instance" in text)
            raise (Outgrown if outgrown else Refused)(text) from error


def func_type(params: str, results: str) -> wasmtime.FuncType:
    """i is an i32, I an i64."""
    kinds = {"i": wasmtime.ValType.i32, "I": wasmtime.ValType.i64}
    return wasmtime.FuncType([kinds[k]() for k in params], [kinds[k]() for k in results])


def _check_start(module: wasmtime.Module) -> None:
    """The thin call of `_start` has no room for values: one that takes or gives some would overwrite our memory."""
    for export in module.exports:
        kind = export.type if export.name == "_start" else None
        if isinstance(kind, wasmtime.FuncType) and (len(kind.params) or len(kind.results)):
            raise Refused("its _start takes or returns values")


def _check_function(module: wasmtime.Module) -> str | None:
    """As `_check_start`: a call of another type than we take it for would overwrite our memory."""
    exports = {export.name: export.type for export in module.exports}
    memory = exports.get("memory")
    if not isinstance(memory, wasmtime.MemoryType) or memory.is_64:
        raise Refused("it does not export a 32-bit memory, as a function's module must (docs/abi.md)")
    for name, (params, results) in abi.EXPORTS.items():
        kind = exports.get(name)
        if kind is None and name in abi.FIRST:
            continue
        if not isinstance(kind, wasmtime.FuncType):
            raise Refused(f"it does not export a function {name}, as a function's module must (docs/abi.md)")
        if tuple(map(str, kind.params)) != params or tuple(map(str, kind.results)) != results:
            raise Refused(f"its {name} is not ({', '.join(params)}) -> ({', '.join(results)}) (docs/abi.md)")
    return next((name for name in abi.FIRST if name in exports), None)


# fmt: off
_HARMLESS = frozenset((
    "args_get", "args_sizes_get", "clock_res_get", "clock_time_get", "environ_get", "environ_sizes_get",
    "fd_close", "fd_fdstat_get", "fd_fdstat_set_flags", "fd_prestat_dir_name", "fd_prestat_get", "fd_read",
    "fd_seek", "fd_tell", "fd_write", "poll_oneoff", "proc_exit", "random_get", "sched_yield",
))
# fmt: on
"""Of WASI: with these alone no folder can be changed, because no file can be opened."""


def may_touch_folders(module: wasmtime.Module) -> bool:
    """False for a module whose imports give it no way to change a folder that it sees."""
    return any(imported.name not in _HARMLESS for imported in module.imports)


def pool_works() -> bool:
    """False where the address space is limited: the pool reserves some 10 GB of it (none of it memory)."""
    return resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY


def version() -> str:
    """What native code depends on besides the module: wasmtime's build, our settings, the machine."""
    # The package carries no version inside; the size of its library tells builds apart, and wasmtime itself refuses
    # native code of another version.
    library = os.stat(_ffi.dll._name).st_size
    return f"{library}-{SETTINGS_VERSION}-{platform.system()}-{platform.machine()}"


def _config() -> wasmtime.Config:
    config = wasmtime.Config()
    config.epoch_interruption = True
    config.wasm_simd = True
    config.wasm_exceptions = True
    config.wasm_threads = False
    stack_bytes = _stack_bytes()
    _bindings.wasmtime_config_async_stack_size_set(config.ptr(), 2 * stack_bytes)  # unused, but must be the larger one
    config.max_wasm_stack = stack_bytes
    return config


def _stack_bytes() -> int:
    """Guests run on this thread's own stack: recursion must hit our limit before it hits the stack's end."""
    soft, _ = resource.getrlimit(resource.RLIMIT_STACK)
    if soft == resource.RLIM_INFINITY:
        return _STACK_LIMIT_BYTES
    return min(_STACK_LIMIT_BYTES, soft // _STACK_SHARE)


def _use_pool(config: wasmtime.Config, keep_resident_bytes: int) -> None:
    """The public Config has no way to the pool; these names are checked by `calls.available`."""
    pool = _bindings.wasmtime_pooling_allocation_config_new()
    _bindings.wasmtime_pooling_allocation_config_total_core_instances_set(pool, _POOL_SLOTS)
    _bindings.wasmtime_pooling_allocation_config_total_memories_set(pool, _POOL_SLOTS)
    _bindings.wasmtime_pooling_allocation_config_total_tables_set(pool, TABLES * _POOL_SLOTS)
    _bindings.wasmtime_pooling_allocation_config_max_tables_per_module_set(pool, TABLES)
    _bindings.wasmtime_pooling_allocation_config_total_stacks_set(pool, 1)
    _bindings.wasmtime_pooling_allocation_config_total_gc_heaps_set(pool, _POOL_SLOTS)
    _bindings.wasmtime_pooling_allocation_config_table_elements_set(pool, _POOL_TABLE_ELEMENTS)
    _bindings.wasmtime_pooling_allocation_config_linear_memory_keep_resident_set(pool, keep_resident_bytes)
    _bindings.wasmtime_pooling_allocation_strategy_set(config.ptr(), pool)
    _bindings.wasmtime_pooling_allocation_config_delete(pool)
