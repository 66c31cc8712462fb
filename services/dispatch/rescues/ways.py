"""SQL of how what is to be rescued gets on: who comes for it, who has it, what is to be planned."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatch.plans.pool import LEFT_BEHIND

# Each time twice as late as before, up to a limit, until something joins it.
NOTE_PLANNED = text("""
    UPDATE rescues SET planned_at = :now, plan_again_at = CAST(:now AS timestamptz) + least(
        CASE WHEN :is_news THEN CAST(:wait AS interval)
             ELSE greatest(2 * (plan_again_at - planned_at), CAST(:wait AS interval)) END,
        CAST(:longest AS interval)
    )
    WHERE rescue_id = ANY(CAST(:rescue_ids AS uuid[]))
""")
# A load is on one trip at a time, though parts of it may wait in two places: until that trip has its part.
COMES = """
    SELECT FROM trip_loads JOIN trip_stops USING (trip_id)
    JOIN rescue_units AS part ON part.rescue_id = place_id AND part.load_id = trip_loads.load_id
    WHERE trip_loads.load_id = loads.load_id AND is_held AND kind = 'pick_up' AND part.settled_at IS NULL
"""
# What waits on the road, and no trip comes for, nor is a plan under way. One that has waited long for a
# driver is no way: since it was made, another vehicle may have come that somebody can drive.
UNPLANNED = f"""
    SELECT {{}} FROM rescue_units JOIN loads USING (load_id)
    WHERE rescue_units.rescue_id = rescues.rescue_id AND rescue_units.settled_at IS NULL
      AND withdrawn_at IS NULL AND NOT EXISTS ({COMES})
      AND NOT EXISTS (
          SELECT FROM plans WHERE is_automatic AND load_ids @> ARRAY[loads.load_id]
            AND (status IN ('requested', 'solving') OR status = 'ready'
                 AND solved_at > CAST(:now AS timestamptz) - CAST(:patience AS interval))
      )
"""  # noqa: S608 - the condition is ours
# In a minute at the earliest, also where what can be carried has grown since.
CLAIM_UNPLANNED = text(f"""
    SELECT rescue_id, ARRAY({UNPLANNED.format("DISTINCT load_id")}) AS load_ids FROM rescues
    WHERE settled_at IS NULL AND community_id IS NULL AND (
        plan_again_at <= :now OR planned_at <= CAST(:now AS timestamptz) - CAST(:wait AS interval)
        AND planned_at < (SELECT grown_at FROM fleet_growth)
    ) AND EXISTS ({UNPLANNED.format("")})
    ORDER BY plan_again_at LIMIT :batch FOR NO KEY UPDATE SKIP LOCKED
""")  # noqa: S608 - the conditions are ours
# What was left at its outlet when the other part of its load went, of which nothing waits on the road any
# more. Asked for again each time twice as late, as what waits there is.
CLAIM_LEFT = text(f"""
    SELECT load_id FROM loads CROSS JOIN LATERAL ({LEFT_BEHIND}) AS behind CROSS JOIN LATERAL (
        SELECT max(settled_at) AS since FROM rescue_units WHERE rescue_units.load_id = loads.load_id
    ) AS rescued CROSS JOIN LATERAL (
        SELECT count(*) AS times, max(requested_at) AS last_at, bool_or(
            status IN ('requested', 'solving')
            OR status = 'ready' AND solved_at > CAST(:now AS timestamptz) - CAST(:patience AS interval)
        ) AS is_planned
        FROM plans
        WHERE is_automatic AND load_ids @> ARRAY[loads.load_id] AND requested_at >= since
    ) AS asked
    WHERE touched_at IS NOT NULL AND delivered_at IS NULL AND at_gate_at IS NULL AND withdrawn_at IS NULL
      AND loads.load_id IN (SELECT load_id FROM rescue_units) AND is_planned IS NOT true
      AND (last_at IS NULL OR last_at <= CAST(:now AS timestamptz) - least(
          CAST(:wait AS interval) * power(2, least(times, 20) - 1), CAST(:longest AS interval)
      ))
      AND NOT EXISTS (
          SELECT FROM rescue_units JOIN rescues USING (rescue_id)
          WHERE rescue_units.load_id = loads.load_id AND rescue_units.settled_at IS NULL
            AND rescues.community_id IS NULL
      )
      AND NOT EXISTS (
          SELECT FROM trip_loads
          WHERE trip_loads.load_id = loads.load_id AND is_held AND loaded_at IS NULL
      )
    ORDER BY load_id LIMIT :batch FOR NO KEY UPDATE OF loads SKIP LOCKED
""")  # noqa: S608 - the condition is ours
# Who has a load now of which nothing waits any more where its trip comes to: the taker of the last hand-over
# of any of its units, or who split it, though nobody told that it came to the gate.
FIND_TAKERS = text(f"""
    SELECT DISTINCT ON (load_id) load_id,
           CASE WHEN hand_overs.leg > 1 THEN taker_id ELSE coalesce(split_by, taker_id) END AS taker_id
    FROM loads JOIN load_units USING (load_id) LEFT JOIN hand_overs USING (load_unit_id)
    WHERE load_id = ANY(CAST(:load_ids AS uuid[])) AND NOT EXISTS ({COMES})
    ORDER BY load_id, hand_overs.leg DESC NULLS LAST, reckoned_at DESC, hand_over_id DESC
""")  # noqa: S608 - the condition is ours
FIND_COMING = text("""
    SELECT DISTINCT load_id FROM trip_stops JOIN trip_loads USING (trip_id)
    WHERE kind = 'pick_up' AND place_id = :rescue_id AND is_held AND load_id = ANY(CAST(:load_ids AS uuid[]))
""")


async def note_planned(  # noqa: PLR0913 - how long to wait for the next
    session: AsyncSession,
    rescue_ids: Iterable[UUID],
    now: datetime,
    *,
    is_news: bool,
    wait: timedelta,
    longest: timedelta,
) -> None:
    """Write that a plan was asked for, and when one is asked for again if no trip comes of it."""
    given = {"is_news": is_news, "wait": wait, "longest": longest}
    await session.execute(NOTE_PLANNED, {"rescue_ids": sorted(set(rescue_ids)), "now": now, **given})


async def claim_unplanned(
    session: AsyncSession, now: datetime, *, wait: timedelta, patience: timedelta, batch: int
) -> dict[UUID, list[UUID]]:
    """Hold rescues whose next plan is due, as nothing comes for them; return what is to be planned of each.

    A plan that was ready before `patience` and has no driver is none.
    """
    given = {"now": now, "wait": wait, "patience": patience, "batch": batch}
    return {row.rescue_id: row.load_ids for row in await session.execute(CLAIM_UNPLANNED, given)}


async def claim_left(  # noqa: PLR0913 - how long to wait for what
    session: AsyncSession,
    now: datetime,
    *,
    wait: timedelta,
    longest: timedelta,
    patience: timedelta,
    batch: int,
) -> list[UUID]:
    """Hold loads of which a part is left at the outlet, and nothing comes for it or is planned."""
    given = {"now": now, "wait": wait, "longest": longest, "patience": patience, "batch": batch}
    return list((await session.execute(CLAIM_LEFT, given)).scalars())


async def find_takers(session: AsyncSession, load_ids: Iterable[UUID]) -> dict[UUID, UUID | None]:
    """Return who has those loads of which all was picked up that their trips come for."""
    rows = await session.execute(FIND_TAKERS, {"load_ids": sorted(set(load_ids))})
    return {row.load_id: row.taker_id for row in rows}


async def find_coming(session: AsyncSession, rescue_id: UUID, load_ids: Iterable[UUID]) -> list[UUID]:
    """Return those of the loads that a trip comes for to where a rescue is."""
    given = {"rescue_id": rescue_id, "load_ids": sorted(set(load_ids))}
    return list((await session.execute(FIND_COMING, given)).scalars())
