"""What becomes of a hold: held → committed → handed over, or released; each unit is in one of them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.catalog.stock.counts.domain import Entry
from services.contracts.values import GivenLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """What a reservation has of an offer."""

    reservation_id: UUID
    offer_id: UUID
    outlet_id: UUID
    held: int
    committed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """What a confirmed order has of an offer."""

    order_id: UUID
    reservation_id: UUID
    offer_id: UUID
    outlet_id: UUID
    quantity: int
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver:
    """What an outlet packed for an order has left it."""

    load_id: UUID
    order_id: UUID
    outlet_id: UUID
    occurred_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Units of a hold that change their state."""

    reservation_id: UUID
    offer_id: UUID
    held: int = 0
    committed: int = 0
    handed_over: int = 0
    released: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OnHand:
    """A shelf as it is locked: what is there, and since when that is counted."""

    on_hand: int
    counted_at: datetime | None


def commit(reservation_id: UUID, lines: Iterable[GivenLine]) -> list[Move]:
    """Return what a confirmed order makes of its hold."""
    return [
        Move(reservation_id=reservation_id, offer_id=offer_id, held=-quantity, committed=quantity)
        for offer_id, quantity in units_of(lines).items()
    ]


def release_all(holds: Iterable[Hold]) -> list[Move]:
    """Return what ends a whole reservation; what was handed over stays so."""
    return [
        Move(
            reservation_id=hold.reservation_id,
            offer_id=hold.offer_id,
            held=-hold.held,
            committed=-hold.committed,
            released=hold.held + hold.committed,
        )
        for hold in holds
        if hold.held + hold.committed > 0
    ]


def release_lines(reservation_id: UUID, lines: Iterable[GivenLine], *, was_confirmed: bool) -> list[Move]:
    """Return what gives back exactly `lines` of a group's reservation."""
    return [
        Move(
            reservation_id=reservation_id,
            offer_id=offer_id,
            held=0 if was_confirmed else -quantity,
            committed=-quantity if was_confirmed else 0,
            released=quantity,
        )
        for offer_id, quantity in units_of(lines).items()
    ]


def hand_over(commitments: Iterable[Commitment]) -> list[Move]:
    """Return what the departure of goods makes of the holds; goods released before have none any more."""
    return [
        Move(
            reservation_id=one.reservation_id,
            offer_id=one.offer_id,
            committed=-one.quantity,
            handed_over=one.quantity,
        )
        for one in commitments
        if one.status == "committed"
    ]


def leave_shelves(gone: Sequence[tuple[HandOver, Commitment]], shelves: Mapping[UUID, OnHand]) -> list[Entry]:
    """Return the ledger's lines for goods that left.

    A count made after the departure has seen it already; and a shelf is never below nothing, for the next
    count is the truth. The moment is as dispatch reckons it: never before the order was confirmed.
    """
    on_hand = {offer_id: shelf.on_hand for offer_id, shelf in shelves.items()}
    entries = []
    for load, one in gone:
        counted_at = shelves[one.offer_id].counted_at
        was_counted = counted_at is not None and load.occurred_at <= counted_at
        left = 0 if was_counted else min(one.quantity, on_hand[one.offer_id])
        on_hand[one.offer_id] -= left
        entries.append(
            Entry(
                offer_id=one.offer_id,
                kind="hand_over",
                delta=-left,
                on_hand=on_hand[one.offer_id],
                observed_at=load.occurred_at,
                # A load in bulk is of many orders; of some it may be told before they are confirmed.
                reference=f"{load.load_id}/{load.order_id}",
            )
        )
    return entries


def merge(moves: Iterable[Move]) -> list[Move]:
    """Return one move for each hold, in key order."""
    sums: dict[tuple[UUID, UUID], Counter[str]] = {}
    for move in moves:
        into = sums.setdefault((move.reservation_id, move.offer_id), Counter())
        for state in ("held", "committed", "handed_over", "released"):
            into[state] += getattr(move, state)
    return [
        Move(reservation_id=reservation_id, offer_id=offer_id, **total)
        for (reservation_id, offer_id), total in sorted(sums.items())
    ]


def units_of(lines: Iterable[GivenLine]) -> Counter[UUID]:
    """Return how many units of each offer the lines have."""
    units: Counter[UUID] = Counter()
    for line in lines:
        units[line.offer_id] += line.quantity
    return units
