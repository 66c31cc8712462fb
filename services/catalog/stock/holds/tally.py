"""A group's tally: so many units of a product by each price that its households saw. Pure."""

from collections import Counter
from uuid import UUID

from services.catalog.stock.holds.domain import GroupRequest
from services.contracts.values import GivenLine, Grant


def by_product(request: GroupRequest) -> dict[UUID, Counter[int]]:
    """Return the units that a group wants of each product by the price that was seen."""
    tally: dict[UUID, Counter[int]] = {}
    for line in request.tally:
        tally.setdefault(line.product_id, Counter())[line.seen_price_fen] += line.quantity
    return tally


def take_for(missing: Counter[int], price_fen: int, free: int) -> int:
    """Take units at a price for those who saw as much, and return how many.

    Whoever saw the least of them goes first: so none is left without whom only cheaper goods can serve.
    """
    left = free
    for seen in sorted(seen for seen in missing if seen >= price_fen):
        taken = min(left, missing[seen])
        missing[seen] -= taken
        left -= taken
    return free - left


def grant(product_id: UUID, asked: int, parts: tuple[GivenLine, ...], code: str | None) -> Grant:
    """Return what a group gets of a product; the code says why it is not everything."""
    granted = sum(part.quantity for part in parts)
    return Grant(product_id=product_id, asked=asked, granted=granted, code=code, parts=parts)
