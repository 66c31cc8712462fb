"""What loads consist of, as rows to be written. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from uuid import UUID

from services.contracts.values import GivenLine
from services.dispatch.loads import domain
from services.dispatch.loads.domain import Unit, UnitKind
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


def bag_rows(portion: Row, lines: Sequence[GivenLine], *, bag_g: int, first: int = 1) -> list[Row]:
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
            "lines": [asdict(line) for line in unit.lines],
        }
        for number, (kind, unit) in enumerate(units, start=first)
    ]
