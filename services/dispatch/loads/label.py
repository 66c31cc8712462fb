"""What is stuck on a load unit: its QR code, and beside it the lines that people read. Pure.

Every label is drawn for one size; what it has to say is wrapped and shrunk until all of it is there.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, groupby
from typing import Final, NamedTuple
from unicodedata import east_asian_width
from uuid import UUID
from xml.sax.saxutils import escape

import segno

from services.contracts.orders import Form

MEDIA_TYPE: Final = "image/svg+xml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """Label stock on A4: how large a label is, how many are on a sheet, how far apart; in millimetres."""

    width: float
    height: float
    columns: int
    rows: int
    gap: float

    @property
    def per_sheet(self) -> int:
        """Return how many labels a sheet has."""
        return self.columns * self.rows


# As Avery L7165 and its many equals: eight on a sheet, which go on a bag as on a crate.
STOCK: Final = Stock(width=99.1, height=67.7, columns=2, rows=4, gap=2.5)
# The code is at the left, with its quiet zone of four modules (ISO/IEC 18004): a module is 1.2 mm. The lines
# are beside it; a printer may be some millimetres off.
CODE: Final = 44.4
QUIET: Final = 4
EDGE: Final = 4.0
WIDTH: Final = STOCK.width - CODE - EDGE
HEIGHT: Final = STOCK.height - 2 * EDGE
# The first line is as high as the first of these that lets everything be there; the others are lower.
SIZES: Final = tuple(tenths / 10 for tenths in range(70, 22, -2))
SMALLER: Final = 0.7
LEADING: Final = 1.3
# As long as these names are let in where they are registered: at the smallest size all of them is there, and
# only what a crate holds can be too much.
LONGEST_AREA: Final = 100
LONGEST_OUTLET: Final = 200
LONGEST_CONTENTS: Final = 400
# Chinese is broken anywhere, but for what opens, closes and counts; an English word only if it must be.
PIECES: Final = re.compile(r"[!-~]+ ?|[（「『《]*.[）」』》，、。]*(?: × [0-9]+,? ?)?")
# Finding the best of eight masks is four fifths of the work, and a reader takes any.
MASK: Final = 0


class Row(NamedTuple):
    """A row of a label; the first line's are its headline."""

    text: str
    size: float
    is_headline: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption:
    """What is known of a load unit for whoever handles it: it is `number` of `pieces`.

    A household's bag of a bulk load is counted within its portion; what a crate of one holds is said.
    """

    load_unit_id: UUID
    form: Form
    community: str
    building: str
    outlet: str
    number: int
    pieces: int
    grams: int
    portion_id: UUID | None
    contents: Sequence[tuple[str, int]]

    @property
    def lines(self) -> list[str]:
        """Return what is read: where to, from whom, which of how many and how heavy, then what or whose."""
        places = (_name(name, LONGEST_AREA) for name in (self.community, self.building) if name)
        lines = [
            " ".join(places),
            _name(self.outlet, LONGEST_OUTLET),
            f"{self.number}/{self.pieces} · {self.grams / 1000:.2f} kg",
        ]
        if self.form is Form.BULK:
            lines.append(f"#{code_of(self.portion_id)}" if self.portion_id else self._held())
        return [line for line in lines if line]

    def _held(self) -> str:
        held = ", ".join(f"{name} × {quantity}" for name, quantity in self.contents)
        return _name(held, LONGEST_CONTENTS)


def code_of(portion_id: UUID) -> str:
    """Return by which letters a portion is known on its bags: the last six of its id, which are random."""
    return portion_id.hex[-6:].upper()


def encode(text: str) -> tuple[bytearray, ...]:
    """Return the modules of a text's code, which bears that a seventh of it is scratched or wet (level M)."""
    return segno.make(text, error="m", micro=False, mask=MASK).matrix


def draw(text: str, lines: Sequence[str]) -> str:
    """Return a label as an SVG document, sized for the stock: the code of the text, beside it the lines."""
    matrix = encode(text)
    across = len(matrix) + 2 * QUIET
    top = (STOCK.height - CODE) / 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{STOCK.width}mm" height="{STOCK.height}mm" '
        f'viewBox="0 0 {STOCK.width} {STOCK.height}"><rect width="100%" height="100%" fill="#fff"/>'
        f'<svg y="{top:.2f}" width="{CODE}" height="{CODE}" viewBox="0 0 {across} {across}">'
        f'<path d="{_trace(matrix)}" stroke="#000" shape-rendering="crispEdges"/></svg>'
        f'<g font-family="Noto Sans CJK SC, sans-serif">{"".join(_write(fit(lines)))}</g></svg>'
    )


def fit(lines: Sequence[str]) -> list[Row]:
    """Return rows as large as lets all of the lines be there; at the smallest, what is over is cut."""
    fitting = bisect_left(SIZES, x=True, key=lambda size: _height_of(_set(lines, size)) <= HEIGHT)
    rows = _set(lines, SIZES[min(fitting, len(SIZES) - 1)])
    if _height_of(rows) <= HEIGHT:
        return rows
    heights = list(accumulate(row.size * LEADING for row in rows))
    *kept, last = rows[: bisect_right(heights, HEIGHT)]
    return [*kept, last._replace(text=f"{last.text[:-1]}…")]


def _trace(matrix: Sequence[Sequence[int]]) -> str:
    """Return the dark modules as strokes, one for each run of them in a row."""
    strokes = []
    for y, row in enumerate(matrix, start=QUIET):
        x = QUIET
        for is_dark, run in groupby(row):
            length = len(list(run))
            if is_dark:
                strokes.append(f"M{x} {y}.5h{length}")
            x += length
    return "".join(strokes)


def _write(rows: Sequence[Row]) -> Iterator[str]:
    y = (STOCK.height - _height_of(rows)) / 2
    for text, size, is_headline in rows:
        weight = ' font-weight="700"' if is_headline else ""
        yield f'<text x="{CODE}" y="{y + size:.2f}" font-size="{size:.2f}"{weight}>{escape(text)}</text>'
        y += size * LEADING


def _set(lines: Sequence[str], size: float) -> list[Row]:
    heads, others = lines[:1], lines[1:]
    smaller = size * SMALLER
    return [
        *(Row(row, size, is_headline=True) for line in heads for row in _wrap(line, WIDTH / size)),
        *(Row(row, smaller, is_headline=False) for line in others for row in _wrap(line, WIDTH / smaller)),
    ]


def _height_of(rows: Sequence[Row]) -> float:
    return sum(row.size for row in rows) * LEADING


def _wrap(line: str, room: float) -> list[str]:
    """Break a line into rows at most `room` ems wide."""
    rows, left = [""], room
    for piece in PIECES.findall(line):
        wide = [_ems(letter) for letter in piece]
        if sum(wide) > left:
            rows.append("")
            left = room
        for letter, ems in zip(piece, wide, strict=True):
            if ems > left:
                rows.append("")
                left = room
            rows[-1] += letter
            left -= ems
    return [row.strip() for row in rows if row.strip()]


@lru_cache(10_000)
def _ems(letter: str) -> float:
    """Return how wide a letter is at most, in its own height: a Chinese one is square."""
    if letter in "MW@%mw" or east_asian_width(letter) in "WFA":
        return 1
    return 0.75 if letter.isupper() else 0.6


def _name(text: str, longest: int) -> str:
    # Of a name only what can be printed: a drawing may not have a control character.
    shown = "".join(letter if letter.isprintable() else " " for letter in text[: longest + 1])
    return " ".join(shown.split()) if len(text) <= longest else f"{' '.join(shown[:-1].split())}…"
