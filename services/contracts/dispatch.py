"""What dispatch tells the others: capacity, departures, hand-overs, deliveries."""

from datetime import datetime
from enum import IntEnum
from typing import ClassVar
from uuid import UUID

from pydantic import NonNegativeInt

from services.contracts.values import ShortLine
from services.kit.event import Event


class Leg(IntEnum):
    """The three batons: outlet to driver, driver to gate steward, steward to door."""

    PICK_UP = 1
    GATE = 2
    DOOR = 3


class SlotCapacityStated(Event):
    """How many household portions can be carried in a slot; absolute, a later one replaces it."""

    topic: ClassVar[str] = "dispatch"
    name: ClassVar[str] = "dispatch.slot_capacity_stated.v1"
    slot_id: UUID
    zone_id: UUID
    incident_id: UUID
    portions: NonNegativeInt

    @property
    def key(self) -> str:
        """Return the slot's id."""
        return str(self.slot_id)


class TripDeparted(Event):
    """A trip has its loads on board."""

    topic: ClassVar[str] = "dispatch"
    name: ClassVar[str] = "dispatch.trip_departed.v1"
    trip_id: UUID
    incident_id: UUID
    vehicle_id: UUID
    driver_id: UUID
    load_ids: tuple[UUID, ...]
    departed_at: datetime

    @property
    def key(self) -> str:
        """Return the trip's id."""
        return str(self.trip_id)


class LoadHandedOver(Event):
    """A load changed hands; a breach is a hand-over by one not cleared, or not the one to give or take it.

    A bagged load is one order's, one in bulk several households'. One that was split had come to its gate:
    where nobody told of that, giver and taker are who split it. `occurred_at` is never before the orders'
    confirmation: where a device's clock says so, it is when the hand-over was recorded.
    """

    topic: ClassVar[str] = "dispatch"
    name: ClassVar[str] = "dispatch.load_handed_over.v1"
    load_id: UUID
    order_ids: tuple[UUID, ...]
    outlet_id: UUID
    incident_id: UUID
    leg: Leg
    giver_id: UUID
    taker_id: UUID
    occurred_at: datetime
    is_breach: bool

    @property
    def key(self) -> str:
        """Return the load's id."""
        return str(self.load_id)


class PortionShortened(Event):
    """A household gets less of a portion than was promised: what was lost of a bulk load fell on it.

    Found when the load was split at the gate, and shared by the group's published rule. Of an empty portion
    nothing is left to hand over: it is settled with this.
    """

    topic: ClassVar[str] = "dispatch"
    name: ClassVar[str] = "dispatch.portion_shortened.v1"
    portion_id: UUID
    order_id: UUID
    incident_id: UUID
    household_id: UUID
    found_at: datetime
    lines: tuple[ShortLine, ...]
    is_empty: bool

    @property
    def key(self) -> str:
        """Return the portion's id."""
        return str(self.portion_id)


class PortionDelivered(Event):
    """A household has what one outlet packed for it; an order has as many portions as outlets."""

    topic: ClassVar[str] = "dispatch"
    name: ClassVar[str] = "dispatch.portion_delivered.v1"
    portion_id: UUID
    order_id: UUID
    incident_id: UUID
    household_id: UUID
    delivered_at: datetime

    @property
    def key(self) -> str:
        """Return the portion's id."""
        return str(self.portion_id)
