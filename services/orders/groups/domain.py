"""How a group's short supply is shared: a floor for each, the rest by a draw that anyone can repeat. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class PartLine:
    """What one household's part of a group asks of one product; a part has one line for each product."""

    order_id: UUID
    line: int
    product_id: UUID
    quantity: int


@dataclass(frozen=True, slots=True)
class Share:
    """What a line gets; the line is named where that is less than it asked."""

    line: PartLine
    granted: int

    @property
    def missing(self) -> int:
        """Return how many units the household does not get."""
        return self.line.quantity - self.granted


def tally(lines: Iterable[PartLine]) -> Mapping[UUID, int]:
    """Return how many units of each product a group asks for: never who asks."""
    asked: defaultdict[UUID, int] = defaultdict(int)
    for line in lines:
        asked[line.product_id] += line.quantity
    return dict(asked)


def reaches_minimum(lines: Iterable[PartLine], *, minimum: int) -> bool:
    """Say whether enough households take part (最低成团, typically 30)."""
    return len({line.order_id for line in lines}) >= minimum


def draw(order_ids: Iterable[UUID], *, seed: str, product_id: UUID) -> list[UUID]:
    """Return the order of the draw: by SHA-256 of the published seed, the product and the order's id."""
    # A hash rather than a generator's state: any household can check its own place with a calculator.
    return sorted(order_ids, key=lambda order_id: sha256(f"{seed}:{product_id}:{order_id}".encode()).digest())


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


def _share_product(asking: Sequence[PartLine], granted: int, *, seed: str) -> Iterable[Share]:
    floor = _highest_floor([line.quantity for line in asking], granted)
    left = granted - sum(min(line.quantity, floor) for line in asking)
    hungry = {line.order_id for line in asking if line.quantity > floor}
    lucky = set(draw(hungry, seed=seed, product_id=asking[0].product_id)[:left])
    for line in asking:
        yield Share(line, min(line.quantity, floor) + (line.order_id in lucky))


def _highest_floor(quantities: Sequence[int], granted: int) -> int:
    """Return the most units that every household can have which asks for as many."""
    left = granted
    floor = 0
    ordered = sorted(quantities)
    for place, quantity in enumerate(ordered):
        waiting = len(ordered) - place
        step = quantity - floor
        if step * waiting > left:
            return floor + left // waiting
        left -= step * waiting
        floor = quantity
    return floor
