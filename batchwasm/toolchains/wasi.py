"""What the host offers to a module: the functions of WASI preview 1, with their types. Nothing else can be imported."""

from __future__ import annotations

from batchwasm.toolchains.wasm import FunctionType

MODULE = "wasi_snapshot_preview1"

_LETTERS = {"i": "i32", "I": "i64"}
_SIGNATURES = """
args_get ii>i  args_sizes_get ii>i  environ_get ii>i  environ_sizes_get ii>i
clock_res_get ii>i  clock_time_get iIi>i
fd_advise iIIi>i  fd_allocate iII>i  fd_close i>i  fd_datasync i>i  fd_fdstat_get ii>i  fd_fdstat_set_flags ii>i
fd_fdstat_set_rights iII>i  fd_filestat_get ii>i  fd_filestat_set_size iI>i  fd_filestat_set_times iIIi>i
fd_pread iiiIi>i  fd_prestat_dir_name iii>i  fd_prestat_get ii>i  fd_pwrite iiiIi>i  fd_read iiii>i
fd_readdir iiiIi>i  fd_renumber ii>i  fd_seek iIii>i  fd_sync i>i  fd_tell ii>i  fd_write iiii>i
path_create_directory iii>i  path_filestat_get iiiii>i  path_filestat_set_times iiiiIIi>i  path_link iiiiiii>i
path_open iiiiiIIii>i  path_readlink iiiiii>i  path_remove_directory iii>i  path_rename iiiiii>i
path_symlink iiiii>i  path_unlink_file iii>i
poll_oneoff iiii>i  proc_exit i>  proc_raise i>i  random_get ii>i  sched_yield >i
sock_accept iii>i  sock_recv iiiiii>i  sock_send iiiii>i  sock_shutdown ii>i
"""


def _function_type(signature: str) -> FunctionType:
    params, results = signature.split(">")
    return FunctionType(params=tuple(_LETTERS[x] for x in params), results=tuple(_LETTERS[x] for x in results))


_WORDS = _SIGNATURES.split()
FUNCTIONS = {name: _function_type(signature) for name, signature in zip(_WORDS[::2], _WORDS[1::2], strict=True)}
"""Name -> type, as wasmtime's linker has them; a test compares the two."""


def meaning(module: str, name: str) -> str:
    """What it usually means that a module asks for this, and what to do."""
    if module in ("wasi_unstable", "wasi_snapshot_preview0"):
        return "that is WASI of before 2020; compile it again with a current toolchain"
    if module.startswith(("wasi:", "$root")):
        return "that is WASI 0.2 or later; compile for wasm32-wasip1 instead"
    if module == "wasi" and name == "thread-spawn":
        return "that is wasi-threads; a task has one thread: compile without threads (not for wasm32-wasip1-threads)"
    if module in ("wbg", "__wbindgen_placeholder__") or module.startswith("./") or name.startswith("__wbindgen"):
        return "that comes from wasm-bindgen, for browsers; compile a program for wasm32-wasip1 instead"
    if module in ("gojs", "go"):
        return "that is Go for browsers (GOOS=js); compile with GOOS=wasip1 GOARCH=wasm"
    if module == "env" and (
        name.startswith(("emscripten_", "invoke_", "__syscall_", "_emscripten")) or name == "memory"
    ):
        return (
            "that is Emscripten's or needs memory from outside; compile with a WASI toolchain (wasi-sdk, zig) instead"
        )
    if module == "env":
        return "usually a C function declared but not linked, or Emscripten; link what defines it, compile for WASI"
    if module == MODULE:
        return "WASI preview 1 has no such function; compile with a current toolchain"
    return f"a task can import {MODULE} alone"
