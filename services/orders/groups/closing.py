"""How groups end without goods, each with its parts. Callers own the transaction."""

from datetime import datetime
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from services.orders.groups import queries
from services.orders.groups.domain import GroupStatus
from services.orders.groups.tables import GroupOrderRow
from services.orders.intake import deciding, ledger
from services.orders.intake.life import Turn
from services.orders.intake.winding_up import REASON

log = structlog.get_logger()

# Each may have thousands of parts, and all of one are one transaction.
BATCH: Final = 1


async def refuse(session: AsyncSession, group: GroupOrderRow, code: str, turn: Turn, now: datetime) -> None:
    """Refuse a locked group and all its parts for one reason."""
    parts = await ledger.lock_parts(session, group.group_id)
    await queries.end(session, group.group_id, GroupStatus.REFUSED, households=len(parts))
    refused = [part.after(turn, refusals=part.failing(code)) for part in parts]
    await deciding.settle(session, {part.order_id: part for part in parts}, refused, now)
    log.info("group.refused", group_id=str(group.group_id), reason=code, parts=len(parts))


async def refuse_undecided(session: AsyncSession, now: datetime) -> int:
    """Refuse groups that are undecided in closed zones; a late grant is let go."""
    groups = await queries.claim_undecided(session, limit=BATCH)
    for group in groups:
        await refuse(session, group, REASON, Turn.ZONE_CLOSED, now)
    return len(groups)
