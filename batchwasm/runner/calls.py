"""The thin way to run a guest: the C API by ctypes, a tenth of what the public Python API costs.

A wrong call here aborts the process, so this is one small file, used only where `available` says that the library is
the one it was written for, and `public_calls` does the same through the public API. Every address below is held by an
object that outlives its use.
"""

from __future__ import annotations

import ctypes
from ctypes import c_bool, c_char_p, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Any, NamedTuple

import wasmtime
from wasmtime import _bindings, _ffi

from . import growth
from .engines import TABLE_ELEMENTS, TABLES, End, Engine, Launch, LaunchError

_FUNCTION, _GLOBAL, _MEMORY = 0, 1, 3  # wasmtime_extern_kind_t
_I64 = 1  # wasmtime_valkind_t

_library = ctypes.CDLL(_ffi.dll._name)  # CDLL releases the GIL in each call, so that the watch can end a guest
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "wasmtime_store_new": (c_void_p, [c_void_p, c_void_p, c_void_p]),
    "wasmtime_store_context": (c_void_p, [c_void_p]),
    "wasmtime_store_limiter": (None, [c_void_p, c_int64, c_int64, c_int64, c_int64, c_int64]),
    "wasmtime_store_delete": (None, [c_void_p]),
    "wasmtime_context_set_epoch_deadline": (None, [c_void_p, c_uint64]),
    "wasmtime_context_set_wasi": (c_void_p, [c_void_p, c_void_p]),
    "wasi_config_new": (c_void_p, []),
    "wasi_config_delete": (None, [c_void_p]),
    "wasi_config_set_argv": (c_bool, [c_void_p, c_size_t, c_void_p]),
    "wasi_config_set_env": (c_bool, [c_void_p, c_size_t, c_void_p, c_void_p]),
    "wasi_config_set_stdin_file": (c_bool, [c_void_p, c_char_p]),
    "wasi_config_inherit_stdout": (None, [c_void_p]),
    "wasi_config_inherit_stderr": (None, [c_void_p]),
    "wasi_config_preopen_dir": (c_bool, [c_void_p, c_char_p, c_char_p, c_bool]),
    "wasmtime_instance_pre_instantiate": (c_void_p, [c_void_p, c_void_p, c_void_p, c_void_p]),
    "wasmtime_instance_export_get": (c_bool, [c_void_p, c_void_p, c_char_p, c_size_t, c_void_p]),
    "wasmtime_func_call_unchecked": (c_void_p, [c_void_p, c_void_p, c_void_p, c_size_t, c_void_p]),
    "wasmtime_memory_data_size": (c_size_t, [c_void_p, c_void_p]),
    "wasmtime_global_get": (None, [c_void_p, c_void_p, c_void_p]),
    "wasmtime_trap_new": (c_void_p, [c_char_p, c_size_t]),
    "wasmtime_linker_define_func_unchecked": (
        c_void_p,
        [c_void_p, c_char_p, c_size_t, c_char_p, c_size_t, c_void_p, c_void_p, c_void_p, c_void_p],
    ),
}


def _bind() -> Any:
    """The functions of _SIGNATURES as attributes of one object. Raises AttributeError where one is missing."""
    functions = {}
    for name, (result, arguments) in _SIGNATURES.items():
        function = _library[name]  # a function object of our own: wasmtime-py's keep their types
        function.restype, function.argtypes = result, arguments
        functions[name] = staticmethod(function)
    return type("C", (), functions)


class Linked(NamedTuple):
    """A module with its imports, held, and where it lies."""

    pre: wasmtime.InstancePre
    address: int


class ThinCalls:
    """Runs guests of one engine. Not for two threads at once."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._c = _bind()
        self._engine_ptr = _address(engine.engine)
        # Out-parameters, reused: one guest runs at a time.
        self._instance = _bindings.wasmtime_instance_t()
        self._extern = _bindings.wasmtime_extern_t()
        self._value = _bindings.wasmtime_val_t()
        self._raw = _bindings.wasmtime_val_raw_t()
        self._trap = c_void_p()
        self._instance_at = ctypes.addressof(self._instance)
        self._extern_at = ctypes.addressof(self._extern)
        self._of_at = self._extern_at + type(self._extern).of.offset
        self._value_at = ctypes.addressof(self._value)
        self._raw_at = ctypes.addressof(self._raw)
        self._trap_at = ctypes.addressof(self._trap)
        self._exit_code: int | None = None
        self._define_exit()

    def link(self, module: wasmtime.Module) -> Linked:
        """What `run` takes. Raises Refused where an import is missing."""
        pre = self.engine.link(module)
        return Linked(pre, _address(pre))

    def run(self, linked: Linked, launch: Launch) -> End:
        """Run `_start` in a new store and instance. Raises LaunchError where the guest's world can't be made."""
        c = self._c
        wasi = self._wasi(launch)
        store = c.wasmtime_store_new(self._engine_ptr, None, None)
        try:
            context = c.wasmtime_store_context(store)
            c.wasmtime_store_limiter(store, launch.memory_bytes, TABLE_ELEMENTS, -1, TABLES, 1)
            c.wasmtime_context_set_epoch_deadline(context, 1)
            error = c.wasmtime_context_set_wasi(context, wasi)
            if error:
                raise LaunchError("world", self._error_text(error))
            self._exit_code = None
            return self._start(context, linked.address)
        finally:
            c.wasmtime_store_delete(store)

    def _start(self, context: int, pre: int) -> End:
        c = self._c
        self._trap.value = None
        error = c.wasmtime_instance_pre_instantiate(pre, context, self._instance_at, self._trap_at)
        if error:
            return End(None, text=self._error_text(error), refused=True)
        if self._trapped():  # in the module's start function: there is no instance to ask
            return self._bad_end(0, 0, None)
        if not self._export(context, b"_start", _FUNCTION):
            return End(None, text="it does not export a function _start", refused=True)
        error = c.wasmtime_func_call_unchecked(context, self._of_at, self._raw_at, 0, self._trap_at)
        if not error and not self._trapped():
            return End(0, None, "", self._memory_bytes(context))
        return self._bad_end(error or 0, self._memory_bytes(context), self._asked(context))

    def _trapped(self) -> int:
        """The trap's address; 0 where there was none."""
        return self._trap.value or 0

    def _bad_end(self, error: int, memory_bytes: int, asked: int | None) -> End:
        trap = self._trapped()
        code, text = self._trap_text(trap) if trap else (-1, self._error_text(error))
        if self._exit_code is not None:
            return End(self._exit_code, None, "", memory_bytes, asked)
        return End(None, code, text, memory_bytes, asked)

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

    def _export(self, context: int, name: bytes, kind: int) -> bool:
        """Puts the export into `_extern`, where it is there and of that kind."""
        c = self._c
        found = c.wasmtime_instance_export_get(context, self._instance_at, name, len(name), self._extern_at)
        return bool(found) and int(self._extern.kind) == kind

    def _memory_bytes(self, context: int) -> int:
        for name in (b"memory", _MEMORY_EXPORT):
            if self._export(context, name, _MEMORY):
                return int(self._c.wasmtime_memory_data_size(context, self._of_at))
        return 0

    def _asked(self, context: int) -> int | None:
        if not self._export(context, _REFUSAL_EXPORT, _GLOBAL):
            return None
        self._c.wasmtime_global_get(context, self._of_at, self._value_at)
        mark = int(self._value.of.i64) if int(self._value.kind) == _I64 else 0
        return mark & 0xFFFFFFFF if mark else None

    def _trap_text(self, trap: int) -> tuple[int, str]:
        """The code (-1 where it has none) and the text; frees the trap."""
        error = wasmtime.Trap._from_ptr(ctypes.cast(trap, ctypes.POINTER(_bindings.wasm_trap_t)))
        code = error.trap_code
        return (-1 if code is None else int(code.value)), error.message

    def _error_text(self, error: int) -> str:
        return str(wasmtime.WasmtimeError._from_ptr(ctypes.cast(error, ctypes.POINTER(_bindings.wasmtime_error_t))))

    def _define_exit(self) -> None:
        """Our own proc_exit: WASI's knows only the codes below 126, and calls all others an error without a number."""
        kind = wasmtime.FuncType([wasmtime.ValType.i32()], [])
        self._on_exit = _EXIT_CALLBACK(self._exit)  # held for as long as the linker may call it
        module, name = b"wasi_snapshot_preview1", b"proc_exit"
        error = self._c.wasmtime_linker_define_func_unchecked(
            _address(self.engine.linker),
            module,
            len(module),
            name,
            len(name),
            _address(kind),
            self._on_exit,
            None,
            None,
        )
        if error:
            raise RuntimeError(self._error_text(error))

    def _exit(self, _env: int, _caller: int, values: Any, _count: int) -> int | None:
        self._exit_code = int(values[0])
        trap: int | None = self._c.wasmtime_trap_new(b"exit", 4)
        return trap


_MEMORY_EXPORT = growth.MEMORY.encode()
_REFUSAL_EXPORT = growth.REFUSAL.encode()
_EXIT_CALLBACK = ctypes.CFUNCTYPE(c_void_p, c_void_p, c_void_p, ctypes.POINTER(c_uint32), c_size_t)


def _address(managed: Any) -> int:
    """Where the C object behind one of wasmtime-py's lies; the Python object must be kept."""
    return ctypes.cast(managed.ptr(), c_void_p).value or 0
