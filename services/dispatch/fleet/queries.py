"""SQL of the fleet and its capacities."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from services.contracts.orders import ZoneOpened
from services.contracts.values import ZoneClass
from services.dispatch.fleet.domain import Policy, Vehicle, Window
from services.dispatch.fleet.tables import VehicleRow
from services.dispatch.rows import to_json
from services.kit.event import Arrived

SAVE = text("""
    INSERT INTO vehicles (vehicle_id, plate, kind, capacity_g, capacity_pieces, base_lat, base_lon,
                          shift_starts_at, shift_ends_at)
    SELECT * FROM unnest(
        CAST(:vehicle_ids AS uuid[]), CAST(:plates AS text[]), CAST(:kinds AS text[]),
        CAST(:capacities_g AS bigint[]), CAST(:capacities_pieces AS integer[]),
        CAST(:lats AS double precision[]), CAST(:lons AS double precision[]),
        CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[])
    ) AS row (vehicle_id, plate)
    ORDER BY plate
    ON CONFLICT (plate) DO UPDATE SET
        kind = excluded.kind, capacity_g = excluded.capacity_g, capacity_pieces = excluded.capacity_pieces,
        base_lat = excluded.base_lat, base_lon = excluded.base_lon,
        shift_starts_at = excluded.shift_starts_at, shift_ends_at = excluded.shift_ends_at
""")
LOSE = text("""
    UPDATE vehicles SET lost_at = :now, lost_because = :reason, returned_at = NULL, returned_by = NULL
    WHERE vehicle_id = :vehicle_id AND lost_at IS NULL
    RETURNING vehicle_id
""")
BRING_BACK = text("""
    UPDATE vehicles SET lost_at = NULL, lost_because = NULL, returned_at = :now, returned_by = :by
    WHERE vehicle_id = :vehicle_id AND lost_at IS NOT NULL
    RETURNING vehicle_id
""")
OPEN_SLOTS = text("""
    INSERT INTO slot_capacities (slot_id, zone_id, incident_id, zone_class, head_count, starts_at, ends_at,
                                 cut_off_at, pinned_vehicle_ids, opened_sequence)
    SELECT slot_id, zone_id, incident_id, zone_class, head_count, starts_at, ends_at, cut_off_at,
           ARRAY(SELECT CAST(pin AS uuid) FROM jsonb_array_elements_text(pins) AS pin), opened_sequence
    FROM jsonb_to_recordset(CAST(:slots AS jsonb)) AS row (
        slot_id uuid, zone_id uuid, incident_id uuid, zone_class text, head_count integer,
        starts_at timestamptz, ends_at timestamptz, cut_off_at timestamptz, pins jsonb, opened_sequence bigint
    )
    ORDER BY slot_id
    ON CONFLICT (slot_id) DO UPDATE SET
        zone_class = excluded.zone_class, head_count = excluded.head_count, starts_at = excluded.starts_at,
        ends_at = excluded.ends_at, cut_off_at = excluded.cut_off_at, is_due = true,
        pinned_vehicle_ids = excluded.pinned_vehicle_ids, opened_sequence = excluded.opened_sequence
    WHERE slot_capacities.opened_sequence < excluded.opened_sequence
""")
# In key order, so that two who say that something has changed never wait for each other.
MARK_DUE = text("""
    UPDATE slot_capacities SET is_due = true
    WHERE slot_id IN (
        SELECT slot_id FROM slot_capacities WHERE ends_at > :now ORDER BY slot_id FOR UPDATE
    )
""")
# Whoever waits for help looks again when there may be more of it than before.
NOTE_GROWTH = text("UPDATE fleet_growth SET grown_at = greatest(grown_at, :now)")
ANY_DUE = text("""
    SELECT EXISTS (
        SELECT FROM slot_capacities WHERE ends_at > :now
          AND (is_due OR checked_at < :now - CAST(:checked_every AS double precision) * interval '1 second')
    )
""")
# Checked now and then also without a word: a clearance or a pass ends by the clock alone.
CLAIM = text("""
    SELECT slot_id, zone_id, incident_id, portions, cut_off_at > :now AS is_taking FROM slot_capacities
    WHERE ends_at > :now
      AND (is_due OR checked_at < :now - CAST(:checked_every AS double precision) * interval '1 second')
    ORDER BY slot_id LIMIT :batch
    FOR UPDATE SKIP LOCKED
""")
LIST_WINDOWS = text("SELECT * FROM slot_capacities WHERE ends_at > :now ORDER BY slot_id")
STATE = text("""
    UPDATE slot_capacities SET portions = row.portions, sequence = sequence + 1
    FROM unnest(CAST(:slot_ids AS uuid[]), CAST(:portions AS integer[])) AS row (slot_id, portions)
    WHERE slot_capacities.slot_id = row.slot_id
    RETURNING slot_capacities.slot_id, zone_id, incident_id, slot_capacities.portions, sequence
""")
CHECKED = text("""
    UPDATE slot_capacities SET is_due = false, checked_at = :now
    WHERE slot_id = ANY(CAST(:slot_ids AS uuid[]))
""")
FIND_POLICY = text("""
    SELECT portion_g, portion_pieces, trip_minutes FROM capacity_policies
    WHERE valid_from <= :now ORDER BY valid_from DESC LIMIT 1
""")


async def find_by_plate(session: AsyncSession, plates: Sequence[str]) -> dict[str, VehicleRow]:
    """Return those vehicles that are there, by plate."""
    found = await session.execute(select(VehicleRow).where(col(VehicleRow.plate).in_(plates)))
    return {row.plate: row for row in found.scalars()}


async def list_vehicles(session: AsyncSession, *, limit: int, after: UUID | None) -> list[VehicleRow]:
    """Return a page of the fleet, one more than the limit."""
    asked = select(VehicleRow).order_by(col(VehicleRow.vehicle_id)).limit(limit + 1)
    if after:
        asked = asked.where(col(VehicleRow.vehicle_id) > after)
    return list((await session.execute(asked)).scalars())


async def save_vehicles(session: AsyncSession, vehicles: Sequence[VehicleRow]) -> None:
    """Write vehicles, new or changed."""
    await session.execute(
        SAVE,
        {
            "vehicle_ids": [each.vehicle_id for each in vehicles],
            "plates": [each.plate for each in vehicles],
            "kinds": [each.kind for each in vehicles],
            "capacities_g": [each.capacity_g for each in vehicles],
            "capacities_pieces": [each.capacity_pieces for each in vehicles],
            "lats": [each.base_lat for each in vehicles],
            "lons": [each.base_lon for each in vehicles],
            "starts": [each.shift_starts_at for each in vehicles],
            "ends": [each.shift_ends_at for each in vehicles],
        },
    )


async def find_vehicle(session: AsyncSession, vehicle_id: UUID) -> VehicleRow | None:
    """Return a vehicle, None where there is none."""
    return await session.get(VehicleRow, vehicle_id)


async def lose(session: AsyncSession, vehicle_id: UUID, reason: str, now: datetime) -> bool:
    """Write that a vehicle in service is lost, and hold it; False where there is none."""
    given = {"vehicle_id": vehicle_id, "reason": reason, "now": now}
    return (await session.execute(LOSE, given)).one_or_none() is not None


async def bring_back(session: AsyncSession, vehicle_id: UUID, now: datetime, *, by: str) -> bool:
    """Write that a lost vehicle is in service again; False where none is lost."""
    given = {"vehicle_id": vehicle_id, "now": now, "by": by}
    return (await session.execute(BRING_BACK, given)).one_or_none() is not None


async def list_working(session: AsyncSession, now: datetime) -> list[Vehicle]:
    """Return every vehicle in service whose shift is not over."""
    asked = select(VehicleRow).where(col(VehicleRow.shift_ends_at) > now, col(VehicleRow.lost_at).is_(None))
    return [
        Vehicle(
            vehicle_id=row.vehicle_id,
            capacity_g=row.capacity_g,
            capacity_pieces=row.capacity_pieces,
            shift_starts_at=row.shift_starts_at,
            shift_ends_at=row.shift_ends_at,
        )
        for row in (await session.execute(asked)).scalars()
    ]


async def get_policy(session: AsyncSession, now: datetime) -> Policy:
    """Return the averages that hold now; the first of them came with the tables."""
    row = (await session.execute(FIND_POLICY, {"now": now})).one()
    return Policy(
        portion_g=row.portion_g,
        portion_pieces=row.portion_pieces,
        trip_minutes=row.trip_minutes,
    )


async def open_slots(session: AsyncSession, arrivals: Sequence[Arrived[ZoneOpened]]) -> None:
    """Know the slots of zones, each at the newest word about its zone."""
    slots = [
        {
            "slot_id": slot.slot_id,
            "zone_id": arrived.event.zone_id,
            "incident_id": arrived.event.incident_id,
            "zone_class": arrived.event.zone_class,
            "head_count": sum(community.head_count for community in arrived.event.communities),
            "starts_at": slot.starts_at,
            "ends_at": slot.ends_at,
            "cut_off_at": slot.cut_off_at,
            "pins": [pin.subject_id for pin in arrived.event.pinned_vehicles],
            "opened_sequence": arrived.sequence,
        }
        for arrived in arrivals
        for slot in arrived.event.slots
    ]
    await session.execute(OPEN_SLOTS, {"slots": to_json(slots)})


async def mark_due(session: AsyncSession, now: datetime) -> None:
    """Let every slot to come be computed again."""
    await session.execute(MARK_DUE, {"now": now})


async def note_growth(session: AsyncSession, now: datetime) -> None:
    """Let every slot to come be computed again, for more may be carried than before; also on the road."""
    await mark_due(session, now)
    await session.execute(NOTE_GROWTH, {"now": now})


async def is_any_due(session: AsyncSession, now: datetime, *, checked_every: float) -> bool:
    """Say whether there is a slot to compute, before everything it depends on is read."""
    asked = {"now": now, "checked_every": checked_every}
    return bool((await session.execute(ANY_DUE, asked)).scalar_one())


async def claim_slots(
    session: AsyncSession, now: datetime, *, batch: int, checked_every: float
) -> Sequence[Row[Any]]:
    """Lock slots that are due, or were not looked at for so many seconds, passing over those others have."""
    asked = {"now": now, "batch": batch, "checked_every": checked_every}
    return (await session.execute(CLAIM, asked)).all()


async def list_windows(session: AsyncSession, now: datetime) -> list[Window]:
    """Return every slot that is not over."""
    return [
        Window(
            slot_id=row.slot_id,
            zone_id=row.zone_id,
            zone_class=ZoneClass(row.zone_class),
            head_count=row.head_count,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            pinned_vehicle_ids=frozenset(row.pinned_vehicle_ids),
        )
        for row in await session.execute(LIST_WINDOWS, {"now": now})
    ]


async def state_portions(session: AsyncSession, portions: Mapping[UUID, int]) -> Sequence[Row[Any]]:
    """Write new numbers of slots that are locked, each at its next sequence, and return the rows."""
    given = {"slot_ids": list(portions), "portions": list(portions.values())}
    return (await session.execute(STATE, given)).all()


async def mark_checked(session: AsyncSession, slot_ids: Sequence[UUID], now: datetime) -> None:
    """Note that slots are as they should be at `now`."""
    await session.execute(CHECKED, {"slot_ids": slot_ids, "now": now})
