"""Which types may follow on which, against what the encoder takes."""

from __future__ import annotations

from itertools import product

from batchwasm.functions import Param
from batchwasm.functions.fits import may_fit
from batchwasm.functions.json_values import sample
from batchwasm.functions.types import Bool, Bytes, Float, Int, List, Map, Option, Record, String, Tuple, Type
from batchwasm.functions.values import BadArgument, encoder

F64, U8, S32 = Float(64), Int(8, False), Int(32, True)
POINT, PLACE = Record("Point", (("x", F64), ("y", F64))), Record("Place", (("x", S32), ("y", F64)))
TYPES: list[Type] = [
    *(Bool(), F64, Float(32), U8, S32, String(), Bytes(), List(F64), List(S32), List(String()), List(Bytes())),
    *(
        Option(F64),
        Option(String()),
        Tuple((F64, F64)),
        Tuple((U8, U8)),
        Tuple((String(), U8)),
        Map(F64),
        Map(String()),
    ),
    *(POINT, PLACE, Record("Named", (("x", String()), ("y", F64))), Record("Far", (("x", F64), ("z", F64)))),
    *(List(POINT), List(Map(F64)), List(List(F64)), List(List(S32)), List(Option(F64)), Option(POINT)),
]
GIVEN = [*TYPES, List(U8)]  # of u8, what many tasks give is a list, and what one function gives is bytes


def is_taken(given: Type, taken: Type) -> bool:
    """Whether the encoder takes a value of `given`, such as there is."""
    try:
        encoder([Param(name="a", type=taken)])([sample(given)])
    except BadArgument:
        return False
    return True


def test_what_the_encoder_takes_may_fit() -> None:
    assert [(str(g), str(t)) for g, t in product(GIVEN, TYPES) if is_taken(g, t) and not may_fit(g, t)] == []


def test_what_may_fit_is_taken_unless_it_is_a_matter_of_the_value() -> None:
    """The samples have numbers that fit all types; only a list's length and a map's keys are not in its type."""
    pairs = [(g, t) for g, t in product(GIVEN, TYPES) if may_fit(g, t) and not is_taken(g, t)]
    assert {(type(g), type(t)) for g, t in pairs} <= {(Map, Record), (List, List), (Map, Option)}
    assert (F64, S32) not in pairs
    assert not may_fit(F64, S32)
