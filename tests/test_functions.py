"""The table of types, language by language: values that Python made go through a compiled function and come back."""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchwasm import BadArgument, Fleet, TaskFailed, api
from batchwasm.fleet import Function
from batchwasm.functions.types import Bool, Bytes, Float, Int, List, Map, Option, Record, String, Tuple, Type
from tests.command import Cli
from tests.functions.kinds import in_order, same, values_of
from tests.homes import move_into
from tests.leftovers import Leftovers
from tests.toolchains.guests import need

TABLE = Path(__file__).parent / "functions/table"
ENDINGS = {"rust": "rs", "cpp": "cpp", "go": "go", "c": "c"}
LEAST_F32, MOST_F32 = 1.401298464324817e-45, 3.4028234663852886e38

Functions = Callable[[str, str], Function]


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One for the module: its tests share a fleet."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        move_into(home, patch)
        yield home


@pytest.fixture(scope="module", autouse=True)
def no_leftovers(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Iterator[None]:
    before = Leftovers.now(tmp_path_factory.getbasetemp(), home)
    yield
    assert not before.new_after(grace_s=10)


@pytest.fixture(scope="module")
def fleet(home: Path, no_leftovers: None) -> Iterator[Fleet]:
    with Fleet() as fleet:
        yield fleet


@pytest.fixture(scope="module")
def functions(fleet: Fleet) -> Functions:
    """A function of the table, compiled at its first use."""
    made: dict[tuple[str, str], Function] = {}

    def get(language: str, name: str) -> Function:
        if (language, name) not in made:
            need(language)
            made[language, name] = fleet.function(TABLE / f"values.{ENDINGS[language]}", name)
        return made[language, name]

    return get


# ------------------------------------------------------------------------------------------- values at their limits


def least(kind: Type) -> Any:
    """The smallest, or the emptiest."""
    match kind:
        case Bool():
            return False
        case Int():
            return kind.least
        case Float():
            return -math.inf
        case String():
            return ""
        case Bytes():
            return b""
        case List():
            return []
        case Option():
            return None
        case Tuple(items):
            return tuple(map(least, items))
        case Map():
            return {}
        case Record(_, fields):
            return {name: least(field) for name, field in fields}


def most(kind: Type) -> Any:
    """The largest, and one of everything that has an end of its own."""
    match kind:
        case Bool():
            return True
        case Int():
            return kind.most
        case Float(bits):
            return MOST_F32 if bits == 32 else sys.float_info.max
        case String():
            return 'NUL \0, é, e\u0301, 漢字, \U0001f980, \u202e, \uffff, "quotes" and a line\'s end\r\n'
        case Bytes():
            return bytes(range(256))
        case List(Float()):
            return [math.nan, -0.0, 0.0, math.inf, -math.inf, LEAST_F32, most(kind.item)]
        case List(Int() as item):
            return [item.least, 0, item.most]
        case List(item):
            return [most(item), least(item)]
        case Option(item):
            return most(item)
        case Tuple(items):
            return tuple(map(most, items))
        case Map(item):
            return {"": least(item), "\0": most(item), "é": most(item), "\U0001f980": least(item), "\uffff": most(item)}
        case Record(_, fields):
            return {name: most(field) for name, field in fields}


def limits(function: Function) -> list[tuple[Any, ...]]:
    kinds = [param.type for param in function.signature.params]
    return [tuple(map(least, kinds)), tuple(map(most, kinds))]


def drawn(data: st.DataObject, function: Function) -> list[tuple[Any, ...]]:
    """Arguments of a few calls."""
    one = st.tuples(*(values_of(param.type) for param in function.signature.params))
    return data.draw(st.lists(one, min_size=1, max_size=4))


# -------------------------------------------------------------------------------------------------- there and back


def check_same(fleet: Fleet, function: Function, rows: list[tuple[Any, ...]]) -> None:
    """The function gives its argument back, or several as a tuple; a map's keys come sorted."""
    kind = function.signature.result
    assert kind is not None
    single = len(function.signature.params) == 1
    for row, value in zip(rows, fleet.starmap(function, rows), strict=True):
        expected = in_order(kind, row[0] if single else row)
        assert same(value, expected)


GENERATED = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@pytest.mark.parametrize("language", ["rust", "cpp", "go"])
@GENERATED
@given(data=st.data())
def test_values_of_all_types_come_back_as_they_went(
    fleet: Fleet, functions: Functions, language: str, data: st.DataObject
) -> None:
    function = functions(language, "same")
    check_same(fleet, function, drawn(data, function))


@pytest.mark.parametrize("language", ["rust", "cpp", "go"])
def test_values_at_their_limits_come_back_as_they_went(fleet: Fleet, functions: Functions, language: str) -> None:
    function = functions(language, "same")
    check_same(fleet, function, limits(function))


@pytest.mark.parametrize("language", ["rust", "cpp", "go"])
def test_views_and_tuples_come_back_as_they_went(fleet: Fleet, functions: Functions, language: str) -> None:
    function = functions(language, "views")
    text, data, numbers = (most(param.type) for param in function.signature.params[:3])
    rows = [(text * n, data * n, numbers * n) for n in range(0, 200, 7)]
    found = list(fleet.starmap(function, [(*row, False) for row in rows]))
    assert all(map(same, found, rows))


@GENERATED
@given(data=st.data())
def test_c_gets_values_of_all_types_as_they_were_sent(fleet: Fleet, functions: Functions, data: st.DataObject) -> None:
    check_sent(fleet, functions("c", "same"), drawn(data, functions("c", "same")))


def test_c_gets_values_at_their_limits_as_they_were_sent(fleet: Fleet, functions: Functions) -> None:
    check_sent(fleet, functions("c", "same"), limits(functions("c", "same")))


def check_sent(fleet: Fleet, function: Function, rows: list[tuple[Any, ...]]) -> None:
    """It writes its arguments' bytes; a `const char *` ends at a NUL."""
    kinds = [param.type for param in function.signature.params]
    rows = [tuple(each.replace("\0", "") if isinstance(each, str) else each for each in row) for row in rows]
    for row, text in zip(rows, fleet.starmap(function, rows), strict=True):
        found = [read(kind, bytes.fromhex(word)) for kind, word in zip(kinds, text[:-1].split(" "), strict=True)]
        assert same(found, list(row))


LETTERS = {1: "b", 2: "h", 4: "i", 8: "q"}


def read(kind: Type, memory: bytes) -> Any:
    """A value as C has it."""
    match kind:
        case String():
            return memory.decode()
        case Bytes():
            return memory
        case List(item):
            letter = letter_of(item)
            return [value for (value,) in struct.iter_unpack(f"<{letter}", memory)]
        case _:
            return struct.unpack(f"<{letter_of(kind)}", memory)[0]


def letter_of(kind: Type) -> str:
    match kind:
        case Bool():
            return "?"
        case Int(bits, signed):
            letter = LETTERS[bits // 8]
            return letter if signed else letter.upper()
        case Float(bits):
            return "f" if bits == 32 else "d"
    raise AssertionError(kind)


def test_c_gives_scalars_and_texts(fleet: Fleet, functions: Functions) -> None:
    numbers = [0, 1, 2**63, 2**64 - 1]
    assert list(fleet.map(functions("c", "wide"), numbers)) == numbers
    floats = [math.nan, -0.0, math.inf, -math.inf, LEAST_F32, MOST_F32]
    assert all(map(same, fleet.map(functions("c", "narrow"), floats), floats))
    texts = ["", "é e\u0301 漢字 \U0001f980", "x" * 100_000]
    assert list(fleet.map(functions("c", "views"), texts)) == texts


def test_a_text_with_nul_is_no_c_string_and_refused(fleet: Fleet, functions: Functions) -> None:
    with pytest.raises(TaskFailed, match="NUL") as caught:
        functions("c", "views")("a\0b")
    assert (caught.value.outcome, caught.value.code) == ("failed", "argument")


def test_a_hundred_megabytes_of_floats_come_back_exactly(fleet: Fleet) -> None:
    need("rust")
    function = fleet.function(TABLE / "values.rs", "floats", numpy=True, memory="2GiB")
    given_ = numpy.random.default_rng(1).integers(0, 2**64, 13_107_200, dtype=numpy.uint64).view(numpy.float64)
    found = function(given_)
    assert given_.nbytes > 100 * 10**6
    assert (found.view(numpy.uint64) == given_.view(numpy.uint64)).all()  # the bits: among them are NaNs of all kinds


# ------------------------------------------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize("language", ["rust", "cpp", "go"])
@pytest.mark.parametrize("text", ["two words", "é 漢字 \U0001f980", "line 1\nline 2", "x" * 900])
def test_an_error_is_told_in_the_functions_own_words(functions: Functions, language: str, text: str) -> None:
    with pytest.raises(TaskFailed) as caught:
        functions(language, "views")(text, b"", [], True)
    assert (caught.value.outcome, caught.value.code, caught.value.message) == ("failed", "raised", text)


@pytest.mark.parametrize("language", ["rust", "cpp", "go", "c"])
def test_integers_are_checked_before_anything_is_sent(functions: Functions, language: str) -> None:
    function = functions(language, "same")
    fits = limits(function)[0]
    whole = fits[0] if isinstance(fits[0], dict) else None
    kinds = whole or dict(zip((param.name for param in function.signature.params), fits, strict=True))
    for name, value, told in [
        ("s8", 128, "128 does not fit s8"),
        ("u64", 2**64, "18446744073709551616 does not fit u64"),
        ("u64", -1, "-1 does not fit u64"),
        ("s64", -(2**63) - 1, "does not fit s64"),
        ("u16s", [0, 65536], "65536 does not fit u16"),
    ]:
        key = name if name in kinds else name[:1].upper() + name[1:]  # Go's exported fields
        wrong = {**kinds, key: value}
        with pytest.raises(BadArgument, match=told) as caught:
            function(wrong, *fits[1:]) if whole else function(**wrong)
        assert key in str(caught.value)


@pytest.mark.parametrize("language", ["rust", "cpp", "go", "c"])
def test_what_a_function_prints_is_in_the_results(fleet: Fleet, functions: Functions, language: str) -> None:
    function = functions(language, "views")
    text = f"{language} printed this"
    assert function(text) == text if language == "c" else function(text, b"", [], False)[0] == text
    rows = api.results(fleet.folder)
    assert [row.stdout for row in rows if row.stdout and text in row.stdout] == [f"called with {text}\n"]


WRONG = {
    "rs": "/// Of one.\nfn f(x: f64) -> f64 {\n    let y: i32 = x;\n    y\n}\n",
    "cpp": "#include <string>\ndouble f(double x) {\n  std::string y = x;\n  return y;\n}\n",
    "go": "package wrong\n\nfunc f(x float64) float64 {\n\tvar y int = x\n\treturn x\n}\n",
    "c": "struct s { int n; };\ndouble f(double x) {\n  struct s y = x;\n  return x;\n}\n",
}


@pytest.mark.parametrize("ending", WRONG)
def test_an_error_of_the_compiler_is_told_in_the_users_own_lines(batchwasm: Cli, ending: str) -> None:
    text = WRONG[ending]
    (batchwasm.folder / f"wrong.{ending}").write_text(text)
    done = batchwasm("call", f"wrong.{ending}:f", "1", code=2)
    line = next(n for n, line in enumerate(text.splitlines(), 1) if line.endswith(("= x;", "= x")))
    assert f"wrong.{ending}:{line}:" in done.err
    assert done.out == ""


TYPES = {
    "rs": ("fn f(x: f64, y: std::rc::Rc<f64>) -> f64 { x }\n", "std::rc::Rc<f64>"),
    "cpp": ("#include <list>\ndouble f(std::list<double> y) { return 0; }\n", "std::list<double>"),
    "go": ("package p\n\nfunc f(y chan int) int { return 0 }\n", "chan int"),
    "c": ("double f(double **y) { return 0; }\n", "double **"),
}


@pytest.mark.parametrize("ending", TYPES)
def test_a_type_that_cannot_be_passed_is_told_with_its_line_and_name(batchwasm: Cli, ending: str) -> None:
    text, kind = TYPES[ending]
    (batchwasm.folder / f"types.{ending}").write_text(text)
    done = batchwasm("call", f"types.{ending}:f", "1", code=2)
    line = next(n for n, line in enumerate(text.splitlines(), 1) if " f(" in line)
    assert f"types.{ending}:{line}: f: parameter y is {kind}, which can't be passed; " in done.err
