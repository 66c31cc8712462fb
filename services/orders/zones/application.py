"""What zones can be asked. Callers own the transaction."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog
from prometheus_client import Histogram
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.catalog import ZoneSupplied
from services.contracts.dispatch import SlotCapacityStated
from services.contracts.values import ZoneClass
from services.kit.errors import Fault, Rejected
from services.kit.event import Arrived
from services.kit.ids import new_id
from services.orders.register import queries as register_queries
from services.orders.register.tables import AreaRow
from services.orders.zones import changes, domain, queries
from services.orders.zones.changes import NewSlot
from services.orders.zones.domain import Quota, Readiness
from services.orders.zones.tables import ZoneRow

log = structlog.get_logger()

# The field's best was 900 s; here it is seconds after the last yes.
BUCKETS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 900, 1800, 3600, 7200)
ASSIGN_SECONDS = Histogram(
    "zone_assign_seconds", "From a zone's activation until its outlets were found", buckets=BUCKETS
)
OPEN_SECONDS = Histogram(
    "zone_open_seconds", "From a zone's activation until its channels opened", buckets=BUCKETS
)


SLOT_TITLES: Final = {
    "orders.cut_off_not_before_start": "A slot's cut-off must lie before its start",
    "orders.slot_without_length": "A slot must end after it has started",
    "orders.slot_past": "A slot lies wholly in the past",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """A zone as it is prepared; its communities were found in the register."""

    title: str
    zone_class: ZoneClass
    communities: Sequence[AreaRow]
    slots: Sequence[NewSlot]
    quota: Quota


async def find_communities(session: AsyncSession, community_ids: Sequence[UUID]) -> list[AreaRow]:
    """Return communities; raise `Rejected` naming each id that is none."""
    found = {area.area_id: area for area in await register_queries.find_areas(session, ids=community_ids)}
    strays = [
        Fault(f"/community_ids/{place}", "orders.community_unknown")
        for place, community_id in enumerate(community_ids)
        if community_id not in found or found[community_id].level != "community"
    ]
    if strays:
        raise Rejected("orders.community_unknown", "The register has no such community", faults=strays)
    return [found[community_id] for community_id in sorted(set(community_ids))]


def require_slots(slots: Sequence[NewSlot], *, now: datetime) -> None:
    """Raise `Rejected` naming every slot whose times do not follow each other, or that is over already."""
    times = [(slot.cut_off_at, slot.starts_at, slot.ends_at) for slot in slots]
    found = domain.find_slot_faults(times, now=now)
    faults = [Fault(f"/slots/{place}/{field}", code) for place, field, code in found]
    if faults:
        raise Rejected(faults[0].code, SLOT_TITLES[faults[0].code], faults=faults)


async def prepare_zone(session: AsyncSession, zone: Preparation, *, now: datetime) -> UUID:
    """Write a zone with its slots and its quota; nobody is told until it is activated."""
    require_slots(zone.slots, now=now)
    zone_id = new_id()
    # The areas from the root down, each once, then the zone's own id: a role on any of them covers the zone.
    path = list(dict.fromkeys(area_id for area in zone.communities for area_id in area.path))
    await changes.insert_zone(
        session,
        zone_id=zone_id,
        title=zone.title,
        zone_class=zone.zone_class,
        path=[*path, zone_id],
        now=now,
    )
    await changes.keep_communities(session, zone_id, [area.area_id for area in zone.communities])
    await changes.insert_slots(session, zone_id, zone.slots)
    await changes.add_quota(session, zone_id, zone.quota, now=now)
    return zone_id


async def judge(
    session: AsyncSession, zones: Sequence[ZoneRow], *, now: datetime
) -> Mapping[UUID, Readiness]:
    """Say what each zone awaits now."""
    zone_ids = [zone.zone_id for zone in zones]
    duties = await queries.find_duties(session, zone_ids, now=now)
    buildings: defaultdict[UUID, list[queries.Building]] = defaultdict(list)
    for building in await queries.list_buildings(session, zone_ids):
        buildings[building.zone_id].append(building)
    slots: defaultdict[UUID, dict[UUID, int | None]] = defaultdict(dict)
    for slot in await queries.list_slots(session, zone_ids):
        # A slot that takes no more orders is waited for by nobody.
        if now < slot.cut_off_at:
            slots[slot.zone_id][slot.slot_id] = slot.capacity
    return {
        zone.zone_id: domain.judge_readiness(
            is_supplied=zone.supplied_at is not None,
            slot_ids=slots[zone.zone_id],
            stated_slot_ids=[
                slot_id for slot_id, capacity in slots[zone.zone_id].items() if capacity is not None
            ],
            unattended=domain.find_unattended(
                [building.building_id for building in buildings[zone.zone_id]], duties, now=now
            ),
            bare=[building.building_id for building in buildings[zone.zone_id] if building.is_bare],
        )
        for zone in zones
    }


async def open_ready(session: AsyncSession, zone_ids: Iterable[UUID], *, now: datetime) -> None:
    """Open the channels of those activated zones that await nothing any more.

    The zones are locked before they are judged: of two words that complete a zone at once, the second sees
    the first.
    """
    locked = await queries.lock_zones(session, zone_ids)
    waiting = [zone for zone in locked.values() if zone.status == "activated"]
    if not waiting:
        return
    readiness = await judge(session, waiting, now=now)
    opened = {}
    for zone in waiting:
        if zone.activated_at is not None and readiness[zone.zone_id].is_ready:
            # A word that waited for the activation's lock may carry an earlier timestamp.
            moment = max(now, zone.activated_at)
            opened[zone.zone_id] = domain.seconds_to_open(activated_at=zone.activated_at, opened_at=moment)
    await changes.open_channels(session, opened)
    for zone_id, seconds in opened.items():
        OPEN_SECONDS.observe(seconds)
        log.info("zone.opened", zone_id=str(zone_id), seconds=seconds)


async def keep_supply(
    session: AsyncSession, arrivals: Sequence[Arrived[ZoneSupplied]], now: datetime
) -> None:
    """Keep who supplies zones and what they lack; a zone that lacks something opens all the same."""
    zones = await queries.lock_zones(session, [arrived.event.zone_id for arrived in arrivals])
    newer = [
        arrived
        for arrived in arrivals
        if (zone := zones.get(arrived.event.zone_id)) and zone.supply_sequence < arrived.sequence
    ]
    await changes.keep_supply(session, newer, now=now)
    for arrived in newer:
        if zones[arrived.event.zone_id].supply_sequence == 0:
            ASSIGN_SECONDS.observe(arrived.event.seconds_to_assign)
    await open_ready(session, zones, now=now)


async def keep_capacity(
    session: AsyncSession, arrivals: Sequence[Arrived[SlotCapacityStated]], now: datetime
) -> None:
    """Keep how many portions each slot has; below what is taken nobody is cancelled."""
    zones = await queries.lock_zones(session, {arrived.event.zone_id for arrived in arrivals})
    await changes.keep_capacity(session, arrivals)
    await open_ready(session, zones, now=now)


async def attend(session: AsyncSession, building_ids: Iterable[UUID], *, now: datetime) -> None:
    """Judge anew the zones whose buildings have got another steward, or whose steward begins to count."""
    await open_ready(session, await queries.find_awaiting(session, building_ids), now=now)
