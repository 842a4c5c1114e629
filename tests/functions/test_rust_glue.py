"""Functions of real Rust sources, compiled and called: what goes in and out, and what the guest says of other bytes."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import cbor2
import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from batchwasm import artifacts
from batchwasm.errors import SourceError
from batchwasm.functions import Signature, of_module
from batchwasm.functions.types import Bool, Bytes, Float, Int, List, Map, Option, Record, String, Tuple, Type
from batchwasm.model import Source
from batchwasm.store import Store
from tests.functions.host import Guest
from tests.toolchains.guests import need, write

TAGS = {"u16": 69, "u32": 70, "u64": 71, "s8": 72, "s16": 77, "s32": 78, "s64": 79, "f32": 85, "f64": 86}
CODES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "s8": "b", "s16": "h", "s32": "i", "s64": "q"}
CODES |= {"f32": "f", "f64": "d"}
ERROR = 25207


class Called:
    """A function, compiled."""

    def __init__(self, wasm: bytes) -> None:
        signature = of_module(wasm)
        assert signature is not None
        self.wasm = wasm
        self.signature: Signature = signature
        self.guest = Guest(wasm)

    def __call__(self, *arguments: object) -> Any:
        return cbor2.loads(self.guest.call(cbor2.dumps(arguments)))


def build(folder: Path, text: str, function: str = "f") -> Called:
    need("rust")
    path = write(folder, {"a.rs": text}) / "a.rs"
    source = Source(language="rust", paths=(path,), function=function)
    return Called(artifacts.build("job", source, Store(folder / "store")).path.read_bytes())


def refusal(why: str) -> cbor2.CBORTag:
    return cbor2.CBORTag(ERROR, ("argument", why))


def said(answer: object) -> tuple[str, str]:
    """Kind and text of an error."""
    assert isinstance(answer, cbor2.CBORTag), answer
    assert answer.tag == ERROR
    kind, text = answer.value
    return kind, text


# ---- values by type --------------------------------------------------------------------------------------------------


def sent(kind: Type, value: Any) -> Any:
    """A value as docs/abi.md says that it is sent, for cbor2."""
    match kind:
        case List(item) if kind.is_numeric:
            name = str(item)
            return cbor2.CBORTag(TAGS[name], struct.pack(f"<{len(value)}{CODES[name]}", *value))
        case List(item):
            return [sent(item, each) for each in value]
        case Option(item):
            return None if value is None else sent(item, value)
        case Tuple(items):
            return [sent(item, each) for item, each in zip(items, value, strict=True)]
        case Map(item):
            return {key: sent(item, value[key]) for key in sorted(value, key=str.encode)}
        case Record(_, fields):
            return {name: sent(item, value[name]) for name, item in fields}
        case _:
            return value


class Misfit(Exception):
    pass


def fit(kind: Type, item: Any) -> Any:
    """The value that docs/abi.md understands; raises Misfit."""
    match kind, item:
        case (Bool(), bool()) | (String(), str()) | (Bytes(), bytes()):
            return item
        case Int(), int() if not isinstance(item, bool) and kind.least <= item <= kind.most:
            return item
        case Float(), int() | float() if not isinstance(item, bool) and (
            isinstance(item, float) or -(2**64) <= item < 2**64
        ):
            return rounded(kind.bits, float(item))
        case Bytes(), cbor2.CBORTag(tag=64, value=bytes()):
            return item.value
        case Bytes(), list():
            return bytes(fit(Int(8, False), each) for each in item)
        case List(number), cbor2.CBORTag(value=bytes()) if item.tag == TAGS.get(str(number)):
            size = struct.calcsize(CODES[str(number)])
            if len(item.value) % size:
                raise Misfit
            return list(struct.unpack(f"<{len(item.value) // size}{CODES[str(number)]}", item.value))
        case List(inner), list():
            return [fit(inner, each) for each in item]
        case Option(inner), _:
            return None if item is None else fit(inner, item)
        case Tuple(kinds), list() if len(item) == len(kinds):
            return [fit(inner, each) for inner, each in zip(kinds, item, strict=True)]
        case Map(inner), dict() if all(isinstance(key, str) for key in item):
            return {key: fit(inner, each) for key, each in item.items()}
        case Record(_, fields), dict() if item.keys() == {name for name, _ in fields}:
            return {name: fit(inner, item[name]) for name, inner in fields}
    raise Misfit


def rounded(bits: int, number: float) -> float:
    if bits == 64 or math.isnan(number) or math.isinf(number):
        return number
    try:
        return float(struct.unpack("<f", struct.pack("<f", number))[0])
    except OverflowError:
        return math.copysign(math.inf, number)


def values(kind: Type) -> st.SearchStrategy[Any]:
    match kind:
        case Bool():
            return st.booleans()
        case Int():
            return st.integers(kind.least, kind.most)
        case Float(bits):
            return st.floats(width=bits)
        case String():
            return st.text(max_size=30)
        case Bytes():
            return st.binary(max_size=30)
        case List(item):
            return st.lists(values(item), max_size=3)
        case Option(item):
            return st.none() | values(item)
        case Tuple(items):
            return st.tuples(*map(values, items)).map(list)
        case Map(item):
            return st.dictionaries(st.text(max_size=5), values(item), max_size=3)
        case Record(_, fields):
            return st.fixed_dictionaries({name: values(item) for name, item in fields})


def text_of(value: object) -> str:
    """For comparing: NaN is NaN, 0.0 is not -0.0, 1 is not 1.0."""
    return repr(value)


# ---- there and back --------------------------------------------------------------------------------------------------

SCALARS = ("bool", "i8", "i16", "i32", "i64", "isize", "u8", "u16", "u32", "u64", "usize", "f32", "f64", "String")
WIDE = f"""
use std::collections::{{BTreeMap, HashMap}};
type Row = Vec<f64>;
mod geo {{ pub struct Inner {{ on: bool, r#type: String, pair: (i32, Option<f64>) }} }}
struct Wide {{
    {" ".join(f"s{at}: {kind}, l{at}: Vec<{kind}>, o{at}: Option<{kind}>," for at, kind in enumerate(SCALARS))}
    rows: Vec<Row>, deep: Option<Vec<Vec<Option<Vec<u8>>>>>, one: (u16,),
    inner: geo::Inner, inners: Vec<geo::Inner>, tree: BTreeMap<String, Row>, hash: HashMap<String, Option<geo::Inner>>,
}}
fn f(first: Wide, second: (u8, Vec<(i64, String)>)) -> (Wide, (u8, Vec<(i64, String)>)) {{ (first, second) }}
"""


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Called:
    return build(tmp_path_factory.mktemp("wide"), WIDE)


@given(st.data())
def test_all_types_go_in_and_come_out_as_they_are(wide: Called, data: st.DataObject) -> None:
    kinds = [param.type for param in wide.signature.params]
    arguments = [data.draw(values(kind)) for kind in kinds]
    answer = wide(*(sent(kind, value) for kind, value in zip(kinds, arguments, strict=True)))
    result = wide.signature.result
    assert result is not None
    assert text_of(fit(result, answer)) == text_of(fit(result, sent(result, arguments)))


BORROWED = """
use std::collections::HashMap;
struct Lent<'a, 'b> { name: &'a str, parts: &'b [Option<&'a str>], size: &'b u8 }
fn f<'a>(number: &f32, bytes: &'a [u8], row: &'a [i16], words: Vec<&'a str>, lent: &Lent<'a, 'a>,
         map: HashMap<&'a str, &'a [u32]>, pair: &'a Option<(bool, u64)>)
-> (f32, &'a [u8], &'a [i16], Vec<&'a str>, Lent<'a, 'a>, HashMap<&'a str, &'a [u32]>, &'a Option<(bool, u64)>) {
    (*number, bytes, row, words, Lent { name: lent.name, parts: lent.parts, size: lent.size }, map, pair)
}
"""


@pytest.fixture(scope="module")
def borrowed(tmp_path_factory: pytest.TempPathFactory) -> Called:
    return build(tmp_path_factory.mktemp("borrowed"), BORROWED)


@given(st.data())
def test_references_go_in_and_come_out(borrowed: Called, data: st.DataObject) -> None:
    kinds = [param.type for param in borrowed.signature.params]
    arguments = [data.draw(values(kind)) for kind in kinds]
    result = borrowed.signature.result
    assert result is not None
    answer = borrowed(*(sent(kind, value) for kind, value in zip(kinds, arguments, strict=True)))
    assert text_of(fit(result, answer)) == text_of(fit(result, sent(result, arguments)))


GOLDEN = """
use std::collections::HashMap;
struct R { z: u8, a: i64 }
type All = (HashMap<String, i64>, Vec<u16>, R, f32, f64, Option<u8>, Vec<bool>, &'static str);
fn f(x: HashMap<String, i64>, xs: &[u16]) -> All {
    (x, xs.to_vec(), R { z: 24, a: i64::MIN }, 1.5, 1.5, None, vec![true, false], "é")
}
"""


def test_an_answer_has_the_bytes_that_the_abi_says(tmp_path: Path) -> None:
    function = build(tmp_path, GOLDEN)
    map_in = {"bb": 1, "c": -1, "a": 65536, "": -257}
    answer = function.guest.call(cbor2.dumps([map_in, [1, 258]]))
    # fmt: off
    assert answer.hex(" ") == " ".join([
        "88",
        "a4 60 39 01 00 61 61 1a 00 01 00 00 62 62 62 01 61 63 20",  # keys sorted by their bytes
        "d8 45 44 01 00 02 01",
        "a2 61 7a 18 18 61 61 3b 7f ff ff ff ff ff ff ff",  # fields as in the source
        "fa 3f c0 00 00", "fb 3f f8 00 00 00 00 00 00", "f6", "82 f5 f4", "62 c3 a9",
    ])
    # fmt: on


# ---- what else is understood, and what is not ------------------------------------------------------------------------

anything: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.integers(-300, 300)
    | st.floats()
    | st.text(max_size=3)
    | st.binary(max_size=9)
    | st.builds(cbor2.CBORTag, st.sampled_from([64, *TAGS.values(), 0x6277]), st.binary(max_size=16)),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2) | st.integers(0, 3), inner, max_size=3)
    ),
    max_leaves=4,
)


def near(kind: Type) -> st.SearchStrategy[Any]:
    """What fits, in any way that is understood, or nearly does."""
    right = values(kind).map(lambda value: sent(kind, value))
    match kind:
        case List(item):
            loose: st.SearchStrategy[Any] = st.lists(near(item), max_size=2)
        case Bytes():
            loose = st.lists(st.integers(-1, 256), max_size=2) | st.binary().map(lambda x: cbor2.CBORTag(64, x))
        case Option(item):
            loose = near(item)
        case Tuple(items):
            loose = st.tuples(*map(near, items)).map(list)
        case Map(item):
            loose = st.dictionaries(st.text(max_size=2), near(item), max_size=2)
        case Record(_, fields):
            loose = st.fixed_dictionaries({name: near(item) for name, item in reversed(fields)})
        case Float():
            loose = st.integers(-(2**64), 2**64 - 1)
        case _:
            loose = right
    return right | loose | loose | anything


@given(st.data())
def test_the_guest_takes_what_the_abi_says_and_nothing_else(borrowed: Called, data: st.DataObject) -> None:
    kinds = [param.type for param in borrowed.signature.params]
    right = [sent(kind, data.draw(values(kind))) for kind in kinds]
    at = data.draw(st.integers(0, len(kinds) - 1))
    right[at] = data.draw(near(kinds[at]))
    shortest = data.draw(st.booleans())  # floats of 16 and 32 bits, too
    answer = cbor2.loads(borrowed.guest.call(cbor2.dumps(right, canonical=shortest)))
    result = borrowed.signature.result
    assert result is not None
    try:
        expected = [fit(kind, value) for kind, value in zip(kinds, right, strict=True)]
    except Misfit:
        kind, text = said(answer)
        assert kind == "argument"
        assert text.startswith(borrowed.signature.params[at].name)
    else:
        assert text_of(fit(result, answer)) == text_of(fit(result, sent(result, expected)))


@given(st.data())
def test_bytes_that_are_no_arguments_are_refused_and_never_trap(borrowed: Called, data: st.DataObject) -> None:
    kinds = [param.type for param in borrowed.signature.params]
    right = cbor2.dumps([sent(kind, data.draw(values(kind))) for kind in kinds])
    at, end = sorted(data.draw(st.tuples(st.integers(0, len(right)), st.integers(0, len(right)))))
    argument = right[:at] + data.draw(st.binary(max_size=9)) + right[end:]
    answer = cbor2.loads(borrowed.guest.call(argument))
    if isinstance(answer, cbor2.CBORTag):
        assert said(answer)[0] == "argument"
    else:  # what was changed is right, too
        for kind, value in zip(kinds, cbor2.loads(argument), strict=True):
            fit(kind, value)


@given(st.binary(max_size=40))
def test_any_bytes_get_an_answer(wide: Called, argument: bytes) -> None:
    assert said(cbor2.loads(wide.guest.call(argument)))[0] == "argument"


CHECKED = """
struct P { x: u8, tags: Vec<(i8, String)> }
fn f(xs: Vec<Vec<f64>>, p: P) -> Vec<Vec<f64>> { let _ = (p.x, p.tags); xs }
"""


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Called:
    return build(tmp_path_factory.mktemp("checked"), CHECKED)


P = {"x": 1, "tags": []}


@pytest.mark.parametrize(
    ("xs", "p", "text"),
    [
        (1, P, "xs: expected list<list<f64>>, found an integer"),
        ([None], P, "xs[0]: expected list<f64>, found null"),
        ([[1], [2, "a"]], P, "xs[1][1]: expected f64, found a text string"),
        ([cbor2.CBORTag(85, b"1234")], P, "xs[0]: expected list<f64>, found a typed array of f32"),
        ([cbor2.CBORTag(86, b"1234")], P, "xs[0]: a typed array of 4 bytes ends within an item"),
        ([cbor2.CBORTag(1, 1)], P, "xs[0]: expected list<f64>, found a value with tag 1"),
        ([], [1], "p: expected P, found an array"),
        ([], {**P, "y": 1}, "p: P has no field y"),
        ([], {"tags": []}, "p: the field x of P is missing"),
        ([], {1: 2}, "p: expected string, found an integer"),
        ([], {**P, "x": 256}, "p.x: 256 is out of the range of u8"),
        ([], {**P, "x": -1}, "p.x: -1 is out of the range of u8"),
        ([], {**P, "x": -(2**64)}, "p.x: -18446744073709551616 is out of the range of u8"),
        ([], {**P, "x": 1.0}, "p.x: expected u8, found a float"),
        ([], {**P, "x": True}, "p.x: expected u8, found a bool"),
        ([], {**P, "tags": [[1, "a"], [-129, "b"]]}, "p.tags[1][0]: -129 is out of the range of s8"),
        ([], {**P, "tags": [[1]]}, "p.tags[0]: expected tuple<s8, string>, found an array of 1"),
        ([], {**P, "tags": b""}, "p.tags: expected list<tuple<s8, string>>, found a byte string"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(checked: Called, xs: object, p: object, text: str) -> None:
    assert checked(xs, p) == refusal(text)


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        (b"", "the CBOR is cut short"),
        (b"\xa0", "expected an array of the arguments, found a map"),
        (b"\x80", "expected 2 arguments, found 0"),
        (b"\x82\x80\xa2\x61x\x01\x64tags\x80\x00", "1 bytes follow the arguments"),
        (b"\x9f\xff", "it is CBOR of indefinite length, which is not understood"),
        (b"\x82\x80\x1c", "p: it is not CBOR"),
        (b"\x82\x80\xa1\x61\xff\x01", "p: the text string is not UTF-8"),
        (b"\x82\x9b\xff\xff\xff\xff\xff\xff\xff\xff", "xs: the CBOR is cut short"),
    ],
)
def test_bytes_that_are_no_arguments_are_told(checked: Called, argument: bytes, text: str) -> None:
    assert cbor2.loads(checked.guest.call(argument)) == refusal(text)


def test_of_a_key_that_occurs_twice_the_last_counts(checked: Called) -> None:
    twice = b"\x82\x80\xa3\x61x\x01\x64tags\x80\x61x\x02"
    assert cbor2.loads(checked.guest.call(twice)) == []


def test_a_short_message_never_claims_much_memory(checked: Called) -> None:
    """A million items that are not there, of which each would be large."""
    guest = Guest(checked.wasm)
    guest.store.set_limits(memory_size=2 * 1024**2)
    claims = b"\x82\x80\xa2\x61x\x01\x64tags\x9a\x00\x02\x00\x00" + b"\x82\x01\x60" * 1000 + bytes(130_000)
    assert said(cbor2.loads(guest.call(claims)))[0] == "argument"


# ---- errors, panics, and how a guest is called ----------------------------------------------------------------------

FAILING = """
#[derive(Debug)] struct OnlyDebug(u8);
struct Nothing;
fn debug() -> Result<(), OnlyDebug> { Err(OnlyDebug(3)) }
fn nothing() -> Result<(), Nothing> { Err(Nothing) }
"""


@pytest.mark.parametrize(
    ("name", "text"), [("debug", "OnlyDebug(3)"), ("nothing", "it failed with an error that has no text")]
)
def test_an_err_without_display_is_told_as_well_as_can_be(tmp_path: Path, name: str, text: str) -> None:
    assert said(build(tmp_path, FAILING, name)()) == ("raised", text)


MESSY = {
    "a.rs": """#!/usr/bin/env run
//! Crate level words, then what user code may forbid.
#![doc = include_str!("words.txt")]
#![forbid(unsafe_code)]
#![deny(warnings, missing_docs)]
mod helper;
#[path = "odd name.rs"] mod odd;
const WORDS: &str = include_str!("words.txt");
macro_rules! vec { () => { compile_error!("ours, not the glue's") } }
mod private {
    mod deeper {
        struct Hidden { words: String }
        // A comment.
        fn f(n: i64, seen: &Hidden) -> Result<Hidden, Box<dyn std::error::Error>> {
            println!("{} {}", seen.words, crate::helper::inner::answer() + crate::odd::ONE);
            if n < 0 { return Err("negative".into()); }
            if n > 9 { panic!("too large"); }
            let words = format!("{}{}", super::super::WORDS, include_str!(concat!("wor", "ds.txt")));
            Ok(Hidden { words })
        } } // }
}
fn main() { let unused = 1; } // the end""",
    "helper.rs": "pub mod inner;\n",
    "helper/inner.rs": "pub fn answer() -> i32 { 41 }\n",
    "odd name.rs": 'pub const ONE: i32 = include!("one.in");',
    "one.in": "1",
    "words.txt": "words ",
}


@pytest.fixture(scope="module")
def messy(tmp_path_factory: pytest.TempPathFactory) -> Called:
    folder = write(tmp_path_factory.mktemp("messy") / 'it\'s a "wéird" folder', MESSY)
    return build(folder, MESSY["a.rs"], "private::deeper::f")


def test_a_private_function_among_all_that_a_file_may_have_is_called(
    messy: Called, capfd: pytest.CaptureFixture
) -> None:
    assert messy(1, {"words": "seen"}) == {"words": "words words "}
    assert said(messy(-1, {"words": "again"})) == ("raised", "negative")
    assert capfd.readouterr().out == "seen 42\nagain 42\n"


def test_a_panic_says_the_users_line_and_traps(messy: Called, capfd: pytest.CaptureFixture) -> None:
    with pytest.raises(wasmtime.Trap):
        Called(messy.wasm)(10, {"words": ""})
    said = capfd.readouterr().err
    assert "too large" in said
    assert "a.rs:17:24" in said


def test_an_error_of_the_compiler_names_the_users_file_and_line(tmp_path: Path) -> None:
    files = {**MESSY, "helper/inner.rs": "\npub fn answer() -> i32 { missing() }\n"}
    with pytest.raises(SourceError, match=r"cannot find function `missing`(.|\n)*--> helper/inner.rs:2:26"):
        build(write(tmp_path, files), MESSY["a.rs"].replace("n > 9", 'n > "9"'), "private::deeper::f")
    with pytest.raises(SourceError, match=r"mismatched types\n +--> a.rs:17:20"):
        build(write(tmp_path, MESSY), MESSY["a.rs"].replace("n > 9", 'n > "9"'), "private::deeper::f")


ADD = "/// The sum.\nfn f(a: i64, b: i64) -> i64 { a + b }"


@pytest.fixture(scope="module")
def add(tmp_path_factory: pytest.TempPathFactory) -> Called:
    return build(tmp_path_factory.mktemp("add"), ADD)


def test_a_module_is_small_and_carries_its_signature(add: Called) -> None:
    assert str(add.signature) == "f(a: s64, b: s64) -> s64"
    assert add.signature.doc == "The sum."
    assert len(add.wasm) < 80_000


def test_a_call_asks_the_host_for_nothing(add: Called) -> None:
    """Where constructors ran around each export they would read the environment, each time."""
    engine = wasmtime.Engine()
    module, store, linker = wasmtime.Module(engine, add.wasm), wasmtime.Store(engine), wasmtime.Linker(engine)
    asked: list[str] = []
    for imported in module.imports:
        assert isinstance(imported.type, wasmtime.FuncType)
        assert imported.module == "wasi_snapshot_preview1"
        linker.define_func(
            imported.module, str(imported.name), imported.type, lambda *_, name=imported.name: asked.append(name) or 0
        )
    exports = linker.instantiate(store, module).exports(store)
    (exports.get("_initialize") or exports["bw_init"])(store)
    assert set(asked) <= {"environ_sizes_get"}  # once, where constructors do it
    asked.clear()
    argument = cbor2.dumps([1, 2])
    at = exports["bw_alloc"](store, len(argument))
    exports["memory"].write(store, argument, at)
    assert exports["bw_call"](store, at, len(argument)) & 0xFFFFFFFF == 1
    assert not asked


def test_a_buffer_that_memory_has_no_place_for_is_told_by_0(add: Called) -> None:
    guest = Guest(add.wasm)
    guest.store.set_limits(memory_size=4 * 1024**2)
    assert guest.exports["bw_alloc"](guest.store, 16 * 1024**2) == 0
    assert guest.exports["bw_alloc"](guest.store, -1) == 0
    assert guest.call(cbor2.dumps([40, 2])) == cbor2.dumps(42)


def test_an_instance_is_called_again_without_growing(checked: Called) -> None:
    guest = Guest(checked.wasm)
    large = cbor2.dumps([[cbor2.CBORTag(86, bytes(800_000))], P])
    guest.call(large)
    before = guest.exports["memory"].size(guest.store)
    for _ in range(50):
        guest.call(large)
    assert guest.exports["memory"].size(guest.store) == before


def test_a_function_that_gives_nothing_answers_null(tmp_path: Path) -> None:
    function = build(tmp_path, "fn f() {}")
    assert function.guest.call(b"\x80") == b"\xf6"
    assert function(1) == refusal("expected 0 arguments, found 1")
