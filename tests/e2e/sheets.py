"""Sheets as callers may send them: what the documents show, with cells, columns and whole lines otherwise."""

import csv
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from io import StringIO
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from services.catalog.outlets.items import LEDGER
from services.catalog.stock.offers.routes import GOODS
from services.kit.http.sheets import Form
from services.whitelist.people.routes import STAFF_LIST

FORMS: Mapping[str, Form[Any]] = {"outlets.csv": LEDGER, "offers.csv": GOODS, "people.csv": STAFF_LIST}
CELLS = st.one_of(
    st.sampled_from(["", " ", "0", "-1", "1e3", "NaN", "2026-12-31", "2026/1/2", '"', "=1", "a\nb", ";,\t"]),
    st.integers().map(str),
    st.floats().map(str),
    st.text(max_size=30),
    st.text(min_size=90, max_size=220),
)  # fmt: skip
ENDS: Sequence[Callable[[bytes], bytes]] = (
    *[bytes] * 6,
    lambda body: b"\xef\xbb\xbf" + body,
    lambda body: body[: len(body) // 2],
    lambda body: body + b'"',
    lambda body: body + b"\x00",
    lambda body: body + b"\xed\xa0\x80",
)
Known = Mapping[str, Sequence[str]]


def instead_of_text(known: Known, context: Any, strategy: SearchStrategy[Any]) -> SearchStrategy[Any]:
    """Return what to send to an operation that reads a sheet; any other keeps its strategy."""
    form = FORMS.get(context.operation.path.rpartition("/")[2])
    return strategy if form is None else sheets(form, known)


@st.composite
def sheets(draw: st.DrawFn, form: Form[Any], known: Known) -> bytes:
    header, shown = csv.reader(StringIO(form.example))
    names = st.sampled_from([column.name for column in form.all_columns])
    columns = [*header, *draw(st.lists(names, max_size=3))]
    if draw(st.integers(0, 9)) == 0:
        columns[draw(st.integers(0, len(columns) - 1))] = draw(st.text(max_size=10))
    cell = partial(_draw_cell, draw, dict(zip(header, shown, strict=True)), known)
    lines = [[cell(name) for name in dict.fromkeys(columns)] for _ in range(draw(st.integers(0, 5)))]
    written = StringIO(newline="")
    kind = csv.writer(written, delimiter=draw(st.sampled_from(",;\t")))
    kind.writerow(columns if draw(st.integers(0, 9)) == 0 else dict.fromkeys(columns))
    kind.writerows(lines)
    return draw(st.sampled_from(ENDS))(written.getvalue().encode())


def _draw_cell(draw: st.DrawFn, shown: Mapping[str, str], known: Known, name: str) -> str:
    ids = known.get("area_id" if "area_id" in name else name, ())
    match draw(st.integers(0, 9)):
        case 0:
            return draw(CELLS)
        case 1 | 2 | 3 | 4 if ids:
            return draw(st.sampled_from(ids))
    return shown.get(name, "")
