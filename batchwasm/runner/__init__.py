"""What runs on a host: stdlib, wasmtime and relative imports only; Python 3.9 and up. It knows nothing above it."""
