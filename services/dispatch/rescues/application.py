"""What is done for the work of suspended people. Callers own the transaction."""

from collections import Counter as Count
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatch.plans import application as plans_application
from services.dispatch.rescues import queries

log = structlog.get_logger()

RESCUES = Counter("rescues_total", "Loads in the hands of somebody suspended")

# A log that comes later than the clock looks back was seen when it came: it is swept every few seconds.
LOOKED_BACK: Final = timedelta(minutes=10)


async def take_work_from(session: AsyncSession, person_ids: Iterable[UUID], now: datetime) -> None:
    """Take the open work from people who were just suspended.

    What is not loaded gets another driver or returns to the pool; what is in their hands is to be rescued.
    """
    people = set(person_ids)
    released = await plans_application.release_driver(session, people, now)
    held = await queries.find_held(session, people)
    held |= {(load_id, each.person_id) for each in released for load_id in each.aboard_load_ids}
    freed: Count[tuple[UUID, UUID]] = Count()
    for each in released:
        freed[each.person_id, each.incident_id] += len(each.reassigned_load_ids) + len(each.pooled_load_ids)
    await _open(session, held, freed, now)


async def take_work_beyond_clearance(
    session: AsyncSession, person_ids: Iterable[UUID], now: datetime
) -> None:
    """Take the open work from those people whose newest clearance does not reach all of it any more.

    All of it, for a round is driven by one: what still is within their clearance goes with it.
    """
    if outside := await queries.find_outside(session, person_ids, now):
        await take_work_from(session, outside, now)


async def open_late(session: AsyncSession, now: datetime) -> int:
    """Open what a late log tells of: goods that a person took over who was suspended by then."""
    people = await queries.list_suspended(session, now - LOOKED_BACK)
    if not people:
        return 0
    return await _open(session, await queries.find_held(session, people), Count(), now)


async def _open(
    session: AsyncSession, held: set[tuple[UUID, UUID]], freed: Count[tuple[UUID, UUID]], now: datetime
) -> int:
    opened = await queries.open_rescues(session, held, now) if held else []
    rescued = Count((row.holder_id, row.incident_id) for row in opened)
    rows: list[dict[str, object]] = [
        {
            "person_id": person_id,
            "incident_id": incident_id,
            "reassigned": freed[person_id, incident_id],
            "rescued": rescued[person_id, incident_id],
        }
        for person_id, incident_id in sorted({*freed, *rescued})
    ]
    if rows:
        await queries.note_suspensions(session, rows, now)
        log.warning("work.taken", people=len(rows), freed=freed.total(), rescued=rescued.total())
    RESCUES.inc(len(opened))
    return len(opened)
