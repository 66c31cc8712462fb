"""What orders tells the others: areas, zones, orders, groups, slots; an event's key is the id of its row."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from pydantic import NonNegativeInt

from services.contracts.values import (
    Community,
    GivenLine,
    LineFailure,
    OutletKind,
    Pin,
    Point,
    ShortLine,
    Slot,
    TallyLine,
    WantedLine,
    ZoneClass,
)
from services.kit.event import Event


class Form(StrEnum):
    """How a delivery is packed: a bag for each household, or in bulk for the steward to split."""

    BAGGED = "bagged"
    BULK = "bulk"


class AreaLevel(StrEnum):
    """The levels of the tree, from the top; a child's regime overrides its parent's."""

    CITY = "city"
    DISTRICT = "district"
    STREET = "street"
    COMMUNITY = "community"
    BUILDING = "building"


class AreaStated(Event):
    """An area of the tree, whole: its path from the root, itself last."""

    topic: ClassVar[str] = "orders"
    name: ClassVar[str] = "orders.area_stated.v1"
    area_id: UUID
    path: tuple[UUID, ...]
    level: AreaLevel
    title: str
    gate: Point | None
    head_count: NonNegativeInt
    zone_class: ZoneClass | None

    @property
    def key(self) -> str:
        """Return the area's id."""
        return str(self.area_id)


class ZoneEvent(Event):
    """What every event of a zone has."""

    topic: ClassVar[str] = "orders"
    zone_id: UUID
    incident_id: UUID

    @property
    def key(self) -> str:
        """Return the zone's id."""
        return str(self.zone_id)


class ZoneOpened(ZoneEvent):
    """The commander has opened a zone; the others find its outlets, its vehicles and its stewards.

    `path` has the zone's own id and every area from the root down to its communities.
    """

    name: ClassVar[str] = "orders.zone_opened.v1"
    title: str
    zone_class: ZoneClass
    path: tuple[UUID, ...]
    communities: tuple[Community, ...]
    slots: tuple[Slot, ...]
    needed_kinds: tuple[OutletKind, ...]
    pinned_outlets: tuple[Pin, ...] = ()
    pinned_vehicles: tuple[Pin, ...] = ()
    activated_at: datetime


class ZoneClosed(ZoneEvent):
    """A zone takes no more orders; what was confirmed is still delivered, what was undecided is refused.

    `zone_class` is the regime that its communities have passed into; with none, theirs was lifted.
    """

    name: ClassVar[str] = "orders.zone_closed.v1"
    zone_class: ZoneClass | None = None


class SlotClosed(Event):
    """A slot's cut-off has passed and each of its orders has its decision; so many were confirmed."""

    topic: ClassVar[str] = "orders"
    name: ClassVar[str] = "orders.slot_closed.v1"
    slot_id: UUID
    zone_id: UUID
    incident_id: UUID
    confirmed: NonNegativeInt

    @property
    def key(self) -> str:
        """Return the slot's id."""
        return str(self.slot_id)


class GroupLocked(Event):
    """A group reached its cut-off: its tally by product and price seen, never its manifest.

    Catalog is to reserve it.
    """

    topic: ClassVar[str] = "orders"
    name: ClassVar[str] = "orders.group_locked.v1"
    group_id: UUID
    zone_id: UUID
    slot_id: UUID
    incident_id: UUID
    households: int
    tally: tuple[TallyLine, ...]

    @property
    def key(self) -> str:
        """Return the group's id, which is its reservation's in catalog."""
        return str(self.group_id)


class GroupDecided(Event):
    """What a group got is shared out: so many of its parts are confirmed, and travel in this form.

    With the published rule and its seed whoever splits a bulk load can share what is lost on the way.
    """

    topic: ClassVar[str] = "orders"
    name: ClassVar[str] = "orders.group_decided.v1"
    group_id: UUID
    zone_id: UUID
    slot_id: UUID
    community_id: UUID
    incident_id: UUID
    form: Form
    confirmed: NonNegativeInt
    rule: str
    seed: str

    @property
    def key(self) -> str:
        """Return the group's id."""
        return str(self.group_id)


class OrderEvent(Event):
    """What every event of an order has."""

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
    """An order was accepted durably; catalog is to promise stock for it under the order's id."""

    name: ClassVar[str] = "orders.order_placed.v1"
    lines: tuple[WantedLine, ...]


class OrderConfirmed(OrderPlaces):
    """Stock is promised for the order; dispatch is to carry it, catalog commits its hold.

    The reservation is the group's where there is one, else the order's own.
    """

    name: ClassVar[str] = "orders.order_confirmed.v1"
    group_id: UUID | None = None
    form: Form = Form.BAGGED
    lines: tuple[GivenLine, ...]

    @property
    def reservation_id(self) -> UUID:
        """Return the reservation whose hold this order uses."""
        return self.group_id or self.order_id


class OrderReleased(OrderEvent):
    """What ends an order without goods.

    Catalog gives back the whole hold where the reservation is the order's own, and exactly `lines` where it
    is a group's; with no lines a group's hold is untouched.
    """

    reservation_id: UUID
    lines: tuple[GivenLine, ...] = ()


class OrderRefused(OrderReleased):
    """The order cannot be given; every failing line is named."""

    name: ClassVar[str] = "orders.order_refused.v1"
    refusals: tuple[LineFailure, ...]


class OrderCancelled(OrderReleased):
    """The order was taken back before its cut-off."""

    name: ClassVar[str] = "orders.order_cancelled.v1"


class OrderShortened(OrderEvent):
    """Less of a confirmed order will come than was promised; what it cost is to be given back.

    The lines are of one portion; the money is the missing units at the price they were confirmed at.
    """

    name: ClassVar[str] = "orders.order_shortened.v1"
    household_id: UUID
    lines: tuple[ShortLine, ...]
    refund_fen: NonNegativeInt


class OrderFulfilled(OrderEvent):
    """The order's last portion is settled."""

    name: ClassVar[str] = "orders.order_fulfilled.v1"
