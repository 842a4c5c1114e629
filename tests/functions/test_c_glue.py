"""C functions compiled with the real compiler and called: values there and back, errors, and what is in the way."""

from __future__ import annotations

import struct
from pathlib import Path

import cbor2
import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from batchwasm.errors import SourceError
from batchwasm.functions import of_module
from batchwasm.functions.types import Bool, Float, Int, Type
from batchwasm.model import Build
from tests.functions.compiled import call, compiled, compiled_once, fit, plain
from tests.functions.host import Guest
from tests.functions.kinds import TAGS, sent, values_of

MEAN = """
#define _GNU_SOURCE
#include <stddef.h>
#include <stdio.h>
#include <string.h>
/* The mean. */
inline double mean(const double *xs, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += xs[i];
    printf("%zu %s", n, (char *)memmem("abc", 3, "bc", 2));
    return n == 0 ? 0 : sum / (double)n;
}
int main(void) { return 3; }
"""

ALL = """
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
static char text[4096];
static size_t at;
#define SAY(...) at += (size_t)snprintf(text + at, sizeof text - at, __VA_ARGS__)
#define EACH(format, xs, n) for (size_t i = 0; i < n; i++) SAY(format " ", xs[i])
const char *all(bool b, char c, unsigned char uc, short s, unsigned short us, int i, unsigned u, long l,
    unsigned long ul, int64_t ll, uint64_t ull, float f, double d, const char *t,
    const uint8_t *bytes, size_t nbytes, const int8_t s8[], size_t n8, const uint16_t *u16, size_t n16,
    const int *s32, size_t n32, const uint64_t *u64, size_t n64, const float *f32, size_t nf, const bool *bs, size_t nb,
    const double *f64, size_t nd) {
    at = 0;
    SAY("%d %d %u %d %u %d %u %ld %lu %" PRId64 " %" PRIu64 " %a %a %s ", b, c, uc, s, us, i, u, l, ul, ll, ull,
        (double)f, d, t);
    EACH("%u", bytes, nbytes); EACH("%d", s8, n8); EACH("%u", u16, n16); EACH("%d", s32, n32);
    EACH("%" PRIu64, u64, n64); EACH("%a", (double)f32, nf); EACH("%d", bs, nb); EACH("%a", f64, nd);
    return text;
}
""".replace("(double)f32, nf", "f32, nf")


@pytest.fixture(scope="module")
def everything() -> Guest:
    return Guest(compiled_once("c", "all", ALL))


@pytest.fixture(scope="module")
def kinds() -> list[Type]:
    signature = of_module(compiled_once("c", "all", ALL))
    assert signature is not None
    return [param.type for param in signature.params]


def said(kind: Type, value: object) -> list[str]:
    """As printf has it."""
    match kind, value:
        case _, bytes() | list():
            items = kind.item if hasattr(kind, "item") else Int(8, False)
            return [each for item in value for each in said(items, item)]
        case Bool(), _:
            return [str(int(bool(value)))]
        case Float(), float():
            return [value.hex()]
        case _:
            return [str(value)]


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_values_of_all_types_arrive_as_they_were_sent(
    everything: Guest, kinds: list[Type], data: st.DataObject
) -> None:
    given_ = [data.draw(values_of(kind)) for kind in kinds]
    given_[13] = "täxt"
    expected = [number(each) for kind, value in zip(kinds, given_, strict=True) for each in said(kind, value)]
    for arguments in (b"\x96" + b"".join(map(sent, kinds, given_)), cbor2.dumps(given_)):
        assert [number(word) for word in cbor2.loads(everything.call(arguments)).split()] == expected


def number(word: str) -> object:
    """A hexadecimal float can be written in several ways."""
    return float.fromhex(word) if "0x" in word else word.replace("-nan", "nan")


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damaged_arguments_are_refused_or_mean_what_they_say(
    everything: Guest, kinds: list[Type], data: st.DataObject
) -> None:
    given_ = [data.draw(values_of(kind)) for kind in kinds]
    whole = bytearray(b"\x96" + b"".join(map(sent, kinds, given_)))
    at = st.integers(0, len(whole) - 1)
    for start, old, new in data.draw(st.lists(st.tuples(at, st.integers(0, 3), st.binary(max_size=3)), max_size=4)):
        whole[start : start + old] = new
    answer = cbor2.loads(everything.call(bytes(whole)))
    if isinstance(answer, cbor2.CBORTag):
        assert (answer.tag, answer.value[0]) == (25207, "argument")
    else:
        for kind, value in zip(kinds, cbor2.loads(bytes(whole)), strict=True):
            fit(kind, value)


@pytest.fixture
def mean() -> Guest:
    return Guest(compiled_once("c", "mean", MEAN))


@pytest.mark.parametrize("numbers", [[1.0, 2.5], [1, 4], cbor2.CBORTag(TAGS["f64"], struct.pack("<2d", 1.5, 2))])
def test_a_list_is_a_pointer_and_its_length(mean: Guest, numbers: object, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(mean, numbers) == (2.5 if numbers == [1, 4] else 1.75)
    assert capfd.readouterr().out == "2 bc"
    assert call(mean, []) == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["x"], "xs: expected list<f64>, found a text string"),
        ([[1, "x"]], "xs[1]: expected f64, found a text string"),
        ([], "expected 1 argument, found an array of 0"),
        ([[], 2], "expected 1 argument, found an array of 2"),
    ],
)
def test_an_argument_that_does_not_fit_is_named(mean: Guest, arguments: list[object], text: str) -> None:
    assert call(mean, *arguments) == ("error", "argument", text)


def test_a_signature_is_kept_in_the_module() -> None:
    signature = of_module(compiled_once("c", "mean", MEAN))
    assert signature is not None
    assert (str(signature), signature.doc, signature.raises) == ("mean(xs: list<f64>) -> f64", "The mean.", False)


TEXTS = """
#include <stdlib.h>
#include <stddef.h>
#define in out
#define size 3
#define bool int
static void *volatile block;
static const char *f(int how) {
    switch (how) {
    case 0: return NULL;
    case 1: return "caf\\xe9";
    case 2: abort();
    case 3: while ((block = malloc(1 << 20)) != NULL) {} return "full";
    default: return "fine";
    }
}
"""


@pytest.mark.parametrize(
    ("how", "answer"),
    [
        (0, ("error", "raised", "the result has a null pointer where a text is expected")),
        (1, ("error", "raised", "the result has a text that is not UTF-8; bytes are a list of uint8_t")),
        (9, "fine"),
    ],
)
def test_texts_that_are_none_are_told(how: int, answer: object) -> None:
    assert call(Guest(compiled_once("c", "f", TEXTS)), how) == answer


def test_abort_is_a_trap_and_a_full_memory_is_no_damage() -> None:
    guest = Guest(compiled_once("c", "f", TEXTS))
    with pytest.raises(wasmtime.Trap):
        call(guest, 2)
    guest = Guest(compiled_once("c", "f", TEXTS))
    guest.store.set_limits(memory_size=16 * 1024**2)
    assert call(guest, 3) == "full"
    assert guest.exports["bw_alloc"](guest.store, 2**23) == 0


def test_several_files_headers_and_flags_make_one_module(weird_tmp_path: Path) -> None:
    files = {
        "src/f.c": '#include "n.h"\n#include "twice.h"\nvoid nothing(int x);\n'
        "void nothing(int x) { (void)x; }\nint f(int x);\nint f(int x) { return twice(x) * N * M; }\n",
        "src/n.h": "#define N 3\n",
        "inc/twice.h": "int twice(int x);\n",
        "lib/b.c": '#include "twice.h"\nint twice(int x) { return 2 * x; }\n',
    }
    build = Build(
        include=(weird_tmp_path / "inc",), defines=(("M", "5"),), flags=("-std=c99", "-Weverything", "-Werror")
    )
    made = compiled("c", "f", files, build, folder=weird_tmp_path)
    assert call(Guest(made), 7) == 210
    assert call(Guest(compiled("c", "nothing", files, build, folder=weird_tmp_path)), 7) is None


def test_a_function_of_a_c_file_among_c_plus_plus_ones_is_c() -> None:
    files = {
        "a.cpp": 'extern "C" int twice(int x);\nnamespace { int own(int x) { return twice(x); } }',
        "b.c": "int twice(int class) { return 2 * class; }\n",
    }
    assert call(Guest(compiled("cpp", "twice", files)), 21) == 42


def test_errors_are_told_in_the_users_own_lines(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"a\.c:2:22: error: .*missing"):
        compiled("c", "f", {"a.c": "\nint f(void) { return missing; }"}, folder=tmp_path)


def test_any_answer_of_a_number_is_as_short_as_can_be() -> None:
    guest = Guest(compiled_once("c", "f", "long long f(long long x) { return x; }"))
    for number in (0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1):
        for signed in (number, -number - 1):
            assert guest.call(cbor2.dumps([signed])) == cbor2.dumps(signed)
    assert plain(cbor2.loads(guest.call(cbor2.dumps([2**63])))) == (
        *("error", "argument", "x: expected s64, found the integer 9223372036854775808"),
    )


def test_an_assert_that_fails_traps(capfd: pytest.CaptureFixture[str]) -> None:
    text = "#include <assert.h>\nint half(int n) { assert(n % 2 == 0); return n / 2; }\n"
    guest = Guest(compiled_once("c", "half", text))
    assert call(guest, 8) == 4
    with pytest.raises(wasmtime.Trap):
        call(guest, 7)
    assert "Assertion failed: n % 2 == 0 (a.c: half: 2)" in capfd.readouterr().err
