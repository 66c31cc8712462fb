"""What decisions say about a zone's supply: who got less for want of picking or of stock. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

from services.catalog.stock.holds.domain import (
    OUT_OF_STOCK,
    PICKING_FULL,
    Decision,
    Granted,
    Market,
    Refused,
)
from services.catalog.supply.queries import SupplyingOutlet
from services.catalog.supply.shortages import Shortage
from services.contracts.values import Grant

# Other reasons are no shortage: a price, or goods that nobody lists.
SHORT: Final = frozenset({PICKING_FULL, OUT_OF_STOCK})


def find_shortages(
    decisions: Iterable[Decision],
    *,
    markets: Mapping[UUID, Market],
    supplies: Mapping[UUID, tuple[SupplyingOutlet, ...]],
) -> list[Shortage]:
    """Return what was short: once for each household or group, and kind of outlet that has the product."""
    found: dict[tuple[UUID, str, UUID], Shortage] = {}
    for decision in decisions:
        request = decision.request
        market = markets.get(request.zone_id, Market())
        kinds = {outlet.outlet_id: outlet.kind for outlet in supplies[request.zone_id]}
        for product_id, code, orders in _shortfalls_of(decision):
            for kind in {kinds[shelf.outlet_id] for shelf in market.shelves_of(product_id)}:
                key = (request.zone_id, kind.value, request.asked_by)
                if key not in found or found[key].orders < orders:
                    found[key] = Shortage(
                        zone_id=request.zone_id,
                        kind=kind,
                        wanted_by=request.asked_by,
                        code=code,
                        orders=orders,
                    )
    return list(found.values())


def _shortfalls_of(decision: Decision) -> Iterable[tuple[UUID, str, int]]:
    if isinstance(decision, Refused):
        return [(one.product_id, one.code, 1) for one in decision.failures if one.code in SHORT]
    if isinstance(decision, Granted):
        households = max(1, decision.request.households)
        return [
            (one.product_id, one.code, _without(one, households))
            for one in decision.grants
            if one.code in SHORT and one.code is not None
        ]
    return []


def _without(grant: Grant, households: int) -> int:
    return -(-(grant.asked - grant.granted) * households // grant.asked)
