"""Signatures of Rust functions, and what is said of those that can't be called; nothing is compiled here."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchwasm.functions import NoFunction, Signature, make_glue, read
from batchwasm.model import Build, Source
from tests.toolchains.guests import write


def source(path: Path, function: str, *flags: str) -> Source:
    return Source(language="rust", paths=(path,), function=function, build=Build(flags=flags))


def of(tmp_path: Path, text: str, function: str = "f") -> Signature:
    return read(source(write(tmp_path, {"a.rs": text}) / "a.rs", function))


def refused(path: Path, function: str = "f") -> list[str]:
    with pytest.raises(NoFunction) as caught:
        read(source(path, function))
    return list(caught.value.problems)


def problems(tmp_path: Path, text: str, function: str = "f") -> list[str]:
    return refused(write(tmp_path, {"a.rs": text}) / "a.rs", function)


TYPES = {
    "bool": "bool",
    "i8": "s8",
    "i16": "s16",
    "i32": "s32",
    "i64": "s64",
    "isize": "s32",
    "u8": "u8",
    "u16": "u16",
    "u32": "u32",
    "u64": "u64",
    "usize": "u32",
    "f32": "f32",
    "f64": "f64",
    "String": "string",
    "&str": "string",
    "&String": "string",
    "std::string::String": "string",
    "Vec<u8>": "list<u8>",
    "&[u8]": "list<u8>",
    "Vec<f64>": "list<f64>",
    "&[f64]": "list<f64>",
    "&Vec<f64>": "list<f64>",
    "::std::vec::Vec<Vec<u8>>": "list<list<u8>>",
    "&[&str]": "list<string>",
    "Vec<&[i16]>": "list<list<s16>>",
    "Option<i8>": "option<s8>",
    "Option<&str>": "option<string>",
    "(f64,)": "tuple<f64>",
    "(f64)": "f64",
    "(u8, (bool, String))": "tuple<u8, tuple<bool, string>>",
    "HashMap<String, Vec<Option<(i32, String)>>>": "map<list<option<tuple<s32, string>>>>",
    "std::collections::BTreeMap<String, f32>": "map<f32>",
    "&HashMap<&str, u8>": "map<u8>",
    "P": "P",
    "&P": "P",
    "Vec<Option<inner::Q>>": "list<option<inner::Q>>",
    "crate::inner::Q": "inner::Q",
    "R": "inner::Q",
    "Row": "list<f64>",
    "Table": "list<list<f64>>",
    "Pairs<u8>": "list<tuple<string, u8>>",
    "inner::deep::Lent<'_>": "inner::deep::Lent",
}
AROUND = """
use std::collections::HashMap;
use inner::Q as R;
struct P { x: f64, row: Row, q: inner::Q }
type Row = Vec<f64>;
type Table = Vec<Row>;
type Pairs<T> = Vec<(String, T)>;
mod inner {
    pub struct Q { pub r#type: u8, lent: bool }
    pub mod deep { pub struct Lent<'a> { text: &'a str, up: &'a super::Q } }
}
"""


@pytest.mark.parametrize(("rust", "ours"), TYPES.items())
def test_a_type_is_read_as_parameter_and_as_result(tmp_path: Path, rust: str, ours: str) -> None:
    signature = of(tmp_path, f"{AROUND}fn f<'a>(x: {rust}) -> {rust} {{ x }}")
    assert str(signature) == f"f(x: {ours}) -> {ours}"
    assert not signature.raises


def test_records_have_their_fields_in_the_order_of_the_source(tmp_path: Path) -> None:
    records = of(tmp_path, f"{AROUND}fn f(p: P, l: inner::deep::Lent) {{}}").records
    assert {name: [f"{field}: {kind}" for field, kind in record.fields] for name, record in records.items()} == {
        "inner::Q": ["type: u8", "lent: bool"],
        "P": ["x: f64", "row: list<f64>", "q: inner::Q"],
        "inner::deep::Lent": ["text: string", "up: inner::Q"],
    }


RESULTS = {
    "": ("", False),
    "-> ()": ("", False),
    "-> f64": (" -> f64", False),
    "-> Result<f64, String>": (" -> f64", True),
    "-> Result<(), Box<dyn std::error::Error>>": ("", True),
    "-> std::result::Result<Option<u8>, E>": (" -> option<u8>", True),
    "-> anyhow::Result<Vec<u8>>": (" -> list<u8>", True),
    "-> io::Result<String>": (" -> string", True),
    "-> Fallible<bool>": (" -> bool", True),
    "-> Checked": (" -> s32", True),
    "-> &'static str": (" -> string", False),
    "-> &[f64]": (" -> list<f64>", False),
}


@pytest.mark.parametrize(("rust", "ours"), RESULTS.items())
def test_a_result_is_read(tmp_path: Path, rust: str, ours: tuple[str, bool]) -> None:
    around = "use std::io;\ntype Fallible<T> = Result<T, String>;\ntype Checked = Fallible<i32>;\n"
    signature = of(tmp_path, f"{around}fn f(x: &[f64]) {rust} {{ todo!() }}")
    assert (str(signature), signature.raises) == (f"f(x: list<f64>){ours[0]}", ours[1])


def test_parameters_have_their_names_and_what_is_taken_apart_a_number(tmp_path: Path) -> None:
    text = "fn f(mut a: u8, _b: u8, r#type: u8, (x, y): (u8, u8), _: u8, #[allow(unused)] /* c */ z: u8,) {}"
    assert [param.name for param in of(tmp_path, text).params] == ["a", "_b", "type", "arg4", "arg5", "z"]


def test_the_doc_comment_is_kept_whatever_stands_in_between(tmp_path: Path) -> None:
    text = """//! Of the file.
    /// The mean
    ///   of all.
    #[inline]
    // not this
    #[must_use = "yes"]
    ///
    /// Slow.
    pub const fn f<'a>(x: &'a u8) -> u8 { *x }
    /** Of a block.
     * More. */
    fn g() {}
    """
    signature = of(tmp_path, text)
    assert (signature.doc, signature.line) == ("The mean\n  of all.\n\nSlow.", 9)
    assert of(tmp_path, text, "g").doc == "Of a block.\nMore."


MODULES = {
    "main.rs": "mod stats; mod inline { pub mod deep { fn f(x: super::super::stats::Row) {} } mod file; }\n"
    'pub use stats::mean as average; #[path = "else where.rs"] mod other; fn main() {}\n'
    "cfg_if! { if #[cfg(wasm)] { mod chosen; } else { } }\n// mod no;\n",
    "stats.rs": "pub type Row = Vec<f64>; fn mean(x: &Row) -> f64 { 0.0 } pub mod nested;",
    "stats/nested/mod.rs": "use super::*; fn f(x: Row) {} mod last;",
    "stats/nested/last.rs": "use crate::stats::{self, nested::f as g}; fn f(x: stats::Row) {}",
    "inline/file.rs": "fn f() -> u8 { 1 }",
    "else where.rs": "fn f(x: i8) {}",
    "chosen.rs": "fn f(x: i16) {}",
}


@pytest.mark.parametrize(
    ("function", "signature"),
    {
        "stats::mean": "stats::mean(x: list<f64>) -> f64",
        "crate::stats::mean": "stats::mean(x: list<f64>) -> f64",
        "average": "average(x: list<f64>) -> f64",
        "inline::deep::f": "inline::deep::f(x: list<f64>)",
        "inline::file::f": "inline::file::f() -> u8",
        "stats::nested::f": "stats::nested::f(x: list<f64>)",
        "stats::nested::last::f": "stats::nested::last::f(x: list<f64>)",
        "stats::nested::last::g": "stats::nested::last::g(x: list<f64>)",
        "other::f": "other::f(x: s8)",
        "chosen::f": "chosen::f(x: s16)",
        "main": "main()",
    }.items(),
)
def test_a_function_is_found_by_its_path(weird_tmp_path: Path, function: str, signature: str) -> None:
    assert str(read(source(write(weird_tmp_path, MODULES) / "main.rs", function))) == signature


def test_a_function_of_a_module_gets_the_code_into_a_copy_of_its_own_file(weird_tmp_path: Path) -> None:
    asked = source(write(weird_tmp_path, MODULES) / "main.rs", "stats::nested::f")
    glue = make_glue(asked, read(asked))
    assert glue.path == weird_tmp_path / "stats/nested/mod.rs"
    assert [name for name, text in glue.files.items() if "bw_call" in text and "crate/" in name] == [
        "batchwasm-function/crate/stats/nested/mod.rs"
    ]
    assert str(weird_tmp_path) not in "".join(glue.files.values()), "the same tree elsewhere has the same key"


WRONG = {
    # The function as a whole.
    "fn f<T: Copy, const N: usize>(x: u8) {}": ["1: f: is generic (T: Copy, const N: usize); write a function for"],
    "fn f(x: impl Fn(u8) -> u8) {}": ["1: f: parameter x is impl Fn(u8) -> u8: it is generic; name the type itself"],
    "pub async unsafe fn f() {}": ["1: f: is async; write a", "1: f: is unsafe; write a safe"],
    'extern "C" fn f() {}': ["1: f: is extern; write a plain fn"],
    "struct P;\nimpl P { fn f(&self) {} }": ["a.rs: f is a function of P; write one outside of impl that calls it"],
    "fn f(self: &P) {}": ["1: f: takes self, so it is a method"],
    "#[cfg(a)]\nfn f() {}\n#[cfg(not(a))]\nfn f() {}": ["a.rs:2 and a.rs:4: there are 2 functions f, of which #[cfg]"],
    "fn f(x: u8 u8) {}": ["1: f: can't be read: (x: u8 u8) is not Rust"],
    # Types that are not in the table.
    "fn f(c: char) {}": ["1: f: parameter c is char, which can't be passed; take a String"],
    "fn f(c: Vec<char>) {}": ["1: f: parameter c is Vec<char>, and char can't be passed; take a String"],
    "fn f() -> char {}": ["1: f: the result is char, which can't be returned; return a String"],
    "fn f(n: i128, m: u128) {}": ["n is i128, which can't be passed; take an i64", "m is u128, which can't"],
    "fn f(x: Box<f64>) {}": ["x is Box<f64>, which can't be passed; take the value itself"],
    "fn f(x: std::borrow::Cow<'_, str>) {}": ["Cow<'_, str>, which can't be passed; take a String"],
    "fn f(x: [f64; 3]) {}": ["x is [f64; 3], which can't be passed; take a Vec<f64>"],
    "fn f(x: &[f64; 3]) {}": ["x is &[f64; 3], and [f64; 3] can't be passed; take a Vec<f64>"],
    "fn f(x: &mut Vec<f64>) {}": ["x is &mut Vec<f64>: what it changes is lost; take it without mut, and give back"],
    "fn f(x: &'static str) {}": ["x is &'static str: an argument lives no longer than the call; take it without"],
    "fn f(x: HashSet<u8>) {}": ["x is HashSet<u8>, which can't be passed; take a Vec"],
    "fn f(x: HashMap<u8, f64>) {}": ["its keys are not strings; take a HashMap<String, f64>"],
    "fn f(x: Option<Option<u8>>) {}": ["one None in another can't be told apart; take one Option"],
    "fn f(x: Result<u8, String>) {}": ["x is Result<u8, String>, which can't be passed; take the value itself; a"],
    "fn f() -> Option<Result<u8, u8>> {}": ["and Result<u8, u8> can't be returned; return the value itself; a"],
    "fn f(x: ()) {}": ["x is (), which can't be passed; take a bool, a number, a String, a Vec, an Option, a tuple"],
    "fn f() -> ! {}": ["the result is !, which can't be returned; return a bool"],
    "fn f(x: *const u8) {}": ["x is *const u8, which can't be passed"],
    "fn f(x: fn(u8) -> u8) {}": ["x is fn(u8) -> u8, which can't be passed"],
    "fn f(x: &dyn Shape) {}": ["x is &dyn Shape, and dyn Shape can't be passed"],
    "fn f(x: ndarray::Array1<f64>) {}": ["x is ndarray::Array1<f64>, which can't be passed; take a bool"],
    "fn f(x: (u8,u8,u8,u8,u8,u8,u8,u8,u8,u8,u8,u8,u8)) {}": ["it has more than 12 items; take a struct"],
    "type A = Vec<char>;\nfn f(x: A) {}": ["2: f: parameter x is A, and char can't be passed"],
    # Structs.
    "enum E { A }\nfn f(e: E) {}": ["2: f: parameter e is E: E is an enum; take a String or a number, or a struct"],
    "struct S(f64);\nfn f(s: S) {}": [
        "2: f: parameter s is S: the struct S has no named fields; give its fields names"
    ],
    "struct S;\nfn f(s: S) {}": ["the struct S has no named fields"],
    "struct S {}\nfn f(s: S) {}": ["the struct S has no field; give it one"],
    "struct S<T> { x: T }\nfn f(s: S<u8>) {}": ["the struct S is generic; write a struct for the types you need"],
    "struct S { c: char, d: Vec<char> }\nfn f(s: S, t: &S) {}": [
        "1: f: field S.c is char, which can't be passed; take a String",
        "1: f: field S.d is Vec<char>, and char",
    ],
    "struct T { next: Vec<T> }\nfn f(t: T) {}": ["1: f: field T.next is Vec<T>: it contains itself; take a Vec of str"],
    "struct S {\n#[cfg(a)]\nx: u8 }\nfn f(s: S) {}": ["3: f: field S.x has #[cfg], so it may not be there; take"],
    "#[cfg(a)] struct S { x: u8 }\n#[cfg(b)] struct S { y: u8 }\nfn f(s: S) {}": ["there are 2 of that name (a.rs:1"],
    "union S { x: u8 }\nfn f(s: S) {}": ["S is a union; take a bool"],
    # All at once.
    "async fn f<T>(a: char,\n b: &mut u8,\n c: f64) -> Box<u8> {}": [
        "1: f: is async",
        "1: f: is generic (T)",
        "1: f: parameter a",
        "2: f: parameter b",
        "3: f: the result is Box<u8>",
    ],
    # Nobody of that name.
    "fn ff() {}": ["a.rs: there is no function f; did you mean ff?"],
    "mod stats { fn f() {} }\nfn other() {}": ["there is no function f; did you mean stats::f?"],
    "mod statistics_of_all { fn f() {} }\nfn g() {}": ["there is no function f; did you mean statistics_of_all::f?"],
    "#[cfg(test)] mod tests { fn f() {} }": ["there is no function f; there is none at all"],
    "const X: u8 = 0;": ["there is none at all"],
    "fn g() {}\nfn f( {\n": ["there are g; a.rs:2 is not Rust that can be read, so more may be there"],
}


@pytest.mark.parametrize(("text", "said"), WRONG.items())
def test_what_cant_be_called_is_told_with_what_would_do(tmp_path: Path, text: str, said: list[str]) -> None:
    told = problems(tmp_path, text)
    assert len(told) == len(said), told
    for sentence, part in zip(told, said, strict=True):
        assert part in sentence
        assert sentence.startswith("a.rs:")


PROJECT = {
    "Cargo.toml": '[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\n',
    "src/lib.rs": "pub fn of_lib() {} mod part;",
    "src/part.rs": "fn of_part() -> char { 'a' }",
    "src/main.rs": "fn main() {} fn of_main() {}",
    "src/bin/other.rs": "fn main() {} fn of_other() {}",
}


@pytest.mark.parametrize("name", ["of_lib", "of_main", "of_other"])
def test_a_project_is_searched_in_its_library_and_its_programs(tmp_path: Path, name: str) -> None:
    assert read(source(write(tmp_path, PROJECT), name)).name == name


def test_a_projects_files_are_named_from_its_folder(tmp_path: Path) -> None:
    assert refused(write(tmp_path, PROJECT), "part::of_part")[0].startswith("src/part.rs:1: part::of_part: the result")
    assert refused(tmp_path, "of_libs") == [
        "src/lib.rs src/main.rs src/bin/other.rs: there is no function of_libs; did you mean of_lib or of_main?"
    ]


def test_flags_choose_the_program_that_is_searched(tmp_path: Path) -> None:
    folder = write(tmp_path, PROJECT)
    assert read(source(folder, "of_other", "--bin", "other")).name == "of_other"
    with pytest.raises(NoFunction):
        read(source(folder, "of_other", "--bin=app"))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"Cargo.toml": "[workspace]\n"}, "it is a workspace; name the folder of one package"),
        ({"Cargo.toml": "[package\n"}, "is not TOML"),
        ({"Cargo.toml": '[package]\nname = "a"\n'}, "has neither src/lib.rs nor src/main.rs"),
    ],
)
def test_a_folder_that_is_no_package_is_refused(tmp_path: Path, files: dict[str, str], said: str) -> None:
    (problem,) = refused(write(tmp_path, files))
    assert said in problem


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"gone\.rs"):
        read(source(tmp_path / "gone.rs", "f"))
