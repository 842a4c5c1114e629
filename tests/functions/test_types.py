"""The types' text, and the signature that a module keeps, there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwasm.functions import Param, Signature, from_json, into_module, of_module, to_json
from batchwasm.functions.types import Type, parse, records
from tests.functions.kinds import PLACE, POINT, kinds

EMPTY_MODULE = b"\0asm\1\0\0\0"


@given(kinds)
def test_a_type_is_read_again_from_its_text(kind: Type) -> None:
    assert parse(str(kind), {"geo::Point": POINT, "Place": PLACE}) == kind


@pytest.mark.parametrize(
    "text",
    ["", "int", "list", "list<>", "list<f64", "list<f64>>", "f64, f64", "option<option<bool>>", "map<a, b>", "<"],
)
def test_what_is_no_type_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text, {})


def test_records_that_others_need_come_first() -> None:
    assert list(records((PLACE,))) == ["geo::Point", "Place"]


@given(st.lists(kinds, max_size=4), st.none() | kinds, st.booleans(), st.text())
def test_a_module_keeps_its_signature(params: list[Type], result: Type | None, raises: bool, doc: str) -> None:
    signature = Signature(
        language="rust",
        name="f",
        params=tuple(Param(name=f"p{n}", type=kind) for n, kind in enumerate(params)),
        result=result,
        raises=raises,
        doc=doc,
    )
    assert from_json(to_json(signature)) == signature
    assert of_module(into_module(EMPTY_MODULE, signature)) == signature


def test_a_module_without_a_signature_has_none() -> None:
    assert of_module(EMPTY_MODULE) is None


DEEP = '{"abi": 1, "records": {}, "result": "' + "option<" * 100_000 + '"}'


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"abi": 2}', '{"abi": 1}', DEEP])
def test_what_is_no_signature_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        from_json(text)
