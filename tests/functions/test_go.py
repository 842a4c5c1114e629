"""Signatures out of Go sources: every type, every way to write it, and what is told of what can't be passed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import pytest

from batchwasm import functions
from batchwasm.functions import NoFunction, Signature
from batchwasm.functions.go_package import holds
from batchwasm.functions.go_signature import GLUE_NEEDS
from batchwasm.model import Build, Source
from tests.toolchains.guests import write

POINT = "type Point struct { X, Y float64; Name string }\n"


def read(folder: Path, text: str, function: str = "F") -> Signature:
    write(folder, {"a.go": "package a\n\n" + text})
    return functions.read(Source(language="go", paths=(folder / "a.go",), function=function))


def read_module(folder: Path, files: Mapping[str, str], function: str, *flags: str) -> Signature:
    write(folder, {"go.mod": "module example.com/app\n\ngo 1.21\n", **files})
    return functions.read(Source(language="go", paths=(folder,), function=function, build=Build(flags=flags)))


def problems(folder: Path, text: str, function: str = "F") -> tuple[str, ...]:
    with pytest.raises(NoFunction) as caught:
        read(folder, text, function)
    return caught.value.problems


SIGNATURES = {
    "func F(a bool, b string)": "F(a: bool, b: string)",
    "func F(a int, b uint, c byte, d rune)": "F(a: s64, b: u64, c: u8, d: s32)",
    "func F(a int8, b int16, c int32, d int64)": "F(a: s8, b: s16, c: s32, d: s64)",
    "func F(a uint8, b uint16, c uint32, d uint64)": "F(a: u8, b: u16, c: u32, d: u64)",
    "func F(a, b float32) float64": "F(a: f32, b: f32) -> f64",
    "func F(a []byte, b []uint8, c []float64)": "F(a: list<u8>, b: list<u8>, c: list<f64>)",
    "func F(a [][]string) []bool": "F(a: list<list<string>>) -> list<bool>",
    "func F(a *int, b *[]string)": "F(a: option<s64>, b: option<list<string>>)",
    "func F(a map[string]int) map[string][]byte": "F(a: map<s64>) -> map<list<u8>>",
    "func F(a map[string]map[string]*float32)": "F(a: map<map<option<f32>>>)",
    POINT + "func F(a Point, b []Point) *Point": "F(a: Point, b: list<Point>) -> option<Point>",
    "func F(a []A) A\ntype (\n\tA struct { B *B }\n\tB struct { N int }\n)": "F(a: list<A>) -> A",
    "type Row = []float64\ntype Rows = []Row\nfunc F(a Rows) Row": "F(a: list<list<f64>>) -> list<f64>",
    POINT + "type P = Point\nfunc F(a P)": "F(a: Point)",
    "type P = struct { X int }\nfunc F(a P)": "F(a: P)",
    "type Key = string\nfunc F(a map[Key]int)": "F(a: map<s64>)",
    "type error struct { N int }\nfunc F() error": "F() -> error",
    "func F(a (int)) (float64)": "F(a: s64) -> f64",
    "func F(_ int, arg1 string, _ bool)": "F(arg1_: s64, arg1: string, arg3: bool)",
    "func F(int, []string)": "F(arg1: s64, arg2: list<string>)",
    "func F()": "F()",
    "func F() (error)": "F() or error",
    "func F() (int, error)": "F() -> s64 or error",
    "func F() (sum float64, err error)": "F() -> f64 or error",
    "func F() (float64, int)": "F() -> tuple<f64, s64>",
    "func F() (a, b float64, n int, err error)": "F() -> tuple<f64, f64, s64> or error",
    "func F(\n\ta []float64, // x\n\tb int,\n) (\n\tfloat64,\n\terror,\n)": "F(a: list<f64>, b: s64) -> f64 or error",
    "func F(größe int)": "F(größe: s64)",
}


@pytest.mark.parametrize("text", SIGNATURES)
def test_a_signature_is_read_as_go_means_it(text: str, tmp_path: Path) -> None:
    found = read(tmp_path, text)
    assert f"{found}{' or error' if found.raises else ''}" == SIGNATURES[text]


def test_a_structs_fields_are_named_as_in_the_source_and_json_tags_say_nothing(tmp_path: Path) -> None:
    text = (
        'type P struct {\n\tX, Y float64 `json:"x"`\n\t// about\n\tTags map[string][]int `json:"-"`\n}\nfunc F(p []P)'
    )
    records = read(tmp_path, text).records
    assert [(name, str(kind)) for name, kind in records["P"].fields] == [
        ("X", "f64"),
        ("Y", "f64"),
        ("Tags", "map<list<s64>>"),
    ]


def test_the_comment_above_is_the_doc(tmp_path: Path) -> None:
    text = "var x = 1 // x\n\n// other\n\n// F is it.\n//\n// Truly.\n//\n//go:noinline\nfunc F() {}\n"
    found = read(tmp_path, text)
    assert (found.doc, found.line, found.name) == ("F is it.\n\nTruly.", 12, "F")
    assert read(tmp_path, "/*\nF is it.\n * Truly.\n*/\nfunc F() {}").doc == "F is it.\nTruly."
    assert read(tmp_path, "var x = 1 // x\nfunc F() {}").doc == ""


def test_a_function_may_be_written_with_its_package(tmp_path: Path) -> None:
    assert read(tmp_path, "func f(n int) {}", "a.f").name == "a.f"


CANNOT = "which can't be passed; "
PROBLEMS = {
    "func F(a chan int)": f"parameter a is chan int, {CANNOT}write []int",
    "func F(a []chan int)": "parameter a is []chan int, and chan int can't be passed; write []int",
    "func F(a func(int) int)": f"a is func(int) int, {CANNOT}pass a string that says what to do",
    "func F(a any)": f"parameter a is any, {CANNOT}write one type, such as float64, or a struct",
    "func F(a interface{ M() })": f"parameter a is interface{{ M() }}, {CANNOT}write one type",
    "func F(a complex128)": f"complex128, {CANNOT}write two float64",
    "func F(a [3][]int)": f"[3][]int, {CANNOT}write [][]int",
    "func F(a uintptr)": f"uintptr, {CANNOT}write uint64",
    "func F(a unsafe.Pointer)": f"unsafe.Pointer, {CANNOT}write []byte",
    "func F(xs ...float64)": f"parameter xs is ...float64, {CANNOT}write []float64",
    "type Celsius float64\nfunc F(a Celsius)": "write float64, or make it another name of it: type Celsius = float64",
    POINT + "type Q Point\nfunc F(a Q)": "write Point, or make it another name of it: type Q = Point",
    "func F(a map[int]string)": "keys are strings; write map[string]...",
    "func F(a **int)": "**int, which can't be passed; one pointer is a value or nothing",
    "type O = *int\nfunc F(a *O)": "one pointer is a value or nothing",
    "func F(a time.Time)": "write int64 (seconds of Unix time) or string",
    "func F(a big.Int)": "it is another package's; write a struct in the function's own package",
    "func F(a struct{ X int })": "give it a name: type Name struct { ... }",
    "func F(a Missing)": "its package declares no type Missing",
    "type P struct { x int }\nfunc F(a P)": "P (parameter a): the field x is not exported, so it can't be passed; w",
    "type P struct { Base }\nfunc F(a P)": "P (parameter a) embeds Base, which can't be passed; write a field: Base",
    "type P struct { *t.B }\nfunc F(a P)": "P (parameter a) embeds *t.B, which can't be passed; write a field: B *t.B",
    "type P struct { C chan int }\nfunc F(a []P)": "the field C of P is chan int, which can't be passed; write []int",
    "type N struct { Next *N }\nfunc F(a N)": "the field Next of N is *N, and N can't be passed; it contains itself",
    "type N struct { M []M }\ntype M struct { N N }\nfunc F(a N)": "the field N of M is N, which can't be passed; it",
    "type A = []A\nfunc F(a A)": "it contains itself",
    "type E struct {}\nfunc F(a E)": "E (parameter a) has no fields",
    "type L[T any] struct { X T }\nfunc F(a L[int])": "write a type without parameters",
    "type L[T any] struct { X T }\nfunc F(a L)": "it is generic",
    "func F(a error)": "write string; only the last result may be an error",
    "func F() (error, int)": "result 1 is error, which can't be passed; write string; only the last",
    "func F() (n chan int, err error)": f"result n is chan int, {CANNOT}write []int",
    "func F() []any": "the result is []any, and any can't be passed",
    "func F[T any](a T)": "F is generic; write a function for one type that calls it",
    "func (p *Point) F(x int)": "F is a method, which can't be called from outside; write a function (p *Point, ...)",
    "func F(a int": "its parameters and results can't be read; is this valid Go?",
    'import (\n\t"C"\n)\nfunc F()': 'F: its file imports "C", which Go has not for wasm',
    "var len = 3\nfunc F()": "len is Go's own name, which the generated code needs; give this one another",
}


@pytest.mark.parametrize("text", PROBLEMS)
def test_what_cannot_be_passed_is_told_with_its_place_and_what_would_do(text: str, tmp_path: Path) -> None:
    (found,) = problems(tmp_path, text)
    assert re.match(r"a\.go:\d+: ", found)
    assert PROBLEMS[text] in found


def test_a_file_that_go_would_not_take_is_told(tmp_path: Path) -> None:
    for name, text, told in (
        ("a_test.go", "package a\n\nfunc F() {}\n", "a_test.go:3: F: go leaves out files that end in _test.go"),
        ("a.go", "func F() {}\n", "a.go:1: it does not start with `package NAME`"),
    ):
        write(tmp_path, {name: text})
        with pytest.raises(NoFunction, match=re.escape(told)):
            functions.read(Source(language="go", paths=(tmp_path / name,), function="F"))


def test_all_problems_are_told_at_once_and_each_once(tmp_path: Path) -> None:
    text = "type P struct {\n\tX chan int\n\ty int\n}\n\nfunc F(a, b P, c any) (func(), error) { panic(1) }\n"
    assert [line.split(";")[0] for line in problems(tmp_path, text)] == [
        "a.go:4: F: the field X of P is chan int, which can't be passed",
        "a.go:5: F: P (parameter a): the field y is not exported, so it can't be passed",
        "a.go:8: F: parameter c is any, which can't be passed",
        "a.go:8: F: the result is func(), which can't be passed",
    ]


def test_a_missing_function_is_told_with_the_nearest_names(tmp_path: Path) -> None:
    text = "func Mean() {}\nfunc median() {}\nfunc init() {}\nfunc main() {}\n"
    assert problems(tmp_path, text, "mean") == ("a.go: there is no function mean; did you mean median or Mean?",)
    assert problems(tmp_path, text, "zzz") == ("a.go: there is no function zzz; there are Mean, median",)
    assert problems(tmp_path, text, "init") == ("a.go:5: init can't be called in Go; give the function another name",)


PACKAGES = {
    "a.go": "package app\n\nfunc Root(p Point) {}\n",
    "b.go": "package app\n\ntype Point struct { X int }\n",
    "pkg/sub/s.go": "package sub\n\nfunc Deep() int { return 1 }\nfunc (Point) M() {}\n",
    "cmd/tool/t.go": "package main\n\nfunc tool() {}\n\nfunc main() {}\n",
    "other/go.mod": "module other\n",
    "other/o.go": "package other\n\nfunc Other() {}\n",
}


@pytest.mark.parametrize(
    ("function", "signature"),
    [
        ("Root", "Root(p: Point)"),
        ("app.Root", "app.Root(p: Point)"),
        ("example.com/app.Root", "example.com/app.Root(p: Point)"),
        ("pkg/sub.Deep", "pkg/sub.Deep() -> s64"),
        ("sub.Deep", "sub.Deep() -> s64"),
        ("example.com/app/pkg/sub.Deep", "example.com/app/pkg/sub.Deep() -> s64"),
        ("cmd/tool.tool", "cmd/tool.tool()"),
    ],
)
def test_a_module_has_functions_in_its_packages(function: str, signature: str, tmp_path: Path) -> None:
    assert str(read_module(tmp_path, PACKAGES, function)) == signature


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        ("Rot", "did you mean Root?"),
        ("Deep", "did you mean pkg/sub.Deep?"),
        ("sub.Deap", "did you mean pkg/sub.Deep?"),
        ("sub.M", "pkg/sub/s.go:4: M is a method"),
        ("other.Other", "there is no function other.Other"),
        ("../x.F", "there is no function ../x.F"),
        ("same.F", "same is the name of several packages; write a/same or b/same before the function's name"),
    ],
)
def test_a_modules_missing_function_is_looked_for_in_all_its_packages(
    function: str, problem: str, tmp_path: Path
) -> None:
    same = {f"{name}/same/s.go": "package same\n" for name in "ab"}
    with pytest.raises(NoFunction) as caught:
        read_module(tmp_path, {**PACKAGES, **same}, function)
    assert problem in str(caught.value)


def test_a_module_without_a_name_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoFunction, match="it has no line `module NAME`"):
        read_module(tmp_path, {"go.mod": "go 1.21\n", "a.go": "package a\n\nfunc F() {}\n"}, "F")


def test_files_that_go_leaves_out_are_left_out(tmp_path: Path) -> None:
    def file(result: str, *above: str) -> str:
        return "\n".join([*above, "package a", "", f"func F() {result}", ""])

    files = {
        "a.go": file("int32", "// About it.", "", "//go:build wasm && !other", ""),
        "b_test.go": file("string"),
        "b_linux.go": file("string"),
        "b_wasip1_amd64.go": file("string"),
        "_b.go": file("string"),
        "c.go": file("string", "//go:build ignore", ""),
        "d.go": file("uint8", "//go:build other", ""),
        "e_wasip1.go": "package a\n\ntype P struct { X int }\nfunc G(P) {}\n",
    }
    assert str(read_module(tmp_path, files, "F")) == "F() -> s32"
    assert str(read_module(tmp_path, files, "F", "-tags=more,other")) == "F() -> u8"
    assert str(read_module(tmp_path, files, "F", "-tags", "other more")) == "F() -> u8"
    assert str(read_module(tmp_path, files, "G")) == "G(arg1: P)"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("wasip1", True),
        ("!wasip1", False),
        ("linux || wasm && !cgo", True),
        ("(linux || wasm) && cgo", False),
        ("!(linux && wasm)", True),
        ("go1.22", True),
        ("!go1.22", False),
        ("((", True),
    ],
)
def test_a_build_line_is_weighed_as_go_does(line: str, value: bool) -> None:
    assert holds(line, frozenset({"wasip1", "wasm"})) is value


def test_the_generated_code_needs_no_name_of_gos_own_but_those_that_are_looked_for() -> None:
    codec = resources.files("batchwasm.functions").joinpath("glue/codec.go").read_text()
    code = re.sub(r'//.*|"(\\.|[^"\\])*"', "", codec)
    own = (
        "any append bool byte cap clear close comparable complex complex128 complex64 copy delete error false float32 "
        "float64 imag int int16 int32 int64 int8 iota len make max min new nil panic print println real recover rune "
        "string true uint uint16 uint32 uint64 uint8 uintptr"
    )
    assert set(own.split()) & set(re.findall(r"(?<!\.)\b\w+\b", code)) == GLUE_NEEDS
