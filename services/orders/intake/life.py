"""How an order lives, from its acceptance to its door. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from services.contracts.orders import (
    Form,
    OrderCancelled,
    OrderConfirmed,
    OrderEvent,
    OrderFulfilled,
    OrderPlaced,
    OrderPlaces,
    OrderRefused,
)
from services.contracts.values import GivenLine, LineFailure, WantedLine
from services.kit.errors import Conflict, Fault


class OrderStatus(StrEnum):
    """Where an order stands."""

    PLACED = "placed"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    FULFILLED = "fulfilled"


class Turn(StrEnum):
    """What can happen to an order after its acceptance."""

    STOCK_RESERVED = "stock_reserved"
    STOCK_REFUSED = "stock_refused"
    GROUP_REFUSED = "group_refused"
    DECISION_OVERDUE = "decision_overdue"
    CANCELLATION = "cancellation"
    LAST_PORTION_SETTLED = "last_portion_settled"
    ZONE_CLOSED = "zone_closed"


NEXT: Mapping[tuple[OrderStatus, Turn], OrderStatus] = {
    (OrderStatus.PLACED, Turn.STOCK_RESERVED): OrderStatus.CONFIRMED,
    (OrderStatus.PLACED, Turn.STOCK_REFUSED): OrderStatus.REFUSED,
    (OrderStatus.PLACED, Turn.GROUP_REFUSED): OrderStatus.REFUSED,
    (OrderStatus.PLACED, Turn.DECISION_OVERDUE): OrderStatus.REFUSED,
    (OrderStatus.PLACED, Turn.ZONE_CLOSED): OrderStatus.REFUSED,
    (OrderStatus.PLACED, Turn.CANCELLATION): OrderStatus.CANCELLED,
    (OrderStatus.CONFIRMED, Turn.CANCELLATION): OrderStatus.CANCELLED,
    (OrderStatus.CONFIRMED, Turn.LAST_PORTION_SETTLED): OrderStatus.FULFILLED,
    # The answer was faster than the clock.
    (OrderStatus.CONFIRMED, Turn.DECISION_OVERDUE): OrderStatus.CONFIRMED,
    (OrderStatus.FULFILLED, Turn.DECISION_OVERDUE): OrderStatus.FULFILLED,
    (OrderStatus.REFUSED, Turn.DECISION_OVERDUE): OrderStatus.REFUSED,
    # What was confirmed before its zone closed is delivered; what had ended has ended.
    (OrderStatus.CONFIRMED, Turn.ZONE_CLOSED): OrderStatus.CONFIRMED,
    (OrderStatus.FULFILLED, Turn.ZONE_CLOSED): OrderStatus.FULFILLED,
    (OrderStatus.REFUSED, Turn.ZONE_CLOSED): OrderStatus.REFUSED,
    (OrderStatus.CANCELLED, Turn.ZONE_CLOSED): OrderStatus.CANCELLED,
    # The clock was faster than the answer: catalog releases on order_refused.
    (OrderStatus.REFUSED, Turn.STOCK_RESERVED): OrderStatus.REFUSED,
    (OrderStatus.REFUSED, Turn.STOCK_REFUSED): OrderStatus.REFUSED,
    # The resident was faster: catalog releases on order_cancelled.
    (OrderStatus.CANCELLED, Turn.STOCK_RESERVED): OrderStatus.CANCELLED,
    (OrderStatus.CANCELLED, Turn.STOCK_REFUSED): OrderStatus.CANCELLED,
    (OrderStatus.CANCELLED, Turn.DECISION_OVERDUE): OrderStatus.CANCELLED,
    # The steward's word came after the resident's: the goods are at the door, the portion is recorded.
    (OrderStatus.CANCELLED, Turn.LAST_PORTION_SETTLED): OrderStatus.CANCELLED,
}

# Nothing can happen any more that the order itself would show.
ENDED = frozenset({OrderStatus.REFUSED, OrderStatus.CANCELLED, OrderStatus.FULFILLED})
PLACES = frozenset(OrderPlaces.model_fields)


class OutOfTurn(Exception):
    """Something happened to an order that cannot happen in its status; a person has to look."""

    def __init__(self, *, status: OrderStatus, turn: Turn) -> None:
        super().__init__(f"{turn} cannot happen to an order that is {status}")
        self.status = status
        self.turn = turn


class TooLateToCancel(Conflict):
    """The cut-off has passed: the order may be loaded already."""

    def __init__(self, *, cut_off_at: datetime) -> None:
        code = "orders.too_late_to_cancel"
        fault = Fault("", code, {"cut_off_at": cut_off_at})
        super().__init__(
            code, "The cut-off has passed, the order can no longer be taken back", faults=[fault]
        )


class NotCancellable(Conflict):
    """The order has ended without being taken back."""

    def __init__(self, *, status: OrderStatus) -> None:
        code = "orders.not_cancellable"
        super().__init__(
            code, "An order that has ended cannot be taken back", faults=[Fault("", code, {"status": status})]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as it stands; a group's part has no event of its own until the group is decided."""

    order_id: UUID
    household_id: UUID
    building_id: UUID
    community_id: UUID
    zone_id: UUID
    incident_id: UUID
    slot_id: UUID
    group_id: UUID | None
    rule_id: UUID
    day: date
    units: int
    lines: tuple[WantedLine, ...]
    status: OrderStatus
    sequence: int
    # Its group's; nobody but a group's leader has goods come in bulk.
    form: Form = Form.BAGGED
    given: tuple[GivenLine, ...] = ()
    refusals: tuple[LineFailure, ...] = ()

    @property
    def portions(self) -> int:
        """Return how many portions bring the order: one from each outlet."""
        return len({line.outlet_id for line in self.given})

    def after(
        self, turn: Turn, *, given: Sequence[GivenLine] = (), refusals: Sequence[LineFailure] = ()
    ) -> "Order":
        """Return the order after a turn, at its next sequence; the same order where the turn comes late."""
        status = next_status(self.status, turn)
        if status is self.status:
            return self
        return replace(
            self,
            status=status,
            sequence=self.sequence + 1,
            given=tuple(given) or self.given,
            refusals=tuple(refusals) or self.refusals,
        )

    def failing(self, code: str) -> tuple[LineFailure, ...]:
        """Return a failure of every line for one reason."""
        return tuple(
            LineFailure(
                line=line.line, product_id=line.product_id, code=code, asked=line.quantity, available=0
            )
            for line in self.lines
        )


def announce(order: Order) -> OrderEvent:
    """Return the event that tells what has become of an order."""
    places = {name: getattr(order, name) for name in PLACES}
    # A group's hold is given back by lines; an order's own hold as a whole.
    released: dict[str, Any] = {
        "order_id": order.order_id,
        "incident_id": order.incident_id,
        "reservation_id": order.group_id or order.order_id,
        "lines": order.given if order.group_id else (),
    }
    match order.status:
        case OrderStatus.PLACED:
            return OrderPlaced(**places, lines=order.lines)
        case OrderStatus.CONFIRMED:
            return OrderConfirmed(**places, group_id=order.group_id, form=order.form, lines=order.given)
        case OrderStatus.REFUSED:
            return OrderRefused(**released, refusals=order.refusals)
        case OrderStatus.CANCELLED:
            return OrderCancelled(**released)
        case OrderStatus.FULFILLED:
            return OrderFulfilled(order_id=order.order_id, incident_id=order.incident_id)


def restate(order: Order) -> tuple[Order, OrderEvent] | None:
    """Return the order at its next sequence with what was decided about its goods; None where nothing was."""
    if order.status is OrderStatus.PLACED:
        return None
    again = replace(order, sequence=order.sequence + 1)
    # Fulfilled says nothing of the goods; that they were promised does.
    decided = OrderStatus.CONFIRMED if order.status is OrderStatus.FULFILLED else order.status
    return again, announce(replace(again, status=decided))


def let_go(part: Order, given: Sequence[GivenLine]) -> Order:
    """Return a refused part with the goods that would have been its own, to be told as released."""
    return replace(part, given=tuple(given), sequence=part.sequence + 1)


def next_status(status: OrderStatus, turn: Turn) -> OrderStatus:
    """Return what an order becomes; raise `OutOfTurn` for what is not in the table."""
    try:
        return NEXT[status, turn]
    except KeyError:
        raise OutOfTurn(status=status, turn=turn) from None


def cancel(status: OrderStatus, *, cut_off_at: datetime, now: datetime) -> OrderStatus:
    """Return the status of an order that is taken back; raise where it has ended, or from the cut-off on."""
    if (status, Turn.CANCELLATION) not in NEXT:
        raise NotCancellable(status=status)
    if now >= cut_off_at:
        raise TooLateToCancel(cut_off_at=cut_off_at)
    return NEXT[status, Turn.CANCELLATION]
