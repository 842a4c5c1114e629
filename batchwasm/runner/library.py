"""Wasmtime's C API by ctypes, as the thin calls use it: functions, where things lie, what an error says.

A wrong call of these aborts the process. `selftest` tries in another process whether they fit the host's library.
"""

from __future__ import annotations

import ctypes
from ctypes import c_bool, c_char_p, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Any

import wasmtime
from wasmtime import _bindings, _ffi

FUNCTION, GLOBAL, MEMORY = 0, 1, 3  # wasmtime_extern_kind_t
_I64 = 1  # wasmtime_valkind_t

CALLBACK = ctypes.CFUNCTYPE(c_void_p, c_void_p, c_void_p, ctypes.POINTER(c_uint32), c_size_t)
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
    "wasmtime_caller_context": (c_void_p, [c_void_p]),
    "wasmtime_caller_export_get": (c_bool, [c_void_p, c_char_p, c_size_t, c_void_p]),
    "wasmtime_memory_data": (c_void_p, [c_void_p, c_void_p]),
    "wasmtime_memory_data_size": (c_size_t, [c_void_p, c_void_p]),
    "wasmtime_global_get": (None, [c_void_p, c_void_p, c_void_p]),
    "wasmtime_trap_new": (c_void_p, [c_char_p, c_size_t]),
    "wasmtime_linker_define_func_unchecked": (
        c_void_p,
        [c_void_p, c_char_p, c_size_t, c_char_p, c_size_t, c_void_p, c_void_p, c_void_p, c_void_p],
    ),
}


def bind() -> Any:
    """The functions of _SIGNATURES as attributes of one object. Raises AttributeError where one is missing."""
    functions = {}
    for name, (result, arguments) in _SIGNATURES.items():
        function = _library[name]  # a function object of our own: wasmtime-py's keep their types
        function.restype, function.argtypes = result, arguments
        functions[name] = staticmethod(function)
    return type("C", (), functions)


class Export:
    """Room for an export of an instance."""

    def __init__(self) -> None:
        self._extern = _bindings.wasmtime_extern_t()
        self._extern_at = ctypes.addressof(self._extern)
        self.at = self._extern_at + type(self._extern).of.offset
        """Where the function, memory or global itself lies."""

    def find(self, c: Any, context: int, instance_at: int, name: bytes, kind: int) -> bool:
        """Looks the export up; False where it is missing or of another kind."""
        found = c.wasmtime_instance_export_get(context, instance_at, name, len(name), self._extern_at)
        return bool(found) and int(self._extern.kind) == kind

    def find_of_caller(self, c: Any, caller: int, name: bytes, kind: int) -> bool:
        """The same of the instance that calls us."""
        found = c.wasmtime_caller_export_get(caller, name, len(name), self._extern_at)
        return bool(found) and int(self._extern.kind) == kind


class Global64:
    """Room for the value of a global."""

    def __init__(self) -> None:
        self._value = _bindings.wasmtime_val_t()
        self._value_at = ctypes.addressof(self._value)
        self._bytes = memoryview(self._value).cast("B")
        self._words = self._bytes.cast("Q")
        layout: Any = type(self._value)
        self._kind = layout.kind.offset
        self._of = layout.of.offset // 8

    def read(self, c: Any, context: int, at: int) -> int:
        """The bits of the global at `at`; 0 where it is of another type than i64."""
        c.wasmtime_global_get(context, at, self._value_at)
        return self._words[self._of] if self._bytes[self._kind] == _I64 else 0


class Values:
    """Room for two arguments and a result of a function, and for the trap that it may end in."""

    def __init__(self) -> None:
        raw = ctypes.sizeof(_bindings.wasmtime_val_raw_t)
        self._room = (c_uint64 * (2 * raw // 8 + 1))()
        self.words = memoryview(self._room).cast("B").cast("Q")
        """Eight bytes each: the first argument or result, at SECOND the second, last the trap's address or 0."""
        self.at = ctypes.addressof(self._room)
        self.trap_at = self.at + 2 * raw


SECOND = ctypes.sizeof(_bindings.wasmtime_val_raw_t) // 8
TRAP = 2 * SECOND
RAW_WORDS = ctypes.sizeof(_bindings.wasmtime_val_raw_t) // 4
"""From an argument to the next in what a CALLBACK is given."""


def new_instance() -> Any:
    """Room for an instance; to be held for as long as its address is used."""
    return _bindings.wasmtime_instance_t()


def address(managed: Any) -> int:
    """Where the C object behind one of wasmtime-py's lies; the Python object must be kept."""
    return ctypes.cast(managed.ptr(), c_void_p).value or 0


def trap_text(trap: int) -> tuple[int, str]:
    """The code (-1 where it has none) and the text; frees the trap."""
    error = wasmtime.Trap._from_ptr(ctypes.cast(trap, ctypes.POINTER(_bindings.wasm_trap_t)))
    code = error.trap_code
    return (-1 if code is None else int(code.value)), error.message


def error_text(error: int) -> str:
    """What an error says; frees it."""
    return str(wasmtime.WasmtimeError._from_ptr(ctypes.cast(error, ctypes.POINTER(_bindings.wasmtime_error_t))))
