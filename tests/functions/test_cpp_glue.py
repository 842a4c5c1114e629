"""C++ functions compiled with the real compiler and called: values there and back, errors, and what is in the way."""

from __future__ import annotations

import random
import struct
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import pytest
import wasmtime
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchwasm import artifacts, functions
from batchwasm.errors import SourceError
from batchwasm.functions import of_module
from batchwasm.functions.types import Type
from batchwasm.model import Build, Source
from batchwasm.store import Store
from batchwasm.toolchains import TOOLCHAINS, compile_source, cpp, find
from tests.functions import liberal
from tests.functions.compiled import call, compiled, compiled_once, fit, plain
from tests.functions.host import Guest
from tests.functions.kinds import sent, values_of
from tests.toolchains.guests import need, write

ALL = """
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>
namespace all {
struct Numbers {
    bool b; char c; signed char sc; unsigned char uc; short s; unsigned short us; int i; unsigned u; long l;
    unsigned long ul; long long ll; unsigned long long ull; float f; double d; std::int8_t i8; std::uint8_t u8;
    std::int16_t i16; std::uint16_t u16; std::int32_t i32; std::uint32_t u32; std::int64_t i64; std::uint64_t u64;
    std::size_t z; std::ptrdiff_t p; std::intmax_t im;
};
struct Lists {
    std::vector<bool> b; std::vector<char> c; std::vector<std::uint8_t> u8; std::vector<short> i16;
    std::vector<std::uint16_t> u16; std::vector<long> l; std::vector<unsigned> u32; std::vector<long long> i64;
    std::vector<std::uint64_t> u64; std::vector<float> f; std::vector<double> d; std::vector<std::string> s;
    std::vector<std::vector<double>> dd; std::vector<std::pair<int, std::string>> p;
};
namespace { struct Deep {
    std::optional<int> oi; std::optional<std::string> os; std::optional<std::vector<std::optional<double>>> oo;
    std::tuple<int, std::string, std::tuple<bool>> t; std::map<std::string, std::vector<float>> m;
    std::unordered_map<std::string, std::optional<long long>> um; std::map<std::string, std::map<std::string, bool>> mm;
    struct Inner { int x = 5; std::string text; } inner; std::vector<Inner> inners;
}; }
struct All { Numbers numbers; Lists lists; Deep deep; std::string text; };
All same(All all) { return all; }
}
"""


@pytest.fixture(scope="module")
def everything() -> Guest:
    return Guest(compiled_once("cpp", "all::same", ALL))


@pytest.fixture(scope="module")
def kind() -> Type:
    signature = of_module(compiled_once("cpp", "all::same", ALL))
    assert signature is not None
    assert signature.result is not None
    return signature.result


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.integers())
def test_values_of_all_types_come_back_as_they_were_sent(
    everything: Guest, kind: Type, data: st.DataObject, seed: int
) -> None:
    value = data.draw(values_of(kind))
    encoded = sent(kind, value)
    assert everything.call(b"\x81" + encoded) == encoded
    assert everything.call(liberal.arguments([kind], [value], random.Random(seed))) == encoded


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_damaged_arguments_are_refused_or_mean_what_they_say(
    everything: Guest, kind: Type, data: st.DataObject
) -> None:
    whole = bytearray(b"\x81" + sent(kind, data.draw(values_of(kind))))
    at = st.integers(0, len(whole) - 1)
    for start, old, new in data.draw(st.lists(st.tuples(at, st.integers(0, 3), st.binary(max_size=3)), max_size=4)):
        whole[start : start + old] = new
    check_fits(everything, kind, bytes(whole[: data.draw(st.none() | at)]))


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=40))
def test_any_bytes_are_refused_or_mean_what_they_say(everything: Guest, kind: Type, arguments: bytes) -> None:
    check_fits(everything, kind, arguments)


def check_fits(guest: Guest, kind: Type, arguments: bytes) -> None:
    answer = cbor2.loads(guest.call(arguments))
    if isinstance(answer, cbor2.CBORTag):
        assert answer.tag == 25207
        assert answer.value[0] == "argument"
        return
    (value,) = cbor2.loads(arguments)
    assert repr(plain(answer)) == repr(plain(cbor2.loads(sent(kind, fit(kind, value)))))


VIEWS = """
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>
struct Named { std::string_view name; std::span<const int> numbers; };
template <class T> std::vector<T> own(std::span<const T> s) { return {s.begin(), s.end()}; }
std::tuple<std::string, std::string, std::vector<std::uint8_t>, std::vector<double>, std::vector<bool>,
           std::vector<std::string>, std::vector<std::string>, std::string, std::vector<int>,
           std::vector<std::optional<int>>>
f(std::string_view view, const char *text, std::span<const std::uint8_t> bytes, const std::span<const double> &doubles,
  std::span<const bool> bools, std::span<const std::string> strings, std::vector<std::string_view> views,
  const Named &named, std::span<const std::optional<int>> options, std::string &&moved) {
    return {std::string(view) + moved, text, own(bytes), own(doubles), own(bools), own(strings),
            {views.begin(), views.end()}, std::string(named.name), own(named.numbers), own(options)};
}
"""


@pytest.fixture(scope="module")
def views() -> Guest:
    return Guest(compiled_once("cpp", "f", VIEWS))


@pytest.mark.parametrize("padding", range(8))
def test_views_show_what_was_sent_wherever_it_lies(views: Guest, padding: int) -> None:
    doubles = cbor2.CBORTag(86, struct.pack("<2d", 1.5, -2))
    named = {"name": "n", "numbers": [1, -2]}
    arguments = ["x" * padding, "text", b"\0\xff", doubles, [True, False], ["a", ""], ["b", "ü"], named, [1, None], "!"]
    answer = call(views, *arguments)
    assert answer == [
        *("x" * padding + "!", "text", b"\0\xff", [1.5, -2.0], [True, False], ["a", ""], ["b", "ü"], "n"),
        *([1, -2], [1, None]),
    ]


def test_bytes_and_numbers_are_also_understood_as_arrays(views: Guest) -> None:
    named = {"numbers": cbor2.CBORTag(78, b"\1\0\0\0"), "name": ""}
    tagged = cbor2.CBORTag(64, b"\7")
    for octets in (tagged, [7], b"\7"):
        answer = call(views, "", "", octets, [1, 2.5], [], [], [], named, [], "")
        assert (answer[2], answer[3], answer[8]) == (b"\7", [1.0, 2.5], [1])


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (0, 3, "view: expected string, found the integer 3"),
        (1, "a\0b", "text: the text has a NUL character in it, and a const char * ends there"),
        (2, [1, 256], "bytes[1]: expected u8, found the integer 256"),
        (2, "x", "bytes: expected list<u8>, found a text string"),
        (3, cbor2.CBORTag(85, b"abcd"), "doubles: expected list<f64>, found a typed array of f32"),
        (3, cbor2.CBORTag(86, b"abc"), "doubles: expected list<f64>, found a typed array of f64 that is damaged"),
        (3, cbor2.CBORTag(82, b"abcdefgh"), "doubles: expected list<f64>, found a typed array of big-endian f64"),
        (3, [1.0, None], "doubles[1]: expected f64, found null"),
        (4, [True, 1], "bools[1]: expected bool, found the integer 1"),
        (5, ["a", b"b"], "strings[1]: expected string, found a byte string"),
        (6, {"a": "b"}, "views: expected list<string>, found a map of 1"),
        (7, {"name": "x"}, "named: Named lacks its field numbers"),
        (7, {"name": "x", "numbers": [], "nüm": 1}, 'named: Named has no field "nüm"'),
        (7, {"name": "x", "numbers": [1, 2**31]}, "named.numbers[1]: expected s32, found the integer 2147483648"),
        (7, {3: "x"}, "named: expected string, found the integer 3"),
        (8, [1, -(2**64)], "options[1]: expected s32, found the integer -18446744073709551616"),
        (8, 1.5, "options: expected list<option<s32>>, found a float"),
        (9, cbor2.undefined, "moved: expected string, found undefined"),
        (9, cbor2.CBORSimpleValue(99), "moved: expected string, found a simple value"),
        (9, cbor2.CBORTag(99, ""), "moved: expected string, found tag 99"),
    ],
)
def test_an_argument_that_does_not_fit_is_named(views: Guest, place: int, value: object, said: str) -> None:
    arguments: list[object] = ["", "", b"", [], [], [], [], {"name": "", "numbers": []}, [], ""]
    arguments[place] = value
    assert call(views, *arguments) == ("error", "argument", said)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (b"\x80", "expected 10 arguments, found an array of 0"),
        (b"\xa0", "expected 10 arguments, found a map of 0"),
        (b"", "expected 10 arguments, found nothing more"),
        (b"\x9f", "expected 10 arguments, found an item of indefinite length"),
        (b"\x9c", "expected 10 arguments, found a damaged item"),
        (b"\x9b" + b"\xff" * 8, "expected 10 arguments, found an array of 18446744073709551615 that is cut short"),
        (b"\x8a", "expected 10 arguments, found an array of 10 that is cut short"),
        (b"\x8a" + b"\x7b" + b"\xff" * 9, "view: expected string, found a text string that is cut short"),
        (b"\x8a" + b"\x62\xc3\x28" + b"\0" * 9, "view: expected string, found a text string that is not UTF-8"),
    ],
)
def test_arguments_that_are_no_arguments_are_refused(views: Guest, arguments: bytes, said: str) -> None:
    assert plain(cbor2.loads(views.call(arguments))) == ("error", "argument", said)


def test_bytes_after_the_arguments_are_refused() -> None:
    guest = Guest(compiled_once("cpp", "add", ADD))
    assert plain(cbor2.loads(guest.call(b"\x82\x01\x02\x03"))) == (
        *("error", "argument", "there are 1 bytes after the arguments"),
    )


ADD = """
#include <cstdio>
static int start = [] { std::puts("started"); return 10; }();
int add(int a, int b) { std::printf("%d + %d", a, b); return a + b + start - 10; }
int main(int argc, char **argv) { return 3; }
"""


def test_what_is_static_is_made_before_and_what_is_printed_comes_out(capfd: pytest.CaptureFixture[str]) -> None:
    guest = Guest(compiled_once("cpp", "add", ADD))
    assert call(guest, 1, 2) == 3
    assert capfd.readouterr().out == "started\n1 + 2"
    assert call(guest, -1, 2**31 - 1) == 2**31 - 2
    assert capfd.readouterr().out == "-1 + 2147483647"


def test_without_memory_there_is_no_buffer() -> None:
    guest = Guest(compiled_once("cpp", "add", ADD))
    alloc = guest.exports["bw_alloc"]
    assert alloc(guest.store, 2**32 - 1) == 0
    guest.store.set_limits(memory_size=2 * 1024**2)
    assert alloc(guest.store, 2**24) == 0
    assert call(guest, 1, 2) == 3


RAISES = """
#include <new>
#include <stdexcept>
#include <string>
#include <vector>
struct Problem : std::invalid_argument { using std::invalid_argument::invalid_argument; };
struct Says { ~Says() { std::puts("unwound"); } };
static char *volatile block;
std::string f(int how) {
    Says says;
    switch (how) {
    case 0: throw Problem("bad x");
    case 1: return std::to_string(std::stoi("x"));
    case 2: throw 42;
    case 3: throw std::runtime_error("caf\\xe9 \\xf0\\x9f");
    case 4: for (;;) block = new char[1 << 20];
    case 5: return "caf\\xe9";
    case 6: return std::vector<std::string>{}.at(3);
    case 7: throw std::bad_alloc();
    default: return "fine";
    }
}
"""


@pytest.fixture
def raises() -> Guest:
    return Guest(compiled_once("cpp", "f", "#include <cstdio>\n" + RAISES))


@pytest.mark.parametrize(
    ("how", "said"),
    [(0, "bad x"), (1, "stoi: no conversion"), (3, "caf\ufffd \ufffd\ufffd"), (6, "vector")],
)
def test_an_exception_is_what_it_says(raises: Guest, how: int, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(raises, how) == ("error", "raised", said)
    assert capfd.readouterr().out == "unwound\n"
    assert call(raises, 9) == "fine", "it can be called again"


def test_a_text_that_is_not_utf8_is_told(raises: Guest) -> None:
    said = "the result has a text that is not UTF-8; bytes are a list of uint8_t"
    assert call(raises, 5) == ("error", "raised", said)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (2, "uncaught exception of type int: 42"),
        (4, "uncaught exception of type std::bad_alloc: std::bad_alloc"),
        (7, "uncaught exception of type std::bad_alloc: std::bad_alloc"),
    ],
)
def test_what_is_no_failure_of_the_function_ends_in_a_trap(
    raises: Guest, how: int, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    raises.store.set_limits(memory_size=64 * 1024**2)
    with pytest.raises(wasmtime.Trap):
        call(raises, how)
    assert said in capfd.readouterr().err


STRANGE = """
#define in cin
#define read(x) x
#define write
#define value
#define size
#define name
#define N 100
#define int long long
#include <string>
#include <vector>
using namespace std;
typedef vector<int> vi;
struct codec { int count; string say; };
int count(int x) { return x; }
namespace { int distance(const codec &c, vi v) { int n = c.count + v[0]; return n; } }
vi tag(codec c, const vi &v) { return {distance(c, v), count(N)}; }
"""


def test_the_users_names_and_macros_are_not_in_the_way() -> None:
    guest = Guest(compiled_once("cpp", "tag", STRANGE))
    assert call(guest, {"count": 2**40, "say": "x"}, [1]) == [2**40 + 1, 100]
    guest = Guest(compiled_once("cpp", "distance", STRANGE))
    assert call(guest, {"count": 1, "say": "x"}, [2]) == 3


def test_a_function_without_a_result_gives_null() -> None:
    text = 'extern "C" void f(const std::string &s) noexcept { std::cout << s; }'
    guest = Guest(compiled_once("cpp", "f", f"#include <iostream>\n#include <string>\n{text}"))
    assert call(guest, "x") is None


def test_several_files_headers_and_flags_make_one_module(weird_tmp_path: Path) -> None:
    files = {
        "src/f.cpp": '#include "shape.h"\n#include "scale.h"\n'
        "namespace geo { double area(const Shape &s) { return scaled(s.a * s.b) * FACTOR; } }\n"
        "int main() { return 0; }\n",
        "src/shape.h": "namespace geo { struct Shape { double a, b; }; }\n",
        "inc/scale.h": 'double scaled(double);\nextern "C" int twice(int);\n',
        "lib/b.cpp": '#include "scale.h"\ndouble scaled(double x) { return 10 * x / twice(1); }\n',
        "lib/c.c": "int twice(int x) { int class = 2; return class * x; }\n",
    }
    build = Build(
        include=(weird_tmp_path / "inc",),
        defines=(("FACTOR", "3"),),
        flags=(
            "-Wall",
            "-Wextra",
            "-Weverything",
            "-Wno-missing-prototypes",
            "-Wno-c++98-compat",
            "-Wno-unsafe-buffer-usage",
        ),
    )
    made = compiled("cpp", "geo::area", files, build, folder=weird_tmp_path)
    assert call(Guest(made), {"b": 3, "a": 2}) == 90.0
    other = compiled(
        "cpp", "geo::area", files, replace(build, include=(weird_tmp_path / "x/inc",)), folder=weird_tmp_path / "x"
    )
    assert other == made, "the module does not depend on where its sources lie"


def test_a_changed_header_makes_another_module(tmp_path: Path) -> None:
    need("cpp")
    write(tmp_path, {"a.cpp": '#include "n.h"\nint f() { return N; }', "n.h": "#define N 1"})
    source, store = Source(language="cpp", paths=(tmp_path / "a.cpp",), function="f"), Store(tmp_path / "store")
    assert not artifacts.build("job", source, store).cached
    assert artifacts.build("job", source, store).cached
    write(tmp_path, {"n.h": "#define N 2"})
    made = artifacts.build("job", source, store)
    assert call(Guest(made.path.read_bytes())) == 2


def test_errors_are_told_in_the_users_own_lines(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"a\.cpp:2:18: error: .*missing"):
        compiled("cpp", "f", {"a.cpp": "\nint f() { return missing; }"}, folder=tmp_path)


@pytest.mark.parametrize(
    ("flags", "answer"),
    [(("-std=c++17", "-fno-exceptions", "-Werror", "-Wall"), 201703), (("-std=c++23", "-O0", "-fno-rtti"), 202302)],
)
def test_the_users_flags_win(flags: tuple[str, ...], answer: int) -> None:
    text = "#include <map>\n#include <string>\nlong long f(const std::map<std::string, int> &m) { return __cplusplus; }"
    assert call(Guest(compiled("cpp", "f", {"a.cpp": text}, Build(flags=flags))), {"a": 1}) == answer


def test_an_older_standard_is_refused_with_a_reason() -> None:
    with pytest.raises(SourceError, match=r"functions in C\+\+17 or later; leave the older -std out of build\.flags"):
        compiled("cpp", "f", {"a.cpp": "int f() { return 1; }"}, Build(flags=("-std=c++14",)))


def test_a_file_that_no_include_can_name_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {'a".cpp': "int f() { return 1; }"})
    source = Source(language="cpp", paths=(tmp_path / 'a".cpp',), function="f")
    with pytest.raises(functions.NoFunction, match="give it a plainer name"):
        functions.make_glue(source, functions.read(source))


@pytest.mark.long  # zig builds its own libc++ for it, which nothing else here needs
def test_where_the_toolchain_cannot_unwind_functions_work_and_a_throw_traps(
    tmp_path: Path, tool_caches: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tool = find.cpp()
    assert tool is not None
    language = replace(TOOLCHAINS["cpp"], recipe=cpp._with_stub)
    path = write(tmp_path, {"a.cpp": "#include <cstdio>\n" + RAISES}) / "a.cpp"
    source = Source(language="cpp", paths=(path,), function="f")
    glue = functions.make_glue(source, functions.read(source))
    made: Any = compile_source(
        "job", source, language, tool, cache=tool_caches, talk=print, stop=threading.Event(), glue=glue
    )
    guest = Guest(made.wasm)
    assert call(guest, 9) == "fine"
    with pytest.raises(wasmtime.Trap):
        call(guest, 0)
    assert "uncaught exception of type Problem: bad x" in capfd.readouterr().err
