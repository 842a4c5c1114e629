"""Run batches of WebAssembly on pools of lab machines, over plain SSH."""

__version__ = "0.1.0"
