// A host for a function's module in Node (18 or later), as docs/abi.md tells it: what we give back is usable without us.
//
// node --no-warnings host.mjs MODULE.wasm < arguments.cbor > answer.cbor
import { readFileSync, writeFileSync } from "node:fs";
import { WASI } from "node:wasi";

// An instance of a function's module.
class Guest {
  constructor(wasm) {
    const wasi = new WASI({ version: "preview1" });
    const module = new WebAssembly.Module(wasm);
    const instance = new WebAssembly.Instance(module, { wasi_snapshot_preview1: wasi.wasiImport });
    this.exports = instance.exports;
    wasi.initialize(instance); // calls _initialize, where there is one
    if (!this.exports._initialize) this.exports.bw_init?.();
  }

  // CBOR in, CBOR out. Throws where the module traps, after which this guest must not be used again.
  call(args) {
    const { memory, bw_alloc, bw_call } = this.exports;
    const at = bw_alloc(args.length) >>> 0;
    new Uint8Array(memory.buffer, at, args.length).set(args);
    const result = BigInt.asUintN(64, bw_call(at, args.length));
    return new Uint8Array(memory.buffer, Number(result >> 32n), Number(result & 0xffffffffn)).slice();
  }
}

const guest = new Guest(readFileSync(process.argv[2]));
writeFileSync(1, guest.call(readFileSync(0)));
