"""C++ exceptions for real: compiled by zig with our archive, run by wasmtime."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import wasmtime

from batchwasm.toolchains import cpp_exceptions, find
from batchwasm.toolchains.base import Tool

LIMIT_BYTES = 64 * 1024**2
UNREACHABLE = wasmtime.TrapCode.UNREACHABLE


@dataclass(frozen=True)
class Ended:
    """How a program ended: `code` is its exit code, None after a trap."""

    code: int | None
    stdout: str
    stderr: str
    trap: wasmtime.TrapCode | None = None


Program = Callable[..., Path]


@pytest.fixture(scope="module")
def zig() -> Tool:
    tool = find.zig()
    if tool is None:
        pytest.skip("no zig; pip install ziglang")
    return replace(tool, argv=(*tool.argv, "c++"))


@pytest.fixture(scope="module")
def support(zig: Tool, tool_caches: Path) -> Path:
    """The folder with the archive, built where it is not there yet."""
    folder = cpp_exceptions.support_folder(tool_caches, zig.stamp)
    subprocess.run(cpp_exceptions.build_command(zig.argv, folder), check=True)
    return folder


@pytest.fixture
def program(zig: Tool, support: Path, tmp_path: Path) -> Program:
    """Compile sources as a command, or with `reactor` as a module of exports; returned is the module's path."""

    def compile_program(*sources: str, flags: tuple[str, ...] = ("-O1",), reactor: bool = False) -> Path:
        objects = [compile_object(i, source, flags) for i, source in enumerate(sources)]
        wasm = tmp_path / "out.wasm"
        link = cpp_exceptions.link_flags(support, entry="_initialize" if reactor else "_start")
        model = ("-mexec-model=reactor",) if reactor else ()
        run(*zig.argv, "-target", "wasm32-wasi", "-O3", "-msimd128", "-s", *model, *objects, *link, "-o", str(wasm))
        run(*cpp_exceptions.guard_command(wasm))
        return wasm

    def compile_object(index: int, source: str, flags: tuple[str, ...]) -> str:
        file = tmp_path / f"{index}.cpp"
        file.write_text(source)
        to = str(tmp_path / f"{index}.o")
        target = ("-target", "wasm32-wasi", "-std=c++20", "-fno-sanitize=undefined")
        run(*zig.argv, *target, *cpp_exceptions.COMPILE_FLAGS, *flags, "-c", str(file), "-o", to)
        return to

    return compile_program


def run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.wasm_exceptions = True
    return wasmtime.Engine(config)


def start(wasm: Path, *args: str) -> Ended:
    """Run a command in a folder of its own with 64 MiB of memory."""
    out, err = wasm.with_name("stdout"), wasm.with_name("stderr")
    (folder := wasm.with_name("guest")).mkdir()
    guest_engine = engine()
    store = wasmtime.Store(guest_engine)
    store.set_limits(memory_size=LIMIT_BYTES)
    wasi = wasmtime.WasiConfig()
    wasi.argv = ["program", *args]
    wasi.stdout_file, wasi.stderr_file = str(out), str(err)
    wasi.preopen_dir(str(folder), ".")
    store.set_wasi(wasi)
    linker = wasmtime.Linker(guest_engine)
    linker.define_wasi()
    main = linker.instantiate(store, wasmtime.Module.from_file(guest_engine, str(wasm))).exports(store)["_start"]
    assert isinstance(main, wasmtime.Func)
    code: int | None = 0
    trap = None
    try:
        main(store)
    except wasmtime.ExitTrap as exit_trap:
        code = exit_trap.code
    except wasmtime.Trap as trapped:
        code, trap = None, trapped.trap_code
    return Ended(code=code, stdout=out.read_text(), stderr=err.read_text(), trap=trap)


CAUGHT = r"""
#include <any>
#include <exception>
#include <functional>
#include <iostream>
#include <locale>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <variant>
#include <vector>

struct Base { virtual ~Base() {} };
struct Derived : Base {};
static char* volatile block;
static volatile std::size_t huge = ~std::size_t(0);
static volatile int five = 5;

template <class F> void attempt(const char* name, F f) {
  std::cout << name << ": ";
  try { f(); std::cout << "nothing\n"; }
  catch (const std::exception& e) { std::cout << e.what() << "\n"; }
}

int main() {
  attempt("stoi", [] { (void)std::stoi("x"); });
  attempt("stoi range", [] { (void)std::stoi("99999999999"); });
  attempt("stod", [] { (void)std::stod("x"); });
  attempt("vector", [] { std::vector<int> v(3); (void)v.at(five); });
  attempt("string", [] { std::string s("abc"); (void)s.substr(five); });
  attempt("map", [] { std::map<std::string, int> m; (void)m.at("x"); });
  attempt("function", [] { std::function<void()> f; f(); });
  attempt("length", [] { std::vector<int> v; v.resize(huge); });
  attempt("new", [] { block = new char[50'000'000]; block = new char[50'000'000]; });
  attempt("new huge", [] { block = new char[huge]; });
  attempt("new aligned", [] { struct alignas(64) A { char c[64]; }; block = (char*)new A[huge / 64]; });
  attempt("dynamic_cast", [] { Base b; Base& r = b; (void)dynamic_cast<Derived&>(r); });
  attempt("optional", [] { std::optional<int> o; (void)o.value(); });
  attempt("variant", [] { std::variant<int, float> v = 1; (void)std::get<float>(v); });
  attempt("any", [] { std::any a = 1; (void)std::any_cast<float>(a); });
  attempt("weak_ptr", [] { std::weak_ptr<int> w; std::shared_ptr<int> s(w); });
  attempt("regex", [] { std::regex r("("); });
  attempt("stream", [] { std::istringstream s("x"); s.exceptions(std::ios::failbit); int i; s >> i; });
  attempt("system_error", [] { throw std::system_error(std::make_error_code(std::errc::io_error), "disk"); });
  Derived d;
  Base* b = &d;
  std::cout << (dynamic_cast<Derived*>(b) != nullptr) << (typeid(*b) == typeid(Derived)) << "\n";
}
"""
CAUGHT_SAYS = """\
stoi: stoi: no conversion
stoi range: stoi: out of range
stod: stod: no conversion
vector: vector
string: basic_string
map: map::at:  key not found
function: std::bad_function_call
length: vector
new: std::bad_alloc
new huge: std::bad_alloc
new aligned: std::bad_alloc
dynamic_cast: std::bad_cast
optional: bad_optional_access
variant: bad_variant_access
any: bad any cast
weak_ptr: bad_weak_ptr
regex: The expression contained mismatched ( and ).
stream: ios_base::clear: unspecified iostream_category error
system_error: disk: I/O error
11
"""


@pytest.mark.long  # half a minute of one compiler; what it adds to the others is breadth
def test_what_the_standard_library_throws_is_caught(program: Program) -> None:
    assert start(program(CAUGHT)) == Ended(code=0, stdout=CAUGHT_SAYS, stderr="")


UNWINDING = r"""
#include <algorithm>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

static int live = 0;
struct Item {
  int n;
  Item(int n = 0) : n(n) { ++live; }
  Item(const Item& o) : n(o.n) { if (n == 13) throw std::runtime_error("unlucky"); ++live; }
  ~Item() { --live; }
};
static int failures = 0;
#define CHECK(x) do { if (!(x)) { std::printf("line %d: %s\n", __LINE__, #x); ++failures; } } while (0)

struct A { virtual ~A() {} int a = 1; };
struct B { virtual ~B() {} int b = 2; };
struct C : A, B {};
struct V1 : virtual A {};
struct V2 : virtual A {};
struct V : V1, V2 {};

void deep(int n, int what) {
  Item item(n);
  if (n == 0) {
    if (what == 0) throw std::out_of_range("zero");
    if (what == 1) throw std::string("one");
    throw C();
  }
  std::vector<Item> items(2);
  deep(n - 1, what);
}

int from_loop(int n) {
  for (int i = 0;; ++i) {
    Item item(i);
    try { Item inner(i); if (i == n) throw i; }
    catch (int k) { Item caught(k); return k * 10; }
  }
}

struct Member {
  Item item;
  Member() try : item(1) { throw 5; } catch (int i) { throw i + 1; }
};

struct AtExit {
  std::string& log;
  ~AtExit() { log += std::to_string(std::uncaught_exceptions()); try { throw 1; } catch (int) { log += "c"; } }
};

int recurse(int n) {
  if (n == 0) throw 1;
  try { return recurse(n - 1); } catch (int i) { throw i + 1; }
}

int main() {
  for (int what = 0; what < 3; ++what) {
    try { deep(20, what); CHECK(false); }
    catch (const std::exception& e) { CHECK(what == 0 && std::string(e.what()) == "zero"); }
    catch (std::string& s) { CHECK(what == 1 && s == "one"); }
    catch (B& b) { CHECK(what == 2 && b.b == 2); }
  }
  CHECK(live == 0);
  CHECK(from_loop(5) == 50);
  try { Member m; CHECK(false); } catch (int i) { CHECK(i == 6); }
  try { throw V(); } catch (A& a) { CHECK(a.a == 1); }
  try { throw &live; } catch (const int* p) { CHECK(p == &live); }
  try { std::vector<Item> v; v.reserve(9); for (int i = 10; i < 20; ++i) v.push_back(Item(i)); CHECK(false); }
  catch (std::runtime_error&) {}
  CHECK(live == 0);
  try { std::vector<int> v{3, 1, 2}; std::sort(v.begin(), v.end(), [](int, int) -> bool { throw 7; }); CHECK(false); }
  catch (int i) { CHECK(i == 7); }
  { std::string log; try { AtExit a{log}; throw 2.5; } catch (double d) { CHECK(d == 2.5); } CHECK(log == "1c"); }
  {
    std::string order;
    try {
      try { throw std::runtime_error("1"); }
      catch (std::exception& e) {
        try { throw std::logic_error("2"); } catch (std::exception& f) { order += f.what(); }
        order += e.what();
        throw;
      }
    } catch (std::runtime_error& e) { order += e.what(); }
    CHECK(order == "211");
  }
  try {
    try { throw std::runtime_error("inner"); }
    catch (...) { std::throw_with_nested(std::logic_error("outer")); }
  } catch (std::logic_error& e) {
    CHECK(e.what() == std::string("outer"));
    try { std::rethrow_if_nested(e); CHECK(false); }
    catch (std::runtime_error& f) { CHECK(f.what() == std::string("inner")); }
  }
  std::exception_ptr kept;
  try { throw 11; } catch (...) { kept = std::current_exception(); }
  try { std::rethrow_exception(kept); } catch (int i) { CHECK(i == 11); }
  CHECK(!std::current_exception() && !std::uncaught_exceptions());
  try { recurse(300); } catch (int i) { CHECK(i == 301); }
  const std::size_t before = __builtin_wasm_memory_size(0);
  for (int i = 0; i < 100'000; ++i) try { throw std::runtime_error("again"); } catch (std::runtime_error&) {}
  CHECK(__builtin_wasm_memory_size(0) == before);
  CHECK(live == 0);
  return failures;
}
"""


@pytest.mark.parametrize("level", ["-O0", "-O1", "-O3", "-Os"])
def test_unwinding_destroys_rethrows_and_matches_as_the_language_says(program: Program, level: str) -> None:
    assert start(program(UNWINDING, flags=(level,))) == Ended(code=0, stdout="", stderr="")


def test_an_exception_crosses_source_files(program: Program) -> None:
    header = "#include <stdexcept>\nstruct Own : std::runtime_error { using runtime_error::runtime_error; };\n"
    thrower = header + 'void thrower(int n) { if (n > 2) throw Own("from b"); }\n'
    middle = "#include <vector>\nvoid thrower(int); void middle(int n) { std::vector<int> v(n); thrower(n); }\n"
    catcher = header + (
        "#include <cstdio>\nvoid middle(int);\n"
        "int main() { try { middle(1); middle(3); } catch (const Own& e) { std::puts(e.what()); return 4; } }\n"
    )
    assert start(program(catcher, middle, thrower)) == Ended(code=4, stdout="from b\n", stderr="")


UNCAUGHT = {
    '#include <stdexcept>\nint main() { throw std::invalid_argument("bad x"); }': "std::invalid_argument: bad x",
    "#include <string>\nint main(int n, char** v) { return std::stoi(v[n - 1]); }": (
        "std::invalid_argument: stoi: no conversion"
    ),
    "#include <vector>\nstd::vector<int> v;\nint x = v.at(3);\nint main() {}": "std::out_of_range: vector",
    "#include <exception>\nnamespace a { namespace { struct E : std::exception {}; } }\nint main() { throw a::E(); }": (
        "a::(anonymous namespace)::E: std::exception"
    ),
    "#include <iostream>\nint main() { std::cin.exceptions(std::ios::eofbit); std::cin.get(); }": (
        "std::ios_base::failure: ios_base::clear: unspecified iostream_category error"
    ),
    "struct Plain {};\nint main() { throw Plain(); }": "Plain",
    "template <class T> struct Of {};\nint main() { throw Of<int>(); }": "2OfIiE",
    "int main() { static const unsigned long x = 1; throw &x; }": "unsigned long const*",
    'int main() { throw "text"; }': "char const*: text",
    '#include <string>\nint main() { throw std::string("text"); }': "std::string: text",
    "int main() { throw -42; }": "int: -42",
    "#include <string>\nint f() noexcept { return std::stof(std::string()); }\nint main() { f(); }": (
        "std::invalid_argument: stof: no conversion"
    ),
    "struct D { ~D() { throw 2; } };\nint main() { try { D d; } catch (...) {} }": "int: 2",
    "int main() { try { throw 1; } catch (int) { throw; } }": "int: 1",
    "#include <stdexcept>\nstruct S { ~S() noexcept(false) { throw 3; } } s;\nint main() {}": "int: 3",
}


@pytest.mark.parametrize("source", UNCAUGHT, ids=list(UNCAUGHT.values()))
def test_what_nobody_catches_is_named_with_its_type_and_traps(program: Program, source: str) -> None:
    says = f"uncaught exception of type {UNCAUGHT[source]}\n"
    assert start(program(source), "x") == Ended(code=None, stdout="", stderr=says, trap=UNREACHABLE)


def test_what_was_printed_before_an_uncaught_exception_is_kept(program: Program) -> None:
    ended = start(program('#include <cstdio>\nint main() { std::printf("half a line"); throw 1; }'))
    assert (ended.stdout, ended.stderr) == ("half a line", "uncaught exception of type int: 1\n")


def test_terminate_without_an_exception_says_so(program: Program) -> None:
    ended = start(program("#include <exception>\nint main() { std::terminate(); }"))
    assert (ended.trap, ended.stderr) == (UNREACHABLE, "std::terminate was called without an exception\n")


def test_a_programs_own_terminate_handler_is_asked(program: Program) -> None:
    source = (
        "#include <exception>\n#include <cstdlib>\nint main() { std::set_terminate([] { std::exit(9); }); throw 1; }"
    )
    assert start(program(source)) == Ended(code=9, stdout="", stderr="")


@pytest.mark.parametrize(
    ("body", "code", "trap"),
    [("std::exit(3);", 3, None), ("std::abort();", None, UNREACHABLE), ("__builtin_trap();", None, UNREACHABLE)],
)
def test_an_exit_and_a_trap_are_no_exceptions(
    program: Program, body: str, code: int | None, trap: wasmtime.TrapCode | None
) -> None:
    source = f"#include <cstdlib>\nint main() {{ try {{ {body} }} catch (...) {{ return 1; }} }}"
    assert start(program(source)) == Ended(code=code, stdout="", stderr="", trap=trap)


def test_file_streams_and_filesystem_work_and_throw(program: Program) -> None:
    source = r"""
#include <filesystem>
#include <fstream>
#include <iostream>
namespace fs = std::filesystem;
int main() {
  fs::create_directories("a/b");
  std::ofstream("a/b/file.txt") << "one two\n" << 3.5 << "\n";
  fs::copy_file("a/b/file.txt", "copy.txt");
  std::ifstream in("copy.txt");
  for (std::string line; std::getline(in, line);) std::cout << "[" << line << "]";
  std::cout << fs::file_size("copy.txt") << fs::path("x/y.tar").extension().string() << fs::remove_all("a") << "\n";
  try { (void)fs::file_size("none"); }
  catch (const fs::filesystem_error& e) { std::cout << e.code().message() << "\n"; }
}
"""
    says = "[one two][3.5]12.tar3\nNo such file or directory\n"
    assert start(program(source)) == Ended(code=0, stdout=says, stderr="")


def test_objects_of_a_thread_are_destroyed_at_the_end(program: Program) -> None:
    own = '#include <cstdio>\nstruct T { ~T() { std::puts("gone"); } };\nthread_local T t;\n'
    source = own + "int main() { (void)&t; }"
    assert start(program(source)) == Ended(code=0, stdout="gone\n", stderr="")


def test_a_reactor_catches_and_is_called_again_after_a_throw(program: Program) -> None:
    source = r"""
#include <string>
static std::string start = "40";
extern "C" __attribute__((export_name("add"))) int add(int n) {
  try { return std::stoi(n < 0 ? "x" : start) + n; } catch (const std::invalid_argument&) { return -1; }
}
"""
    guest_engine = engine()
    module = wasmtime.Module.from_file(guest_engine, str(program(source, reactor=True)))
    store = wasmtime.Store(guest_engine)
    store.set_wasi(wasmtime.WasiConfig())
    linker = wasmtime.Linker(guest_engine)
    linker.define_wasi()
    exports = linker.instantiate(store, module).exports(store)
    initialize, add = exports["_initialize"], exports["add"]
    assert isinstance(initialize, wasmtime.Func)
    assert isinstance(add, wasmtime.Func)
    initialize(store)
    assert [add(store, n) for n in (2, -1, 3)] == [42, -1, 43]


def test_a_module_starts_under_the_usual_name_alone(program: Program) -> None:
    module = wasmtime.Module.from_file(engine(), str(program("int main() {}")))
    assert sorted(export.name for export in module.exports) == ["_start", "memory"]


def test_the_guard_leaves_a_module_without_one_as_it_is() -> None:
    wasm = bytes(wasmtime.wat2wasm('(module (memory (export "memory") 1) (func (export "_start")))'))
    assert cpp_exceptions.guard(wasm) == wasm


def test_the_guard_keeps_all_other_exports_and_sections() -> None:
    wat = '(module (func $a) (func $b) {} (memory (export "memory") 1) (func $last (call $b)))'
    before = '(export "_start" (func $a)) (export "other" (func $a)) (export "batchwasm_guarded_start" (func $b))'
    after = '(export "_start" (func $b)) (export "other" (func $a))'
    strip = {"before": wat.format(before), "after": wat.format(after)}
    modules = {name: bytes(wasmtime.wat2wasm(text)) for name, text in strip.items()}
    assert cpp_exceptions.guard(modules["before"]) == modules["after"]


def test_the_guard_refuses_what_is_no_module(tmp_path: Path) -> None:
    file = tmp_path / "out.wasm"
    file.write_bytes(b"no wasm")
    done = subprocess.run(cpp_exceptions.guard_command(file), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "no WebAssembly module\n")


@pytest.mark.parametrize(
    ("name", "version", "can"),
    [
        ("zig", "0.17.1", True),
        ("zig", "0.18.0-dev.12+ab", True),
        ("zig", "1.0.0", True),
        ("zig", "0.16.0", False),
        ("clang", "22.1.0", False),
        ("zig", "master", False),
    ],
)
def test_only_a_zig_that_was_tried_is_supported(name: str, version: str, can: bool) -> None:
    assert cpp_exceptions.supported(name, version) is can


def test_another_compiler_has_another_folder(tmp_path: Path) -> None:
    assert cpp_exceptions.support_folder(tmp_path, "a") == cpp_exceptions.support_folder(tmp_path, "a")
    assert cpp_exceptions.support_folder(tmp_path, "a") != cpp_exceptions.support_folder(tmp_path, "b")


FAKE_ZIG = """#!/bin/sh
# Stands in for zig's compiler, which takes too long here: counts its runs, and writes what it is asked to write.
case "$1" in
env) echo "{{ .lib_dir = \\"{library}\\" }}" ;;
ar) : > "$3" ;;
*) echo run >> "{log}"
  {then}
  while [ "$1" != -o ]; do shift; done; : > "$2" ;;
esac
"""


def fake_zig(folder: Path, then: str = ":") -> Path:
    for file in ("libunwind/src/Unwind-wasm.c", "libcxx/src/string.cpp", "libcxxabi/src/cxa_guard.cpp"):
        (folder / "lib" / file).parent.mkdir(parents=True)
        (folder / "lib" / file).touch()
    zig = folder / "zig"
    zig.write_text(FAKE_ZIG.format(library=folder / "lib", log=folder / "log", then=then))
    zig.chmod(0o755)
    return zig


def test_processes_that_build_at_the_same_time_build_once(tmp_path: Path) -> None:
    zig = fake_zig(tmp_path)
    command = cpp_exceptions.build_command((str(zig), "c++"), tmp_path / "cache" / "key")
    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(lambda _: subprocess.run(command).returncode, range(6)))
    units = len(cpp_exceptions.archive_units(tmp_path / "lib")) + len(("command", "reactor"))
    assert done == [0] * 6
    assert len((tmp_path / "log").read_text().splitlines()) == units
    assert sorted(os.listdir(tmp_path / "cache")) == ["key", "key.lock"]
    assert sorted(os.listdir(tmp_path / "cache/key")) == ["guard_command.o", "guard_reactor.o", "libc++.a"]


def test_a_build_that_fails_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    zig = fake_zig(tmp_path, then="echo 'disk full' >&2; exit 1")
    command = cpp_exceptions.build_command((str(zig), "c++"), tmp_path / "cache" / "key")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("building the C++ library with exceptions: ")
    assert done.stderr.endswith("disk full\n")
    assert os.listdir(tmp_path / "cache") == ["key.lock"]


def test_an_interrupted_build_starts_nothing_more_and_leaves_nothing(tmp_path: Path) -> None:
    zig = fake_zig(tmp_path, then="sleep 1  # as long as a compile takes")
    command = cpp_exceptions.build_command((str(zig), "c++"), tmp_path / "cache" / "key")
    building = subprocess.Popen(command, start_new_session=True)
    while not (tmp_path / "log").exists():
        assert building.poll() is None
    os.killpg(building.pid, signal.SIGINT)
    assert building.wait(timeout=30) == 130
    assert os.listdir(tmp_path / "cache") == ["key.lock"]
    units = len(cpp_exceptions.archive_units(tmp_path / "lib"))
    assert len((tmp_path / "log").read_text().splitlines()) < units


def test_what_a_killed_build_left_goes_with_the_next(tmp_path: Path) -> None:
    (tmp_path / "cache/key.new-dead").mkdir(parents=True)
    cpp_exceptions.build(str(fake_zig(tmp_path)), tmp_path / "cache" / "key")
    assert sorted(os.listdir(tmp_path / "cache")) == ["key", "key.lock"]


def test_a_zig_without_the_sources_is_told_how_to_get_one(tmp_path: Path) -> None:
    zig = fake_zig(tmp_path)
    (tmp_path / "lib/libunwind/src/Unwind-wasm.c").unlink()
    with pytest.raises(cpp_exceptions.BuildError, match=r"that of https://ziglang\.org/download has"):
        cpp_exceptions.build(str(zig), tmp_path / "cache" / "key")
