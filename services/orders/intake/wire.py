"""What the routes of orders read and show."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Row

from services.contracts.values import WantedLine
from services.kit import words
from services.kit.http.problems import FaultView
from services.orders.intake.domain import Channel
from services.orders.intake.life import OrderStatus
from services.orders.intake.tables import OrderRow

LARGEST_PRICE_FEN = 10_000_000


class Body(BaseModel):
    """What is asked: nothing beside the fields named here."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PlaceLine(Body):
    """A product of the menu, the price seen beside it, and what may come in its place, best first."""

    product_id: UUID
    quantity: Annotated[int, Field(ge=1, le=999)]
    seen_price_fen: Annotated[int, Field(ge=0, le=LARGEST_PRICE_FEN)]
    substitutes: Annotated[tuple[UUID, ...], Field(max_length=5)] = ()


Lines = Annotated[tuple[PlaceLine, ...], Field(min_length=1, max_length=50)]


class PlaceOrder(Body):
    """An order for one's own household, or on behalf of another one where the caller may."""

    household_id: UUID | None = None
    slot_id: UUID
    lines: Lines
    external_id: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class CancelOrder(Body):
    """Nothing is to be said when an order is taken back: it goes as a whole."""


class RefusalView(FaultView):
    """A line that cannot be given, shaped like the errors of a problem."""


class WantedView(BaseModel):
    """A line as it was asked for."""

    line: int
    product_id: UUID
    quantity: int
    seen_price_fen: int
    substitutes: list[UUID]


class GivenView(BaseModel):
    """What an outlet gives for a line; price and mass are of one sale unit."""

    line: int
    product_id: UUID
    name: str
    offer_id: UUID
    outlet_id: UUID
    quantity: int
    grams: int
    price_fen: int


class ShortageView(BaseModel):
    """A line of one portion of which less comes than was given, and the money to be paid back for it.

    `detail` says so in the caller's language (`Accept-Language`: zh or en).
    """

    line: int
    product_id: UUID
    offer_id: UUID
    portion_id: UUID
    promised: int
    given: int
    refund_fen: int
    code: str = "orders.lost_at_split"
    detail: str = Field(default_factory=lambda said: words.detail(said["code"], said))


class OrderView(BaseModel):
    """An order as it stands; delayed while its decision was put off because answers cannot arrive.

    What was lost of it on the way stands in its shortages: all together, `refund_fen` is to be paid back.
    """

    order_id: UUID
    household_id: UUID
    zone_id: UUID
    incident_id: UUID
    slot_id: UUID
    group_id: UUID | None
    channel: Channel
    status: OrderStatus
    delayed: bool
    lines: list[WantedView]
    given: list[GivenView]
    refusals: list[RefusalView]
    shortages: list[ShortageView]
    refund_fen: int
    placed_at: datetime
    decided_at: datetime | None

    @classmethod
    def of(cls, row: OrderRow | Row[Any]) -> "OrderView":
        """Return a row's view."""
        same = {name: getattr(row, name) for name in cls.model_fields if name in OrderRow.model_fields}
        return cls(**{
            **same,
            "delayed": row.is_delayed and row.status == OrderStatus.PLACED,
            "refusals": [_refusal_of(failure) for failure in row.refusals],
            "refund_fen": sum(shortage["refund_fen"] for shortage in row.shortages),
        })  # fmt: skip


class PortionsView(BaseModel):
    """Of how many portions an order is, known once it is confirmed; how many came, and were lost whole."""

    expected: int | None
    delivered: int
    lost: int


class OrderEventView(OrderView):
    """An order as it stands when something has changed, with its portions."""

    portions: PortionsView

    @classmethod
    def of_row(cls, row: Row[Any]) -> "OrderEventView":
        """Return the view of a row that has the portions beside the order."""
        portions = PortionsView(expected=row.expected, delivered=row.delivered, lost=row.lost)
        return cls(**dict(OrderView.of(row)), portions=portions)


AN_EVENT: Final[Mapping[str, Any]] = {
    "order_id": "01930000-0000-7000-8000-000000000001",
    "household_id": "01930000-0000-7000-8000-000000000002",
    "zone_id": "01930000-0000-7000-8000-000000000003",
    "incident_id": "01930000-0000-7000-8000-000000000004",
    "slot_id": "01930000-0000-7000-8000-000000000005",
    "group_id": None,
    "channel": "resident",
    "status": "fulfilled",
    "delayed": False,
    "lines": [],
    "given": [],
    "refusals": [],
    "shortages": [],
    "refund_fen": 0,
    "placed_at": "2022-11-20T06:00:00Z",
    "decided_at": "2022-11-20T06:00:01Z",
    "portions": {"expected": 1, "delivered": 1, "lost": 0},
}


def wanted_lines(lines: Sequence[PlaceLine]) -> tuple[WantedLine, ...]:
    """Return the lines numbered from 1, as they are told on."""
    return tuple(
        WantedLine(
            line=number,
            product_id=line.product_id,
            quantity=line.quantity,
            seen_price_fen=line.seen_price_fen,
            substitutes=line.substitutes,
        )
        for number, line in enumerate(lines, start=1)
    )


def _refusal_of(failure: dict[str, Any]) -> dict[str, Any]:
    facts = {name: failure[name] for name in ("line", "product_id", "asked", "available")}
    return {"pointer": f"/lines/{failure['line'] - 1}", "code": failure["code"], "params": facts}
