"""What becomes of groups that were undecided when their zone closed. Callers own the transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from services.orders.groups import queries
from services.orders.groups.domain import GroupStatus
from services.orders.groups.tables import GroupOrderRow
from services.orders.intake import deciding, ledger
from services.orders.intake.life import Turn
from services.orders.intake.winding_up import REASON
from services.orders.zones.tables import ZoneRow

log = structlog.get_logger()

# Each may have thousands of parts, and all of one are one transaction.
BATCH: Final = 1
UNDECIDED: Final = (GroupStatus.OPEN, GroupStatus.LOCKED)
IS_ZONE_CLOSED = text("SELECT status = 'closed' FROM zones WHERE zone_id = :zone_id")


async def refuse_undecided(session: AsyncSession, now: datetime) -> int:
    """Refuse groups that are undecided in closed zones, each with its parts; a late grant is let go."""
    groups = await _claim(session, limit=BATCH)
    for group in groups:
        parts = await ledger.lock_parts(session, group.group_id)
        await queries.end(session, group.group_id, GroupStatus.REFUSED, households=len(parts))
        refused = [part.after(Turn.ZONE_CLOSED, refusals=part.failing(REASON)) for part in parts]
        await deciding.settle(session, {part.order_id: part for part in parts}, refused, now)
        log.info("zone.group_refused", group_id=str(group.group_id), parts=len(parts))
    return len(groups)


async def is_zone_closed(session: AsyncSession, zone_id: UUID) -> bool:
    """Say whether a zone takes no more groups for good."""
    return bool((await session.execute(IS_ZONE_CLOSED, {"zone_id": zone_id})).scalar_one())


async def _claim(session: AsyncSession, *, limit: int) -> Sequence[GroupOrderRow]:
    closed = select(ZoneRow.zone_id).where(ZoneRow.status == "closed")
    undecided = select(GroupOrderRow).where(
        col(GroupOrderRow.status).in_(UNDECIDED), col(GroupOrderRow.zone_id).in_(closed)
    )
    claimed = undecided.limit(limit).with_for_update(skip_locked=True)
    return (await session.execute(claimed)).scalars().all()
