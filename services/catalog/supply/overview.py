"""What there is to say of a zone's supply to those who watch it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.catalog.market import market_day
from services.catalog.outlets import application as ledger
from services.catalog.outlets import queries as outlets
from services.catalog.outlets.queries import Outlet
from services.catalog.supply import domain, queries
from services.catalog.supply.domain import Supply
from services.catalog.zones import queries as zones
from services.catalog.zones.domain import Zone
from services.contracts.values import MissingSupply
from services.kit.errors import NotFound


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A pinned outlet that is not asked, and why: a pin lifts an outlet's rank, never a requirement."""

    outlet_id: UUID
    reason: str
    code: str


@dataclass(frozen=True, slots=True)
class Overview:
    """A zone's supply as it stands; the seconds are None until it was stated for the first time."""

    zone: Zone
    supply: Supply
    missing: tuple[MissingSupply, ...]
    passed_over: tuple[PassedOver, ...]
    seconds_to_assign: float | None


async def get_overview(session: AsyncSession, zone_id: UUID, *, now: datetime) -> Overview:
    """Return how a zone is supplied; raise `NotFound` where it was never opened."""
    zone = await zones.find_zone(session, zone_id)
    if zone is None:
        raise NotFound("catalog.zone_unknown", "There is no such zone")
    (supply,), _ = await queries.load_supplies(session, {zone_id: zone}, today=market_day(now))
    stated = (await queries.find_stated(session, [zone_id])).get(zone_id)
    supplied_at = stated.supplied_at if stated else None
    return Overview(
        zone=zone,
        supply=supply,
        missing=domain.find_missing(supply),
        passed_over=await _find_passed_over(session, supply, now),
        seconds_to_assign=domain.seconds_between(zone.activated_at, supplied_at) if supplied_at else None,
    )


async def _find_passed_over(session: AsyncSession, supply: Supply, now: datetime) -> tuple[PassedOver, ...]:
    asked = {one.outlet_id for one in supply.assignments}
    pins = [pin for pin in supply.pins if pin.subject_id not in asked]
    known = await outlets.find_outlets(session, [pin.subject_id for pin in pins])
    return tuple(
        PassedOver(pin.subject_id, pin.reason, _code_of(known.get(pin.subject_id), supply, now))
        for pin in pins
    )


def _code_of(outlet: Outlet | None, supply: Supply, now: datetime) -> str:
    if outlet is None:
        return "catalog.outlet_unknown"
    if not ledger.is_qualified(outlet, today=market_day(now)):
        return "catalog.outlet_not_qualified"
    if outlet.facts.kind not in supply.needs:
        return "catalog.kind_not_needed"
    return "catalog.capacity_not_needed"
