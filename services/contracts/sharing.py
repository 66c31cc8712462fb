"""The published rule by which what is short is shared among households, as anyone can repeat it. Pure.

A floor for each, the rest by draw: each unit that the equal floor leaves goes to the next household by
SHA-256 of `seed:product_id:household_id`. Orders shares by it what a group is granted, dispatch what is left
of a bulk load when it is split at the gate.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Final
from uuid import UUID

# As it is published with every locked group.
RULE: Final = "orders.floor_then_draw.v1"


def share(asked: Mapping[UUID, int], granted: int, *, seed: str, product_id: UUID) -> dict[UUID, int]:
    """Return how many units of a product each household gets, none more than it asked for.

    The sum is what was granted, or what was asked where that is less.
    """
    floor = _highest_floor(sorted(asked.values()), granted)
    left = granted - sum(min(quantity, floor) for quantity in asked.values())
    hungry = [household_id for household_id, quantity in asked.items() if quantity > floor]
    lucky = set(draw(hungry, seed=seed, product_id=product_id)[:left])
    return {
        household_id: min(quantity, floor) + (household_id in lucky)
        for household_id, quantity in asked.items()
    }


def draw(household_ids: Iterable[UUID], *, seed: str, product_id: UUID) -> list[UUID]:
    """Return the order of the draw: by SHA-256 of the published seed, the product and the household's id.

    The seed comes to be when the group locks: nobody knows a place before. A household's id, unlike its
    part's, cannot be had anew by taking back and joining until its place is a good one.
    """

    # A hash rather than a generator's state: any household can check its own place with a calculator.
    def place_of(household_id: UUID) -> bytes:
        return sha256(f"{seed}:{product_id}:{household_id}".encode()).digest()

    return sorted(household_ids, key=place_of)


# What was published is shared by the rule that was published, whatever newer one there is.
RULES: Final = {RULE: share}


def _highest_floor(ordered: Sequence[int], granted: int) -> int:
    """Return the most units that every household can have which asks for as many; quantities ascending."""
    left = granted
    floor = 0
    for place, quantity in enumerate(ordered):
        waiting = len(ordered) - place
        step = quantity - floor
        if step * waiting > left:
            return floor + left // waiting
        left -= step * waiting
        floor = quantity
    return floor
