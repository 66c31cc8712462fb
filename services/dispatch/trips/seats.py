"""SQL of who was to drive which trip, from when until when: rows that are only ended, never changed."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatch.trips.domain import Spell

# A transaction that began before another's seat was written may end it: nobody leaves before coming.
END = text("""
    UPDATE trip_seats SET left_at = greatest(seated_at, now())
    WHERE left_at IS NULL AND trip_id = ANY(CAST(:trip_ids AS uuid[]))
""")
BEGIN = text("""
    INSERT INTO trip_seats (trip_id, driver_id, seated_at, is_degraded)
    SELECT trip_id, driver_id, now(), :is_degraded
    FROM unnest(CAST(:trip_ids AS uuid[]), CAST(:driver_ids AS uuid[])) AS row (trip_id, driver_id)
    ORDER BY trip_id
    ON CONFLICT (trip_id, driver_id, seated_at) DO UPDATE
    SET left_at = NULL, is_degraded = excluded.is_degraded
""")
FIND_OF_LOADS = text("""
    SELECT load_id, driver_id, seated_at, left_at FROM trip_loads JOIN trip_seats USING (trip_id)
    WHERE load_id = ANY(CAST(:load_ids AS uuid[]))
""")


async def end(session: AsyncSession, trip_ids: Iterable[UUID]) -> None:
    """Write that whoever was to drive trips is not any more."""
    await session.execute(END, {"trip_ids": sorted(set(trip_ids))})


async def begin(session: AsyncSession, drivers: Mapping[UUID, UUID], *, is_degraded: bool) -> None:
    """Write who is to drive trips from now on, and whether that was decided on old knowledge."""
    given = {"trip_ids": list(drivers), "driver_ids": list(drivers.values()), "is_degraded": is_degraded}
    await session.execute(BEGIN, given)


async def find_of_loads(session: AsyncSession, load_ids: Iterable[UUID]) -> dict[UUID, list[Spell]]:
    """Return who ever was to drive loads, from when until when."""
    found: dict[UUID, list[Spell]] = {}
    for row in await session.execute(FIND_OF_LOADS, {"load_ids": sorted(set(load_ids))}):
        found.setdefault(row.load_id, []).append(Spell(row.driver_id, row.seated_at, row.left_at))
    return found
