// libc++abi's operator new with one check more: the libc of zig 0.17 wraps around for sizes of 4 GiB - 16 and above and
// returns a block that is far too small. No object may be larger than PTRDIFF_MAX, so such a request is std::bad_alloc.

#include <cstdint>
#include <cstdlib>
#include <new>

#include "include/aligned_alloc.h"

namespace std {

static inline void* checked_malloc(size_t size) { return size > PTRDIFF_MAX ? nullptr : malloc(size); }

static inline void* checked_aligned_alloc(size_t alignment, size_t size) {
  return size > PTRDIFF_MAX ? nullptr : __libcpp_aligned_alloc(alignment, size);
}

} // namespace std

#define malloc checked_malloc
#define __libcpp_aligned_alloc checked_aligned_alloc
#include "stdlib_new_delete.cpp"
