"""SQL of plans, and of the waves they are made from."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from services.contracts.values import Point
from services.dispatch.plans.domain import Window
from services.dispatch.plans.tables import LeftLoadRow, PlanRow
from services.dispatch.plans.travel import Travel

INSERT = text("""
    INSERT INTO plans (plan_id, incident_id, zone_ids, slot_ids, load_ids, cause, is_automatic, status, seed,
                       seconds, requested_at)
    VALUES (:plan_id, :incident_id, CAST(:zone_ids AS uuid[]), CAST(:slot_ids AS uuid[]),
            CAST(:load_ids AS uuid[]), :cause, :is_automatic, 'requested', :seed, :seconds, :now)
""")
# A solver that was killed has let its lease run out; the plan is then anyone's again.
CLAIM = text("""
    UPDATE plans SET status = 'solving', attempts = attempts + 1,
        lease_until = CAST(:now AS timestamptz) + (seconds + :grace) * interval '1 second'
    WHERE plan_id = (
        SELECT plan_id FROM plans
        WHERE status = 'requested' OR (status = 'solving' AND lease_until < :now)
        ORDER BY requested_at LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING *
""")
SETTLE = text("""
    UPDATE plans SET status = :status, failure = :failure, lease_until = NULL, solved_at = :now
    WHERE plan_id = :plan_id AND status = 'solving' AND attempts = :attempt
    RETURNING incident_id
""")
LOCK = text("SELECT * FROM plans WHERE plan_id = :plan_id FOR UPDATE")
CLAIM_AUTOMATIC = text("""
    UPDATE plans SET tried_at = :now
    WHERE plan_id = (
        SELECT plan_id FROM plans
        WHERE status = 'ready' AND is_automatic
          AND (tried_at IS NULL OR tried_at < CAST(:now AS timestamptz) - :every * interval '1 second')
        ORDER BY requested_at LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING plan_id
""")
COMMITTED = text("UPDATE plans SET status = 'committed', committed_at = :now WHERE plan_id = :plan_id")
FAILED = text("UPDATE plans SET status = 'failed', failure = :failure WHERE plan_id = :plan_id")
# One that is just being committed is let be: it takes the loads, and what is asked for anew finds none.
SUPERSEDE = text("""
    UPDATE plans SET status = 'failed', failure = :failure
    WHERE plan_id IN (
        SELECT plan_id FROM plans
        WHERE status = 'ready' AND is_automatic AND load_ids && CAST(:load_ids AS uuid[])
        FOR UPDATE SKIP LOCKED
    )
    RETURNING load_ids
""")
FIND_WINDOWS = text("""
    SELECT slot_id, starts_at, ends_at FROM waves WHERE slot_id = ANY(CAST(:slot_ids AS uuid[]))
""")
FIND_STRANDED = text("""
    SELECT rescue_id, lat, lon FROM rescues
    WHERE rescue_id = ANY(CAST(:rescue_ids AS uuid[])) AND lat IS NOT NULL
""")
# A vehicle that another zone insists on serves that zone alone while its slots last. One whose driver was
# suspended on the road stands there until its goods are taken over, and carries nothing but these.
STANDS_WITH = """ARRAY(
        SELECT rescue_id FROM rescues
        WHERE rescues.vehicle_id = vehicles.vehicle_id AND settled_at IS NULL AND community_id IS NULL
    )"""
LIST_VEHICLES = text(f"""
    SELECT vehicle_id, capacity_g, capacity_pieces, base_lat, base_lon, shift_starts_at, shift_ends_at,
           coalesce(stranded.lat, base_lat) AS lat, coalesce(stranded.lon, base_lon) AS lon
    FROM vehicles LEFT JOIN LATERAL (
        SELECT lat, lon FROM rescues
        WHERE rescues.vehicle_id = vehicles.vehicle_id AND settled_at IS NULL AND lat IS NOT NULL
        ORDER BY opened_at DESC LIMIT 1
    ) AS stranded ON true
    WHERE shift_ends_at > :now AND lost_at IS NULL AND NOT EXISTS (
        SELECT FROM slot_capacities
        WHERE vehicle_id = ANY(pinned_vehicle_ids) AND zone_id <> ALL(CAST(:zone_ids AS uuid[]))
          AND starts_at < :until AND ends_at > :since
    ) AND ({STANDS_WITH} = '{{}}' OR CAST(:origin_ids AS uuid[]) <@ {STANDS_WITH})
    ORDER BY vehicle_id
""")  # noqa: S608 - the columns are ours
FIND_TRAVEL = text("""
    SELECT detour_percent, metres_per_hour, stop_seconds, piece_seconds FROM travel_policies
    WHERE valid_from <= :now ORDER BY valid_from DESC LIMIT 1
""")
LEAVE = text("""
    INSERT INTO left_loads (plan_id, load_id, code)
    SELECT :plan_id, load_id, code
    FROM unnest(CAST(:load_ids AS uuid[]), CAST(:codes AS text[])) AS row (load_id, code)
    ORDER BY load_id
""")
# Before rows that refer to loads are written, in key order: hand-overs lock loads in the same order.
REFER_TO_LOADS = text("""
    SELECT load_id, zone_id FROM loads WHERE load_id = ANY(CAST(:load_ids AS uuid[]))
    ORDER BY load_id FOR KEY SHARE
""")
LOCK_VEHICLES = text(f"""
    SELECT *, {STANDS_WITH} AS stands_with FROM vehicles
    WHERE vehicle_id = ANY(CAST(:vehicle_ids AS uuid[]))
    ORDER BY vehicle_id FOR NO KEY UPDATE
""")  # noqa: S608 - the columns are ours
FIND_SLOTS_OF = text("""
    SELECT load_id, incident_id, slot_id, zone_id, (
        SELECT rescue_id FROM rescue_units JOIN rescues USING (rescue_id)
        WHERE rescue_units.load_id = loads.load_id AND rescue_units.settled_at IS NULL
          AND rescues.community_id IS NULL
        ORDER BY rescue_id DESC LIMIT 1
    ) AS rescue_id
    FROM loads WHERE load_id = ANY(CAST(:load_ids AS uuid[]))
    ORDER BY load_id
""")


async def insert_plan(session: AsyncSession, plan: Mapping[str, object], now: datetime) -> None:
    """Write that a plan is wanted."""
    await session.execute(INSERT, {**plan, "now": now})


async def claim(session: AsyncSession, now: datetime, *, grace: float) -> Row[Any] | None:
    """Take the oldest plan that nobody solves, for its seconds and `grace` more; None where there is none."""
    return (await session.execute(CLAIM, {"now": now, "grace": grace})).one_or_none()


async def settle(  # noqa: PLR0913 - what an attempt's end is
    session: AsyncSession, plan_id: UUID, *, attempt: int, status: str, failure: str | None, now: datetime
) -> Row[Any] | None:
    """End an attempt; None where it is not the running one any more, and its answer comes too late."""
    given = {"plan_id": plan_id, "attempt": attempt, "status": status, "failure": failure, "now": now}
    return (await session.execute(SETTLE, given)).one_or_none()


async def find_plan(session: AsyncSession, plan_id: UUID) -> PlanRow | None:
    """Return a plan, None where there is none."""
    return await session.get(PlanRow, plan_id)


async def lock_plan(session: AsyncSession, plan_id: UUID) -> Row[Any] | None:
    """Hold a plan until the transaction ends, None where there is none."""
    return (await session.execute(LOCK, {"plan_id": plan_id})).one_or_none()


async def claim_automatic(session: AsyncSession, now: datetime, *, every: float) -> UUID | None:
    """Take a plan that is to be committed by itself and was not tried just now."""
    return (await session.execute(CLAIM_AUTOMATIC, {"now": now, "every": every})).scalar_one_or_none()


async def mark_committed(session: AsyncSession, plan_id: UUID, now: datetime) -> None:
    """Write that a plan's trips are made."""
    await session.execute(COMMITTED, {"plan_id": plan_id, "now": now})


async def mark_failed(session: AsyncSession, plan_id: UUID, failure: str) -> None:
    """Write why a plan comes to nothing."""
    await session.execute(FAILED, {"plan_id": plan_id, "failure": failure})


async def supersede(session: AsyncSession, load_ids: Iterable[UUID], failure: str) -> set[UUID]:
    """Let plans of loads that wait to be committed by themselves come to nothing; return all their loads."""
    rows = await session.execute(SUPERSEDE, {"load_ids": sorted(set(load_ids)), "failure": failure})
    return {load_id for loads in rows.scalars() for load_id in loads}


async def find_windows(session: AsyncSession, slot_ids: Sequence[UUID]) -> dict[UUID, Window]:
    """Return when the gates take goods, by slot."""
    rows = await session.execute(FIND_WINDOWS, {"slot_ids": list(slot_ids)})
    return {row.slot_id: Window(row.starts_at, row.ends_at) for row in rows}


async def find_stranded(session: AsyncSession, rescue_ids: Iterable[UUID]) -> dict[UUID, Point]:
    """Return where goods wait to be rescued, by the ids of their rescues, as far as it is known."""
    rows = await session.execute(FIND_STRANDED, {"rescue_ids": sorted(set(rescue_ids))})
    return {row.rescue_id: Point(lat=row.lat, lon=row.lon) for row in rows}


async def list_vehicles(
    session: AsyncSession, zone_ids: Sequence[UUID], origin_ids: Iterable[UUID], around: Window, now: datetime
) -> list[Row[Any]]:
    """Return the vehicles in service whose shift is not over, but for those that another zone insists on.

    One that stands with goods on the road is for these alone.
    """
    given = {
        "zone_ids": list(zone_ids),
        "origin_ids": sorted(set(origin_ids)),
        "since": around.starts_at,
        "until": around.ends_at,
        "now": now,
    }
    return list(await session.execute(LIST_VEHICLES, given))


async def get_travel(session: AsyncSession, now: datetime) -> Travel:
    """Return the policy of the road that holds now; the first of them came with the tables."""
    row = (await session.execute(FIND_TRAVEL, {"now": now})).one()
    return Travel(
        detour_percent=row.detour_percent,
        metres_per_hour=row.metres_per_hour,
        stop_seconds=row.stop_seconds,
        piece_seconds=row.piece_seconds,
    )


async def refer_to_loads(session: AsyncSession, load_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Keep loads from going away until the transaction ends; return their zones."""
    rows = await session.execute(REFER_TO_LOADS, {"load_ids": sorted(set(load_ids))})
    return {row.load_id: row.zone_id for row in rows}


async def insert_left(session: AsyncSession, plan_id: UUID, left: Mapping[UUID, str]) -> None:
    """Write the loads that a plan leaves, each with its reason."""
    given = {"plan_id": plan_id, "load_ids": list(left), "codes": list(left.values())}
    await session.execute(LEAVE, given)


async def list_left(session: AsyncSession, plan_id: UUID) -> list[LeftLoadRow]:
    """Return the loads that a plan leaves."""
    asked = select(LeftLoadRow).where(col(LeftLoadRow.plan_id) == plan_id).order_by(col(LeftLoadRow.load_id))
    return list((await session.execute(asked)).scalars())


async def lock_vehicles(session: AsyncSession, vehicle_ids: Iterable[UUID]) -> dict[UUID, Row[Any]]:
    """Hold vehicles until the transaction ends."""
    rows = await session.execute(LOCK_VEHICLES, {"vehicle_ids": sorted(set(vehicle_ids))})
    return {row.vehicle_id: row for row in rows}


async def find_slots_of(session: AsyncSession, load_ids: Iterable[UUID]) -> list[Row[Any]]:
    """Return loads with their incidents, slots and zones, and the rescue in which each waits on the road."""
    return list(await session.execute(FIND_SLOTS_OF, {"load_ids": sorted(set(load_ids))}))
