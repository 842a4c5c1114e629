// Says what nobody caught, on stderr, then aborts: "uncaught exception of type std::invalid_argument: bad x".
//
// Takes the place of the default handler in libc++abi's cxa_default_handlers.cpp. That one pulls in the full demangler,
// which makes every module 135 KB larger and its start slower; the names of nearly all exceptions need 60 lines.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cxxabi.h>
#include <exception>
#include <new>
#include <string>
#include <typeinfo>

#include "cxa_handlers.h"

extern "C" void* batchwasm_in_flight();

namespace {

constexpr std::size_t room = 512; // of a type's name; a longer one is shown mangled

class Name {
  char text[room];
  std::size_t length = 0;

public:
  bool add(const char* part, std::size_t size) {
    if (length + size >= room)
      return false;
    std::memcpy(text + length, part, size);
    length += size;
    text[length] = 0;
    return true;
  }
  bool add(const char* part) { return add(part, std::strlen(part)); }
  const char* c_str() const { return text; }
};

// <number><that many characters>: std's inline namespace __1 is left out, as people write it.
bool source_name(const char*& at, Name& name, bool qualified) {
  char* end;
  const unsigned long size = std::strtoul(at, &end, 10);
  if (end == at || size > std::strlen(end))
    return false;
  at = end + size;
  if (qualified && size == 3 && !std::strncmp(end, "__1", size))
    return true;
  if (qualified && !name.add("::"))
    return false;
  return std::strncmp(end, "_GLOBAL__N_", 11) ? name.add(end, size) : name.add("(anonymous namespace)");
}

// N [St] names E  |  St name  |  name. Templates and local classes are not read: false.
bool class_name(const char*& at, Name& name) {
  const bool nested = *at == 'N';
  at += nested;
  bool qualified = !std::strncmp(at, "St", 2);
  if (qualified && !name.add("std"))
    return false;
  at += qualified ? 2 : 0;
  do {
    if (!source_name(at, name, qualified))
      return false;
    qualified = true;
  } while (nested && *at != 'E');
  at += nested;
  return true;
}

bool builtin_name(const char*& at, Name& name) {
  static constexpr struct { char code; const char* name; } types[] = {
      {'b', "bool"}, {'c', "char"}, {'a', "signed char"}, {'h', "unsigned char"}, {'s', "short"},
      {'t', "unsigned short"}, {'i', "int"}, {'j', "unsigned int"}, {'l', "long"}, {'m', "unsigned long"},
      {'x', "long long"}, {'y', "unsigned long long"}, {'f', "float"}, {'d', "double"}, {'v', "void"},
      {'w', "wchar_t"},
  };
  for (const auto& type : types)
    if (type.code == *at) {
      ++at;
      return name.add(type.name);
    }
  return false;
}

bool type_name(const char*& at, Name& name) {
  switch (*at) {
  case 'P':
    return type_name(++at, name) && name.add("*");
  case 'K':
    return type_name(++at, name) && name.add(" const");
  default:
    return builtin_name(at, name) || class_name(at, name);
  }
}

const char* readable(const std::type_info& type, Name& name) {
  if (type == typeid(std::string))
    return "std::string";
  const char* at = type.name();
  return type_name(at, name) && !*at ? name.c_str() : type.name();
}

void say(const char* type, const char* what) {
  std::fprintf(stderr, *what ? "uncaught exception of type %s: %s\n" : "uncaught exception of type %s\n", type, what);
}

void say_current(const std::type_info& type) {
  Name name;
  const char* known = readable(type, name);
  char number[16];
  try {
    throw;
  } catch (const std::exception& error) {
    say(known, error.what());
  } catch (const std::string& text) {
    say(known, text.c_str());
  } catch (const char* text) {
    say(known, text ? text : "");
  } catch (int value) {
    std::snprintf(number, sizeof number, "%d", value);
    say(known, number);
  } catch (...) {
    say(known, "");
  }
}

} // namespace

namespace std {

// What the program printed before goes out first: its owner reads both to see what happened.
[[noreturn]] static void report_uncaught() {
  std::fflush(nullptr);
  if (void* thrown = batchwasm_in_flight())
    __cxxabiv1::__cxa_begin_catch(thrown);
  if (const std::type_info* type = __cxxabiv1::__cxa_current_exception_type())
    say_current(*type);
  else
    std::fputs("std::terminate was called without an exception\n", stderr);
  std::abort();
}

} // namespace std

// With this macro the file's handler is std::abort; that name is ours here.
#define LIBCXXABI_SILENT_TERMINATE
#define abort report_uncaught
#include "cxa_default_handlers.cpp"
