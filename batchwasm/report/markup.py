"""HTML that can't be anything else than it was meant to be: foreign text goes in as text, data as data.

Two promises: `text` leaves nothing that a browser would take for markup, or that would reorder or hide what is around
it; `data` leaves nothing that would end the element it stands in.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from batchwasm.escape import visible, visible_text


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: object) -> Markup:
    """`value` as text of one line; Markup stays as it is."""
    return value if isinstance(value, Markup) else Markup(html.escape(visible(str(value))))


def lines(value: str) -> Markup:
    """`value` as text of several lines, for a <pre>."""
    return Markup(html.escape(visible_text(value)))


def tag(name: str, *inside: object, **attributes: object) -> Markup:
    """`<name class="...">inside</name>`; `class_` and `for_` are written so, `data_x` is data-x, True is a bare one."""
    given = "".join(_attribute(key, value) for key, value in attributes.items() if value is not None)
    return Markup(f"<{name}{given}>{''.join(map(text, inside))}</{name}>")


def _attribute(key: str, value: object) -> str:
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(visible(str(value)))}"'


def data(value: Any, name: str) -> Markup:
    """`value` as JSON in an element that runs nothing: `<`, which alone could end it, is written as an escape."""
    encoded = json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c").replace(">", "\\u003e")
    return Markup(f'<script type="application/json" id="{name}">{encoded}</script>')


def script(source: str) -> Markup:
    """A script of ours, which no `</script` or `<!--` may be in."""
    assert "</script" not in source.lower()
    assert "<!--" not in source
    return Markup(f"<script>{source}</script>")


def digest(source: str) -> str:
    """What a Content-Security-Policy calls that script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    right: bool = False
    """Numbers, so that their digits stand below each other."""
    words: bool = False
    """Sentences, which may take several lines."""

    @property
    def kind(self) -> str | None:
        return "n" if self.right else "words" if self.words else None


def table(columns: Sequence[Column], rows: Iterable[Sequence[object]], caption: str = "") -> Markup:
    """Cells are text, or Markup."""
    head = tag("tr", *(tag("th", column.title, scope="col", class_=column.kind) for column in columns))
    body = (
        tag("tr", *(tag("td", cell, class_=column.kind) for column, cell in zip(columns, row, strict=True)))
        for row in rows
    )
    said = tag("caption", caption) if caption else Markup("")
    return tag("div", tag("table", said, tag("thead", head), tag("tbody", *body)), class_="wide", tabindex="0")
