"""In which of its bags a portion came to its door. Pure: the same log in any order gives the same."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from uuid import UUID

from services.contracts.dispatch import Leg
from services.dispatch.relay import domain
from services.dispatch.relay.domain import Contents, HandOver


def as_came(contents: Contents, hand_overs: Iterable[HandOver]) -> Contents:
    """Return the contents of a load with those bags filled in which its portions came to their doors.

    A portion may come in any of its bags, in as many as it fills: whoever put into the second what was meant
    for the first has brought it all the same.
    """
    first = domain.first_passages(hand_overs, Leg.DOOR)
    bags = {
        portion_id: _stand_in(filled, contents.spare.get(portion_id, frozenset()), first)
        for portion_id, filled in contents.bags.items()
    }
    return replace(contents, bags=bags)


def _stand_in(
    filled: frozenset[UUID], spare: frozenset[UUID], first: Mapping[UUID, HandOver]
) -> frozenset[UUID]:
    waiting = sorted(filled - first.keys())
    came = sorted(spare & first.keys(), key=lambda each: first[each].place_in_chain)[: len(waiting)]
    return (filled & first.keys()).union(came, waiting[len(came) :])
