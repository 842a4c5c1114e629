"""Signatures out of C++ sources, and what is said of functions that can't be called. Nothing is compiled here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from batchwasm import functions
from batchwasm.functions import NoFunction, Signature
from batchwasm.model import Build, Source
from tests.toolchains.guests import write

Read = Callable[..., Signature]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Of a source given as text; `more` are further files, those that end in .cpp belong to the source."""

    def read_signature(text: str, function: str, build: Build | None = None, **more: str) -> Signature:
        files = {"a.cpp": text, **{name.replace("_", "."): content for name, content in more.items()}}
        write(tmp_path, files)
        paths = tuple(tmp_path / name for name in files if name.endswith(".cpp"))
        return functions.read(Source(language="cpp", paths=paths, function=function, build=build or Build()))

    return read_signature


@pytest.fixture
def problems(read: Read) -> Callable[..., list[str]]:
    def problems_of(text: str, function: str = "f", **more: str) -> list[str]:
        with pytest.raises(NoFunction) as caught:
            read(text, function, **more)
        return list(caught.value.problems)

    return problems_of


Problems = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("written", "type_"),
    [
        *[("bool", "bool"), ("char", "s8"), ("signed char", "s8"), ("unsigned char", "u8"), ("char unsigned", "u8")],
        *[("short", "s16"), ("unsigned short int", "u16"), ("int", "s32"), ("unsigned", "u32"), ("signed", "s32")],
        *[("long", "s32"), ("unsigned long", "u32"), ("long long int", "s64"), ("long unsigned long", "u64")],
        *[("int8_t", "s8"), ("std::uint16_t", "u16"), ("std::int32_t", "s32"), ("::std::uint64_t", "u64")],
        *[("size_t", "u32"), ("std::size_t", "u32"), ("std::ptrdiff_t", "s32"), ("std::intmax_t", "s64")],
        *[("float", "f32"), ("double", "f64")],
        *[("std::string", "string"), ("string", "string"), ("const std::string &", "string")],
        *[("std::string_view", "string"), ("const char *", "string"), ("char const *const", "string")],
        *[("std::vector<uint8_t>", "list<u8>"), ("std::span<const std::uint8_t>", "list<u8>")],
        *[("std::vector<double> &&", "list<f64>"), ("const vector<string>&", "list<string>")],
        *[("std::vector<bool>", "list<bool>"), ("std::span<const bool>", "list<bool>")],
        *[("std::span<double const>", "list<f64>"), ("std::vector<std::vector<float>>", "list<list<f32>>")],
        *[("std::optional<std::vector<int>>", "option<list<s32>>"), ("const std::optional<int>", "option<s32>")],
        *[("std::tuple<int, std::string, bool>", "tuple<s32, string, bool>"), ("pair<int, int>", "tuple<s32, s32>")],
        ("std::map<std::string, std::vector<std::pair<int, double>>>", "map<list<tuple<s32, f64>>>"),
        ("std::unordered_map<std::string, int> const &", "map<s32>"),
    ],
)
def test_every_type_of_the_table(read: Read, written: str, type_: str) -> None:
    signature = read(f"int f({written} x) {{ return 0; }}", "f")
    assert str(signature) == f"f(x: {type_}) -> s32"


def test_a_function_says_what_it_takes_and_gives(read: Read) -> None:
    text = """
#include <vector>
// Not of it.

/// The arithmetic mean,
/// of all values.
[[nodiscard]] static inline double mean(const std::vector<double> &xs, [[maybe_unused]] int, bool exact) {
    return 0;
}
"""
    signature = read(text, "mean")
    assert str(signature) == "mean(xs: list<f64>, arg2: s32, exact: bool) -> f64"
    assert (signature.language, signature.raises, signature.line) == ("cpp", True, 7)
    assert signature.doc == "The arithmetic mean,\nof all values."


@pytest.mark.parametrize(
    ("comment", "doc"),
    [
        ("/** One. */", "One."),
        ("/**\n * One.\n *\n * Two.\n */", "One.\n\nTwo."),
        ("/* One.\n   Two. */", "One.\nTwo."),
        ("//! One.", "One."),
        ("int x = 3; // of x", ""),
        ("// far away\n", ""),
        ("/// One.\ntemplate <class T> T t(T x) { return x; }", ""),
    ],
)
def test_the_comment_right_above_is_kept(read: Read, comment: str, doc: str) -> None:
    assert read(f"{comment}\nint f() {{ return 1; }}", "f").doc == doc


@pytest.mark.parametrize(
    ("text", "function"),
    [
        ("namespace geo { int f() { return 1; } }", "geo::f"),
        ("namespace a::b { namespace c { int f() { return 1; } } }", "a::b::c::f"),
        ("namespace geo { int f(); }\nint geo::f() { return 1; }", "geo::f"),
        ("namespace { int f() { return 1; } }", "f"),
        ("namespace geo { namespace { int f() { return 1; } } }", "geo::f"),
        ("namespace geo { inline namespace v2 { int f() { return 1; } } }", "geo::f"),
        ('extern "C" { int f() { return 1; } }', "f"),
        ('extern "C" int f(void) { return 1; }', "f"),
        ("auto f() -> int { return 1; }", "f"),
        ("static constexpr int f() { return 1; }", "f"),
        ("__attribute__((noinline)) int f() { return 1; }", "f"),
        ("#define API __attribute__((used))\nAPI int f() { return 1; }", "f"),
        ("int (f)() { return 1; }", "f"),
        ("int f() try { return 1; } catch (...) { return 2; }", "f"),
        ("int f();\nint f(int, int);\nint f() { return 1; }", "f"),
        ("#if X\nint f() { return 1; }\n#else\nint f() { return 2; }\n#endif", "f"),
        ("#if 0\nint f(int x) { return 1; }\n#endif\nint f() { return 2; }", "f"),
        ("#ifdef A\n#elif defined(B)\nint f() { return 1; }\n#endif", "f"),
        ("int f() { return 1; }", "::f"),
    ],
)
def test_a_function_is_found_however_it_is_defined(read: Read, text: str, function: str) -> None:
    signature = read(text, function)
    assert (signature.name, signature.params, str(signature.result)) == (function, (), "s32")


def test_a_function_is_found_in_any_of_the_files(read: Read) -> None:
    files = {"b_cpp": "int f(double x) { return 1; }\nint main() { return f(2); }"}
    assert str(read("int f(double);\nint g() { return f(1); }", "f", **files)) == "f(x: f64) -> s32"


@pytest.mark.parametrize(
    ("written", "raises"),
    [("", True), ("noexcept", False), ("noexcept(true)", False), ("noexcept(false)", True), ("throw()", False)],
)
def test_a_function_may_raise_unless_it_is_noexcept(read: Read, written: str, raises: bool) -> None:
    assert read(f"int f() {written} {{ return 1; }}", "f").raises is raises


def test_void_gives_nothing(read: Read) -> None:
    assert str(read("void f(void) {}", "f")) == "f()"


def test_records_are_structs_of_the_file_with_their_namespaces(read: Read) -> None:
    text = """
namespace geo {
struct Point { double x = 0, y = 1; static constexpr int dims = 2; double norm() const { return x; } };
class Line final { public: Point from; ::geo::Point to; std::vector<Point> more;
    struct Style { int width; const char *name; ~Style() = default; }; Style style; };
Line f(Line line, const Line::Style &style) { return line; }
}
"""
    signature = read(text, "geo::f")
    assert str(signature) == "geo::f(line: geo::Line, style: geo::Line::Style) -> geo::Line"
    fields = {name: [f"{field}: {kind}" for field, kind in r.fields] for name, r in signature.records.items()}
    assert fields == {
        "geo::Point": ["x: f64", "y: f64"],
        "geo::Line::Style": ["width: s32", "name: string"],
        "geo::Line": ["from: geo::Point", "to: geo::Point", "more: list<geo::Point>", "style: geo::Line::Style"],
    }
    assert list(fields) == ["geo::Point", "geo::Line::Style", "geo::Line"]


@pytest.mark.parametrize(
    "text",
    [
        "struct P { int x; }; int f(P p) { return 1; }",
        "struct P { int x; }; int f(const struct P &p) { return 1; }",
        "typedef struct { int x; } P; int f(P p) { return 1; }",
        "struct P { int x; } origin; int f(P p) { return 1; }",
        "namespace { struct P { int x; }; } int f(P p) { return 1; }",
        "struct Q { int x; }; struct P { int x; }; using R = P; int f(R p) { return 1; }",
        "struct P { using Number = int; Number x; }; int f(P p) { return 1; }",
        '#include "p.h"\nint f(P p) { return 1; }',
        '#include "include.h"\nint f(P p) { return 1; }',
    ],
)
def test_a_struct_is_found_however_it_is_defined(read: Read, tmp_path: Path, text: str) -> None:
    write(tmp_path / "inc", {"include.h": "#pragma once\nstruct P { int x; };"} if "include" in text else {})
    build = Build(include=(tmp_path / "inc",))
    signature = read(text, "f", build, p_h='#include "p.h"\nstruct P { int x; };')
    assert str(signature.records["P"].fields) == "(('x', Int(bits=32, signed=True)),)"


@pytest.mark.parametrize(
    ("alias", "used", "type_"),
    [
        ("using Numbers = std::vector<double>;", "const Numbers &", "list<f64>"),
        ("typedef std::vector<double> Numbers;", "Numbers", "list<f64>"),
        ("typedef unsigned int uint, *uintp;", "uint", "u32"),
        ("using Text = const char *;", "Text", "string"),
        ("using In = const std::string &;", "In", "string"),
        ("using A = B; using B = std::optional<int>;", "A", "option<s32>"),
        ("#define real double", "std::vector<real>", "list<f64>"),
        ("#define int long long", "int", "s64"),
        ("namespace geo { using Id = long long; }", "geo::Id", "s64"),
        ("namespace geo { using Id = long long; } using geo::Id;", "Id", "s64"),
        ("namespace geo { using Id = long long; } using namespace geo;", "Id", "s64"),
        ("using std::vector;", "vector<float>", "list<f32>"),
        ("using C = const double;", "std::span<C>", "list<f64>"),
    ],
)
def test_aliases_stand_for_their_types(read: Read, alias: str, used: str, type_: str) -> None:
    assert str(read(f"{alias}\nbool f({used} x) {{ return true; }}", "f").params[0].type) == type_


def test_names_are_looked_up_from_where_they_stand(read: Read) -> None:
    text = """
struct P { int outer; };
namespace a {
struct P { int inner; };
namespace b { using Ps = std::vector<P>; }
P f(b::Ps ps, ::P p) { return ps[0]; }
}
"""
    assert str(read(text, "a::f")) == "a::f(ps: list<a::P>, p: P) -> a::P"


def test_long_is_told_to_have_32_bits(read: Read) -> None:
    signature = read("unsigned long f(std::vector<long> xs, std::size_t n) {\n return 1; }", "f")
    assert signature.warnings == (
        "a.cpp:1: f: parameter xs is std::vector<long>; long has 32 bits in WebAssembly, int64_t has 64",
        "a.cpp:1: f: its result is unsigned long; long has 32 bits in WebAssembly, int64_t has 64",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("int f(int a) { return 1; }\nint f(double a) { return 1; }", "a.cpp:1: f is overloaded, also at a.cpp:2"),
        ("template <class T> int f(T x) { return 1; }", "a.cpp:1: f is a template"),
        ("int f(auto x) { return 1; }", "a.cpp:1: f is a template"),
        ("template <class... T> int f(T... x) { return 1; }", "a.cpp:1: f is a template"),
        ("struct C { double r;\n double f() const { return r; } };", "a.cpp:2: f is a method of C; write a function"),
        ("struct C { static int f() { return 1; } };", "f is a method of C"),
        ("struct C { int f(); };\nint C::f() { return 1; }", "f is a method of C"),
        ("int f(int x);", "a.cpp:1: f is declared here, but has no body; add the file"),
        ("int f(int a, int b = 3) { return 1; }", "f: parameter b has a default value"),
        ("int f(const char *a, ...) { return 1; }", "f takes any number of arguments"),
        ("consteval int f() { return 1; }", "f is consteval"),
        ("int g() { return 1; }", "a.cpp: there is no function f; there are g"),
        ("namespace geo { int f() { return 1; } }", "a.cpp: there is no function f; did you mean geo::f?"),
        ("", "a.cpp: there is no function f; there is none at all"),
    ],
)
def test_a_function_that_cannot_be_called_is_refused(problems: Problems, text: str, said: str) -> None:
    (problem,) = problems(text)
    assert said in problem


def test_main_is_refused(problems: Problems) -> None:
    assert "main can't be called as a function" in problems("int main() { return 0; }", "main")[0]


def test_a_function_that_two_files_define_is_refused(problems: Problems) -> None:
    text = "static int f() { return 1; }"
    assert problems(text, b_cpp=text)[0].startswith("a.cpp:1: f is overloaded, also at b.cpp:1;")


CLASSES = """
enum E { A }; enum class F { B }; union U { int a; }; template <class T> struct Box { T t; };
class Private { int x; }; struct Half { int x; private: int y; }; struct Ctor { Ctor(int); int x; };
struct Default { Default() = default; int x; }; struct Base { int x; }; struct Derived : Base { int y; };
struct Virtual { virtual int g(); int x; }; struct Empty {}; struct Bits { int a : 3; };
struct Unnamed { struct { int a; }; int b; }; struct f64 { int x; };
"""


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("std::vector<double> &", "is a reference without const; take a const std::vector<double> & and return what"),
        ("double *", "is a pointer; take a std::vector<double>, and return what it writes"),
        ("const double *", "is a pointer; take a std::span<const double> for several, or a const double & for one"),
        ("char *", "is a pointer; take a std::string"),
        ("void *", "is a pointer; take what it points to"),
        ("std::list<double>", "can't be passed; take a std::vector<double>"),
        ("std::array<int, 3>", "can't be passed; take a std::vector<int>"),
        ("std::set<std::string>", "can't be passed; take a std::vector<std::string>"),
        ("std::shared_ptr<int>", "can't be passed; take the int itself, or a std::optional<int>"),
        ("std::function<int(int)>", "can't be passed; take what it would give"),
        ("std::variant<int, double>", "can't be passed; take a struct with a std::optional for each alternative"),
        ("std::complex<double>", "can't be passed; take a std::pair<double, double>"),
        ("std::filesystem::path", "can't be passed; take a std::string"),
        ("std::wstring", "can't be passed; take a std::string"),
        ("Q<int>", "can't be passed; take a number, std::string"),
        ("Missing", "is not defined in this file or a header beside it; take a struct that is"),
        ("int[3]", "is an array; take a std::vector<int>"),
        ("int (*)(int)", "is a pointer to a function"),
        ("long double", "can't be passed; take double"),
        ("__int128", "can't be passed; take a 64-bit integer, or two"),
        ("char16_t", "can't be passed; take an integer type such as uint16_t"),
        ("std::span<double>", "is a span of what is not const; take a std::span<const double>"),
        ("std::span<const double, 3>", "has more arguments than can be passed; take std::span with its first"),
        ("std::map<int, double>", "has keys that are no std::string; take a std::vector<std::pair<int, double>>"),
        ("std::map<std::string, int, std::less<>>", "has more arguments than can be passed"),
        ("std::optional<std::optional<int>>", "has one absence within another; take std::optional<int>"),
        ("std::tuple<>", "has nothing in it"),
        ("E", "is an enum; take an integer type"),
        ("F", "is an enum; take an integer type"),
        ("U", "is a union; take a struct"),
        ("Box<int>", "is a template of yours; take a struct of its own"),
        ("Private", "has private fields (line 3); take a struct that has public fields and nothing else"),
        ("Half", "has private fields (line 3)"),
        ("Ctor", "has a constructor (line 3)"),
        ("Default", "has a constructor (line 4)"),
        ("Derived", "has a base class"),
        ("Virtual", "has a virtual function (line 5)"),
        ("Empty", "has no fields"),
        ("Bits", "has a bit field (line 5)"),
        ("Unnamed", "has an unnamed struct or union in it (line 6)"),
        ("f64", "has the name of a type of WIT; take a struct of another name"),
    ],
)
def test_a_type_that_cannot_be_passed_is_refused(problems: Problems, written: str, said: str) -> None:
    at = min(at for at in (written.find("["), written.find("*)") + 1, len(written)) if at > 0)
    (problem,) = problems(f"{CLASSES}\nint f(\n  {written[:at]} x{written[at:]}) {{ return 1; }}")
    assert problem.startswith("a.cpp:9: f: parameter x is ")
    assert f", which {said}" in problem


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("std::vector<std::list<int>>", ", and std::list<int> can't be passed; take a std::vector<int> in its place"),
        ("std::vector<int *>", ", and int * is a pointer; take a int, or a std::optional<int> in its place"),
        ("std::pair<int, const int>", ", and const int could not be filled; take int in its place"),
        ("std::map<std::string, E>", ", and E is an enum; take an integer type in its place"),
    ],
)
def test_a_part_that_cannot_be_passed_is_named(problems: Problems, written: str, said: str) -> None:
    (problem,) = problems(f"enum E {{ A }};\nint f({written} x) {{ return 1; }}")
    assert problem == f"a.cpp:2: f: parameter x is {written}{said}"


def test_fields_are_refused_where_they_stand(problems: Problems) -> None:
    text = """struct Tree {
    std::vector<Tree> children;
};
struct P {
    int a[3];
    double *p;
    const int c;
    int &r;
    std::list<int> l;
};
int f(P p, Tree t, std::vector<P> again) { return 1; }"""
    assert problems(text) == [
        "a.cpp:5: f: field P.a is int[], which is an array; make it a std::vector<int>",
        "a.cpp:6: f: field P.p is double *, which is a pointer; make it a std::vector<double>, "
        "or a std::optional<double>",
        "a.cpp:7: f: field P.c is const int, which could not be filled; make it int",
        "a.cpp:8: f: field P.r is int &, which is a reference; make it int",
        "a.cpp:9: f: field P.l is std::list<int>, which can't be passed; make it a std::vector<int>",
        "a.cpp:2: f: field Tree.children is std::vector<Tree>, and Tree contains itself; "
        "make it a struct that does not in its place",
    ]


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("std::string_view", "which would show memory that may be gone by then; return a std::string"),
        ("std::vector<std::span<const int>>", "and std::span<const int> would show memory that may be gone by then"),
        ("View", "and std::string_view would show memory that may be gone by then"),
        ("auto", "which leaves its type to the compiler; return it by its name"),
        ("decltype(auto)", "which leaves its type to the compiler"),
        ("double *", "which is a pointer; return a std::vector<double>, or a std::optional<double>"),
        ("char *", "which is a pointer; return a std::string"),
        ("std::vector<int> &&", "which is a reference; return std::vector<int>"),
        ("std::list<int>", "which can't be passed; return a std::vector<int>"),
    ],
)
def test_a_result_that_cannot_be_passed_is_refused(problems: Problems, result: str, said: str) -> None:
    (problem,) = problems(f"struct View {{ std::string_view s; }};\n{result} f(View v) {{ return v; }}")
    assert problem.startswith(f"a.cpp:2: f: its result is {result}, {said}")


@pytest.mark.parametrize("result", ["const std::string &", "std::string", "const char *", "const double"])
def test_results_may_be_references_and_c_texts(read: Read, result: str) -> None:
    assert str(read(f"{result} f() {{ return g; }}", "f").result) == ("f64" if "double" in result else "string")


def test_all_problems_are_told_at_once(problems: Problems) -> None:
    text = "std::list<int> f(int &a,\n  int b = 3,\n  std::deque<int> c) { return {}; }"
    assert [problem.split(", which")[0].split(" has")[0] for problem in problems(text)] == [
        "a.cpp:2: f: parameter b",
        "a.cpp:1: f: parameter a is int &",
        "a.cpp:3: f: parameter c is std::deque<int>",
        "a.cpp:1: f: its result is std::list<int>",
    ]


def test_what_cannot_be_parsed_is_refused_not_guessed(problems: Problems) -> None:
    assert "'int' before it can't be understood" in problems("EXPORT int f() { return 1; }")[0]


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"a\.cpp"):
        functions.read(Source(language="cpp", paths=(tmp_path / "a.cpp",), function="f"))
