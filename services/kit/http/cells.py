"""The cells of a file as a spreadsheet saves it (RFC 4180): read strictly, told by their lines."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from itertools import islice
from typing import Final

from services.kit.errors import Fault, Rejected, Unreadable

DELIMITERS: Final = ",;\t"
# Blank lines and those within cells included: a megabyte of them would take half a second.
MOST_LINES: Final = 20_000


def rows_of(body: bytes) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not blank, each with the line of the file on which it begins.

    The first of them says by what all are set apart. Raise `Unreadable` for what is no such file,
    `Rejected` for one of too many lines, blank as they may be.
    """
    lines = StringIO(_decode(body), newline="")
    header = next((line for line in islice(lines, MOST_LINES) if line.strip(f'{DELIMITERS} "\r\n')), "")
    lines.seek(0)
    reader = csv.reader(lines, delimiter=max(DELIMITERS, key=header.count), strict=True)
    while True:
        at = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise Unreadable(
                "kit.sheet_unreadable",
                "A quote is not closed or stands within a cell, or a cell has no end",
                faults=[Fault(f"/lines/{at}", "kit.sheet_unreadable")],
            ) from error
        if row is None:
            return
        if reader.line_num > MOST_LINES:
            raise of_other_size("kit.too_long", {"max_length": MOST_LINES})
        if without_end(row):
            yield at, row


def without_end(row: Sequence[str]) -> Sequence[str]:
    """Return a row without the empty cells at its end."""
    end = len(row)
    while end and not row[end - 1].strip():
        end -= 1
    return row[:end]


def letter(place: int) -> str:
    """Return what a spreadsheet calls a column, the first being A."""
    letters = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def of_other_size(code: str, facts: Mapping[str, object]) -> Rejected:
    """Return the refusal of a file that has too many lines, or none."""
    title = "The request has not the form that is wanted here"
    return Rejected("kit.invalid", title, faults=[Fault("/lines", code, facts)])


def _decode(body: bytes) -> str:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable("kit.sheet_encoding", "The sheet is not written in UTF-8") from error
    if "\x00" in text:
        raise Unreadable("kit.sheet_encoding", "The sheet is not written in UTF-8")
    return text
