"""How a group's confirmed parts become bulk loads, and what these travel in. Pure.

The same parts make the same loads and crates, in whatever order they came.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from uuid import UUID

from services.dispatch.loads import domain
from services.dispatch.loads.domain import Packing, Unit, UnitKind, UnitLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one outlet gives of one household's confirmed part of a group."""

    order_id: UUID
    household_id: UUID
    building_id: UUID
    outlet_id: UUID
    confirmed_at: datetime
    lines: tuple[UnitLine, ...]

    @property
    def grams(self) -> int:
        """Return what the part weighs."""
        return sum(line.grams * line.quantity for line in self.lines)


@dataclass(frozen=True, slots=True)
class Consignment:
    """What one outlet sends to so many households of a group, and what it travels in."""

    outlet_id: UUID
    number: int
    parts: tuple[Part, ...]
    crates: tuple[tuple[UnitKind, Unit], ...]

    @property
    def confirmed_at(self) -> datetime:
        """Return when the last of its parts was confirmed."""
        return max(part.confirmed_at for part in self.parts)


def consign(parts: Iterable[Part], packing: Packing) -> Iterator[Consignment]:
    """Cut a group's parts into loads, door by door, each within the limits of a load; one after the other.

    One household's goods of one outlet are always in one load, though they be heavier alone.
    """

    def place_of(part: Part) -> tuple[UUID, ...]:
        return part.outlet_id, part.building_id, part.household_id, part.order_id

    for outlet_id, given in groupby(sorted(parts, key=place_of), key=lambda part: part.outlet_id):
        loads = (load for cut in _cut(given, packing) for load in _within_pieces(cut, packing))
        for number, (load, crates) in enumerate(loads, start=1):
            yield Consignment(outlet_id, number, tuple(load), tuple(crates))


def fill_crates(parts: Iterable[Part], *, crate_g: int) -> list[tuple[UnitKind, Unit]]:
    """Return what the goods of these parts travel in: every sale unit in exactly one.

    Full crates of one offer first; what is left over of several offers shares totes. A sale unit heavier than
    a crate may be is a sack of its own.
    """
    filled: list[Unit] = []
    left: list[UnitLine] = []
    for item in tally(parts):
        fitting = max(1, crate_g // item.grams) if item.grams else 0
        full, rest = divmod(item.quantity, fitting) if fitting else (0, item.quantity)
        filled.extend(_full(item, fitting) for _ in range(full))
        if rest:
            left.append(replace(item, quantity=rest))
    filled.extend(domain.pack(left, bag_g=crate_g))
    return [(_kind_of(unit, crate_g=crate_g), unit) for unit in filled]


def tally(parts: Iterable[Part]) -> list[UnitLine]:
    """Return how much there is of each offer, numbered from 1."""
    found: dict[UUID, UnitLine] = {}
    for line in (line for part in parts for line in part.lines):
        quantity = line.quantity + (found[line.offer_id].quantity if line.offer_id in found else 0)
        found[line.offer_id] = UnitLine(
            line=0,
            product_id=line.product_id,
            offer_id=line.offer_id,
            name=line.name,
            quantity=quantity,
            grams=line.grams,
        )
    return [replace(found[offer_id], line=number) for number, offer_id in enumerate(sorted(found), start=1)]


def _cut(parts: Iterable[Part], packing: Packing) -> list[list[Part]]:
    loads: list[list[Part]] = []
    grams = 0
    for part in parts:
        is_full = not loads or len(loads[-1]) >= packing.bulk_households
        if is_full or grams + part.grams > packing.bulk_load_g:
            loads.append([])
            grams = 0
        loads[-1].append(part)
        grams += part.grams
    return loads


def _within_pieces(
    parts: Sequence[Part], packing: Packing
) -> Iterator[tuple[Sequence[Part], list[tuple[UnitKind, Unit]]]]:
    crates = fill_crates(parts, crate_g=packing.crate_g)
    if packing.bulk_pieces is None or len(crates) <= packing.bulk_pieces or len(parts) == 1:
        yield parts, crates
        return
    half = len(parts) // 2
    for each in (parts[:half], parts[half:]):
        yield from _within_pieces(each, packing)


def _full(item: UnitLine, fitting: int) -> Unit:
    unit = Unit()
    unit.put(item, fitting)
    return unit


def _kind_of(unit: Unit, *, crate_g: int) -> UnitKind:
    if unit.grams > crate_g:
        return UnitKind.SACK
    return UnitKind.TOTE if len({line.offer_id for line in unit.lines}) > 1 else UnitKind.CRATE
