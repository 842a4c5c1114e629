"""A host for a function's module in plain wasmtime-py, as docs/abi.md tells it: what we give back is usable without us.

python host.py MODULE.wasm < arguments.cbor > answer.cbor
"""

from __future__ import annotations

import sys

import wasmtime


class Guest:
    """An instance of a function's module."""

    def __init__(self, wasm: bytes) -> None:
        config = wasmtime.Config()
        config.wasm_exceptions = True
        self.store = wasmtime.Store(wasmtime.Engine(config))
        linker = wasmtime.Linker(self.store.engine)
        linker.define_wasi()
        wasi = wasmtime.WasiConfig()
        wasi.inherit_stdout()
        wasi.inherit_stderr()
        self.store.set_wasi(wasi)
        module = wasmtime.Module(self.store.engine, wasm)
        self.exports = linker.instantiate(self.store, module).exports(self.store)
        initialize = self.exports.get("_initialize") or self.exports.get("bw_init")
        if initialize is not None:
            initialize(self.store)

    def call(self, arguments: bytes) -> bytes:
        """CBOR in, CBOR out. Raises wasmtime.Trap, after which this guest must not be used again."""
        at = self.exports["bw_alloc"](self.store, len(arguments)) & 0xFFFFFFFF
        memory = self.exports["memory"]
        memory.write(self.store, arguments, at)
        result = self.exports["bw_call"](self.store, at, len(arguments)) & 0xFFFFFFFFFFFFFFFF
        start, size = result >> 32, result & 0xFFFFFFFF
        return bytes(memory.read(self.store, start, start + size))


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        guest = Guest(file.read())
    sys.stdout.buffer.write(guest.call(sys.stdin.buffer.read()))
