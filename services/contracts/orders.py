"""What orders tells the others. An event's key is the id of the order it is about."""

from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from services.contracts.values import GivenLine, LineFailure, WantedLine
from services.kit.event import Event


class Form(StrEnum):
    """How a delivery is packed: a bag for each household, or in bulk for the steward to split."""

    BAGGED = "bagged"
    BULK = "bulk"


class OrderEvent(Event):
    """What every event of an order has; the reservation in catalog bears the order's id."""

    topic: ClassVar[str] = "orders"
    order_id: UUID
    incident_id: UUID

    @property
    def key(self) -> str:
        """Return the order's id."""
        return str(self.order_id)


class OrderPlaces(OrderEvent):
    """Where and when an order is to be handed over."""

    zone_id: UUID
    slot_id: UUID
    community_id: UUID
    building_id: UUID
    household_id: UUID


class OrderPlaced(OrderPlaces):
    """An order was accepted durably; catalog is to promise stock for it."""

    name: ClassVar[str] = "orders.order_placed.v1"
    lines: tuple[WantedLine, ...]


class OrderConfirmed(OrderPlaces):
    """Stock is promised for the order; dispatch is to carry it."""

    name: ClassVar[str] = "orders.order_confirmed.v1"
    group_id: UUID | None = None
    form: Form = Form.BAGGED
    lines: tuple[GivenLine, ...]


class OrderRefused(OrderEvent):
    """The order ends without goods; a hold that catalog may have is released by this word."""

    name: ClassVar[str] = "orders.order_refused.v1"
    reservation_id: UUID
    refusals: tuple[LineFailure, ...]


class OrderCancelled(OrderEvent):
    """The order was taken back before its cut-off; catalog releases what it holds."""

    name: ClassVar[str] = "orders.order_cancelled.v1"
    reservation_id: UUID


class OrderFulfilled(OrderEvent):
    """The order's last portion is settled."""

    name: ClassVar[str] = "orders.order_fulfilled.v1"
