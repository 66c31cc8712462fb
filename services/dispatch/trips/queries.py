"""SQL of trips, their stops and what is on board."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from services.dispatch.rows import to_json
from services.dispatch.trips import seats
from services.dispatch.trips.domain import Turn
from services.dispatch.trips.tables import TripRow

# Who drives what is decided by one at a time, and after every row that may be waited for: no two can wait
# for each other.
LOCK_SEATS = text("SELECT pg_advisory_xact_lock(hashtext('dispatch.seats'))")
PROPOSE = text("""
    INSERT INTO trips (trip_id, plan_id, number, incident_id, zone_ids, vehicle_id, status, departs_at,
                       depart_by, ends_at, metres, grams, pieces, capacity_g, capacity_pieces)
    SELECT trip_id, plan_id, number, incident_id,
           ARRAY(SELECT CAST(zone AS uuid) FROM jsonb_array_elements_text(zone_ids) AS zone),
           vehicle_id, 'proposed', departs_at, depart_by, ends_at, metres, grams, pieces,
           capacity_g, capacity_pieces
    FROM jsonb_to_recordset(CAST(:trips AS jsonb)) AS row (
        trip_id uuid, plan_id uuid, number integer, incident_id uuid, zone_ids jsonb, vehicle_id uuid,
        departs_at timestamptz, depart_by timestamptz, ends_at timestamptz, metres integer, grams bigint,
        pieces integer, capacity_g bigint, capacity_pieces integer
    )
""")
PROPOSE_STOPS = text("""
    INSERT INTO trip_stops (trip_id, position, kind, place_id, load_ids, arrives_at, leaves_at)
    SELECT trip_id, position, kind, place_id,
           ARRAY(SELECT CAST(load AS uuid) FROM jsonb_array_elements_text(load_ids) AS load),
           arrives_at, leaves_at
    FROM jsonb_to_recordset(CAST(:stops AS jsonb)) AS row (
        trip_id uuid, position integer, kind text, place_id uuid, load_ids jsonb, arrives_at timestamptz,
        leaves_at timestamptz
    )
""")
PROPOSE_LOADS = text("""
    INSERT INTO trip_loads (trip_id, load_id)
    SELECT trip_id, load_id FROM trip_stops, unnest(load_ids) AS load_id
    WHERE kind = 'pick_up' AND trip_id = ANY(CAST(:trip_ids AS uuid[]))
    ORDER BY load_id
""")
SEAT = text("""
    UPDATE trips SET driver_id = row.driver_id, status = 'planned', is_degraded = :is_degraded
    FROM unnest(CAST(:trip_ids AS uuid[]), CAST(:driver_ids AS uuid[])) AS row (trip_id, driver_id)
    WHERE trips.trip_id = row.trip_id
""")
# In key order: whoever held one of them first is met before anything is held here.
HOLD = text("""
    WITH wanted AS (
        SELECT trip_id, load_id FROM trip_loads
        WHERE trip_id = ANY(CAST(:trip_ids AS uuid[])) ORDER BY load_id FOR UPDATE
    )
    UPDATE trip_loads SET is_held = true FROM wanted
    WHERE trip_loads.trip_id = wanted.trip_id AND trip_loads.load_id = wanted.load_id
""")
LEAVE_OUT = text("""
    UPDATE trips SET status = 'uncommitted', code = :code WHERE trip_id = ANY(CAST(:trip_ids AS uuid[]))
""")
FIND_HELD = text("""
    SELECT load_id, trip_id FROM trip_loads WHERE is_held AND load_id = ANY(CAST(:load_ids AS uuid[]))
""")
LIST_TURNS = text("""
    SELECT driver_id, trip_id, vehicle_id, departs_at, ends_at FROM trips
    WHERE status IN ('planned', 'departed') AND ends_at > :since
""")
LOCK_TRIP = text("SELECT * FROM trips WHERE trip_id = :trip_id FOR UPDATE")
LOCK_OPEN = text("""
    SELECT * FROM trips
    WHERE status IN ('planned', 'departed')
      AND (driver_id = ANY(CAST(:person_ids AS uuid[])) OR vehicle_id = ANY(CAST(:vehicle_ids AS uuid[])))
    ORDER BY trip_id FOR UPDATE
""")
# What is on board: some of it handed over, or gone with the trip, and not yet at the gate or the door.
# Of what was ever rescued from other hands, only what this trip's driver took since.
LIST_ABOARD = text("""
    SELECT trip_id, load_id, is_touched AND at_gate_at IS NULL AND delivered_at IS NULL AS is_aboard,
           is_touched
    FROM trip_loads JOIN loads USING (load_id) JOIN trips USING (trip_id) CROSS JOIN LATERAL (
        SELECT loaded_at IS NOT NULL OR departed_at IS NOT NULL OR touched_at IS NOT NULL AND NOT EXISTS (
            SELECT FROM rescue_units WHERE rescue_units.load_id = loads.load_id
        ) OR EXISTS (
            SELECT FROM load_units CROSS JOIN LATERAL (
                SELECT leg, taker_id FROM hand_overs
                WHERE hand_overs.load_unit_id = load_units.load_unit_id
                ORDER BY leg DESC, reckoned_at DESC, hand_over_id DESC LIMIT 1
            ) AS last
            WHERE load_units.load_id = loads.load_id AND taker_id = driver_id AND NOT EXISTS (
                SELECT FROM rescue_units
                WHERE rescue_units.load_unit_id = load_units.load_unit_id AND settled_at IS NULL
            )
        ) AS is_touched
    ) AS touched
    WHERE is_held AND withdrawn_at IS NULL AND trip_id = ANY(CAST(:trip_ids AS uuid[]))
    ORDER BY load_id
""")
FIND_DRIVERS = text("SELECT trip_id, driver_id FROM trips WHERE trip_id = ANY(CAST(:trip_ids AS uuid[]))")
LIST_EMPTIED = text("""
    SELECT trip_id FROM unnest(CAST(:trip_ids AS uuid[])) AS asked (trip_id)
    WHERE NOT EXISTS (SELECT FROM trip_loads WHERE trip_loads.trip_id = asked.trip_id AND is_held)
""")
LET_GO = text("""
    WITH unwanted AS (
        SELECT trip_id, load_id FROM trip_loads
        WHERE trip_id = ANY(CAST(:trip_ids AS uuid[])) AND load_id = ANY(CAST(:load_ids AS uuid[]))
        ORDER BY load_id FOR UPDATE
    )
    UPDATE trip_loads SET is_held = false FROM unwanted
    WHERE trip_loads.trip_id = unwanted.trip_id AND trip_loads.load_id = unwanted.load_id
""")
SET_STATUS = text("UPDATE trips SET status = :status WHERE trip_id = ANY(CAST(:trip_ids AS uuid[]))")
NOTE_LOADED = text("""
    UPDATE trip_loads SET loaded_at = :now
    WHERE is_held AND loaded_at IS NULL AND load_id = ANY(CAST(:load_ids AS uuid[]))
""")
# Rows in key order, then looked at anew: of two that bring a trip's last loads, the second sees both.
LOCK_PLANNED = text("""
    SELECT trip_id FROM trips WHERE status = 'planned' AND trip_id = ANY(CAST(:trip_ids AS uuid[]))
    ORDER BY trip_id FOR UPDATE
""")
DEPART_FULL = text("""
    UPDATE trips SET status = 'departed', departed_at = :now, sequence = sequence + 1
    WHERE status = 'planned' AND trip_id = ANY(CAST(:trip_ids AS uuid[])) AND (:is_told OR NOT EXISTS (
        SELECT FROM trip_loads JOIN loads USING (load_id)
        WHERE trip_loads.trip_id = trips.trip_id AND is_held AND loaded_at IS NULL AND withdrawn_at IS NULL
    ))
    RETURNING trip_id, incident_id, vehicle_id, driver_id, sequence, ARRAY(
        SELECT load_id FROM trip_loads JOIN loads USING (load_id)
        WHERE trip_loads.trip_id = trips.trip_id AND is_held AND withdrawn_at IS NULL ORDER BY load_id
    ) AS load_ids
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class TripFilter:
    """What a caller asks of the list of trips, and may see: of zones, or as their driver."""

    zone_id: UUID | None
    plan_id: UUID | None
    visible_zone_ids: Sequence[UUID]
    driver_id: UUID | None


LIST = text("""
    SELECT * FROM trips
    WHERE (driver_id = :driver_id OR zone_ids && CAST(:visible_zone_ids AS uuid[]))
      AND (CAST(:zone_id AS uuid) IS NULL OR CAST(:zone_id AS uuid) = ANY(zone_ids))
      AND (CAST(:plan_id AS uuid) IS NULL OR plan_id = :plan_id)
      AND (CAST(:after AS uuid) IS NULL OR trip_id > :after)
    ORDER BY trip_id LIMIT :limit
""")


async def lock_seats(session: AsyncSession) -> None:
    """Let nobody else decide who drives what until this transaction ends."""
    await session.execute(LOCK_SEATS)


async def insert_proposed(
    session: AsyncSession, trips: Sequence[Mapping[str, object]], stops: Sequence[Mapping[str, object]]
) -> None:
    """Write a plan's trips, their stops and loads; nothing is held yet."""
    await session.execute(PROPOSE, {"trips": to_json(trips)})
    await session.execute(PROPOSE_STOPS, {"stops": to_json(stops)})
    await session.execute(PROPOSE_LOADS, {"trip_ids": [trip["trip_id"] for trip in trips]})


async def seat(session: AsyncSession, drivers: Mapping[UUID, UUID], *, is_degraded: bool) -> None:
    """Give trips their drivers: they are planned, and hold their loads."""
    given = {"trip_ids": list(drivers), "driver_ids": list(drivers.values()), "is_degraded": is_degraded}
    await session.execute(SEAT, given)
    await seats.end(session, drivers)
    await seats.begin(session, drivers, is_degraded=is_degraded)
    await session.execute(HOLD, {"trip_ids": list(drivers)})


async def leave_out(session: AsyncSession, trip_ids: Sequence[UUID], *, code: str) -> None:
    """Let trips go uncommitted; their loads stay in the pool."""
    await session.execute(LEAVE_OUT, {"trip_ids": list(trip_ids), "code": code})


async def find_held(session: AsyncSession, load_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Return the trips on which loads are, by load."""
    rows = await session.execute(FIND_HELD, {"load_ids": sorted(set(load_ids))})
    return {row.load_id: row.trip_id for row in rows}


async def list_turns(session: AsyncSession, since: datetime) -> list[Turn]:
    """Return who drives which vehicle when, of all trips not over at `since`."""
    return [
        Turn(
            person_id=row.driver_id,
            trip_id=row.trip_id,
            vehicle_id=row.vehicle_id,
            departs_at=row.departs_at,
            ends_at=row.ends_at,
        )
        for row in await session.execute(LIST_TURNS, {"since": since})
    ]


async def find_trip(session: AsyncSession, trip_id: UUID) -> TripRow | None:
    """Return a trip, None where there is none."""
    return await session.get(TripRow, trip_id)


async def lock_trip(session: AsyncSession, trip_id: UUID) -> Row[Any] | None:
    """Hold a trip until the transaction ends, None where there is none."""
    return (await session.execute(LOCK_TRIP, {"trip_id": trip_id})).one_or_none()


async def lock_open(
    session: AsyncSession, *, person_ids: Iterable[UUID] = (), vehicle_ids: Iterable[UUID] = ()
) -> list[Row[Any]]:
    """Hold the trips that people drive or are to drive, or that vehicles make or are to make."""
    given = {"person_ids": sorted(set(person_ids)), "vehicle_ids": sorted(set(vehicle_ids))}
    return list(await session.execute(LOCK_OPEN, given))


async def list_aboard(session: AsyncSession, trip_ids: Iterable[UUID]) -> list[Row[Any]]:
    """Return the held loads of trips: whether each is on board, and whether it was ever touched."""
    return list(await session.execute(LIST_ABOARD, {"trip_ids": sorted(set(trip_ids))}))


async def find_drivers(session: AsyncSession, trip_ids: Iterable[UUID]) -> dict[UUID, UUID | None]:
    """Return who drives trips, by trip."""
    rows = await session.execute(FIND_DRIVERS, {"trip_ids": sorted(set(trip_ids))})
    return {row.trip_id: row.driver_id for row in rows}


async def list_emptied(session: AsyncSession, trip_ids: Iterable[UUID]) -> list[UUID]:
    """Return those of the trips that have nothing left to carry."""
    given = {"trip_ids": sorted(set(trip_ids))}
    return list((await session.execute(LIST_EMPTIED, given)).scalars())


async def let_go(session: AsyncSession, trip_ids: Iterable[UUID], load_ids: Iterable[UUID]) -> None:
    """Give loads of trips back to the pool."""
    given = {"trip_ids": sorted(set(trip_ids)), "load_ids": sorted(set(load_ids))}
    await session.execute(LET_GO, given)


async def set_status(session: AsyncSession, trip_ids: Iterable[UUID], status: str) -> None:
    """Write what trips have become."""
    await session.execute(SET_STATUS, {"trip_ids": sorted(set(trip_ids)), "status": status})


async def note_loaded(session: AsyncSession, load_ids: Iterable[UUID], now: datetime) -> None:
    """Write that loads are on board of the trips that hold them."""
    await session.execute(NOTE_LOADED, {"load_ids": sorted(set(load_ids)), "now": now})


async def lock_planned(session: AsyncSession, trip_ids: Iterable[UUID]) -> list[UUID]:
    """Hold those of the trips that have not left yet; return them."""
    given = {"trip_ids": sorted(set(trip_ids))}
    return list((await session.execute(LOCK_PLANNED, given)).scalars())


async def depart(
    session: AsyncSession, trip_ids: Sequence[UUID], now: datetime, *, is_told: bool
) -> list[Row[Any]]:
    """Let planned trips leave: all of them where a driver tells it, else those with every load on board."""
    return list(
        await session.execute(DEPART_FULL, {"trip_ids": list(trip_ids), "now": now, "is_told": is_told})
    )


async def list_of_plan(session: AsyncSession, plan_id: UUID) -> list[TripRow]:
    """Return a plan's trips in order."""
    asked = select(TripRow).where(col(TripRow.plan_id) == plan_id).order_by(col(TripRow.number))
    return list((await session.execute(asked)).scalars())


async def list_trips(
    session: AsyncSession, wanted: TripFilter, *, limit: int, after: UUID | None
) -> list[Row[Any]]:
    """Return a page of the trips that a caller may see and asks for, one more than the limit."""
    given = {
        "zone_id": wanted.zone_id,
        "plan_id": wanted.plan_id,
        "visible_zone_ids": list(wanted.visible_zone_ids),
        "driver_id": wanted.driver_id,
        "after": after,
        "limit": limit + 1,
    }
    return list(await session.execute(LIST, given))
