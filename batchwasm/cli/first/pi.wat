;; No compiler was found here, so this is WebAssembly by hand: it prints its first argument.
;; `batchwasm toolchains` says how to get compilers for Rust, C, C++ and Go.
(module
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 8) "terms: ")
  (data (i32.const 15) "\n")
  (func (export "_start") (local $end i32)
    (drop (call $args_get (i32.const 64) (i32.const 1024)))     ;; argv at 64, its strings at 1024
    (local.set $end (i32.load (i32.const 68)))                  ;; argv[1]
    (loop $next                                                 ;; where it ends
      (if (i32.load8_u (local.get $end))
        (then (local.set $end (i32.add (local.get $end) (i32.const 1))) (br $next))))
    (i32.store (i32.const 32) (i32.const 8))                    ;; three pieces: "terms: ", argv[1], a line end
    (i32.store (i32.const 36) (i32.const 7))
    (i32.store (i32.const 40) (i32.load (i32.const 68)))
    (i32.store (i32.const 44) (i32.sub (local.get $end) (i32.load (i32.const 68))))
    (i32.store (i32.const 48) (i32.const 15))
    (i32.store (i32.const 52) (i32.const 1))
    (drop (call $fd_write (i32.const 1) (i32.const 32) (i32.const 3) (i32.const 4)))))
