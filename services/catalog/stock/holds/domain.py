"""The words of a promise: what is asked, what there is to give, and what was decided."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final
from uuid import UUID

from services.contracts.values import GivenLine, Grant, LineFailure, TallyLine, WantedLine

NOT_OFFERED: Final = "catalog.product_not_offered"
OUT_OF_STOCK: Final = "catalog.out_of_stock"
PRICE_CHANGED: Final = "catalog.price_changed"
PICKING_FULL: Final = "catalog.picking_full"
NOT_SUPPLIED: Final = "catalog.zone_not_supplied"

# An outlet's picking for a zone on a day of delivery: (zone, outlet, day).
Place = tuple[UUID, UUID, date]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """What an order wants held: all of it or nothing. Without a day its slot is not heard of yet."""

    reservation_id: UUID
    zone_id: UUID
    slot_id: UUID
    asked_by: UUID
    day: date | None = None
    lines: tuple[WantedLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRequest:
    """What a group wants held: each product as far as it goes. Without a day its slot is not heard of yet."""

    reservation_id: UUID
    zone_id: UUID
    slot_id: UUID
    asked_by: UUID
    day: date | None = None
    households: int
    tally: tuple[TallyLine, ...]


Request = OrderRequest | GroupRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """A sellable offer; what is free of it is counted beside."""

    offer_id: UUID
    outlet_id: UUID
    product_id: UUID
    name: str
    grams: int
    price_fen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What a zone can be given: its outlets by rank, each one's shelves of a product, the cheapest first."""

    outlets: tuple[UUID, ...] = ()
    shelves: Mapping[tuple[UUID, UUID], tuple[Shelf, ...]] = field(default_factory=dict)

    def shelves_of(self, product_id: UUID) -> list[Shelf]:
        """Return every shelf of a product, by rank and then by price."""
        return [shelf for outlet in self.outlets for shelf in self.shelves.get((outlet, product_id), ())]


@dataclass(frozen=True, slots=True)
class Reserved:
    """Every line is held."""

    request: OrderRequest
    lines: tuple[GivenLine, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing is held; every failing line is named."""

    request: OrderRequest
    failures: tuple[LineFailure, ...]


@dataclass(frozen=True, slots=True)
class Granted:
    """What a group gets of each product, and for how many of its households each outlet is to pick."""

    request: GroupRequest
    grants: tuple[Grant, ...]
    picking: Mapping[UUID, int] = field(default_factory=dict)

    @property
    def lines(self) -> tuple[GivenLine, ...]:
        """Return every part that is held."""
        return tuple(part for grant in self.grants for part in grant.parts)


Decision = Reserved | Refused | Granted
