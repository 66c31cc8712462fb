"""How an order lives, from its acceptance to its door. Pure."""

from collections.abc import Iterable, Mapping, Sequence
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
    OrderShortened,
)
from services.contracts.values import GivenLine, LineFailure, ShortLine, WantedLine
from services.kit.errors import Conflict, Fault
from services.orders.intake.shortages import Shortage, find_shortages


class OrderStatus(StrEnum):
    """Where an order stands."""

    PLACED = "placed"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    FULFILLED = "fulfilled"
    LOST = "lost"


class Turn(StrEnum):
    """What can happen to an order after its acceptance."""

    STOCK_RESERVED = "stock_reserved"
    STOCK_REFUSED = "stock_refused"
    GROUP_REFUSED = "group_refused"
    DECISION_OVERDUE = "decision_overdue"
    CANCELLATION = "cancellation"
    LAST_PORTION_SETTLED = "last_portion_settled"
    ZONE_CLOSED = "zone_closed"
    EVERYTHING_LOST = "everything_lost"


NEXT: Mapping[tuple[OrderStatus, Turn], OrderStatus] = {
    (OrderStatus.PLACED, Turn.STOCK_RESERVED): OrderStatus.CONFIRMED,
    (OrderStatus.PLACED, Turn.STOCK_REFUSED): OrderStatus.REFUSED,
    (OrderStatus.PLACED, Turn.GROUP_REFUSED): OrderStatus.REFUSED,
    (OrderStatus.PLACED, Turn.DECISION_OVERDUE): OrderStatus.REFUSED,
    (OrderStatus.PLACED, Turn.ZONE_CLOSED): OrderStatus.REFUSED,
    (OrderStatus.PLACED, Turn.CANCELLATION): OrderStatus.CANCELLED,
    (OrderStatus.CONFIRMED, Turn.CANCELLATION): OrderStatus.CANCELLED,
    (OrderStatus.CONFIRMED, Turn.LAST_PORTION_SETTLED): OrderStatus.FULFILLED,
    (OrderStatus.CONFIRMED, Turn.EVERYTHING_LOST): OrderStatus.LOST,
    # The answer was faster than the clock.
    (OrderStatus.CONFIRMED, Turn.DECISION_OVERDUE): OrderStatus.CONFIRMED,
    (OrderStatus.FULFILLED, Turn.DECISION_OVERDUE): OrderStatus.FULFILLED,
    (OrderStatus.LOST, Turn.DECISION_OVERDUE): OrderStatus.LOST,
    (OrderStatus.REFUSED, Turn.DECISION_OVERDUE): OrderStatus.REFUSED,
    # What was confirmed before its zone closed is delivered; what had ended has ended.
    (OrderStatus.CONFIRMED, Turn.ZONE_CLOSED): OrderStatus.CONFIRMED,
    (OrderStatus.FULFILLED, Turn.ZONE_CLOSED): OrderStatus.FULFILLED,
    (OrderStatus.LOST, Turn.ZONE_CLOSED): OrderStatus.LOST,
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
    (OrderStatus.CANCELLED, Turn.EVERYTHING_LOST): OrderStatus.CANCELLED,
    # The door was told before the split: of what is found empty nothing came, whatever was said of it before.
    (OrderStatus.FULFILLED, Turn.EVERYTHING_LOST): OrderStatus.LOST,
    # Money and quota are given back and told: no word about the same goods takes them again.
    (OrderStatus.LOST, Turn.EVERYTHING_LOST): OrderStatus.LOST,
    (OrderStatus.LOST, Turn.LAST_PORTION_SETTLED): OrderStatus.LOST,
}

# Nothing is to come any more; only a loss may still be told, late, of what has come.
ENDED = frozenset({OrderStatus.REFUSED, OrderStatus.CANCELLED, OrderStatus.FULFILLED, OrderStatus.LOST})
PROMISED = frozenset({OrderStatus.CONFIRMED, OrderStatus.FULFILLED, OrderStatus.LOST})
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


@dataclass(frozen=True, slots=True)
class Used:
    """How many orders and how many units are taken of a household's quota."""

    orders: int
    units: int

    def __sub__(self, other: "Used") -> "Used":
        """Return what is taken no more."""
        return Used(self.orders - other.orders, self.units - other.units)


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
    shortages: tuple[Shortage, ...] = ()

    @property
    def is_promised(self) -> bool:
        """Say whether the order was promised its goods, whatever has come of them."""
        return self.status in PROMISED

    @property
    def used(self) -> Used:
        """Return what the order takes of its household's quota: nothing for what was promised and lost."""
        if self.status is OrderStatus.LOST:
            return Used(0, 0)
        return Used(1, self.units - sum(shortage.missing for shortage in self.shortages))

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

    def shortened(self, portion_id: UUID, lines: Iterable[ShortLine]) -> "Order":
        """Return the order, at its next sequence, without what was lost of one of its portions."""
        found = find_shortages(portion_id, lines, given=self.given, before=self.shortages)
        return replace(self, sequence=self.sequence + 1, shortages=self.shortages + found)

    def lost(self) -> "Order":
        """Return the order of which nothing comes: its last shortage tells so, it has no word of its own."""
        status = next_status(self.status, Turn.EVERYTHING_LOST)
        return self if status is self.status else replace(self, status=status)

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
        case OrderStatus.LOST:
            return tell_shortage(order, order.shortages[-1].portion_id)


def tell_shortage(order: Order, portion_id: UUID) -> OrderShortened:
    """Return the event that tells what was lost of one portion, and the money to give back for it."""
    lost = [shortage for shortage in order.shortages if shortage.portion_id == portion_id]
    return OrderShortened(
        order_id=order.order_id,
        incident_id=order.incident_id,
        household_id=order.household_id,
        lines=tuple(shortage.line_of() for shortage in lost),
        refund_fen=sum(shortage.refund_fen for shortage in lost),
    )


def restate(order: Order) -> tuple[Order, OrderEvent] | None:
    """Return the order at its next sequence with what was decided about its goods; None where nothing was."""
    if order.status is OrderStatus.PLACED:
        return None
    again = replace(order, sequence=order.sequence + 1)
    # What became of the goods at the end says nothing of them; that they were promised does.
    decided = OrderStatus.CONFIRMED if order.is_promised else order.status
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
