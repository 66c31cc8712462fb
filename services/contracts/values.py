"""Values that more than one event carries. Money in fen, mass in grams, both of one sale unit."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, PositiveInt


class Value(BaseModel):
    """A part of an event: as frozen, and as closed to unknown fields, as the event itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class WantedLine(Value):
    """One line of an order: a product of the zone's menu and the price that the household saw beside it."""

    line: int
    product_id: UUID
    quantity: PositiveInt
    seen_price_fen: int
    substitutes: tuple[UUID, ...] = ()


class GivenLine(Value):
    """What an outlet promised for a line; the price and the mass are of one sale unit."""

    line: int
    product_id: UUID
    offer_id: UUID
    outlet_id: UUID
    quantity: PositiveInt
    grams: int
    price_fen: int


class LineFailure(Value):
    """Why a line cannot be given, with what was asked and what there is."""

    line: int
    product_id: UUID
    code: str
    asked: int
    available: int
