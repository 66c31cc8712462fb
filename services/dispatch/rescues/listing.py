"""SQL of rescues as they are shown: what still waits, how much of it, and who comes for it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.values import Point

SHOWN = """
    SELECT rescues.*, zone_class, path, load_ids, grams, pieces, coming
    FROM rescues LEFT JOIN zones USING (zone_id) CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(DISTINCT rescue_units.load_id), '{}') AS load_ids,
               CAST(coalesce(sum(grams), 0) AS bigint) AS grams, count(*) AS pieces
        FROM rescue_units JOIN load_units USING (load_unit_id)
        WHERE rescue_units.rescue_id = rescues.rescue_id AND rescue_units.settled_at IS NULL
    ) AS waiting CROSS JOIN LATERAL (
        SELECT coalesce(jsonb_agg(DISTINCT jsonb_build_object(
            'person_id', driver_id, 'vehicle_id', trips.vehicle_id, 'trip_id', trip_id
        )), '[]') AS coming
        FROM trip_stops JOIN trips USING (trip_id) JOIN trip_loads USING (trip_id)
        WHERE kind = 'pick_up' AND place_id = rescues.rescue_id AND is_held AND driver_id IS NOT NULL
          AND load_id = ANY(waiting.load_ids)
    ) AS planned
"""
LIST = text(f"""{SHOWN}
    WHERE zone_id = ANY(CAST(:zone_ids AS uuid[]))
      AND (CAST(:incident_id AS uuid) IS NULL OR rescues.incident_id = :incident_id)
      AND (CAST(:is_open AS boolean) IS NULL OR (settled_at IS NULL) = :is_open)
      AND (CAST(:is_escalated AS boolean) IS NULL OR (escalated_at IS NOT NULL) = :is_escalated)
      AND (CAST(:after AS uuid) IS NULL OR rescue_id > :after)
    ORDER BY rescue_id LIMIT :limit
""")
FIND = text(f"{SHOWN} WHERE rescue_id = ANY(CAST(:rescue_ids AS uuid[])) ORDER BY rescue_id")
LOCK = text("SELECT rescue_id FROM rescues WHERE rescue_id = :rescue_id FOR NO KEY UPDATE")
# Where loads are to be brought: the work site of their community, or its gate.
FIND_GATES = text("""
    SELECT DISTINCT coalesce(work_sites.lat, gate_lat) AS lat, coalesce(work_sites.lon, gate_lon) AS lon
    FROM loads LEFT JOIN served_communities USING (community_id) LEFT JOIN work_sites USING (site_id)
    LEFT JOIN communities
      ON communities.community_id = loads.community_id AND communities.zone_id = loads.zone_id
    WHERE load_id = ANY(CAST(:load_ids AS uuid[])) AND coalesce(work_sites.lat, gate_lat) IS NOT NULL
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class RescueFilter:
    """What a caller asks of the list of rescues."""

    incident_id: UUID | None = None
    is_open: bool | None = None
    is_escalated: bool | None = None


async def list_rescues(
    session: AsyncSession, zone_ids: Sequence[UUID], wanted: RescueFilter, *, limit: int, after: UUID | None
) -> list[Row[Any]]:
    """Return a page of the rescues of zones, one more than the limit."""
    given = {
        "zone_ids": list(zone_ids),
        "incident_id": wanted.incident_id,
        "is_open": wanted.is_open,
        "is_escalated": wanted.is_escalated,
        "limit": limit + 1,
        "after": after,
    }
    return list(await session.execute(LIST, given))


async def find_rescues(session: AsyncSession, rescue_ids: Iterable[UUID]) -> list[Row[Any]]:
    """Return rescues with what still waits of each."""
    return list(await session.execute(FIND, {"rescue_ids": sorted(set(rescue_ids))}))


async def lock_rescue(session: AsyncSession, rescue_id: UUID) -> Row[Any] | None:
    """Hold a rescue until the transaction ends, None where there is none."""
    if (await session.execute(LOCK, {"rescue_id": rescue_id})).one_or_none() is None:
        return None
    (row,) = await find_rescues(session, [rescue_id])
    return row


async def find_gates(session: AsyncSession, load_ids: Iterable[UUID]) -> list[Point]:
    """Return where loads are to be brought, as far as it is known."""
    rows = await session.execute(FIND_GATES, {"load_ids": sorted(set(load_ids))})
    return [Point(lat=row.lat, lon=row.lon) for row in rows]
