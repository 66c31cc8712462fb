"""What loads consist of, as rows to be written. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from services.contracts.values import GivenLine
from services.dispatch.loads import domain
from services.dispatch.loads.domain import Unit, UnitKind, UnitLine
from services.kit.ids import new_id

Row = dict[str, object]


def portion_row(*, load_id: UUID, order_id: UUID, household_id: UUID, building_id: UUID) -> Row:
    """Return what an order gets of a load."""
    return {
        "portion_id": new_id(),
        "load_id": load_id,
        "order_id": order_id,
        "household_id": household_id,
        "building_id": building_id,
    }


def bag_rows(portion: Row, lines: Sequence[GivenLine | UnitLine], *, bag_g: int, first: int = 1) -> list[Row]:
    """Return the bags that a portion's lines make, numbered from `first`."""
    bags = [(UnitKind.HOUSEHOLD_BAG, bag) for bag in domain.pack(lines, bag_g=bag_g)]
    return unit_rows(bags, load_id=portion["load_id"], portion_id=portion["portion_id"], first=first)


def unit_rows(
    units: Iterable[tuple[UnitKind, Unit]], *, load_id: object, portion_id: object = None, first: int = 1
) -> list[Row]:
    """Return units of a load, numbered from `first`."""
    return [
        {
            "load_unit_id": new_id(),
            "load_id": load_id,
            "portion_id": portion_id,
            "number": number,
            "kind": kind,
            "grams": unit.grams,
            "lines": [line_row(line) for line in unit.lines],
        }
        for number, (kind, unit) in enumerate(units, start=first)
    ]


def line_row(line: UnitLine) -> Row:
    """Return a line of a unit as it is kept."""
    # By name: `asdict` copies every id deeply, which is most of the time that a large group takes.
    return {
        "line": line.line,
        "product_id": line.product_id,
        "offer_id": line.offer_id,
        "name": line.name,
        "quantity": line.quantity,
        "grams": line.grams,
    }


def line_of(row: Mapping[str, Any]) -> UnitLine:
    """Return a line as it was kept, of a unit or of a part."""
    return UnitLine(
        line=row["line"],
        product_id=UUID(row["product_id"]),
        offer_id=UUID(row["offer_id"]),
        name=row["name"],
        quantity=row["quantity"],
        grams=row["grams"],
    )
