"""Small guests for tests of whole runs, as sources: they compile in a fraction of a second."""

HELLO_WAT = r"""
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "hello\n")
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (i32.const 6))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
"""
"""Prints `hello`."""

LOOP_WAT = '(module (memory (export "memory") 1) (func (export "_start") (loop $l (br $l))))'
"""Never ends."""

STARTED_WAT = r"""
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "started")
  (func (export "_start")
    (drop (call $open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 7) (i32.const 1) (i64.const 64)
      (i64.const 0) (i32.const 0) (i32.const 0)))
    (loop $l (br $l))))
"""
"""Makes an empty file `started` in its folder, then never ends: whoever sees the file knows that a guest runs."""

NAP_WAT = r"""
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (i32.store (i32.const 16) (i32.const 1))
    (i64.store (i32.const 24) (i64.const 40000000))
    (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))))
"""
"""Sleeps for 40 ms, on the monotonic clock: long enough to be sent one by one."""

WORK_C = r"""
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
    int n = atoi(argv[1]);
    usleep(1000 * atoi(argv[2]));
    printf("%d\n", n * n);
    return 0;
}
"""
"""`WORK_C N MS`: sleeps, then prints the square of N."""

COPY_C = r"""
#include <stdio.h>
int main(int argc, char **argv) {
    static char block[65536];
    FILE *in = fopen(argv[1], "rb"), *out = fopen(argv[2], "wb");
    if (!in || !out) { perror(in ? argv[2] : argv[1]); return 2; }
    for (size_t n; (n = fread(block, 1, sizeof block, in)) > 0;)
        if (fwrite(block, 1, n, out) != n) { perror(argv[2]); return 3; }
    return fclose(out) ? 4 : 0;
}
"""
"""`COPY_C FROM TO`: copies a file."""

JOIN_WAT = r"""
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 2)
  (func $length (param $at i32) (result i32) (local $n i32)
    (block $end
      (loop $more
        (br_if $end (i32.eqz (i32.load8_u (i32.add (local.get $at) (local.get $n)))))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br $more)))
    (local.get $n))
  (func $arg (param $n i32) (result i32)
    (i32.load (i32.add (i32.const 1024) (i32.shl (local.get $n) (i32.const 2)))))
  (func $open (param $path i32) (param $create i32) (param $rights i64) (result i32)
    (if (call $path_open (i32.const 3) (i32.const 0) (local.get $path) (call $length (local.get $path))
          (local.get $create) (local.get $rights) (i64.const 0) (i32.const 0) (i32.const 8))
      (then (call $exit (i32.const 9))))
    (i32.load (i32.const 8)))
  (func $put (param $to i32) (param $at i32) (param $size i32)
    (i32.store (i32.const 16) (local.get $at))
    (i32.store (i32.const 20) (local.get $size))
    (drop (call $write (local.get $to) (i32.const 16) (i32.const 1) (i32.const 12))))
  (func (export "_start") (local $to i32) (local $n i32)
    (drop (call $sizes (i32.const 0) (i32.const 4)))
    (drop (call $args (i32.const 1024) (i32.const 8192)))
    (local.set $to (call $open (call $arg (i32.const 1)) (i32.const 1) (i64.const 64)))
    (call $put (local.get $to) (call $arg (i32.const 2)) (call $length (call $arg (i32.const 2))))
    (local.set $n (i32.const 3))
    (block $end
      (loop $more
        (br_if $end (i32.ge_u (local.get $n) (i32.load (i32.const 0))))
        (i32.store (i32.const 16) (i32.const 65536))
        (i32.store (i32.const 20) (i32.const 65536))
        (drop (call $read (call $open (call $arg (local.get $n)) (i32.const 0) (i64.const 2))
          (i32.const 16) (i32.const 1) (i32.const 12)))
        (call $put (local.get $to) (i32.const 65536) (i32.load (i32.const 12)))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br $more)))))
"""
"""`JOIN_WAT TO TEXT FILE...`: writes the text and up to 64 KiB of each file to TO; exits with 9 if one is missing."""

FLAKY_C = r"""
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
    const char *attempt = getenv("BATCHWASM_ATTEMPT");
    printf("attempt %s\n", attempt);
    if (atoi(attempt) >= atoi(argv[1])) return 0;
    FILE *log = fopen("log", "w");
    return !log || fputs("failed\n", log) < 0 || fclose(log) ? 2 : 1;
}
"""
"""`FLAKY_C N`: says which attempt it is, and before the Nth leaves a file `log` and fails."""

RANDOM_WAT = r"""
(module
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (drop (call $random (i32.const 16) (i32.const 16)))
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (i32.const 16))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
"""
"""Prints 16 random bytes."""

GATED_C = r"""
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static int is_there(const char *name) {
    char path[100];
    snprintf(path, sizeof path, "/mnt/gate/%s", name);
    return !access(path, F_OK);
}
int main(int argc, char **argv) {
    const char *attempt = getenv("BATCHWASM_ATTEMPT");
    char name[100];
    for (int step = 1; step <= atoi(argv[1]); step++) {
        printf("out %s.%d\n", attempt, step);
        fflush(stdout);
        fprintf(stderr, "err %s.%d\n", attempt, step);
        snprintf(name, sizeof name, "%s.%d", attempt, step);
        while (!is_there(name)) usleep(5000);
    }
    snprintf(name, sizeof name, "fail.%s", attempt);
    return is_there(name) ? 75 : 0;
}
"""
"""`GATED_C STEPS`: at each step it prints `out ATTEMPT.STEP` and `err ...`, and goes on when a file ATTEMPT.STEP is in
the mount `gate`. It fails where there is a file fail.ATTEMPT then."""
