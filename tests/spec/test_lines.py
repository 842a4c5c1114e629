"""Every key of a TOML text has its line."""

from __future__ import annotations

import json

import tomli
from hypothesis import given
from hypothesis import strategies as st

from batchwasm.spec import lines
from batchwasm.spec.lines import KeyPath

TEXT = '''\
# a comment with [brackets] and "quotes
name = "tour" # "
[defaults]
memory = """
256MiB = "no key"
"""   # three lines
env = { A = "1", "b c" = 'x, }' }

[jobs.pi]
"source" = 'a\\'
sweep.digits = [
    100, # one, two]
    200, { x = 1 },
]
sweep.seed.range = [0, 50]
[[jobs.pi.include]]
digits = 1
[[jobs.pi.include]]
  digits = 2
[ hosts . "lab[02-40]" ]
cpus = 16
'''


def test_tables_keys_and_items_have_their_lines() -> None:
    found = lines.scan(TEXT)
    assert {path: found.exact(path) for path in WANTED} == WANTED


WANTED: dict[KeyPath, int] = {
    ("name",): 2,
    ("defaults",): 3,
    ("defaults", "memory"): 4,
    ("defaults", "env"): 7,
    ("defaults", "env", "b c"): 7,
    ("jobs", "pi"): 9,
    ("jobs", "pi", "source"): 10,
    ("jobs", "pi", "sweep", "digits"): 11,
    ("jobs", "pi", "sweep", "digits", 0): 12,
    ("jobs", "pi", "sweep", "digits", 1): 13,
    ("jobs", "pi", "sweep", "digits", 2, "x"): 13,
    ("jobs", "pi", "sweep", "seed", "range", 1): 15,
    ("jobs", "pi", "include", 0, "digits"): 17,
    ("jobs", "pi", "include", 1): 18,
    ("jobs", "pi", "include", 1, "digits"): 19,
    ("hosts", "lab[02-40]"): 20,
    ("hosts", "lab[02-40]", "cpus"): 21,
}


def test_what_is_not_there_has_the_line_of_what_it_would_be_in() -> None:
    found = lines.scan(TEXT)
    assert found.nearest(("jobs", "pi", "source", "x", 3)) == 10
    assert found.nearest(("jobs", "none")) == 9
    assert found.nearest(("nothing",)) is None
    assert found.exact(("jobs", "none")) is None


def test_text_that_is_no_toml_gives_the_lines_before_it() -> None:
    assert lines.scan("a = 1\nb = 2\n[[[\nc = 3").by_path == {("a",): 1, ("b",): 2}


KEYS = st.text("ab.c \"'[]#={}é", min_size=1, max_size=4)
SCALARS = st.one_of(st.integers(-5, 5), st.booleans(), st.floats(0, 1), st.text("ab\"'\\\n#,[]{}=é", max_size=6))
VALUES = st.recursive(SCALARS, lambda v: st.one_of(st.lists(v, max_size=3), st.dictionaries(KEYS, v, max_size=3)))


@given(st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=3), max_size=3))
def test_every_key_that_tomli_sees_has_the_line_it_was_written_on(tables: dict[str, dict[str, object]]) -> None:
    text = ""
    wanted: dict[KeyPath, int] = {}
    for title, table in tables.items():
        text += f"# [{title!a}]\n"
        wanted[(title,)] = text.count("\n") + 1
        text += f"[{json.dumps(title)}]\n"
        for key, value in table.items():
            wanted[(title, key)] = text.count("\n") + 1
            text += f"{json.dumps(key)} = {written(value)} # = [\n"
    assert tomli.loads(text) == tables
    found = lines.scan(text)
    assert {path: found.exact(path) for path in wanted} == wanted


def written(value: object) -> str:
    """TOML of a value; lists over several lines."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {written(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[\n" + "".join(f"  {written(v)}, # ]\n" for v in value) + "]"
    if isinstance(value, str) and "'" not in value and "\n" not in value and "\\" in value:
        return f"'{value}'"
    if isinstance(value, str) and '"""' not in value and "\\" not in value and not value.startswith("\n"):
        return '"""' + value.replace('"', '\\"') + '"""' if len(value) % 2 else json.dumps(value)
    return json.dumps(value)
