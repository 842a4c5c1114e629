"""Run batches of WebAssembly on pools of lab machines, over plain SSH."""
