// libc++'s std::filesystem takes zig's WASI for a Linux: two system calls for copying files are declared but missing.
// Here they answer as a kernel does that lacks them, and libc++ copies by reading and writing.

#include <cerrno>
#include <sys/sendfile.h>
#include <sys/types.h>

static ssize_t no_copy_file_range(int, off_t*, int, off_t*, size_t, unsigned) {
  errno = ENOSYS;
  return -1;
}

static ssize_t no_sendfile(int, int, off_t*, size_t) {
  errno = EINVAL;
  return -1;
}

#define copy_file_range no_copy_file_range
#define sendfile no_sendfile
#include "filesystem/operations.cpp"
