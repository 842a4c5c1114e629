"""Signatures out of C sources, and what is said of functions that can't be called. Nothing is compiled here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from batchwasm import functions
from batchwasm.functions import NoFunction, Signature
from batchwasm.model import Source
from tests.toolchains.guests import write

Read = Callable[..., Signature]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_signature(text: str, function: str = "f", **more: str) -> Signature:
        files = {"a.c": text, **{name.replace("_", "."): content for name, content in more.items()}}
        write(tmp_path, files)
        paths = tuple(tmp_path / name for name in files if name.endswith(".c"))
        return functions.read(Source(language="c", paths=paths, function=function))

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
    ("written", "params"),
    [
        *[("bool x", "x: bool"), ("_Bool x", "x: bool"), ("char x", "x: s8"), ("unsigned char x", "x: u8")],
        *[("short x", "x: s16"), ("unsigned x", "x: u32"), ("long x", "x: s32"), ("long long x", "x: s64")],
        *[("int8_t x", "x: s8"), ("uint64_t x", "x: u64"), ("size_t x", "x: u32"), ("float x", "x: f32")],
        *[("const double x", "x: f64"), ("const char *x", "x: string"), ("char const *const x", "x: string")],
        *[("const char x[]", "x: string"), ("real x", "x: f64"), ("byte x", "x: u8"), ("void", "")],
        *[("const double *xs, size_t n", "xs: list<f64>"), ("const uint8_t *xs, size_t n", "xs: list<u8>")],
        *[("const byte *xs, const size_t n", "xs: list<u8>"), ("const float xs[], size_t n", "xs: list<f32>")],
        ("const int64_t xs[restrict static 1], unsigned long n", "xs: list<s64>"),
        ("double const *restrict a, size_t n, const bool *b, size_t m", "a: list<f64>, b: list<bool>"),
        ("Numbers xs, size_t n, size_t more", "xs: list<f64>, more: u32"),
        ("const char *text, size_t n", "text: string, n: u32"),
        ("int, double", "arg1: s32, arg2: f64"),
    ],
)
def test_every_type_of_the_table(read: Read, written: str, params: str) -> None:
    aliases = "#define real double\ntypedef uint8_t byte;\ntypedef const double *Numbers;"
    assert str(read(f"{aliases}\nint f({written}) {{ return 0; }}")) == f"f({params}) -> s32"


@pytest.mark.parametrize(
    ("result", "type_"),
    [("void", "None"), ("const char *", "string"), ("_Bool", "bool"), ("unsigned long long", "u64"), ("float", "f32")],
)
def test_results(read: Read, result: str, type_: str) -> None:
    signature = read(f"{result} f(void) {{ }}")
    assert str(signature.result) == type_


def test_a_function_says_what_it_takes_and_gives(read: Read) -> None:
    text = "#include <stddef.h>\n/** The mean.\n * Of all.\n */\nstatic inline double f(const double *xs, size_t n) {}"
    signature = read(text)
    assert (signature.language, signature.name, signature.raises, signature.line) == ("c", "f", False, 5)
    assert signature.doc == "The mean.\nOf all."


def test_a_function_is_found_in_any_of_the_files(read: Read) -> None:
    assert read("int f(int x);\nint main(void) { return f(1); }", b_c="int f(int x) { return x; }").line == 1


def test_long_is_told_to_have_32_bits(read: Read) -> None:
    assert read("int f(long x) { return 0; }").warnings == (
        "a.c:1: f: parameter x is long; long has 32 bits in WebAssembly, int64_t has 64",
    )


CPP = "write the function in C++"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("struct P x", f"can't be passed in C; take its parts one by one, or {CPP}"),
        ("Q x", f"can't be passed in C; take its parts one by one, or {CPP}"),
        ("union U x", "can't be passed in C"),
        ("const struct P *x", f"can't be passed; take its parts one by one, or {CPP}"),
        ("enum E x", "is an enum; take an int"),
        ("double *x", f"is a pointer without const; return what it writes, or {CPP} to return more"),
        ("double *x, size_t n", "is a pointer without const"),
        ("char *x", "is a pointer without const; take a const char *"),
        ("const double *x", "is a pointer without a length; take a size_t right behind it"),
        ("const double *x, int n", "is a pointer without a length; take a size_t right behind it"),
        ("const char **x, size_t n", f"can't be passed; take one list of numbers, or {CPP}"),
        ("double x[3][3]", f"can't be passed; take one list of numbers, or {CPP}"),
        ("double (*x)(double)", "is a pointer to a function"),
        ("void *x", "can't be passed"),
        ("long double x", "can't be passed; take double"),
        ("__int128 x", "can't be passed; take a 64-bit integer, or two"),
        ("wchar_t x", "can't be passed; take an integer type"),
        ("Missing x", "is no number and no const char *; take one of these, or a list: const double *xs, size_t n"),
    ],
)
def test_a_type_that_cannot_be_passed_is_refused(problems: Problems, written: str, said: str) -> None:
    types = "struct P { int a; }; typedef struct { int a; } Q; union U { int a; }; enum E { A };"
    (problem,) = problems(f"{types}\nint f({written}) {{ return 0; }}")
    assert problem.startswith("a.c:2: f: parameter x is ")
    assert f", which {said}" in problem


@pytest.mark.parametrize("result", ["char *", "struct P", "double *", "const unsigned char *", "long double"])
def test_a_result_that_cannot_be_passed_is_refused(problems: Problems, result: str) -> None:
    (problem,) = problems(f"struct P {{ int a; }};\n{result} f(void) {{ }}")
    assert problem.startswith(f"a.c:2: f: its result is {result}, which can't be passed; return a number, or a const")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("int f(int x);", "a.c:1: f is declared here, but has no body"),
        ("int f(const char *a, ...) { return 1; }", "f takes any number of arguments"),
        ("int f(a) int a; { return 1; }", "f: parameter a has no type"),
        ("int g(int x) { return x; }", "a.c: there is no function f; there are g"),
        ("double f(double _Complex z) { return 0; }", "can't be understood"),
    ],
)
def test_a_function_that_cannot_be_called_is_refused(problems: Problems, text: str, said: str) -> None:
    assert said in problems(text)[0]


def test_all_problems_are_told_at_once(problems: Problems) -> None:
    assert len(problems("struct P { int a; };\nchar *f(struct P p, double *out) { return 0; }")) == 3
