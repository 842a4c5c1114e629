"""Go functions through the real compiler, called as docs/abi.md says; values compared with another implementation."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cbor2
import pytest
import wasmtime
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from batchwasm import artifacts, functions
from batchwasm.errors import SourceError
from batchwasm.functions.types import Record
from batchwasm.functions.values import decoder, encoder, error_of
from batchwasm.model import Artifact, Build, Source
from batchwasm.store import Store
from batchwasm.toolchains import go
from batchwasm.toolchains.base import Request, Tool
from tests.functions.host import Guest
from tests.functions.kinds import same, values_of
from tests.functions.liberal import arguments
from tests.toolchains.guests import need, write

WIDE = """package wide

type Inner struct {
	Name string
	Data []byte
}

type Wide struct {
	B                  bool
	I                  int
	I8                 int8
	I16                int16
	I32                int32
	I64                int64
	U                  uint
	U8                 uint8
	U16                uint16
	U32                uint32
	U64                uint64
	F32                float32
	F64                float64
	Größe              rune
	Ints               []int
	I8s                []int8
	I16s               []int16
	I32s               []int32
	U64s               []uint64
	U16s               []uint16
	U32s               []uint32
	F32s               []float32
	F64s, Others       []float64
	Bools              []bool
	Names              []string
	Blobs              [][]byte
	Rows               [][]float64
	OptInt             *int
	OptBytes           *[]byte
	OptInner           *Inner
	Optionals          []*string
	Inners             []Inner
	ByName             map[string]Inner
	Nested             map[string]map[string][]uint16
}

func identity(a Wide, b []Inner, c *Wide, d map[string]*Inner) (Wide, []Inner, *Wide, map[string]*Inner) {
	return a, b, c, d
}

// The glue must not trip over these.
func max(a, b float64) float64 { return a }
func print(text string)        {}
func copy(n int) int           { return n }
"""


def build(store: Store, path: Path, function: str, how: Build | None = None) -> Artifact:
    need("go")
    source = Source(language="go", paths=(path,), function=function, build=how or Build())
    return artifacts.build("job", source, store)


def call(guest: Guest, *values: Any) -> Any:
    """By cbor2 alone."""
    return cbor2.loads(guest.call(cbor2.dumps(list(values))))


def failed(kind: str, text: str) -> cbor2.CBORTag:
    return cbor2.CBORTag(25207, (kind, text))


class Made:
    """A compiled function."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.wasm = artifact.path.read_bytes()
        signature = functions.of_module(self.wasm)
        assert signature is not None
        self.signature = signature
        self.guest = Guest(self.wasm)


Make = Callable[[str, str], Made]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Compiles the function of a file, once for all tests here."""
    folder, made = tmp_path_factory.mktemp("go"), dict[tuple[str, str], Made]()

    def get(text: str, function: str) -> Made:
        if (text, function) not in made:
            place = write(folder / str(len(made)), {"a.go": text})
            made[text, function] = Made(build(Store(folder / "store"), place / "a.go", function))
        return made[text, function]

    return get


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def wide(make: Make) -> Made:
    return make(WIDE, "identity")


one_guest_for_all = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
"""A call leaves nothing behind in a guest; that, too, is tested here."""


# ---- values --------------------------------------------------------------------------------------------------------


def drawn(made: Made, data: st.DataObject) -> list[Any]:
    return [data.draw(values_of(param.type)) for param in made.signature.params]


@one_guest_for_all
@given(data=st.data())
def test_every_value_comes_back_as_it_went_to_the_last_byte(wide: Made, data: st.DataObject) -> None:
    """The answer is the array of what was given, in the only form that it may have: the arguments' own."""
    sent = encoder(wide.signature.params)(drawn(wide, data))
    assert wide.guest.call(sent) == sent


@one_guest_for_all
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_other_ways_to_write_an_argument_mean_the_same(wide: Made, data: st.DataObject, seed: int) -> None:
    values = drawn(wide, data)
    kinds = [param.type for param in wide.signature.params]
    answer = wide.guest.call(arguments(kinds, values, random.Random(seed)))
    assert answer == encoder(wide.signature.params)(values)


@one_guest_for_all
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_damaged_arguments_are_refused_or_mean_something_but_never_trap(
    wide: Made, data: st.DataObject, seed: int
) -> None:
    dice = random.Random(seed)
    damaged = bytearray(arguments([param.type for param in wide.signature.params], drawn(wide, data), dice))
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(damaged) + 1)
        match dice.randrange(4):
            case 0:
                del damaged[at:]
            case 1:
                damaged[at:at] = dice.randbytes(dice.randint(1, 9))
            case 2:
                del damaged[at : at + dice.randint(1, 9)]
            case _:
                damaged[at : at + 1] = dice.choice([b"\xff", b"\x1b" + b"\xff" * 8, b"\x9b\x7f", b"\xf6", b"\x00"])
    is_refused_or_right(wide, bytes(damaged))


@one_guest_for_all
@given(data=st.binary(max_size=64))
@example(data=b"")
@example(data=b"\x84")
@example(data=b"\x9b" + b"\xff" * 8)
@example(data=b"\x84\xbb" + b"\xff" * 8)
@example(data=b"\x84\xa1\x7b" + b"\xff" * 8)
@example(data=b"\x84\xbf\xff")
def test_any_bytes_are_refused_or_mean_something_but_never_trap(wide: Made, data: bytes) -> None:
    is_refused_or_right(wide, data)


def is_refused_or_right(made: Made, data: bytes) -> None:
    answer = made.guest.call(data)
    found = error_of(answer)
    if found is not None:
        assert found[0] == "argument"
        return
    value = decoder(made.signature.result)(answer)
    assert made.guest.call(answer) == answer
    read = cbor2.loads(data)
    names = [name for name, _ in record.fields] if isinstance(record := made.signature.params[0].type, Record) else []
    assert sorted(read[0]) == sorted(names)
    assert isinstance(value, tuple)
    assert same(value[0]["I"], read[0]["I"])


def test_long_lists_go_in_and_out(make: Make) -> None:
    text = "package a\n\nfunc twice(xs []float64) []float64 {\n\tfor i := range xs { xs[i] *= 2 }\n\treturn xs\n}\n"
    made = make(text, "twice")
    encode, decode = encoder(made.signature.params), decoder(made.signature.result)
    for count in (0, 1, 1_000_000, 3):
        assert decode(made.guest.call(encode([[0.5] * count]))) == [1.0] * count


def test_an_instance_that_is_called_again_and_again_does_not_grow(make: Make) -> None:
    made = make("package a\n\nfunc add(a, b int) int { return a + b }\n", "add")
    sent = cbor2.dumps([2, -3])
    for _ in range(2000):
        assert made.guest.call(sent) == b"\x20"
    assert made.guest.exports["memory"].size(made.guest.store) < 100
    small = made.guest.exports["bw_alloc"](made.guest.store, 10)
    made.guest.exports["bw_alloc"](made.guest.store, 10)
    refused = made.guest.exports["bw_call"](made.guest.store, small + 4, 3)
    start, size = refused >> 32, refused & 0xFFFFFFFF
    answer = made.guest.exports["memory"].read(made.guest.store, start, start + size)
    assert error_of(bytes(answer)) == ("argument", "the arguments are not where bw_alloc said")


def test_numbers_at_their_bounds_and_beyond(make: Make) -> None:
    text = "package a\n\nfunc f(a int8, b uint8, c int, d uint, e float32) (int8, uint8, int, uint, float32) {"
    guest = make(text + "\n\treturn a, b, c, d, e\n}\n", "f").guest
    for good in (
        [-128, 0, -(2**63), 0, 0.5],
        [127, 255, 2**63 - 1, 2**64 - 1, -0.0],
    ):
        assert call(guest, *good) == good
    for place, name, bad, text in (
        (0, "a", 128, "128 does not fit s8"),
        (0, "a", -129, "-129 does not fit s8"),
        (1, "b", 256, "256 does not fit u8"),
        (1, "b", -1, "-1 does not fit u8"),
        (2, "c", 2**63, "9223372036854775808 does not fit s64"),
        (2, "c", -(2**63) - 1, "-9223372036854775809 does not fit s64"),
        (3, "d", -(2**64), "-18446744073709551616 does not fit u64"),
        (3, "d", 1.0, "expected u64, found a float"),
        (3, "d", 2**64, "expected u64, found tag 2"),
        (4, "e", "1", "expected f32, found a text string"),
    ):
        values: list[Any] = [1, 1, 1, 1, 1]
        values[place] = bad
        assert call(guest, *values) == failed("argument", f"{name}: {text}")
    for given_, meant in (
        (2**64 - 1, 2.0**64),
        (-(2**64), -(2.0**64)),
        (16777217, 16777216.0),
        (0.1, 0.10000000149011612),
    ):
        assert call(guest, 1, 1, 1, 1, given_)[4] == meant


SHAPES = """package a

type Point struct {
	X, Y float64
}

func f(xs []float64, points []Point, groups map[string][]Point, data []byte, n *int, on bool, names []string) {}
"""
GOOD = ([1.0], [{"X": 1, "Y": 2}], {"a": [{"Y": 1, "X": 2}]}, b"ab", None, True, ["a"])
REFUSED = [
    (0, "abc", "xs: expected list<f64>, found a text string"),
    (0, [1, None], "xs[1]: expected f64, found null"),
    (0, cbor2.CBORTag(85, b"1234"), "xs: expected list<f64>, found tag 85"),
    (0, cbor2.CBORTag(86, b"1234567"), "xs: expected list<f64>, found 7 bytes"),
    (0, cbor2.CBORTag(86, [1]), "xs: expected the bytes of list<f64>, found an array"),
    (1, [{"X": 1, "Y": 2}, {"X": 1}], "points[1]: Point lacks Y (f64)"),
    (1, [{}], "points[0]: Point lacks X (f64), Y (f64)"),
    (1, [{"X": 1, "Z": 2}], 'points[0]: Point has no field "Z"; it has X, Y'),
    (1, [{"X": True}], "points[0].X: expected f64, found true"),
    (1, [{1: True}], "points[0]: expected a field's name, found an integer"),
    (1, [[1, 2]], "points[0]: expected Point, found an array"),
    (2, {"a": 1}, 'groups["a"]: expected list<Point>, found an integer'),
    (2, {"a\n": [{"X": b""}]}, 'groups["a\\n"][0].X: expected f64, found a byte string'),
    (2, {1: []}, "groups: expected a key of map<list<Point>>, found an integer"),
    (2, [], "groups: expected map<list<Point>>, found an array"),
    (3, [1, 256], "data[1]: 256 does not fit u8"),
    (3, "ab", "data: expected list<u8>, found a text string"),
    (4, "x", "n: expected s64, found a text string"),
    (4, {}, "n: expected s64, found a map"),
    (5, 1, "on: expected bool, found an integer"),
    (5, None, "on: expected bool, found null"),
    (5, cbor2.undefined, "on: expected bool, found a simple value"),
    (6, [-1], "names[0]: expected string, found a negative integer"),
    (6, None, "names: expected list<string>, found null"),
]


def test_what_does_not_fit_is_told_with_its_place(make: Make) -> None:
    guest = make(SHAPES, "f").guest
    assert call(guest, *GOOD) is None
    told = [call(guest, *GOOD[:place], bad, *GOOD[place + 1 :]) for place, bad, _ in REFUSED]
    assert told == [failed("argument", text) for _, _, text in REFUSED]


def test_bytes_that_are_no_arguments_are_told(make: Make) -> None:
    guest = make(SHAPES, "f").guest
    whole = cbor2.dumps(list(GOOD))
    long = cbor2.dumps([float(n) for n in range(100)])
    for data, text in (
        (b"", "the arguments are cut short after 0 bytes"),
        (b"\x80", "expected 7 arguments, found 0"),
        (b"\xa0", "expected an array of arguments, found a map"),
        (b"\x9f\xff", "found an item of no definite length"),
        (whole + b"\0\0", "2 bytes follow the arguments"),
        (whole[:-1], "names[0]: the arguments are cut short after 37 bytes"),
        (b"\x87\x9a\xff\xff\xff\xff" + long, f"xs: the arguments are cut short after {6 + len(long)} bytes"),
        (b"\x87\x80\x9a\0\0\1\0" + long, f"points: the arguments are cut short after {7 + len(long)} bytes"),
        (
            b"\x87\x80\x80\xa0\x40\xf6\xf4\x81\x62\xff\xff",
            "names[0]: expected string, found a text string that is not UTF-8",
        ),
    ):
        assert cbor2.loads(guest.call(data)) == failed("argument", text)


def test_nothing_is_an_empty_list_a_map_or_null_and_keys_are_sorted(make: Make) -> None:
    text = """package a

type R struct {
	List  []string
	Nums  []float64
	Data  []byte
	Map   map[string]int
	Maybe *[]int
}

func f() (R, map[string]int) { return R{}, map[string]int{"b": 1, "ab": 3, "": 4, "ü": 5, "z": 6} }
"""
    made = make(text, "f")
    record = {"List": [], "Nums": [], "Data": b"", "Map": {}, "Maybe": None}
    answer = decoder(made.signature.result)(made.guest.call(b"\x80"))
    assert answer == (record, {"": 4, "ab": 3, "b": 1, "z": 6, "ü": 5})


def test_a_string_that_is_no_text_is_told_and_the_next_call_is_well(make: Make) -> None:
    text = """package a

func f(n int) map[string]string {
	return map[string]string{"a": "ü"[:n], "ü"[n%2:]: ""}
}
"""
    guest = make(text, "f").guest
    told = failed("raised", "the result has a string that is not UTF-8; bytes are a []byte")
    assert [call(guest, n) for n in (0, 1, 2)] == [{"a": "", "ü": ""}, told, {"a": "ü", "ü": ""}]


# ---- ends of a call ------------------------------------------------------------------------------------------------


ENDS = """package main

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

var loaded = fmt.Sprint("ready")

func work(how string) (string, error) {
	switch how {
	case "error":
		return "unused", errors.New("no such thing: \\xffü")
	case "panic":
		panic("deliberately")
	case "recover":
		return caught(), nil
	case "exit":
		os.Exit(3)
	case "print":
		fmt.Println("printed")
		fmt.Fprintln(os.Stderr, "complained")
	case "routines":
		var all sync.WaitGroup
		sum := make(chan int, 3)
		for i := range 3 {
			all.Add(1)
			go func() { defer all.Done(); sum <- i }()
		}
		all.Wait()
		return fmt.Sprint(<-sum + <-sum + <-sum), nil
	}
	return loaded, nil
}

func caught() (told string) {
	defer func() { told = fmt.Sprint(recover()) }()
	var none []int
	return fmt.Sprint(none[len(loaded)])
}

func main() { panic("main was called") }
"""


def test_a_function_of_a_program_uses_all_of_go(make: Make, capfd: pytest.CaptureFixture[str]) -> None:
    made = make(ENDS, "work")
    assert made.signature.raises
    assert call(made.guest, "") == "ready"
    assert call(made.guest, "recover") == "runtime error: index out of range [5] with length 0"
    assert call(made.guest, "routines") == "3"
    assert call(made.guest, "print") == "ready"
    assert tuple(capfd.readouterr()) == ("printed\n", "complained\n")
    assert call(made.guest, "error") == failed("raised", "no such thing: �ü")
    assert call(made.guest, "") == "ready"


def test_a_panic_is_a_trap_with_its_message_on_stderr(make: Make, capfd: pytest.CaptureFixture[str]) -> None:
    made = make(ENDS, "work")
    with pytest.raises(wasmtime.Trap):
        call(Guest(made.wasm), "panic")
    said = capfd.readouterr().err
    assert "panic: deliberately" in said
    assert "./a.go:17" in said
    with pytest.raises(wasmtime.ExitTrap) as ended:
        call(Guest(made.wasm), "exit")
    assert ended.value.code == 3


# ---- modules -------------------------------------------------------------------------------------------------------

UUID = """github.com/google/uuid v1.6.0 h1:NIvaJDMOsjHA8n1jAhLSgzrAzy1Hgr+hNrb57e+94F0=
github.com/google/uuid v1.6.0/go.mod h1:TIyPZe4MgqvfeYDBFedMoGGpEw/LqOeaOT+nhxU+yHo=
"""
MODULE = {
    "app/go.mod": "module example.com/app\n\ngo 1.16\n\nrequire (\n\texample.com/shape v0.0.0\n"
    "\tgithub.com/google/uuid v1.6.0\n)\n\nreplace example.com/shape => ../shape\n",
    "app/go.sum": UUID,
    "app/root.go": "package app\n\nfunc Root() int { return 1 }\n",
    "app/pkg/internal/deep/deep.go": """package deep

import (
	_ "embed"

	"example.com/shape"
	"github.com/google/uuid"
)

//go:embed data.txt
var data string

var label string

func area(p Point) (int, string, string) {
	return shape.Area(p.X), data + label, uuid.NewSHA1(uuid.Nil, []byte("x")).String()
}
""",
    "app/pkg/internal/deep/point.go": "package deep\n\ntype Point struct{ X int }\n",
    "app/pkg/internal/deep/data.txt": "one",
    "shape/go.mod": "module example.com/shape\n\ngo 1.16\n",
    "shape/shape.go": "package shape\n\nfunc Area(n int) int { return n * n }\n",
}
AREA = "pkg/internal/deep.area"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_lower_case_function_deep_in_an_old_module_uses_its_dependencies(weird_tmp_path: Path, store: Store) -> None:
    """The module speaks Go 1.16; one dependency is a folder, the other comes through Go's proxy."""
    import uuid

    write(weird_tmp_path, MODULE)
    before = files(weird_tmp_path)
    how = Build(defines=(("label", "it's 2"),))
    made = Made(build(store, weird_tmp_path / "app", AREA, how))
    name = str(uuid.uuid5(uuid.UUID(int=0), "x"))
    assert call(made.guest, {"X": 3}) == [9, "oneit's 2", name]
    assert files(weird_tmp_path) == before, "the user's folder was touched"
    assert build(store, weird_tmp_path / "app", AREA, how).cached


@pytest.mark.long  # six builds; tests/toolchains/test_go.py has the short form
def test_a_module_is_built_again_when_what_its_function_uses_changes(tmp_path: Path, store: Store) -> None:
    project = write(tmp_path, MODULE) / "app"
    assert not build(store, project, AREA).cached
    for name, text, argument, expected in (
        ("app/pkg/internal/deep/data.txt", "two", {"X": 3}, [9, "two"]),
        ("shape/shape.go", "package shape\n\nfunc Area(n int) int { return n + n }\n", {"X": 3}, [6, "two"]),
        (
            "app/pkg/internal/deep/point.go",
            "package deep\n\ntype Point struct{ Y, X int }\n",
            {"X": 4, "Y": 1},
            [8, "two"],
        ),
        (
            "app/pkg/internal/deep/new.go",
            'package deep\n\nfunc init() { data = "new" }\n',
            {"X": 4, "Y": 1},
            [8, "new"],
        ),
    ):
        write(tmp_path, {name: text})
        made = build(store, project, AREA)
        assert not made.cached
        assert call(Guest(made.path.read_bytes()), argument)[:2] == expected
        assert build(store, project, AREA).cached


@pytest.mark.parametrize(
    ("files", "path", "function"),
    [(MODULE, "app", AREA), ({"a.go": WIDE}, "a.go", "identity")],
    ids=["module", "file"],
)
def test_the_same_source_gives_the_same_digest_in_another_folder(
    files: Mapping[str, str], path: str, function: str, tmp_path: Path
) -> None:
    digests = {
        build(Store(tmp_path / name / "store"), write(tmp_path / name / "p", files) / path, function).digest
        for name in ("here", "there")
    }
    assert len(digests) == 1


PROGRAM = {
    "go.mod": "module app\n",
    "main.go": 'package main\n\nimport "app/sub"\n\nvar label string\n\nfunc main() { println(label) }\n\n'
    "func double(n int) (int, string) { return sub.Twice(n), label }\n",
    "sub/sub.go": "package sub\n\nfunc Twice(n int) int { return 2 * n }\n",
}


def test_a_function_beside_main_in_a_modules_root(tmp_path: Path, store: Store) -> None:
    made = build(store, write(tmp_path, PROGRAM), "double", Build(defines=(("label", "x"),), optimize="0"))
    assert call(Guest(made.path.read_bytes()), 4) == [8, "x"]


def test_a_file_alone_finds_the_module_above_it(tmp_path: Path, store: Store) -> None:
    text = (
        'package alone\n\nimport "app/sub"\n\nvar label = ""\n\nfunc f() (int, string) { return sub.Twice(1), label }\n'
    )
    write(tmp_path, {**PROGRAM, "tools/alone.go": text, "tools/other.go": "package alone\n\nbroken\n"})
    made = build(store, tmp_path / "tools/alone.go", "alone.f", Build(defines=(("label", "x"),)))
    assert call(Guest(made.path.read_bytes())) == [2, "x"]


# ---- what goes wrong -----------------------------------------------------------------------------------------------


def broken() -> Iterator[tuple[Mapping[str, str], str, str, str]]:
    text = "package stats\n\nfunc F(n int) int {\n\treturn n + missing\n}\n"
    yield {"stats.go": text}, "stats.go", "F", "./stats.go:4:13: undefined: missing"
    yield {"stats.go": text.replace("stats", "main")}, "stats.go", "F", "./stats.go:4:13: undefined: missing"
    module = {"go.mod": "module m\n", "sub/stats.go": text}
    yield module, ".", "sub.F", "sub/stats.go:4:13: undefined: missing"


@pytest.mark.parametrize(("files", "path", "function", "told"), list(broken()), ids=["file", "program", "module"])
def test_a_compilers_error_names_the_users_own_line(
    files: Mapping[str, str], path: str, function: str, told: str, tmp_path: Path, store: Store
) -> None:
    with pytest.raises(SourceError) as caught:
        build(store, write(tmp_path, files) / path, function)
    assert str(caught.value).endswith(f"\n{told}")


def test_all_that_is_wrong_with_a_function_is_told_before_anything_is_compiled(tmp_path: Path, store: Store) -> None:
    source = write(tmp_path, {"a.go": "package a\n\nfunc F(a chan int, b any) { missing() }\n"}) / "a.go"
    with pytest.raises(SourceError) as caught:
        build(store, source, "F")
    assert str(caught.value) == (
        "job: a.go:3: F: parameter a is chan int, which can't be passed; write []int\n"
        "job: a.go:3: F: parameter b is any, which can't be passed; write one type, such as float64, or a struct"
    )


def test_a_go_that_can_export_nothing_is_told_with_what_would_do(tmp_path: Path) -> None:
    source = Source(language="go", paths=(write(tmp_path, {"a.go": WIDE}) / "a.go",), function="identity")
    glue = functions.make_glue(source, functions.read(source))
    old = Tool(name="go", version="1.23.4", argv=("go",), path=Path("/usr/bin/go"), stamp="")
    request = Request(source=source, tool=old, scratch=tmp_path, cache=tmp_path, glue=glue)
    with pytest.raises(go.Unclear, match=r"functions need Go 1\.24 or later, and /usr/bin/go is 1\.23\.4;"):
        go.recipe(request)
