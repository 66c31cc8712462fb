"""SQL of what waits to be carried: at its outlet, on the road, or left behind when the other part went."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatch.plans.domain import Load

# What of a load stays at its outlet after the other part was rescued from the road.
LEFT_BEHIND = """
    SELECT CAST(sum(load_units.grams) AS bigint) AS grams, count(*) AS pieces FROM load_units
    WHERE load_units.load_id = loads.load_id AND (form = 'bagged' OR portion_id IS NULL)
      AND touched_at IS NOT NULL AND at_gate_at IS NULL AND delivered_at IS NULL AND split_at IS NULL
      AND EXISTS (SELECT FROM rescue_units WHERE rescue_units.load_id = loads.load_id)
      AND NOT EXISTS (SELECT FROM hand_overs WHERE hand_overs.load_unit_id = load_units.load_unit_id)
      AND NOT EXISTS (
          SELECT FROM rescue_units
          WHERE rescue_units.load_unit_id = load_units.load_unit_id AND settled_at IS NULL
      )
    HAVING count(*) > 0
"""
# The pool: neither touched nor withdrawn, and on no trip. It goes to the work site of its community, if any.
# What waits on the road to be rescued: as much as is there, from where it stands, in a window of its own;
# and then what of the same load was left behind.
LIST_POOL = text(f"""
    SELECT load_id, coalesce(rescue_id, outlet_id) AS origin_id,
           coalesce(site_id, community_id) AS destination_id,
           coalesce(rescue_id, CASE WHEN behind.pieces > 0 THEN load_id END, slot_id) AS slot_id,
           coalesce(waiting.grams, behind.grams, loads.grams) AS grams,
           coalesce(waiting.pieces, behind.pieces, loads.pieces) AS pieces
    FROM loads LEFT JOIN served_communities USING (community_id) LEFT JOIN LATERAL (
        SELECT rescue_id, CAST(sum(load_units.grams) AS bigint) AS grams, count(*) AS pieces
        FROM rescue_units JOIN rescues USING (rescue_id) JOIN load_units USING (load_unit_id)
        WHERE rescue_units.load_id = loads.load_id AND rescue_units.settled_at IS NULL
          AND rescues.community_id IS NULL
        GROUP BY rescue_id ORDER BY rescue_id DESC LIMIT 1
    ) AS waiting ON true LEFT JOIN LATERAL ({LEFT_BEHIND}) AS behind ON true
    WHERE slot_id = ANY(CAST(:slot_ids AS uuid[]))
      AND (CAST(:load_ids AS uuid[]) IS NULL OR load_id = ANY(CAST(:load_ids AS uuid[])))
      AND (touched_at IS NULL OR rescue_id IS NOT NULL OR behind.pieces > 0) AND withdrawn_at IS NULL
      AND NOT EXISTS (SELECT FROM trip_loads WHERE trip_loads.load_id = loads.load_id AND is_held)
    ORDER BY load_id
""")  # noqa: S608 - the condition is ours
FIND_WAITING = text("""
    SELECT DISTINCT load_id, rescue_id FROM rescue_units JOIN rescues USING (rescue_id)
    WHERE rescue_units.settled_at IS NULL AND community_id IS NULL
      AND load_id = ANY(CAST(:load_ids AS uuid[]))
""")
LOCK_LOADS = text(f"""
    SELECT load_id, outlet_id, touched_at IS NULL OR EXISTS ({LEFT_BEHIND}) AS is_at_outlet, withdrawn_at
    FROM loads WHERE load_id = ANY(CAST(:load_ids AS uuid[]))
    ORDER BY load_id FOR NO KEY UPDATE
""")  # noqa: S608 - the condition is ours


async def list_pool(
    session: AsyncSession, slot_ids: Iterable[UUID], load_ids: Sequence[UUID] | None = None
) -> list[Load]:
    """Return what of these slots is on no trip, or of these loads alone."""
    given = {"slot_ids": sorted(set(slot_ids)), "load_ids": load_ids}
    return [
        Load(
            load_id=row.load_id,
            origin_id=row.origin_id,
            destination_id=row.destination_id,
            slot_id=row.slot_id,
            grams=row.grams,
            pieces=row.pieces,
        )
        for row in await session.execute(LIST_POOL, given)
    ]


async def find_waiting(session: AsyncSession, load_ids: Iterable[UUID]) -> dict[UUID, set[UUID]]:
    """Return the rescues in which something of loads waits on the road, by load."""
    waiting: dict[UUID, set[UUID]] = {}
    for row in await session.execute(FIND_WAITING, {"load_ids": sorted(set(load_ids))}):
        waiting.setdefault(row.load_id, set()).add(row.rescue_id)
    return waiting


async def lock_loads(session: AsyncSession, load_ids: Iterable[UUID]) -> dict[UUID, Row[Any]]:
    """Hold loads until the transaction ends."""
    rows = await session.execute(LOCK_LOADS, {"load_ids": sorted(set(load_ids))})
    return {row.load_id: row for row in rows}
