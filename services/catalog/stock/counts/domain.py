"""What a shop's changes make of its shelves: out of order and repeated is normal, a count is the truth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

# Clocks go wrong by minutes (promises.md P15); further ahead, one count would silence all later ones.
CLOCK_TOLERANCE: Final = timedelta(minutes=5)
LARGEST: Final = 1_000_000_000


class Kind(StrEnum):
    """A count is absolute; an adjustment is what came or went."""

    COUNT = "count"
    ADJUSTMENT = "adjustment"


class Outcome(StrEnum):
    """What became of a change: applied, older than the last count, already applied, or refused."""

    APPLIED = "applied"
    SUPERSEDED = "superseded"
    REPEATED = "repeated"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change as the shop states it; `expected` is what it believes is on hand before."""

    plu: str
    kind: Kind
    quantity: int
    observed_at: datetime
    reason: str | None = None
    reference: str | None = None
    expected: int | None = None


@dataclass(slots=True, kw_only=True)
class Shelf:
    """What is on a shelf, in sale units, as the changes of a batch go over it.

    `movements` are what came and went by the time it was seen; `references` what was applied already.
    """

    offer_id: UUID
    on_hand: int
    reserved: int
    counted_at: datetime | None
    movements: list[tuple[datetime, int]] = field(default_factory=list)
    references: set[tuple[str, str]] = field(default_factory=set)

    @property
    def is_short(self) -> bool:
        """Say whether less is there than is promised; nobody is cut silently."""
        return self.on_hand < self.reserved


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of the ledger: the deltas of a shelf sum to what is on hand."""

    offer_id: UUID
    kind: str
    delta: int
    on_hand: int
    observed_at: datetime
    reason: str | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What became of one change, and what is on the shelf after it."""

    plu: str
    outcome: Outcome
    code: str | None = None
    on_hand: int | None = None
    reserved: int | None = None
    entry: Entry | None = None

    @property
    def is_short(self) -> bool:
        """Say whether less is there than is promised."""
        return (self.on_hand or 0) < (self.reserved or 0)


def apply_changes(changes: Sequence[Change], shelves: Mapping[str, Shelf], *, now: datetime) -> list[Applied]:
    """Apply changes in the order given; the shelves become what they are after them."""
    return [_apply(change, shelves.get(change.plu), now) for change in changes]


def _apply(change: Change, shelf: Shelf | None, now: datetime) -> Applied:
    if shelf is None:
        return Applied(plu=change.plu, outcome=Outcome.REFUSED, code="catalog.offer_unknown")
    code = _find_refusal(change, shelf, now)
    if change.reference and (change.kind.value, change.reference) in shelf.references:
        return _tell(change, shelf, Outcome.REPEATED)
    if shelf.counted_at and change.observed_at < shelf.counted_at:
        return _tell(change, shelf, Outcome.SUPERSEDED)
    if code:
        return _tell(change, shelf, Outcome.REFUSED, code=code)

    on_hand = _after(change, shelf)
    entry = Entry(
        offer_id=shelf.offer_id,
        kind=change.kind.value,
        delta=on_hand - shelf.on_hand,
        on_hand=on_hand,
        observed_at=change.observed_at,
        reason=change.reason,
        reference=change.reference,
    )
    _move(shelf, change, on_hand)
    return _tell(change, shelf, Outcome.APPLIED, entry=entry)


def _find_refusal(change: Change, shelf: Shelf, now: datetime) -> str | None:
    if change.observed_at > now + CLOCK_TOLERANCE:
        return "catalog.observed_in_future"
    if change.expected is not None and change.expected != shelf.on_hand:
        return "catalog.stock_changed"
    on_hand = _after(change, shelf)
    if on_hand < 0:
        return "catalog.stock_below_zero"
    return "catalog.stock_too_large" if on_hand > LARGEST else None


def _after(change: Change, shelf: Shelf) -> int:
    if change.kind is Kind.ADJUSTMENT:
        return shelf.on_hand + change.quantity
    # What was seen after the count came or went on top of it, though it was told before.
    later = sum(delta for seen_at, delta in shelf.movements if seen_at > change.observed_at)
    return max(0, change.quantity + later)


def _move(shelf: Shelf, change: Change, on_hand: int) -> None:
    if change.kind is Kind.COUNT:
        shelf.counted_at = change.observed_at
    else:
        shelf.movements.append((change.observed_at, change.quantity))
    if change.reference:
        shelf.references.add((change.kind.value, change.reference))
    shelf.on_hand = on_hand


def _tell(
    change: Change, shelf: Shelf, outcome: Outcome, *, code: str | None = None, entry: Entry | None = None
) -> Applied:
    return Applied(
        plu=change.plu,
        outcome=outcome,
        code=code,
        on_hand=shelf.on_hand,
        reserved=shelf.reserved,
        entry=entry,
    )
