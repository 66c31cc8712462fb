"""How a group ends, and how its short supply is shared by a rule that anyone can repeat. Pure."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import chain
from typing import Final
from uuid import UUID

from services.contracts import sharing
from services.contracts.values import GivenLine, Grant, LineFailure
from services.kit.errors import Fault

# An event has at most 64 KB; a tally of so many products has 50.
MOST_PRODUCTS: Final = 450


class BelowMinimum(StrEnum):
    """What the leader stated for the case that too few come: send all the same, cancel, or extend once."""

    SEND = "send"
    CANCEL = "cancel"
    EXTEND = "extend"


class GroupStatus(StrEnum):
    """Where a group stands."""

    OPEN = "open"
    LOCKED = "locked"
    DECIDED = "decided"
    REFUSED = "refused"


class Ending(StrEnum):
    """What becomes of a group at its cut-off."""

    LOCK = "lock"
    EXTEND = "extend"
    CANCEL = "cancel"
    TOO_VARIED = "too_varied"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartLine:
    """What one household's part asks of one product, of which it has one line, by the price that it saw."""

    order_id: UUID
    household_id: UUID
    line: int
    product_id: UUID
    quantity: int
    seen_price_fen: int


@dataclass(frozen=True, slots=True)
class Share:
    """What a line gets; the line is named where that is less than it asked."""

    line: PartLine
    granted: int

    @property
    def missing(self) -> int:
        """Return how many units the household does not get."""
        return self.line.quantity - self.granted


@dataclass(slots=True)
class Pile:
    """What is left of a part of a grant; equal takings are one value: thousands of households want alike."""

    part: GivenLine
    left: int
    takings: dict[tuple[int, int], GivenLine] = field(default_factory=dict)

    def take(self, line: int, quantity: int) -> GivenLine:
        """Return so much of the part as a line's own."""
        self.left -= quantity
        found = self.takings.get((line, quantity))
        if found is None:
            found = self.part.model_copy(update={"line": line, "quantity": quantity})
            self.takings[line, quantity] = found
        return found


class BrokenGrant(Exception):
    """A grant of more than was asked, or not of the sum of its parts; a person looks."""

    def __init__(self, *, product_id: UUID) -> None:
        super().__init__(str(product_id))


def end_at_cut_off(
    *, households: int, products: int, minimum: int, below: BelowMinimum, was_extended: bool
) -> Ending:
    """Say what becomes of a group at its cut-off; below its minimum, what its leader stated beforehand."""
    if products > MOST_PRODUCTS:
        return Ending.TOO_VARIED
    if households >= minimum or (below is BelowMinimum.SEND and households):
        return Ending.LOCK
    if below is BelowMinimum.EXTEND and not was_extended:
        return Ending.EXTEND
    return Ending.CANCEL


def find_cut_off_faults(
    cut_off_at: datetime, *, extend_to: datetime | None, after: datetime, before: datetime
) -> list[Fault]:
    """Return what is wrong with a group's cut-off and with the one it would be extended to."""
    code = "orders.cut_off_out_of_range"
    faults = []
    if not after < cut_off_at < before:
        faults.append(Fault("/cut_off_at", code, {"after": after, "before": before}))
    if extend_to is not None and not cut_off_at < extend_to < before:
        faults.append(Fault("/extend_to", code, {"after": cut_off_at, "before": before}))
    return faults


def give(
    shares: Mapping[UUID, Sequence[Share]], grants: Iterable[Grant]
) -> Mapping[UUID, tuple[GivenLine, ...]]:
    """Return what each order gets from which outlet; what is given of a part is the part, to the unit."""
    piles = {grant.product_id: _piles_of(grant) for grant in grants}
    given: dict[UUID, tuple[GivenLine, ...]] = {}
    # Always in the orders' order: whoever is early in one product is early in all, so that few get
    # their goods from more outlets than they must.
    for order_id in sorted(shares):
        given[order_id] = tuple(
            chain.from_iterable(
                _take(piles[share.line.product_id], share) for share in shares[order_id] if share.granted
            )
        )
    return given


def failures_of(shares: Iterable[Share]) -> tuple[LineFailure, ...]:
    """Return the lines that get less than they asked, with what they get."""
    return tuple(
        LineFailure(
            line=share.line.line,
            product_id=share.line.product_id,
            code="orders.group_short",
            asked=share.line.quantity,
            available=share.granted,
        )
        for share in shares
        if share.missing
    )


def share_grants(
    lines: Iterable[PartLine], grants: Mapping[UUID, int], *, seed: str
) -> Mapping[UUID, Sequence[Share]]:
    """Return each order's shares. The sum of a product's shares is its grant, or what was asked if less."""
    by_product: defaultdict[UUID, list[PartLine]] = defaultdict(list)
    for line in lines:
        by_product[line.product_id].append(line)
    shared = chain.from_iterable(
        _share_product(asking, grants.get(product_id, 0), seed=seed)
        for product_id, asking in by_product.items()
    )
    of_order: defaultdict[UUID, list[Share]] = defaultdict(list)
    for share in shared:
        of_order[share.line.order_id].append(share)
    return {
        order_id: sorted(shares, key=lambda share: share.line.line) for order_id, shares in of_order.items()
    }


def check_grant(grant: Grant) -> None:
    """Raise `BrokenGrant` where more is granted than was asked, or not what the parts are together."""
    if grant.granted > grant.asked or sum(part.quantity for part in grant.parts) != grant.granted:
        raise BrokenGrant(product_id=grant.product_id)


def _piles_of(grant: Grant) -> deque[Pile]:
    check_grant(grant)
    return deque(Pile(part, part.quantity) for part in grant.parts)


def _take(piles: deque[Pile], share: Share) -> Iterable[GivenLine]:
    wanted = share.granted
    while wanted:
        taken = min(wanted, piles[0].left)
        yield piles[0].take(share.line.line, taken)
        wanted -= taken
        if not piles[0].left:
            piles.popleft()


def _share_product(asking: Sequence[PartLine], granted: int, *, seed: str) -> Iterable[Share]:
    asked = {line.household_id: line.quantity for line in asking}
    given = sharing.share(asked, granted, seed=seed, product_id=asking[0].product_id)
    for line in asking:
        yield Share(line, given[line.household_id])
