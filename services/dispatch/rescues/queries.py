"""SQL of rescues and suspensions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatch.rescues.domain import Covering
from services.dispatch.rows import to_json

# One that is just being settled is passed over: what is found now is then another. With what was ever in it.
LOCK_OPEN = text("""
    SELECT *, ARRAY(
        SELECT load_unit_id FROM rescue_units WHERE rescue_units.rescue_id = rescues.rescue_id
    ) AS load_unit_ids
    FROM rescues WHERE settled_at IS NULL AND holder_id = ANY(CAST(:holder_ids AS uuid[]))
    ORDER BY rescue_id FOR NO KEY UPDATE SKIP LOCKED
""")
INSERT = text("""
    INSERT INTO rescues (rescue_id, holder_id, cause, incident_id, zone_id, community_id, vehicle_id, lat,
                         lon, opened_at)
    SELECT rescue_id, holder_id, cause, incident_id, zone_id, community_id, vehicle_id, lat, lon, :now
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS row (
        rescue_id uuid, holder_id uuid, cause text, incident_id uuid, zone_id uuid, community_id uuid,
        vehicle_id uuid, lat double precision, lon double precision
    )
    ORDER BY rescue_id
""")
INSERT_UNITS = text("""
    INSERT INTO rescue_units (rescue_id, load_unit_id, load_id, holder_id)
    SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS row (
        rescue_id uuid, load_unit_id uuid, load_id uuid, holder_id uuid
    )
    ORDER BY load_unit_id
    ON CONFLICT DO NOTHING
    RETURNING rescue_id, load_unit_id
""")
# The rows of rescues before those of their units, in key order. A weaker lock than FOR UPDATE: a hand-over
# that names its rescue need not wait.
LOCK_OF_LOADS = text("""
    SELECT rescue_id FROM rescues
    WHERE settled_at IS NULL AND rescue_id IN (
        SELECT rescue_id FROM rescue_units
        WHERE settled_at IS NULL AND load_id = ANY(CAST(:load_ids AS uuid[]))
    )
    ORDER BY rescue_id FOR NO KEY UPDATE
""")
# Out of those hands: given on, at its door, handed over in the rescue itself (to the same driver on another
# vehicle, it may be), or an empty crate or bag of a load that was split.
GONE = """
    load_units JOIN loads USING (load_id) LEFT JOIN LATERAL (
        SELECT leg, taker_id, hand_overs.rescue_id FROM hand_overs
        WHERE hand_overs.load_unit_id = load_units.load_unit_id
        ORDER BY leg DESC, reckoned_at DESC, hand_over_id DESC LIMIT 1
    ) AS last ON true
    WHERE rescue_units.load_unit_id = load_units.load_unit_id AND rescue_units.settled_at IS NULL
      AND (last.leg = 3 OR last.taker_id <> rescue_units.holder_id OR last.rescue_id = rescue_units.rescue_id
           OR split_at IS NOT NULL AND (portion_id IS NULL OR lines = '[]' OR portion_id IN (
               SELECT portion_id FROM portions WHERE delivered_at IS NOT NULL
           )))
"""
SETTLE_UNITS = text(f"""
    UPDATE rescue_units SET settled_at = :now FROM {GONE}
      AND rescue_units.rescue_id = ANY(CAST(:rescue_ids AS uuid[]))
    RETURNING rescue_units.load_id
""")  # noqa: S608 - the condition is ours
# Only those of which something has gone: the others are nobody's to hold. One that is held is just looked at.
CLAIM_OVER = text(f"""
    SELECT rescue_id FROM rescues
    WHERE settled_at IS NULL AND rescue_id IN (
        SELECT rescue_id FROM rescue_units, LATERAL (SELECT FROM {GONE}) AS gone
        WHERE rescue_units.settled_at IS NULL
    )
    ORDER BY rescue_id LIMIT :batch FOR NO KEY UPDATE SKIP LOCKED
""")  # noqa: S608 - the condition is ours
SETTLE = text("""
    UPDATE rescues SET settled_at = :now
    WHERE settled_at IS NULL AND rescue_id = ANY(CAST(:rescue_ids AS uuid[])) AND NOT EXISTS (
        SELECT FROM rescue_units
        WHERE rescue_units.rescue_id = rescues.rescue_id AND rescue_units.settled_at IS NULL
    )
    RETURNING rescue_id, cause
""")
FIND_COVERING = text("""
    SELECT load_unit_id, rescue_id, rescue_units.holder_id, opened_at, rescue_units.settled_at
    FROM rescue_units JOIN rescues USING (rescue_id)
    WHERE load_unit_id = ANY(CAST(:load_unit_ids AS uuid[])) ORDER BY rescue_id
""")
CLAIM_LATE = text("""
    SELECT rescue_id FROM rescues
    WHERE settled_at IS NULL AND escalated_at IS NULL
      AND opened_at < CAST(:now AS timestamptz) - CAST(:minutes AS integer) * interval '1 minute'
    ORDER BY opened_at LIMIT :batch FOR NO KEY UPDATE SKIP LOCKED
""")
ESCALATE = text("""
    UPDATE rescues SET escalated_at = :now, needs = CAST(:needs AS jsonb) WHERE rescue_id = :rescue_id
""")
CLOSE_UNITS = text("""
    UPDATE rescue_units SET settled_at = :now WHERE rescue_id = :rescue_id AND settled_at IS NULL
""")
CLOSE = text("""
    UPDATE rescues SET settled_at = :now, closed_by = :by, closed_because = :reason
    WHERE rescue_id = :rescue_id
""")
IS_SCANNED = text("""
    SELECT bool_and(split_at IS NOT NULL OR EXISTS (
        SELECT FROM hand_overs WHERE hand_overs.load_unit_id = rescue_units.load_unit_id
    ))
    FROM rescue_units JOIN loads USING (load_id) WHERE rescue_id = :rescue_id AND settled_at IS NULL
""")
NAME_TAKER = text("UPDATE rescues SET taker_id = :taker_id WHERE rescue_id = :rescue_id")
FIND_POLICY = text("""
    SELECT near_metres, take_over_minutes FROM rescue_policies
    WHERE valid_from <= :now ORDER BY valid_from DESC LIMIT 1
""")
NOTE = text("""
    INSERT INTO suspensions (person_id, incident_id, sequence, suspended_at, reassigned, rescued)
    SELECT person_id, incident_id, crew.sequence, :now, reassigned, rescued
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS row (
        person_id uuid, incident_id uuid, reassigned integer, rescued integer
    ) JOIN crew USING (person_id)
    ORDER BY person_id, incident_id
    ON CONFLICT (person_id, incident_id, sequence) DO UPDATE SET
        reassigned = suspensions.reassigned + excluded.reassigned,
        rescued = suspensions.rescued + excluded.rescued
""")


@dataclass(frozen=True, slots=True)
class Policy:
    """How far away help is near by, and how long a take-over may take before somebody is called."""

    near_metres: int
    take_over_minutes: int


async def lock_open(session: AsyncSession, holder_ids: Iterable[UUID]) -> list[Row[Any]]:
    """Hold the open rescues from people's hands that nobody settles at this moment; return them."""
    return list(await session.execute(LOCK_OPEN, {"holder_ids": sorted(set(holder_ids))}))


async def insert_rescues(
    session: AsyncSession,
    rescues: Sequence[Mapping[str, object]],
    units: Sequence[Mapping[str, object]],
    now: datetime,
) -> set[tuple[UUID, UUID]]:
    """Write rescues, and the units of these and of others; return which unit is in which now that was not."""
    await session.execute(INSERT, {"rows": to_json(rescues), "now": now})
    rows = await session.execute(INSERT_UNITS, {"rows": to_json(units)})
    return {(row.rescue_id, row.load_unit_id) for row in rows}


async def lock_of_loads(session: AsyncSession, load_ids: Iterable[UUID]) -> list[UUID]:
    """Hold the open rescues of loads; return their ids."""
    return list((await session.execute(LOCK_OF_LOADS, {"load_ids": sorted(set(load_ids))})).scalars())


async def claim_over(session: AsyncSession, *, batch: int) -> list[UUID]:
    """Hold open rescues of which something has left the hands that it is rescued from; return their ids."""
    return list((await session.execute(CLAIM_OVER, {"batch": batch})).scalars())


async def settle_units(session: AsyncSession, rescue_ids: Sequence[UUID], now: datetime) -> set[UUID]:
    """Write which units have left the hands that they are rescued from; return their loads."""
    given = {"rescue_ids": list(rescue_ids), "now": now}
    return set((await session.execute(SETTLE_UNITS, given)).scalars())


async def settle(session: AsyncSession, rescue_ids: Sequence[UUID], now: datetime) -> list[Row[Any]]:
    """Settle those rescues of which nothing is left; return them."""
    return list(await session.execute(SETTLE, {"rescue_ids": list(rescue_ids), "now": now}))


async def find_covering(session: AsyncSession, load_unit_ids: Iterable[UUID]) -> dict[UUID, list[Covering]]:
    """Return every rescue that units were ever in, by unit."""
    found: dict[UUID, list[Covering]] = {}
    for row in await session.execute(FIND_COVERING, {"load_unit_ids": sorted(set(load_unit_ids))}):
        covering = Covering(
            rescue_id=row.rescue_id,
            holder_id=row.holder_id,
            opened_at=row.opened_at,
            settled_at=row.settled_at,
        )
        found.setdefault(row.load_unit_id, []).append(covering)
    return found


async def claim_late(session: AsyncSession, now: datetime, *, minutes: int, batch: int) -> list[UUID]:
    """Hold the rescues that are open for longer than so many minutes, and of which nobody was told."""
    given = {"now": now, "minutes": minutes, "batch": batch}
    return list((await session.execute(CLAIM_LATE, given)).scalars())


async def escalate(
    session: AsyncSession, rescue_id: UUID, needs: Mapping[str, object], now: datetime
) -> None:
    """Write what a rescue needs that nobody near by has."""
    await session.execute(ESCALATE, {"rescue_id": rescue_id, "needs": to_json([needs])[1:-1], "now": now})


async def name_taker(session: AsyncSession, rescue_id: UUID, taker_id: UUID) -> None:
    """Write who is to take over."""
    await session.execute(NAME_TAKER, {"rescue_id": rescue_id, "taker_id": taker_id})


async def is_scanned(session: AsyncSession, rescue_id: UUID) -> bool:
    """Say whether a scan has told of everything that waits in a rescue, and no driver's word alone."""
    return bool((await session.execute(IS_SCANNED, {"rescue_id": rescue_id})).scalar_one())


async def close(session: AsyncSession, rescue_id: UUID, now: datetime, *, by: str, reason: str) -> None:
    """Write that a person has closed a rescue: nothing of it waits any more."""
    await session.execute(CLOSE_UNITS, {"rescue_id": rescue_id, "now": now})
    await session.execute(CLOSE, {"rescue_id": rescue_id, "now": now, "by": by, "reason": reason})


async def get_policy(session: AsyncSession, now: datetime) -> Policy:
    """Return the policy that holds now; the first of them came with the tables."""
    row = (await session.execute(FIND_POLICY, {"now": now})).one()
    return Policy(near_metres=row.near_metres, take_over_minutes=row.take_over_minutes)


async def note_suspensions(session: AsyncSession, rows: Sequence[dict[str, object]], now: datetime) -> None:
    """Keep what became of the work of suspended people, by incident."""
    await session.execute(NOTE, {"rows": to_json(rows), "now": now})
