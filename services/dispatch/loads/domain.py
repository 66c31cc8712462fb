"""How confirmed orders become loads, load units and portions. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import chain
from uuid import UUID

from services.contracts.dispatch import Leg
from services.contracts.orders import Form
from services.contracts.values import GivenLine
from services.dispatch.fleet.domain import Vehicle


class UnitKind(StrEnum):
    """What goods travel in."""

    CRATE = "crate"
    SACK = "sack"
    TOTE = "tote"
    HOUSEHOLD_BAG = "household_bag"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitLine:
    """So many sale units of an offer in a load unit; `grams` is the mass of one.

    `line` is the order's in a household's bag; what a crate holds is numbered by its load's offers.
    """

    line: int
    product_id: UUID
    offer_id: UUID
    name: str
    quantity: int
    grams: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """The dated limits of what is packed: a bag and a crate in grams, a bulk load in all its measures."""

    bag_g: int
    crate_g: int
    bulk_load_g: int
    bulk_households: int
    bulk_pieces: int | None = None


@dataclass(slots=True)
class Unit:
    """A bag or a crate being filled, and what it weighs by now."""

    lines: list[UnitLine] = field(default_factory=list)
    grams: int = 0

    def put(self, line: UnitLine, quantity: int) -> None:
        """Add so many of a line's sale units."""
        self.lines.append(replace(line, quantity=quantity))
        self.grams += line.grams * quantity


def fit_to(packing: Packing, vehicles: Iterable[Vehicle]) -> Packing:
    """Return the limits with which the largest of these vehicles carries any load; of none: as they are."""
    largest = max(vehicles, key=lambda vehicle: (vehicle.capacity_g, vehicle.capacity_pieces), default=None)
    if largest is None:
        return packing
    bulk_load_g = min(packing.bulk_load_g, largest.capacity_g)
    return replace(packing, bulk_load_g=bulk_load_g, bulk_pieces=largest.capacity_pieces)


def split_by_outlet(lines: Iterable[GivenLine]) -> dict[UUID, list[GivenLine]]:
    """Return the lines of an order by the outlet that gives them: each makes one load."""
    by_outlet: defaultdict[UUID, list[GivenLine]] = defaultdict(list)
    for line in lines:
        by_outlet[line.outlet_id].append(line)
    return dict(by_outlet)


def pack(lines: Sequence[GivenLine | UnitLine], *, bag_g: int) -> list[Unit]:
    """Fill bags of at most `bag_g` grams, heaviest units first; what is heavier alone has a bag of its own.

    Every sale unit is in exactly one bag, and the same lines always make the same bags.
    """
    bags: list[Unit] = []
    for line in sorted(lines, key=lambda line: (-line.grams, line.line, line.offer_id)):
        wanted = UnitLine(
            line=line.line,
            product_id=line.product_id,
            offer_id=line.offer_id,
            name=line.name,
            quantity=line.quantity,
            grams=line.grams,
        )
        left = line.quantity
        for bag in bags:
            if not left:
                break
            left -= _put(bag, wanted, left, bag_g=bag_g)
        while left:
            bags.append(Unit())
            left -= _put(bags[-1], wanted, left, bag_g=bag_g) or _put_one(bags[-1], wanted)
    return bags


def is_complete(*, expected: int | None, confirmed: int) -> bool:
    """Say whether every order of a wave is there: the closing has said how many, and so many are."""
    return expected is not None and confirmed >= expected


def leg_of_portion(leg: int, form: Form, *, is_delivered: bool) -> int:
    """Return the leg that a portion has passed: of a load in bulk each reaches its door for itself."""
    if form is Form.BAGGED:
        return leg
    return Leg.DOOR if is_delivered else min(leg, Leg.GATE)


def area_path(zone_path: Iterable[UUID], *ids: UUID | None) -> tuple[UUID, ...]:
    """Return everything of the tree that a load lies in, known from its zone and from itself."""
    return tuple(dict.fromkeys(chain(zone_path, (each for each in ids if each))))


def _put(bag: Unit, line: UnitLine, quantity: int, *, bag_g: int) -> int:
    room = bag_g - bag.grams
    fitting = quantity if not line.grams else min(quantity, max(room, 0) // line.grams)
    if fitting:
        bag.put(line, fitting)
    return fitting


def _put_one(bag: Unit, line: UnitLine) -> int:
    bag.put(line, 1)
    return 1
