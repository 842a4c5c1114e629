// The tag that every C++ exception is thrown with: one pointer. libunwind and all objects refer to it.
    .tagtype __cpp_exception i32
    .globl __cpp_exception
__cpp_exception:
