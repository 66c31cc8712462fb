"""SQL of rescues and suspensions."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatch.rows import to_json
from services.kit.ids import new_id

# A unit's holder is the taker of its last hand-over: by leg, then by the moment that counts (`relay.domain`).
FIND_HELD = text("""
    SELECT DISTINCT load_id, last.taker_id AS holder_id FROM (
        SELECT DISTINCT ON (load_unit_id) load_unit_id, leg, taker_id FROM hand_overs
        WHERE load_unit_id IN (
            SELECT load_unit_id FROM hand_overs WHERE leg < 3 AND taker_id = ANY(CAST(:person_ids AS uuid[]))
        )
        ORDER BY load_unit_id, leg DESC, reckoned_at DESC, hand_over_id DESC
    ) AS last JOIN load_units USING (load_unit_id)
    WHERE last.leg < 3 AND last.taker_id = ANY(CAST(:person_ids AS uuid[]))
""")
# Work in a zone of a class for which its person is not cleared now; a zone not heard of is of the strictest.
FIND_OUTSIDE = text("""
    SELECT DISTINCT person_id FROM (
        SELECT driver_id AS person_id, unnest(zone_ids) AS zone_id FROM trips
        WHERE status IN ('planned', 'departed') AND driver_id = ANY(CAST(:person_ids AS uuid[]))
          AND EXISTS (SELECT FROM trip_loads JOIN loads USING (load_id)
                      WHERE trip_loads.trip_id = trips.trip_id AND is_held AND withdrawn_at IS NULL
                        AND at_gate_at IS NULL AND delivered_at IS NULL)
        UNION
        SELECT holder_id, zone_id
        FROM unnest(CAST(:load_ids AS uuid[]), CAST(:holder_ids AS uuid[])) AS held (load_id, holder_id)
        JOIN loads USING (load_id)
    ) AS work JOIN crew USING (person_id) LEFT JOIN zones USING (zone_id)
    WHERE coalesce(:now >= CASE zone_class
        WHEN 'precaution' THEN precaution_until WHEN 'controlled' THEN controlled_until ELSE sealed_until
    END, true)
""")
LIST_SUSPENDED = text("""
    SELECT person_id, sequence FROM crew WHERE is_suspended AND person_id IN (
        SELECT taker_id FROM hand_overs WHERE leg < 3 AND recorded_at > :since
    )
""")
OPEN = text("""
    INSERT INTO rescues (rescue_id, load_id, holder_id, incident_id, zone_id, lat, lon, opened_at)
    SELECT rescue_id, loads.load_id, holder_id, incident_id, loads.zone_id,
           coalesce(seen.lat, outlet.lat), coalesce(seen.lon, outlet.lon), :now
    FROM unnest(
        CAST(:rescue_ids AS uuid[]), CAST(:load_ids AS uuid[]), CAST(:holder_ids AS uuid[])
    ) AS row (rescue_id, load_id, holder_id)
    JOIN loads USING (load_id)
    LEFT JOIN LATERAL (
        SELECT lat, lon FROM hand_overs JOIN load_units USING (load_unit_id)
        WHERE load_units.load_id = loads.load_id AND lat IS NOT NULL
        ORDER BY leg DESC, reckoned_at DESC LIMIT 1
    ) AS seen ON true
    LEFT JOIN LATERAL (
        SELECT lat, lon FROM outlets WHERE outlets.outlet_id = loads.outlet_id
        ORDER BY is_assigned DESC, zone_id LIMIT 1
    ) AS outlet ON true
    ORDER BY loads.load_id
    ON CONFLICT (load_id, holder_id) DO NOTHING
    RETURNING holder_id, incident_id
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
LIST = text("""
    SELECT * FROM rescues
    WHERE zone_id = ANY(CAST(:zone_ids AS uuid[]))
      AND (CAST(:incident_id AS uuid) IS NULL OR incident_id = :incident_id)
      AND (CAST(:after AS uuid) IS NULL OR rescue_id > :after)
    ORDER BY rescue_id LIMIT :limit
""")


async def find_held(session: AsyncSession, person_ids: Iterable[UUID]) -> set[tuple[UUID, UUID]]:
    """Return the loads of which some is in these people's hands, each with the holder."""
    rows = await session.execute(FIND_HELD, {"person_ids": sorted(set(person_ids))})
    return {(row.load_id, row.holder_id) for row in rows}


async def find_outside(session: AsyncSession, person_ids: Iterable[UUID], now: datetime) -> set[UUID]:
    """Return those of these people who have open work in a zone of a class that they are not cleared for."""
    people = sorted(set(person_ids))
    held = sorted(await find_held(session, people))
    given = {
        "person_ids": people,
        "load_ids": [load_id for load_id, _ in held],
        "holder_ids": [holder_id for _, holder_id in held],
        "now": now,
    }
    return set((await session.execute(FIND_OUTSIDE, given)).scalars())


async def list_suspended(session: AsyncSession, since: datetime) -> set[UUID]:
    """Return the suspended people to whom a hand-over was recorded after `since`."""
    return set((await session.execute(LIST_SUSPENDED, {"since": since})).scalars())


async def open_rescues(
    session: AsyncSession, held: Iterable[tuple[UUID, UUID]], now: datetime
) -> list[Row[Any]]:
    """Open a rescue for each load and holder that has none; return holder and incident of the new ones."""
    wanted = sorted(held)
    given = {
        "rescue_ids": [new_id() for _ in wanted],
        "load_ids": [load_id for load_id, _ in wanted],
        "holder_ids": [holder_id for _, holder_id in wanted],
        "now": now,
    }
    return list(await session.execute(OPEN, given))


async def note_suspensions(session: AsyncSession, rows: Sequence[dict[str, object]], now: datetime) -> None:
    """Keep what became of the work of suspended people, by incident."""
    await session.execute(NOTE, {"rows": to_json(rows), "now": now})


async def list_rescues(
    session: AsyncSession,
    zone_ids: Sequence[UUID],
    *,
    incident_id: UUID | None,
    limit: int,
    after: UUID | None,
) -> list[Row[Any]]:
    """Return a page of the rescues of zones, one more than the limit."""
    given = {"zone_ids": list(zone_ids), "incident_id": incident_id, "limit": limit + 1, "after": after}
    return list(await session.execute(LIST, given))
