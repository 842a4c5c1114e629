// Linked into C++ programs where the toolchain's own libraries can't unwind: code with try, throw and catch compiles,
// a throw says on stderr what was thrown and aborts; no catch ever runs. All symbols are weak: a toolchain that has
// them keeps its own.
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cxxabi.h>
#include <exception>
#include <typeinfo>

namespace __cxxabiv1 {
// As in libc++abi's private_typeinfo.h: every type_info it emits has these virtual functions, in this order.
class __shim_type_info : public std::type_info {
  public:
    virtual ~__shim_type_info();
    virtual void noop1() const;
    virtual void noop2() const;
    virtual bool can_catch(const __shim_type_info *thrown, void *&object) const = 0;
};
} // namespace __cxxabiv1

namespace {
const __cxxabiv1::__shim_type_info *shim(const std::type_info &type) {
    return static_cast<const __cxxabiv1::__shim_type_info *>(&type);
}

[[noreturn]] void die(void *object, const std::type_info *type) {
    int status = 0;
    char *name = abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
    std::fflush(stdout);
    std::fprintf(stderr, "uncaught exception of type %s", status == 0 ? name : type->name());
    void *base = object;
    if (shim(typeid(std::exception))->can_catch(shim(*type), base))
        std::fprintf(stderr, ": %s", static_cast<std::exception *>(base)->what());
    std::fputs("\n(this toolchain can't unwind: no catch runs)\n", stderr);
    std::abort();
}
} // namespace

extern "C" {
[[gnu::weak]] void *__cxa_allocate_exception(std::size_t size) noexcept {
    void *object = std::malloc(size);
    if (object == nullptr)
        std::abort();
    return object;
}
[[gnu::weak]] void __cxa_free_exception(void *object) noexcept { std::free(object); }
// By its symbol: headers disagree about the destructor's type.
[[gnu::weak, noreturn]] void batchwasm_throw(void *object, std::type_info *type, void *) __asm__("__cxa_throw");
void batchwasm_throw(void *object, std::type_info *type, void *) { die(object, type); }
[[gnu::weak]] void __cxa_rethrow() { std::abort(); }
[[gnu::weak]] void *__cxa_begin_catch(void *object) noexcept { return object; }
[[gnu::weak]] void __cxa_end_catch() {}
[[gnu::weak]] void *__cxa_get_exception_ptr(void *object) noexcept { return object; }
}
