"""Reads, writes and locks of zones and slots; a zone is always locked before its slots."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from services.contracts.values import Pin
from services.kit.errors import NotFound
from services.orders.register.clearances import IS_NOT_SUSPENDED
from services.orders.zones.domain import Duty, Quota
from services.orders.zones.tables import IncidentRow, SlotRow, ZoneRow

FIND_ACTIVE = text("""
    SELECT member.community_id, zone.zone_id, zone.incident_id, zone.path
    FROM zone_communities AS member JOIN zones AS zone USING (zone_id)
    WHERE member.is_active AND member.community_id = ANY(CAST(:community_ids AS uuid[]))
""")
# The zone's rule that is valid now; of several the one that began last.
FIND_QUOTAS = text("""
    SELECT DISTINCT ON (zone_id) zone_id, orders, units FROM quota_rules
    WHERE zone_id = ANY(CAST(:zone_ids AS uuid[])) AND valid_from <= :now
      AND (valid_to IS NULL OR :now < valid_to)
    ORDER BY zone_id, valid_from DESC
""")
FIND_AWAITING = text("""
    SELECT DISTINCT zone.zone_id
    FROM areas AS building
    JOIN zone_communities AS member ON member.community_id = building.parent_id
    JOIN zones AS zone USING (zone_id)
    WHERE building.area_id = ANY(CAST(:building_ids AS uuid[])) AND zone.status IN ('prepared', 'activated')
""")
LIST_BUILDINGS = text("""
    SELECT zone_id, building_id, is_bare FROM zone_buildings
    WHERE zone_id = ANY(CAST(:zone_ids AS uuid[])) ORDER BY zone_id, building_id
""")
FIND_DUTIES = text(f"""
    SELECT DISTINCT duty.duty_id, duty.building_ids, duty.starts_at, duty.ends_at
    FROM duties AS duty
    JOIN building_stewards AS steward USING (duty_id)
    JOIN zone_buildings AS member USING (building_id)
    WHERE member.zone_id = ANY(CAST(:zone_ids AS uuid[])) AND duty.starts_at <= :now AND :now < duty.ends_at
      AND {IS_NOT_SUSPENDED}
""")  # noqa: S608 - the condition is written beside its table
LIST_COMMUNITIES = text("SELECT community_id FROM zone_communities WHERE zone_id = :zone_id ORDER BY 1")
LIST_PINS = text("SELECT kind, subject_id, reason FROM zone_pins WHERE zone_id = :zone_id ORDER BY 1, 2")
FIND_NEEDED_KINDS = text("""
    SELECT needed_kinds FROM supply_policies
    WHERE zone_class = :zone_class AND valid_from <= :now AND (valid_to IS NULL OR :now < valid_to)
    ORDER BY valid_from DESC LIMIT 1
""")
COUNT_HOUSEHOLDS = text("""
    SELECT community_id, count(*) AS households FROM households
    WHERE community_id = ANY(CAST(:community_ids AS uuid[])) GROUP BY community_id
""")
COUNT_OPEN_WORK = text("""
    SELECT count(*) FILTER (WHERE orders.status = 'placed') AS undecided,
           count(*) FILTER (WHERE orders.status = 'confirmed') AS undelivered
    FROM orders JOIN slots USING (slot_id)
    WHERE slots.zone_id = :zone_id AND orders.status IN ('placed', 'confirmed')
""")


@dataclass(frozen=True, slots=True)
class Sealing:
    """The zone that holds a community now."""

    zone_id: UUID
    incident_id: UUID
    path: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Building:
    """A building of a zone; a bare one has no steward and is not awaited."""

    zone_id: UUID
    building_id: UUID
    is_bare: bool


async def find_sealings(session: AsyncSession, community_ids: Iterable[UUID]) -> Mapping[UUID, Sealing]:
    """Return the active zone of each community that lies in one."""
    found = await session.execute(FIND_ACTIVE, {"community_ids": sorted(set(community_ids))})
    return {row.community_id: Sealing(row.zone_id, row.incident_id, tuple(row.path)) for row in found}


async def find_quotas(
    session: AsyncSession, zone_ids: Iterable[UUID], *, now: datetime
) -> Mapping[UUID, Quota]:
    """Return what one household of each zone may order in a day, by the rule valid now."""
    found = await session.execute(FIND_QUOTAS, {"zone_ids": sorted(set(zone_ids)), "now": now})
    return {row.zone_id: Quota(row.orders, row.units) for row in found}


async def lock_slots(session: AsyncSession, slot_ids: Iterable[UUID]) -> Mapping[UUID, SlotRow]:
    """Lock slots in key order and return them; the locks stay until the transaction ends."""
    wanted = select(SlotRow).where(col(SlotRow.slot_id).in_(set(slot_ids)))
    locked = wanted.order_by(col(SlotRow.slot_id)).with_for_update()
    fresh = await session.execute(locked, execution_options={"populate_existing": True})
    return {slot.slot_id: slot for slot in fresh.scalars()}


async def list_slots(session: AsyncSession, zone_ids: Iterable[UUID]) -> Sequence[SlotRow]:
    """Return the slots of zones, the earliest cut-off first."""
    wanted = select(SlotRow).where(col(SlotRow.zone_id).in_(set(zone_ids)))
    ordered = wanted.order_by(col(SlotRow.cut_off_at), col(SlotRow.slot_id))
    fresh = await session.execute(ordered, execution_options={"populate_existing": True})
    return fresh.scalars().all()


async def get_zone(session: AsyncSession, zone_id: UUID, *, lock: bool = False) -> ZoneRow:
    """Return a zone, locked where it is to change; raise `NotFound` where there is none."""
    wanted = select(ZoneRow).where(ZoneRow.zone_id == zone_id)
    if lock:
        wanted = wanted.with_for_update()
    found = (
        await session.execute(wanted, execution_options={"populate_existing": True})
    ).scalar_one_or_none()
    if found is None:
        raise NotFound("kit.not_found", "Nothing is found here")
    return found


async def lock_zones(session: AsyncSession, zone_ids: Iterable[UUID]) -> Mapping[UUID, ZoneRow]:
    """Lock zones in key order and return them; a zone that does not exist is left out."""
    wanted = select(ZoneRow).where(col(ZoneRow.zone_id).in_(set(zone_ids)))
    locked = wanted.order_by(col(ZoneRow.zone_id)).with_for_update()
    fresh = await session.execute(locked, execution_options={"populate_existing": True})
    return {zone.zone_id: zone for zone in fresh.scalars()}


async def list_zones(session: AsyncSession, *, after: UUID | None, limit: int) -> Sequence[ZoneRow]:
    """Return a page of zones and one more."""
    wanted = select(ZoneRow).order_by(col(ZoneRow.zone_id)).limit(limit + 1)
    if after:
        wanted = wanted.where(col(ZoneRow.zone_id) > after)
    return (await session.execute(wanted)).scalars().all()


async def list_incident_zones(session: AsyncSession, incident_id: UUID) -> Sequence[ZoneRow]:
    """Return every zone that belongs or belonged to an incident."""
    wanted = select(ZoneRow).where(ZoneRow.incident_id == incident_id).order_by(col(ZoneRow.zone_id))
    return (await session.execute(wanted)).scalars().all()


async def find_incident(
    session: AsyncSession, incident_id: UUID, *, lock: bool = False
) -> IncidentRow | None:
    """Return an incident, locked where it is to change or must not close meanwhile."""
    wanted = select(IncidentRow).where(IncidentRow.incident_id == incident_id)
    if lock:
        wanted = wanted.with_for_update()
    return (await session.execute(wanted)).scalar_one_or_none()


async def find_awaiting(session: AsyncSession, building_ids: Iterable[UUID]) -> Sequence[UUID]:
    """Return the zones, not open yet, whose communities have one of these buildings."""
    found = await session.execute(FIND_AWAITING, {"building_ids": sorted(set(building_ids))})
    return found.scalars().all()


async def list_buildings(session: AsyncSession, zone_ids: Iterable[UUID]) -> Sequence[Building]:
    """Return the buildings of zones."""
    found = await session.execute(LIST_BUILDINGS, {"zone_ids": sorted(set(zone_ids))})
    return [Building(row.zone_id, row.building_id, row.is_bare) for row in found]


async def find_duties(session: AsyncSession, zone_ids: Iterable[UUID], *, now: datetime) -> Sequence[Duty]:
    """Return the duties that hold now in the zones' buildings, of stewards who are not suspended."""
    found = await session.execute(FIND_DUTIES, {"zone_ids": sorted(set(zone_ids)), "now": now})
    return [
        Duty(building_ids=frozenset(row.building_ids), starts_at=row.starts_at, ends_at=row.ends_at)
        for row in found
    ]


async def list_communities(session: AsyncSession, zone_id: UUID) -> Sequence[UUID]:
    """Return a zone's communities."""
    return (await session.execute(LIST_COMMUNITIES, {"zone_id": zone_id})).scalars().all()


async def list_pins(session: AsyncSession, zone_id: UUID) -> Mapping[str, list[Pin]]:
    """Return what the commander insists on in a zone: outlets and vehicles."""
    pins: defaultdict[str, list[Pin]] = defaultdict(list)
    for row in await session.execute(LIST_PINS, {"zone_id": zone_id}):
        pins[row.kind].append(Pin(subject_id=row.subject_id, reason=row.reason))
    return pins


async def find_needed_kinds(session: AsyncSession, zone_class: str, *, now: datetime) -> Sequence[str] | None:
    """Return the kinds of outlets that a zone of a class needs, by the policy valid now."""
    given = {"zone_class": zone_class, "now": now}
    return (await session.execute(FIND_NEEDED_KINDS, given)).scalar_one_or_none()


async def count_open_work(session: AsyncSession, zone_id: UUID) -> tuple[int, int]:
    """Return how many orders of a zone are undecided, and how many are confirmed and not delivered."""
    undecided, undelivered = (await session.execute(COUNT_OPEN_WORK, {"zone_id": zone_id})).one()
    return undecided, undelivered


async def count_households(session: AsyncSession, community_ids: Iterable[UUID]) -> Mapping[UUID, int]:
    """Return how many households are registered in each community that has any."""
    found = await session.execute(COUNT_HOUSEHOLDS, {"community_ids": sorted(set(community_ids))})
    return {row.community_id: row.households for row in found}
