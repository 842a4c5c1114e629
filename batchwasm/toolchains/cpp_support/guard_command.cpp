// A program's start with a handler around it: an exception that nobody catches, also one of a static object, ends in
// std::terminate, which names it. WebAssembly unwinds before anybody knows whether there is a handler, so without this
// nothing in the module would ever learn of it.

#include <exception>

extern "C" void _start();

extern "C" [[clang::export_name("batchwasm_guarded_start")]] void batchwasm_guarded_start() {
  try {
    _start();
  } catch (...) {
    std::terminate();
  }
}
