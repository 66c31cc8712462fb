"""What is in a portion's bags when something is missing. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from uuid import UUID

from services.contracts.values import ShortLine
from services.dispatch.loads import domain as loads_domain
from services.dispatch.loads.domain import UnitLine

# By portion, each bag with what it holds.
Bags = dict[UUID, list[tuple[UUID, list[UnitLine]]]]


def refill(
    bags: Sequence[Sequence[UnitLine]], short: Iterable[ShortLine], *, bag_g: int
) -> list[list[UnitLine]]:
    """Return what a portion's bags hold without what is missing, in as few of them as it needs."""
    left = take_out(bags, short)
    merged: dict[tuple[int, UUID], UnitLine] = {}
    for line in (line for bag in left for line in bag):
        known = merged.get((line.line, line.offer_id))
        quantity = line.quantity + (known.quantity if known else 0)
        merged[line.line, line.offer_id] = replace(line, quantity=quantity)
    anew = [unit.lines for unit in loads_domain.pack(list(merged.values()), bag_g=bag_g)]
    if len(anew) >= sum(map(bool, left)):
        return left
    return [*anew, *([] for _ in bags[len(anew) :])]


def take_out(bags: Sequence[Sequence[UnitLine]], short: Iterable[ShortLine]) -> list[list[UnitLine]]:
    """Return what is in a portion's bags without what is missing: the last bags are emptied first."""
    missing = {(line.line, line.offer_id): line.promised - line.given for line in short}
    left: list[list[UnitLine]] = []
    for bag in reversed(bags):
        kept = []
        for line in bag:
            taken = min(line.quantity, missing.get((line.line, line.offer_id), 0))
            if taken:
                missing[line.line, line.offer_id] -= taken
            if taken < line.quantity:
                kept.append(replace(line, quantity=line.quantity - taken))
        left.append(kept)
    return left[::-1]
