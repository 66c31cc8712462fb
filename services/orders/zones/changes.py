"""Every write to a zone and what belongs to it; the zone is locked before."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.catalog import ZoneSupplied
from services.contracts.dispatch import SlotCapacityStated
from services.contracts.values import Pin, ZoneClass
from services.kit.event import Arrived
from services.kit.ids import new_id
from services.orders.zones.domain import Quota
from services.orders.zones.tables import ZoneRow

INSERT_ZONE = text("""
    INSERT INTO zones (zone_id, title, zone_class, status, path, created_at)
    VALUES (:zone_id, :title, :zone_class, 'prepared', CAST(:path AS uuid[]), :now)
""")
KEEP_COMMUNITIES = text("""
    INSERT INTO zone_communities (zone_id, community_id)
    SELECT :zone_id, unnest(CAST(:community_ids AS uuid[]))
""")
INSERT_SLOTS = text("""
    INSERT INTO slots (slot_id, zone_id, starts_at, ends_at, cut_off_at)
    SELECT slot_id, :zone_id, starts_at, ends_at, cut_off_at
    FROM unnest(
        CAST(:slot_ids AS uuid[]), CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[]),
        CAST(:cut_offs AS timestamptz[])
    ) AS given (slot_id, starts_at, ends_at, cut_off_at)
""")
ADD_QUOTA = text("""
    INSERT INTO quota_rules (rule_id, zone_id, orders, units, valid_from)
    VALUES (:rule_id, :zone_id, :orders, :units, :now)
""")
ACTIVATE = text("""
    UPDATE zones SET
        status = 'activated', incident_id = :incident_id, activated_at = :now, sequence = sequence + 1
    WHERE zone_id = :zone_id AND status = 'prepared'
    RETURNING sequence
""")
ACTIVATE_PARTS = (
    text("UPDATE zone_communities SET is_active = true WHERE zone_id = :zone_id"),
    text("UPDATE slots SET incident_id = :incident_id WHERE zone_id = :zone_id"),
)
CLOSE = text("""
    UPDATE zones SET
        status = 'closed', closed_at = :now, close_reason = :reason, next_class = :next_class,
        sequence = sequence + 1
    WHERE zone_id = :zone_id AND status IN ('activated', 'open')
    RETURNING sequence
""")
RELEASE_COMMUNITIES = text("UPDATE zone_communities SET is_active = false WHERE zone_id = :zone_id")
# The cut-off is now: from it on nothing is taken back, and the wave is told once nothing is undecided.
CLOSE_SLOTS = text("""
    UPDATE slots AS slot SET status = 'closed', cut_off_at = least(slot.cut_off_at, :now)
    FROM (SELECT slot_id FROM slots WHERE zone_id = :zone_id ORDER BY slot_id FOR UPDATE) AS locked
    WHERE slot.slot_id = locked.slot_id
""")
KEEP_BUILDINGS = text("""
    INSERT INTO zone_buildings (zone_id, building_id, is_bare)
    SELECT :zone_id, building_id, is_bare
    FROM unnest(CAST(:building_ids AS uuid[]), CAST(:bare AS boolean[])) AS given (building_id, is_bare)
""")
KEEP_PINS = text("""
    INSERT INTO zone_pins (zone_id, kind, subject_id, reason)
    SELECT :zone_id, :kind, subject_id, reason
    FROM unnest(CAST(:subject_ids AS uuid[]), CAST(:reasons AS text[])) AS given (subject_id, reason)
    ON CONFLICT (zone_id, kind, subject_id) DO NOTHING
""")
# The first word says how long it took; what is restated later changes what is missing.
KEEP_SUPPLY = text("""
    UPDATE zones AS zone SET
        supply_sequence = given.sequence, missing = CAST(given.missing AS jsonb),
        supplied_at = COALESCE(zone.supplied_at, :now),
        seconds_to_assign = COALESCE(zone.seconds_to_assign, given.seconds)
    FROM unnest(
        CAST(:zone_ids AS uuid[]), CAST(:sequences AS bigint[]), CAST(:missing AS text[]),
        CAST(:seconds AS double precision[])
    ) AS given (zone_id, sequence, missing, seconds)
    WHERE zone.zone_id = given.zone_id AND zone.supply_sequence < given.sequence
""")
KEEP_CAPACITY = text("""
    UPDATE slots AS slot SET capacity = given.portions, capacity_sequence = given.sequence
    FROM (
        SELECT slots.slot_id, portions, given.sequence
        FROM unnest(CAST(:slot_ids AS uuid[]), CAST(:portions AS integer[]), CAST(:sequences AS bigint[]))
            AS given (slot_id, portions, sequence)
        JOIN slots USING (slot_id)
        ORDER BY slot_id FOR UPDATE OF slots
    ) AS given
    WHERE slot.slot_id = given.slot_id AND slot.capacity_sequence < given.sequence
""")
OPEN_ZONES = text("""
    UPDATE zones AS zone SET
        status = 'open', seconds_to_open = given.seconds,
        opened_at = zone.activated_at + make_interval(secs => given.seconds)
    FROM unnest(CAST(:zone_ids AS uuid[]), CAST(:seconds AS double precision[])) AS given (zone_id, seconds)
    WHERE zone.zone_id = given.zone_id AND zone.status = 'activated'
""")
OPEN_SLOTS = text("""
    UPDATE slots AS slot SET status = 'open'
    FROM (SELECT slot_id FROM slots WHERE zone_id = ANY(CAST(:zone_ids AS uuid[])) AND status = 'waiting'
          ORDER BY slot_id FOR UPDATE) AS locked
    WHERE slot.slot_id = locked.slot_id
""")


# Slots added to an active zone: shut until dispatch has stated what it can carry, like any other.
ADOPT_SLOTS = text("""
    UPDATE slots AS slot SET
        incident_id = zone.incident_id, status = CASE zone.status WHEN 'open' THEN 'open' ELSE 'waiting' END
    FROM zones AS zone
    WHERE zone.zone_id = :zone_id AND slot.zone_id = zone.zone_id AND slot.incident_id IS NULL
""")
RAISE_SEQUENCE = text("UPDATE zones SET sequence = sequence + 1 WHERE zone_id = :zone_id RETURNING sequence")


@dataclass(frozen=True, slots=True)
class NewSlot:
    """A time of delivery as it is asked for."""

    starts_at: datetime
    ends_at: datetime
    cut_off_at: datetime


async def insert_zone(  # noqa: PLR0913 - a row's columns
    session: AsyncSession, *, zone_id: UUID, title: str, zone_class: str, path: Sequence[UUID], now: datetime
) -> None:
    """Write a zone that is prepared."""
    given = {"zone_id": zone_id, "title": title, "zone_class": zone_class, "path": path, "now": now}
    await session.execute(INSERT_ZONE, given)


async def keep_communities(session: AsyncSession, zone_id: UUID, community_ids: Sequence[UUID]) -> None:
    """Write which communities a zone has."""
    await session.execute(KEEP_COMMUNITIES, {"zone_id": zone_id, "community_ids": community_ids})


async def adopt_slots(session: AsyncSession, zone_id: UUID) -> int:
    """Let the slots added to an active zone share its state; return the sequence of its next word."""
    await session.execute(ADOPT_SLOTS, {"zone_id": zone_id})
    raised: int = (await session.execute(RAISE_SEQUENCE, {"zone_id": zone_id})).scalar_one()
    return raised


async def insert_slots(session: AsyncSession, zone_id: UUID, slots: Sequence[NewSlot]) -> None:
    """Write a zone's slots, shut until the channels open."""
    given = {
        "zone_id": zone_id,
        "slot_ids": [new_id() for _ in slots],
        "starts": [slot.starts_at for slot in slots],
        "ends": [slot.ends_at for slot in slots],
        "cut_offs": [slot.cut_off_at for slot in slots],
    }
    await session.execute(INSERT_SLOTS, given)


async def add_quota(session: AsyncSession, zone_id: UUID, quota: Quota, *, now: datetime) -> None:
    """Write a quota rule that holds from now on."""
    given = {
        "rule_id": new_id(),
        "zone_id": zone_id,
        "orders": quota.orders,
        "units": quota.units,
        "now": now,
    }
    await session.execute(ADD_QUOTA, given)


async def activate(session: AsyncSession, zone: ZoneRow, incident_id: UUID, *, now: datetime) -> int:
    """Make a prepared zone the holder of its communities; return its sequence."""
    given = {"zone_id": zone.zone_id, "incident_id": incident_id, "now": now}
    sequence: int = (await session.execute(ACTIVATE, given)).scalar_one()
    seal_communities, join_incident = ACTIVATE_PARTS
    await session.execute(seal_communities, {"zone_id": zone.zone_id})
    await session.execute(join_incident, {"zone_id": zone.zone_id, "incident_id": incident_id})
    return sequence


async def close(
    session: AsyncSession, zone: ZoneRow, *, reason: str, next_class: ZoneClass | None, now: datetime
) -> int:
    """Close a zone and, from now on, its slots, and let its communities go; return its sequence."""
    given = {"zone_id": zone.zone_id, "reason": reason, "next_class": next_class, "now": now}
    sequence: int = (await session.execute(CLOSE, given)).scalar_one()
    await session.execute(RELEASE_COMMUNITIES, {"zone_id": zone.zone_id})
    await session.execute(CLOSE_SLOTS, {"zone_id": zone.zone_id, "now": now})
    return sequence


async def keep_buildings(
    session: AsyncSession, zone_id: UUID, buildings: Sequence[tuple[UUID, bool]]
) -> None:
    """Write which buildings a zone has, and which of them are bare."""
    given = {
        "zone_id": zone_id,
        "building_ids": [building_id for building_id, _ in buildings],
        "bare": [is_bare for _, is_bare in buildings],
    }
    await session.execute(KEEP_BUILDINGS, given)


async def keep_pins(session: AsyncSession, zone_id: UUID, kind: str, pins: Sequence[Pin]) -> None:
    """Write what the commander insists on, and why."""
    given = {
        "zone_id": zone_id,
        "kind": kind,
        "subject_ids": [pin.subject_id for pin in pins],
        "reasons": [pin.reason for pin in pins],
    }
    await session.execute(KEEP_PINS, given)


async def keep_supply(
    session: AsyncSession, arrivals: Sequence[Arrived[ZoneSupplied]], *, now: datetime
) -> None:
    """Keep the newest word on each zone's supply."""
    given = {
        "zone_ids": [arrived.event.zone_id for arrived in arrivals],
        "sequences": [arrived.sequence for arrived in arrivals],
        "missing": [
            json.dumps([lack.model_dump(mode="json") for lack in arrived.event.missing])
            for arrived in arrivals
        ],
        "seconds": [max(0.0, arrived.event.seconds_to_assign) for arrived in arrivals],
        "now": now,
    }
    await session.execute(KEEP_SUPPLY, given)


async def keep_capacity(session: AsyncSession, arrivals: Sequence[Arrived[SlotCapacityStated]]) -> None:
    """Keep the newest word on each slot's capacity; slots of ours that are unknown here do not exist."""
    given = {
        "slot_ids": [arrived.event.slot_id for arrived in arrivals],
        "portions": [arrived.event.portions for arrived in arrivals],
        "sequences": [arrived.sequence for arrived in arrivals],
    }
    await session.execute(KEEP_CAPACITY, given)


async def open_channels(session: AsyncSession, seconds: Mapping[UUID, float]) -> None:
    """Open zones, each so many seconds after its activation, and their slots."""
    if not seconds:
        return
    await session.execute(OPEN_ZONES, {"zone_ids": list(seconds), "seconds": list(seconds.values())})
    await session.execute(OPEN_SLOTS, {"zone_ids": list(seconds)})
