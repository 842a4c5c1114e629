// libc++abi's throw, which notes what is in flight. clang ends a noexcept function on WebAssembly with a plain
// std::terminate that does not say which exception came by; the handler in terminate.cpp finds it here.

#include "cxa_exception.h"

namespace __cxxabiv1 {

static _Unwind_Exception* in_flight[16];
constexpr unsigned slots = sizeof in_flight / sizeof *in_flight;

// The innermost exception that is thrown and not yet caught; null where there is none.
extern "C" void* batchwasm_in_flight() {
  const unsigned count = __cxa_get_globals()->uncaughtExceptions;
  return count > 0 && count <= slots ? in_flight[count - 1] : nullptr;
}

static _Unwind_Reason_Code raise_noted(_Unwind_Exception* exception) {
  const unsigned count = __cxa_get_globals()->uncaughtExceptions; // this one included
  if (count > 0 && count <= slots)
    in_flight[count - 1] = exception;
  return _Unwind_RaiseException(exception);
}

} // namespace __cxxabiv1

#define _Unwind_RaiseException raise_noted
#include "cxa_exception.cpp"
