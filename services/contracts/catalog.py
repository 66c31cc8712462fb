"""What catalog tells the others. Its answers are keyed by the reservation, whose id is the order's."""

from typing import ClassVar
from uuid import UUID

from services.contracts.values import GivenLine, LineFailure
from services.kit.event import Event


class ReservationEvent(Event):
    """What every answer to an order has."""

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
