"""Hostlists become names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwasm.spec import hostlist

WORDS = st.text("abcxyz", min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("lab01", ["lab01"]),
        ("a, b ,c", ["a", "b", "c"]),
        ("lab[01-03,15]", ["lab01", "lab02", "lab03", "lab15"]),
        ("lab[8-11]", ["lab8", "lab9", "lab10", "lab11"]),
        ("lab[099-101]", ["lab099", "lab100", "lab101"]),
        ("r[1-2]n[1-2].cs", ["r1n1.cs", "r1n2.cs", "r2n1.cs", "r2n2.cs"]),
        ("a[1],b,a[1-2]", ["a1", "b", "a2"]),
        ("10.0.0.[1-2]", ["10.0.0.1", "10.0.0.2"]),
    ],
)
def test_a_hostlist_names_hosts_in_order_each_once(text: str, names: list[str]) -> None:
    assert hostlist.expand(text) == names


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty name"),
        ("a,,b", "empty name"),
        ("a,", "empty name"),
        ("lab[1-3", "never closed"),
        ("lab1-3]", "bracket too many"),
        ("lab[[1]]", "bracket too many"),
        ("lab[]", "not a list of numbers"),
        ("lab[a-c]", "not a list of numbers"),
        ("lab[3-1]", "goes down; write '1-3'"),
        ("lab[1-999999999999]", "more than 10,000 hosts"),
        ("a[1-200]b[1-200]", "more than 10,000 hosts"),
        ("-oProxyCommand=x", "not a host name"),
        ("a b", "not a host name"),
        ("../x", "not a host name"),
        ("a/b", "not a host name"),
        ("läb", "not a host name"),
        ("a" * 201, "at most 200 characters"),
    ],
)
def test_what_is_no_hostlist_is_told_why(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("[", r"\[")):
        hostlist.expand(text)


@given(WORDS, st.integers(0, 500), st.integers(0, 60), st.integers(1, 5), WORDS)
def test_a_range_is_every_number_in_it_at_the_width_of_its_first(
    before: str, first: int, more: int, width: int, after: str
) -> None:
    written = f"{before}[{first:0{width}d}-{first + more}]{after}"
    assert hostlist.expand(written) == [f"{before}{n:0{width}d}{after}" for n in range(first, first + more + 1)]


@given(st.lists(WORDS, min_size=1), st.lists(WORDS, min_size=1))
def test_lists_joined_are_their_names_joined(one: list[str], other: list[str]) -> None:
    joined = hostlist.expand(",".join(one + other))
    assert joined == list(dict.fromkeys(hostlist.expand(",".join(one)) + hostlist.expand(",".join(other))))


@given(st.text("ab0123456789[]-,. ", max_size=20))
def test_any_text_is_names_or_a_value_error(text: str) -> None:
    try:
        names = hostlist.expand(text)
    except ValueError:
        return
    assert names
    assert all(hostlist.check_name(name) is None for name in names)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["lab02", "lab01", "lab03", "lab15", "gpu1"], "lab[01-03,15],gpu1"),
        (["lab8", "lab9", "lab10"], "lab[8-10]"),
        (["a", "b"], "a,b"),
        (["r1n1.cs", "r1n2.cs", "r2n1.cs"], "r1n[1-2].cs,r2n1.cs"),
        ([], ""),
    ],
)
def test_names_fold_into_a_hostlist(names: list[str], text: str) -> None:
    assert hostlist.fold(names) == text


@given(st.lists(st.from_regex(r"[a-z]{1,2}[0-9]{0,3}[a-z.]?", fullmatch=True), min_size=1, max_size=20))
def test_a_folded_hostlist_names_the_same_hosts(names: list[str]) -> None:
    assert set(hostlist.expand(hostlist.fold(names))) == set(names)
