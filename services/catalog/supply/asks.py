"""Whom to ask for what a zone lacks: who does more, who is next, and last the reserve. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final
from uuid import UUID

from services.catalog.supply.domain import Ask, Assignment, Candidate, Status, Supply, rank_candidates
from services.contracts.values import OutletKind

# What a town's reserve depot keeps: grain, oil, vegetables; no medicine, no meals.
IN_RESERVE: Final = frozenset({OutletKind.SUPERMARKET, OutletKind.GREENGROCER})


def choose_asks(supplies: Sequence[Supply], candidates: Sequence[Candidate]) -> list[Ask]:
    """Return whom to ask for what is lacking; what one zone is given, the next one cannot have."""
    left = {one.outlet_id: one.remaining for one in candidates}
    return [ask for supply in supplies for ask in _asks_of(supply, candidates, left)]


def _asks_of(supply: Supply, candidates: Sequence[Candidate], left: dict[UUID, int]) -> Iterable[Ask]:
    reasons = {pin.subject_id: pin.reason for pin in supply.pins}
    rank = max((one.rank for one in supply.assignments), default=0)
    asked: set[UUID] = set()
    for kind in supply.needs:
        lacking = supply.lacking(kind)
        # Ranking costs a distance to every gate: a zone that lacks nothing does not pay it.
        if not lacking:
            continue
        more = lacking - _only_for_others(supply, kind)
        able = [one for one in candidates if left[one.outlet_id] and one.outlet_id not in asked]
        for candidate, metres, does_more in _in_order(supply, kind, able):
            orders = min(lacking, left[candidate.outlet_id], more if does_more else lacking)
            if orders <= 0:
                continue
            rank += 1
            lacking -= orders
            more -= orders
            left[candidate.outlet_id] -= orders
            asked.add(candidate.outlet_id)
            yield Ask(
                zone_id=supply.zone_id,
                outlet_id=candidate.outlet_id,
                kind=kind,
                rank=rank,
                orders=orders,
                distance_m=metres,
                pin_reason=reasons.get(candidate.outlet_id),
            )


def _in_order(
    supply: Supply, kind: OutletKind, able: Sequence[Candidate]
) -> Iterator[tuple[Candidate, int, bool]]:
    """Return the zone's outlets that do all they were asked for, then others, then depots if it is short."""
    of_outlet: dict[UUID, list[Assignment]] = {}
    for one in supply.assignments:
        of_outlet.setdefault(one.outlet_id, []).append(one)
    willing = {outlet_id for outlet_id, asks in of_outlet.items() if all(map(_is_done_in_full, asks))}
    of_kind = [one for one in able if one.kind is kind]
    is_reserve = kind in supply.short and kind in IN_RESERVE
    groups = (
        ([one for one in of_kind if one.outlet_id in willing], True),
        ([one for one in of_kind if one.outlet_id not in of_outlet], False),
        (
            [
                one
                for one in able
                if is_reserve and one.kind is OutletKind.RESERVE_DEPOT and one.outlet_id not in of_outlet
            ],
            False,
        ),
    )
    return chain.from_iterable(
        ((one, metres, does_more) for one, metres in _rank(group, supply)) for group, does_more in groups
    )


def _rank(group: Sequence[Candidate], supply: Supply) -> list[tuple[Candidate, int]]:
    return rank_candidates(group, gates=supply.gates, pins=supply.pins)


def _is_done_in_full(one: Assignment) -> bool:
    # Who accepted less has said how much it can: it is not asked again for what it did not promise.
    return one.status is Status.ACCEPTED and one.accepted_orders == one.asked_orders


def _only_for_others(supply: Supply, kind: OutletKind) -> int:
    """Return the orders that found empty shelves, less those for which another outlet is asked already."""
    short: Mapping[OutletKind, int] = {one: found.of_stock for one, found in supply.short.items()}
    supplying = {one.outlet_id for one in supply.assignments if one.status is Status.ACCEPTED}
    asked = sum(
        one.asked_orders
        for one in supply.assignments
        if one.kind is kind and one.status is Status.ASKED and one.outlet_id not in supplying
    )
    return max(0, short.get(kind, 0) - asked)
