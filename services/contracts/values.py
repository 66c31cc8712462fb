"""Values that more than one event carries. Money in fen, mass in grams, both of one sale unit."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt


class Value(BaseModel):
    """A part of an event: as frozen, and as closed to unknown fields, as the event itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ZoneClass(StrEnum):
    """A regime of an area, strictest first (封控, 管控, 防范)."""

    SEALED = "sealed"
    CONTROLLED = "controlled"
    PRECAUTION = "precaution"


class OutletKind(StrEnum):
    """Kinds of emergency outlets; the first four are the standard set of a sealed area."""

    SUPERMARKET = "supermarket"
    GREENGROCER = "greengrocer"
    PHARMACY = "pharmacy"
    CATERER = "caterer"
    RESERVE_DEPOT = "reserve_depot"


class Point(Value):
    """A position in degrees (WGS 84)."""

    lat: Annotated[float, Field(ge=-90, le=90)]
    lon: Annotated[float, Field(ge=-180, le=180)]


class Community(Value):
    """A community of a zone: where its gate is, how many live there, which buildings it has."""

    community_id: UUID
    name: str
    gate: Point
    head_count: NonNegativeInt
    households: NonNegativeInt
    building_ids: tuple[UUID, ...]


class Slot(Value):
    """A time of delivery; orders enter until the cut-off, the cut-off not included."""

    slot_id: UUID
    starts_at: datetime
    ends_at: datetime
    cut_off_at: datetime


class Pin(Value):
    """What the commander insists on, with the reason; the subject is an outlet or a vehicle."""

    subject_id: UUID
    reason: str


class AssignedOutlet(Value):
    """An outlet that accepted to supply a zone: rank 1 is asked first."""

    outlet_id: UUID
    name: str
    kind: OutletKind
    position: Point
    rank: PositiveInt
    capacity_orders: NonNegativeInt


class MissingSupply(Value):
    """What a zone lacks of a kind: orders a day that are needed, and that the found outlets can pick."""

    kind: OutletKind
    code: str
    needed: NonNegativeInt
    found: NonNegativeInt


class WantedLine(Value):
    """One line of an order: a product of the zone's menu and the price that the household saw beside it."""

    line: int
    product_id: UUID
    quantity: PositiveInt
    seen_price_fen: NonNegativeInt
    substitutes: tuple[UUID, ...] = ()


class GivenLine(Value):
    """What an outlet promised for a line; the price and the mass are of one sale unit."""

    line: int
    product_id: UUID
    name: str
    offer_id: UUID
    outlet_id: UUID
    quantity: PositiveInt
    grams: NonNegativeInt
    price_fen: NonNegativeInt


class LineFailure(Value):
    """Why a line cannot be given, with what was asked and what there is (units, or fen of a price)."""

    line: int
    product_id: UUID
    code: str
    asked: int
    available: int


class ShortLine(Value):
    """A line of which a household gets less than was promised, in sale units of an offer."""

    line: int
    product_id: UUID
    offer_id: UUID
    promised: PositiveInt
    given: NonNegativeInt


class TallyLine(Value):
    """How many units of a product a group wants by a price that its households saw; each price has its line.

    What costs more than that price is not for them, though it may be for another line of the product.
    """

    product_id: UUID
    quantity: PositiveInt
    seen_price_fen: NonNegativeInt


class Grant(Value):
    """What a group gets of a product, all its tally's lines together; the parts' own line is 0.

    The parts may come from several outlets. So many were asked by a price that covers them: whoever shares
    the dearest first among those who saw so much can share everything.
    """

    product_id: UUID
    asked: PositiveInt
    granted: NonNegativeInt
    code: str | None
    parts: tuple[GivenLine, ...]


class Clearance(Value):
    """Until when a person is cleared for zones of a class, the moment itself not included."""

    zone_class: ZoneClass
    valid_until: datetime
