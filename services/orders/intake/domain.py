"""The rules of intake: what is accepted, and how an order lives. Pure; `now` is the transaction's own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import chain
from uuid import UUID

from services.contracts.values import WantedLine


class Channel(StrEnum):
    """Who brought the order in."""

    RESIDENT = "resident"
    STEWARD = "steward"
    HOTLINE = "hotline"
    GROUP = "group"


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
    DECISION_OVERDUE = "decision_overdue"
    CANCELLATION = "cancellation"
    LAST_PORTION_SETTLED = "last_portion_settled"


NEXT: Mapping[tuple[OrderStatus, Turn], OrderStatus] = {
    (OrderStatus.PLACED, Turn.STOCK_RESERVED): OrderStatus.CONFIRMED,
    (OrderStatus.PLACED, Turn.STOCK_REFUSED): OrderStatus.REFUSED,
    (OrderStatus.PLACED, Turn.DECISION_OVERDUE): OrderStatus.REFUSED,
    (OrderStatus.PLACED, Turn.CANCELLATION): OrderStatus.CANCELLED,
    (OrderStatus.CONFIRMED, Turn.CANCELLATION): OrderStatus.CANCELLED,
    (OrderStatus.CONFIRMED, Turn.LAST_PORTION_SETTLED): OrderStatus.FULFILLED,
    # The answer was faster than the clock.
    (OrderStatus.CONFIRMED, Turn.DECISION_OVERDUE): OrderStatus.CONFIRMED,
    (OrderStatus.FULFILLED, Turn.DECISION_OVERDUE): OrderStatus.FULFILLED,
    (OrderStatus.REFUSED, Turn.DECISION_OVERDUE): OrderStatus.REFUSED,
    # The clock was faster than the answer: catalog releases on order_refused.
    (OrderStatus.REFUSED, Turn.STOCK_RESERVED): OrderStatus.REFUSED,
    (OrderStatus.REFUSED, Turn.STOCK_REFUSED): OrderStatus.REFUSED,
    # The resident was faster: catalog releases on order_cancelled.
    (OrderStatus.CANCELLED, Turn.STOCK_RESERVED): OrderStatus.CANCELLED,
    (OrderStatus.CANCELLED, Turn.STOCK_REFUSED): OrderStatus.CANCELLED,
    (OrderStatus.CANCELLED, Turn.DECISION_OVERDUE): OrderStatus.CANCELLED,
}


class OutOfTurn(Exception):
    """Something happened to an order that cannot happen in its status; a person has to look."""

    def __init__(self, *, status: OrderStatus, turn: Turn) -> None:
        super().__init__(f"{turn} cannot happen to an order that is {status}")
        self.status = status
        self.turn = turn


class TooLateToCancel(Exception):
    """The slot's cut-off has passed: the order may be loaded already."""

    code = "orders.too_late_to_cancel"

    def __init__(self, *, cut_off_at: datetime) -> None:
        super().__init__(self.code)
        self.cut_off_at = cut_off_at


@dataclass(frozen=True, slots=True)
class Fault:
    """One reason of a refusal: where in the request, which code, and the facts."""

    pointer: str
    code: str
    params: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """An order as it is asked for; the ids are the caller's, so that a retry makes the same order."""

    order_id: UUID
    household_id: UUID
    slot_id: UUID
    channel: Channel
    lines: tuple[WantedLine, ...]
    correlation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a household lives."""

    household_id: UUID
    community_id: UUID
    building_id: UUID
    area_id: UUID


@dataclass(frozen=True, slots=True)
class Quota:
    """What one household may still order in the rule's window."""

    limit_orders: int
    limit_units: int
    orders: int = 0
    units: int = 0

    def plus(self, *, units: int) -> "Quota":
        """Return the quota with one more order of so many units taken."""
        return replace(self, orders=self.orders + 1, units=self.units + units)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A delivery slot; its capacity is in household portions and None until dispatch has stated it."""

    slot_id: UUID
    zone_id: UUID
    incident_id: UUID
    area_id: UUID
    cut_off_at: datetime
    capacity: int | None
    taken: int
    is_open: bool


@dataclass(frozen=True, slots=True)
class Accepted:
    """An order that took its quota and its slot."""

    order: NewOrder
    place: Place
    slot: Slot


@dataclass(frozen=True, slots=True)
class Rejected:
    """An order that took nothing; every reason is named."""

    order: NewOrder
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Admission:
    """A batch decided: the outcomes in the order asked, and what the rows become."""

    outcomes: tuple[Accepted | Rejected, ...]
    quotas: Mapping[UUID, Quota]
    slots: Mapping[UUID, Slot]

    @property
    def accepted(self) -> tuple[Accepted, ...]:
        """Return what was accepted, in the order asked."""
        return tuple(outcome for outcome in self.outcomes if isinstance(outcome, Accepted))


def next_status(status: OrderStatus, turn: Turn) -> OrderStatus:
    """Return what an order becomes; raise `OutOfTurn` for what is not in the table."""
    try:
        return NEXT[status, turn]
    except KeyError:
        raise OutOfTurn(status=status, turn=turn) from None


def units_of(lines: Iterable[WantedLine]) -> int:
    """Return how many sale units the lines ask for."""
    return sum(line.quantity for line in lines)


def admit(
    wanted: Sequence[NewOrder],
    *,
    places: Mapping[UUID, Place],
    quotas: Mapping[UUID, Quota],
    slots: Mapping[UUID, Slot],
    now: datetime,
) -> Admission:
    """Decide a batch in the order given: an accepted order leaves less for those after it."""
    quotas, slots = dict(quotas), dict(slots)
    outcomes: list[Accepted | Rejected] = []
    for order in wanted:
        place, quota, slot = (
            places.get(order.household_id),
            quotas.get(order.household_id),
            slots.get(order.slot_id),
        )
        if place is None or quota is None:
            outcomes.append(Rejected(order, (Fault("/household_id", "orders.household_unknown", {}),)))
            continue
        # A slot of another zone is answered like one that does not exist: no oracle for what is sealed.
        if slot is None or slot.area_id != place.area_id:
            outcomes.append(Rejected(order, (Fault("/slot_id", "orders.slot_unknown", {}),)))
            continue

        units = units_of(order.lines)
        faults = tuple(chain(_quota_faults(quota, units), _slot_faults(slot, slots.values(), now)))
        if faults:
            outcomes.append(Rejected(order, faults))
            continue
        outcomes.append(Accepted(order, place, slot))
        quotas[order.household_id] = quota.plus(units=units)
        slots[order.slot_id] = replace(slot, taken=slot.taken + 1)
    return Admission(tuple(outcomes), quotas, slots)


def require_cancellable(*, cut_off_at: datetime, now: datetime) -> None:
    """Raise `TooLateToCancel` from the cut-off on."""
    if now >= cut_off_at:
        raise TooLateToCancel(cut_off_at=cut_off_at)


def _quota_faults(quota: Quota, units: int) -> Iterable[Fault]:
    if quota.orders + 1 > quota.limit_orders:
        facts = {"measure": "orders", "asked": 1, "available": quota.limit_orders - quota.orders}
        yield Fault("/household_id", "orders.quota_exceeded", facts)
    if quota.units + units > quota.limit_units:
        facts = {"measure": "units", "asked": units, "available": quota.limit_units - quota.units}
        yield Fault("/lines", "orders.quota_exceeded", facts)


def _slot_faults(slot: Slot, slots: Iterable[Slot], now: datetime) -> Iterable[Fault]:
    if not slot.is_open or slot.capacity is None:
        yield Fault("/slot_id", "orders.channels_closed", {})
    elif now >= slot.cut_off_at:
        yield Fault("/slot_id", "orders.slot_closed", {"cut_off_at": slot.cut_off_at})
    elif slot.taken >= slot.capacity:
        yield Fault("/slot_id", "orders.slot_full", {"next_slot_id": _next_slot(slot, slots)})


def _next_slot(full: Slot, slots: Iterable[Slot]) -> UUID | None:
    later = [
        slot
        for slot in slots
        if slot.zone_id == full.zone_id
        and slot.cut_off_at > full.cut_off_at
        and slot.taken < (slot.capacity or 0)
    ]
    return min(later, key=lambda slot: (slot.cut_off_at, slot.slot_id)).slot_id if later else None
