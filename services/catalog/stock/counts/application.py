"""What can be asked of shelves. Callers own the transaction."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from services.catalog.stock.counts import domain, queries
from services.catalog.stock.counts.domain import Applied, Change
from services.kit import crash_points

log = structlog.get_logger()


async def change_stock(
    session: AsyncSession,
    outlet_id: UUID,
    changes: Sequence[Change],
    *,
    is_dry_run: bool = False,
    now: datetime,
) -> list[Applied]:
    """Take a shop's counts and adjustments; each has its own outcome, a dry run changes nothing."""
    shelves = await queries.lock_shelves(session, outlet_id, changes)
    applied = domain.apply_changes(changes, shelves, now=now)
    if is_dry_run:
        return applied
    entries = [one.entry for one in applied if one.entry]
    moved = {entry.offer_id for entry in entries}
    touched = [shelf for shelf in shelves.values() if shelf.offer_id in moved]
    await queries.write(session, entries, touched, now=now)
    await crash_points.reach("stock.changed")
    for shelf in touched:
        if shelf.is_short:
            log.warning("stock.short", offer_id=str(shelf.offer_id), missing=shelf.reserved - shelf.on_hand)
    return applied
