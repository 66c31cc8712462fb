"""What is stuck on a load unit: its QR code, and the lines that people read. Pure."""

from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

import segno

MEDIA_TYPE: Final = "image/svg+xml"

# A module is so many units of the drawing; the quiet zone round the code is four modules (ISO/IEC 18004).
MODULE: Final = 4
QUIET: Final = 4
LINE: Final = 22
MARGIN: Final = 16
# From here on (CJK radicals) a character is as wide as it is high.
WIDE_FROM: Final = "\u2e80"


def draw(text: str, lines: Sequence[str]) -> str:
    """Return a label as an SVG document: the code of the text above the lines.

    The code bears that a seventh of it is scratched or wet (level M).
    """
    code = segno.make(text, error="m", micro=False)
    width, _ = code.symbol_size(scale=MODULE, border=QUIET)
    wide = max([width, *(_width_of(line) + 2 * MARGIN for line in lines)])
    high = width + LINE * len(lines) + MARGIN
    drawn = code.svg_inline(scale=MODULE, border=QUIET, omitsize=False)
    words = "".join(
        f'<text x="{MARGIN}" y="{width + LINE * number}">{escape(line)}</text>'
        for number, line in enumerate(lines, start=1)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}">'
        f'<rect width="{wide}" height="{high}" fill="#fff"/>{drawn}'
        f'<g font-family="Noto Sans CJK SC, sans-serif" font-size="16">{words}</g></svg>'
    )


def _width_of(line: str) -> int:
    return sum(16 if letter >= WIDE_FROM else 10 for letter in line)
