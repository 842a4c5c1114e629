"""Placeholders in texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwasm.spec import template

NAMES = frozenset({"n", "seed", "job", "index"})
PARAMS: dict[str, str | int | float | bool] = {"n": 7, "seed": "x{n}", "job": "pi", "index": 3}


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("", ""),
        ("plain", "plain"),
        ("{n}", "7"),
        ("--n={n},{seed}", "--n=7,x{n}"),
        ("{job}/{index}", "pi/3"),
        ("{unknown} {} { n } {N}", "{unknown} {} { n } {N}"),
        ("{{n}}", "{n}"),
        ("{{{n}}}", "{7}"),
        ("{{{{n}}}}", "{{n}}"),
        ("{{unknown}}", "{{unknown}}"),
        ('{"a": {"b": {n}}}', '{"a": {"b": 7}}'),
        ("{n}}", "7}"),
        ("{{n}", "{7"),
        ("{{n}}{n}", "{n}7"),
        ("{n", "{n"),
        ("n}", "n}"),
        ("{ñ}", "{ñ}"),
        ("a\n{n}\n", "a\n7\n"),
    ],
)
def test_a_text_is_rendered(text: str, rendered: str) -> None:
    assert template.parse(text, NAMES).render(PARAMS) == rendered


def test_an_argument_that_is_exactly_a_name_is_known_as_that() -> None:
    assert template.parse("{n}", NAMES).only_name == "n"
    assert [template.parse(t, NAMES).only_name for t in ("{n} ", "{{n}}", "n", "{x}", "{n}{n}")] == [None] * 5


def test_a_template_knows_its_names() -> None:
    assert template.parse("{n}{seed}{{job}}{x}", NAMES).names == {"n", "seed"}
    assert template.constant("{n}").names == frozenset()


@given(st.text())
def test_without_known_names_every_text_is_itself(text: str) -> None:
    assert template.parse(text, frozenset()).render({}) == text


@given(st.text("{}nx "))
def test_braces_that_hold_no_known_name_are_literal(text: str) -> None:
    assert template.parse(text, frozenset({"other"})).render({"other": "!"}) == text


@given(st.integers(1, 9), st.text("ax{}", max_size=5))
def test_braces_around_a_name_count_in_pairs_as_in_a_format_string(braces: int, value: str) -> None:
    written = "{" * braces + "n" + "}" * braces
    assert template.parse(written, {"n"}).render({"n": value}) == written.format(n=value)


@given(st.lists(st.one_of(st.tuples(st.just("text"), st.text("ab{ }", max_size=4)), st.tuples(st.just("name")))))
def test_values_are_never_read_as_templates(parts: list[tuple[str, ...]]) -> None:
    written = "|".join("{n}" if part[0] == "name" else part[1] for part in parts)
    wanted = "|".join("{n}{{n}}" if part[0] == "name" else part[1] for part in parts)
    assert template.parse(written, {"n"}).render({"n": "{n}{{n}}"}) == wanted


@pytest.mark.parametrize(
    ("name", "says"),
    [("job", "the job's name"), ("index", "the task's number"), ("1a", "can't be written as {name}"), ("", "can't be")],
)
def test_a_parameter_has_a_name_that_can_be_written(name: str, says: str) -> None:
    assert says in (template.wrong_parameter(name) or "")


def test_a_good_parameter_name_has_nothing_wrong() -> None:
    assert template.wrong_parameter("learning_rate2") is None
