"""Reads and writes of check-ins, and what an incident counts."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from services.orders.needs.tables import CheckInRow

LIST_HOUSEHOLDS = text("""
    SELECT household_id FROM households
    WHERE community_id IN (
        SELECT community_id FROM zone_communities JOIN zones USING (zone_id) WHERE incident_id = :incident_id)
""")
# A closed door is no answer: nobody knows of that household.
LIST_ASKED = text("""
    SELECT DISTINCT household_id FROM check_ins
    WHERE incident_id = :incident_id AND outcome <> 'no_answer'
""")
# The last word of a household counts: who needed help may have been helped since. Silence is no word.
LIST_NEEDY = text("""
    SELECT household_id FROM (
        SELECT DISTINCT ON (household_id) household_id, outcome FROM check_ins
        WHERE incident_id = :incident_id AND outcome <> 'no_answer'
        ORDER BY household_id, made_at DESC, check_in_id DESC
    ) AS newest
    WHERE outcome = 'needs_help' ORDER BY household_id
""")
DROP_NOTES = text("""
    UPDATE check_ins SET note = NULL WHERE incident_id = :incident_id AND note IS NOT NULL
""")
COUNT_CHECK_INS = text("SELECT count(*) FROM check_ins WHERE incident_id = :incident_id")
CLOSE = text("""
    UPDATE incidents
    SET status = 'closed', closed_at = :now, abandoned_orders = :orders, abandon_reason = :reason
    WHERE incident_id = :incident_id
""")


async def list_households(session: AsyncSession, incident_id: UUID) -> Sequence[UUID]:
    """Return the households that live in an incident's zones, those already closed included."""
    return (await session.execute(LIST_HOUSEHOLDS, {"incident_id": incident_id})).scalars().all()


async def list_asked(session: AsyncSession, incident_id: UUID) -> Sequence[UUID]:
    """Return the households of an incident that were asked and have answered."""
    return (await session.execute(LIST_ASKED, {"incident_id": incident_id})).scalars().all()


async def list_needy(session: AsyncSession, incident_id: UUID) -> Sequence[UUID]:
    """Return the households whose last check-in says that they need help."""
    return (await session.execute(LIST_NEEDY, {"incident_id": incident_id})).scalars().all()


async def list_check_ins(
    session: AsyncSession, household_id: UUID, *, after: UUID | None, limit: int
) -> Sequence[CheckInRow]:
    """Return a page of a household's check-ins and one more."""
    wanted = select(CheckInRow).where(CheckInRow.household_id == household_id)
    if after:
        wanted = wanted.where(col(CheckInRow.check_in_id) > after)
    return (
        (await session.execute(wanted.order_by(col(CheckInRow.check_in_id)).limit(limit + 1))).scalars().all()
    )


async def drop_notes(session: AsyncSession, incident_id: UUID) -> int:
    """Take the sealed notes off an incident's check-ins; return how many there were."""
    dropped = await session.execute(DROP_NOTES, {"incident_id": incident_id})
    return int(dropped.rowcount)  # type: ignore[attr-defined]


async def count_check_ins(session: AsyncSession, incident_id: UUID) -> int:
    """Return how many check-ins an incident has."""
    return int((await session.execute(COUNT_CHECK_INS, {"incident_id": incident_id})).scalar_one())


async def close_incident(
    session: AsyncSession, incident_id: UUID, *, abandoned: int | None, reason: str | None, now: datetime
) -> None:
    """Mark a locked incident as closed, with how many undelivered orders were given up, and why."""
    given = {"incident_id": incident_id, "orders": abandoned, "reason": reason, "now": now}
    await session.execute(CLOSE, given)
