;; No compiler was found here, so this is WebAssembly by hand: it prints its first argument.
;; `batchwasm toolchains` says how to get compilers for Rust, C, C++ and Go.
(module
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "terms: ")
  (func (export "_start") (local $start i32) (local $end i32)
    (drop (call $args_get (i32.const 64) (i32.const 1024)))             ;; argv at 64, its strings at 1024
    (local.set $end (i32.load (i32.const 68)))                          ;; argv[1]
    (local.set $start (i32.sub (local.get $end) (i32.const 7)))
    (memory.copy (local.get $start) (i32.const 8) (i32.const 7))        ;; "terms: " in front of it
    (loop $next                                                         ;; to its end, a zero byte
      (if (i32.load8_u (local.get $end))
        (then (local.set $end (i32.add (local.get $end) (i32.const 1))) (br $next))))
    (i32.store8 (local.get $end) (i32.const 10))                        ;; which becomes a line end
    (i32.store (i32.const 32) (local.get $start))
    (i32.store (i32.const 36) (i32.add (i32.sub (local.get $end) (local.get $start)) (i32.const 1)))
    (drop (call $fd_write (i32.const 1) (i32.const 32) (i32.const 1) (i32.const 4)))))
