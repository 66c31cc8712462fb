"""What catalog tells the others; its answers are keyed by the reservation: the id of the order or group."""

from typing import ClassVar
from uuid import UUID

from services.contracts.values import AssignedOutlet, GivenLine, Grant, LineFailure, MissingSupply
from services.kit.event import Event


class ZoneSupplied(Event):
    """Which outlets supply a zone, whole: stated again whenever one is added or falls away."""

    topic: ClassVar[str] = "catalog"
    name: ClassVar[str] = "catalog.zone_supplied.v1"
    zone_id: UUID
    incident_id: UUID
    outlets: tuple[AssignedOutlet, ...]
    missing: tuple[MissingSupply, ...]
    seconds_to_assign: float

    @property
    def key(self) -> str:
        """Return the zone's id, under which catalog keeps its assignment."""
        return str(self.zone_id)


class ReservationEvent(Event):
    """What every word about a reservation has."""

    topic: ClassVar[str] = "catalog"
    reservation_id: UUID

    @property
    def key(self) -> str:
        """Return the reservation's id."""
        return str(self.reservation_id)


class StockReserved(ReservationEvent):
    """Every line is held, or its stated substitute."""

    name: ClassVar[str] = "catalog.stock_reserved.v1"
    lines: tuple[GivenLine, ...]


class StockRefused(ReservationEvent):
    """Nothing is held; every line that failed is named."""

    name: ClassVar[str] = "catalog.stock_refused.v1"
    failures: tuple[LineFailure, ...]


class GroupGranted(ReservationEvent):
    """What a group gets of each product, as far as it goes; what is granted is held."""

    name: ClassVar[str] = "catalog.group_granted.v1"
    grants: tuple[Grant, ...]


class HoldOverdue(ReservationEvent):
    """A hold has passed its limit without a word from orders, which is to restate what it decided."""

    name: ClassVar[str] = "catalog.hold_overdue.v1"
