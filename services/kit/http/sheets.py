"""Sheets: a batch as a spreadsheet saves it, each line answered by itself; nothing of it is repeated."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

import orjson
from fastapi import Request
from pydantic import BaseModel, ValidationError

from services.kit.errors import Fault, Rejected
from services.kit.http import cells, problems
from services.kit.http.problems import FaultView

MEDIA_TYPE: Final = "text/csv"
# What the JSON twin of every sheet takes at once.
MOST_LINES: Final = 500
MOST_COLUMNS: Final = 200
MOST_IN_A_CELL: Final = 100
# As JSON writes numbers; no longer than one can mean something here.
NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,40})?")

DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

M = TypeVar("M", bound=BaseModel)
Place = tuple[str | int, ...]


def number(cell: str) -> float | str:
    """Return the number that a cell says; what is none is left for the item's model to refuse."""
    if not NUMBER.fullmatch(cell):
        return cell
    return float(cell) if "." in cell else int(cell)


def day(cell: str) -> str:
    """Return the date that a cell says, else nothing: a model would take 20220328 for seconds."""
    return cell if DAY.fullmatch(cell) else ""


def several(cell: str) -> list[str]:
    """Return what stands in a cell, set apart by spaces; enough of it to be seen to be too much."""
    return cell.split()[: MOST_IN_A_CELL + 1]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name in the header, what it says, and where in the item, if not under that name."""

    name: str
    about: str
    at: tuple[str, ...] = ()
    read: Callable[[str], object] = str

    @property
    def place(self) -> tuple[str, ...]:
        """Return where in the item, or in the entry of its list, the cell stands."""
        return self.at or (self.name,)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a list in the item: there where one of its cells is; `given` is what no cell says."""

    columns: tuple[Column, ...]
    given: Mapping[str, object] = field(default_factory=dict)


class LineView(BaseModel):
    """A line of the file, the header being one of them; `index` counts from 0 those that have an item."""

    line: int
    index: int


V = TypeVar("V", bound=LineView)


@dataclass(frozen=True, slots=True)
class Line(Generic[M]):
    """A line and its item; without an item it could not be read, and `faults` say why."""

    number: int
    item: M | None
    columns: Mapping[Place, str]
    faults: tuple[Fault, ...] = ()

    def pointer(self, place: Place) -> str:
        """Return where in the file a part of the item stands: its line, and its column if it has one."""
        found = (name for at, name in self.columns.items() if at[: len(place)] == place[: len(at)])
        column = next(found, None) if place else None
        return f"/lines/{self.number}" + (f"/{column}" if column else "")


@dataclass(frozen=True, slots=True)
class Sheet(Generic[M]):
    """The lines of a file, in its order."""

    lines: tuple[Line[M], ...]

    @property
    def items(self) -> list[M]:
        """Return the items of the lines that could be read: the batch."""
        return [line.item for line in self.lines if line.item is not None]

    def answer(self, view: type[V], shown: Sequence[BaseModel]) -> list[V]:
        """Return each line's answer: what the batch's item is answered, its errors pointing into the file.

        `shown` has the answers of `items`, with `errors`; `view` has their fields, each with what a line
        that could not be read is answered.
        """
        answers = iter(shown)
        return [
            view.model_validate({**_told(line, answers), "line": line.number, "index": index})
            for index, line in enumerate(self.lines)
        ]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Form(Generic[M]):
    """How items of a kind are written in a sheet."""

    item: type[M]
    columns: tuple[Column, ...]
    lists: Mapping[str, tuple[Entry, ...]] = field(default_factory=dict)
    example: str

    @property
    def all_columns(self) -> list[Column]:
        """Return every column that there may be."""
        entries = [entry for listed in self.lists.values() for entry in listed]
        return [*self.columns, *(column for entry in entries for column in entry.columns)]

    def is_required(self, column: Column) -> bool:
        """Say whether every sheet needs the column."""
        return column in self.columns and self.item.model_fields[column.place[0]].is_required()

    def as_body(self) -> dict[str, Any]:
        """Return what a route adds to its OpenAPI operation."""
        columns = [
            f"- `{column.name}`{' (needed)' if self.is_required(column) else ''}: {column.about}"
            for column in self.all_columns
        ]
        about = f"In UTF-8, a header and at most {MOST_LINES} lines; its columns, in any order:"
        return {
            "requestBody": {
                "required": True,
                "description": "\n".join([about, "", *columns]),
                "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": self.example}},
            }
        }

    async def receive(self, request: Request) -> Sheet[M]:
        """Read a request's body."""
        return self.read(await request.body())

    def read(self, body: bytes) -> Sheet[M]:
        """Read a file; raise `Unreadable` for what is no sheet, `Rejected` for other columns or sizes."""
        rows = cells.rows_of(body)
        top, header = next(rows, (1, []))
        order = self._read_header(top, cells.without_end(header))
        lines: list[Line[M]] = []
        for at, row in rows:
            if len(lines) == MOST_LINES:
                raise cells.of_other_size("kit.too_long", {"max_length": MOST_LINES})
            lines.append(self._read_line(at, order, row))
        if not lines:
            raise cells.of_other_size("kit.too_short", {"min_length": 1})
        return Sheet(tuple(lines))

    def _read_header(self, line: int, header: Sequence[str]) -> list[str]:
        if len(header) > MOST_COLUMNS:
            raise _of_other_columns([_too_many(line, MOST_COLUMNS)])
        times = Counter(header)
        known = {column.name for column in self.all_columns}
        # The name of an unknown column is the sender's own word: it is told by its letter.
        faults = [
            Fault(f"/lines/{line}", "kit.column_unknown", {"column": cells.letter(place)})
            for place, name in enumerate(header)
            if name not in known
        ]
        for column in self.all_columns:
            if times[column.name] > 1:
                faults.append(Fault(f"/lines/{line}/{column.name}", "kit.column_repeated"))
            if self.is_required(column) and not times[column.name]:
                faults.append(Fault(f"/lines/{line}/{column.name}", "kit.column_missing"))
        if faults:
            raise _of_other_columns(faults)
        return list(header)

    def _read_line(self, at: int, order: Sequence[str], row: Sequence[str]) -> Line[M]:
        if len(cells.without_end(row)) > len(order):
            return Line(at, None, {}, (_too_many(at, len(order)),))
        # A line may end early: spreadsheets leave out what is empty at its end.
        given = {name: cell for name, cell in zip(order, row, strict=False) if cell.strip()}
        value, columns = self._place(given)
        line: Line[M] = Line(at, None, columns)
        try:
            # As JSON, strictly: a date is written as one, a number as one, and nothing is guessed.
            item = self.item.model_validate_json(orjson.dumps(value), strict=True)
        except ValidationError as invalid:
            return Line(at, None, columns, _faults_of(line, invalid))
        return Line(at, item, columns)

    def _place(self, given: Mapping[str, str]) -> tuple[dict[str, Any], dict[Place, str]]:
        """Return the item's value, and the column of each place in it."""
        value = _value_of(self.columns, given)
        columns: dict[Place, str] = {column.place: column.name for column in self.columns}
        for name, entries in self.lists.items():
            there = [entry for entry in entries if any(column.name in given for column in entry.columns)]
            value[name] = [{**entry.given, **_value_of(entry.columns, given)} for entry in there]
            for place, entry in enumerate(there):
                columns |= {(name, place, *column.place): column.name for column in entry.columns}
        return value, columns


def _value_of(columns: Sequence[Column], given: Mapping[str, str]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for column in columns:
        *parents, name = column.place
        part = value
        for parent in parents:
            part = part.setdefault(parent, {})
        if column.name in given:
            part[name] = column.read(given[column.name])
    return value


def _faults_of(line: Line[Any], invalid: ValidationError) -> tuple[Fault, ...]:
    errors = invalid.errors(include_url=False, include_input=False)
    faults = [problems.fault_of(error, line.pointer(error["loc"])) for error in errors]
    # Of what is wrong with several things in one cell, once is enough.
    return tuple({(fault.pointer, fault.code): fault for fault in faults}.values())


def _told(line: Line[Any], answers: Iterator[BaseModel]) -> dict[str, Any]:
    if line.item is None:
        return {"errors": [FaultView.of(fault) for fault in line.faults]}
    told = dict(next(answers))
    errors: list[FaultView] = told["errors"]
    return {**told, "errors": [_moved(error, line) for error in errors]}


def _moved(error: FaultView, line: Line[Any]) -> FaultView:
    # Of a batch's pointer the first two parts name the item: /outlets/3/licences/0
    place = tuple(int(part) if part.isdigit() else part for part in error.pointer.split("/")[3:])
    return error.model_copy(update={"pointer": line.pointer(place)})


def _too_many(line: int, most: int) -> Fault:
    return Fault(f"/lines/{line}", "kit.cells_too_many", {"most": most})


def _of_other_columns(faults: Sequence[Fault]) -> Rejected:
    return Rejected("kit.sheet_columns", "The sheet has not the columns that are wanted here", faults=faults)
