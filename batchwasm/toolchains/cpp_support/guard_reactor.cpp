// As guard_command.cpp, for a module whose static objects are made by _initialize and that is then called by its exports.

#include <exception>

extern "C" void _initialize();

extern "C" [[clang::export_name("batchwasm_guarded_initialize")]] void batchwasm_guarded_initialize() {
  try {
    _initialize();
  } catch (...) {
    std::terminate();
  }
}
