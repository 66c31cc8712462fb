"""What becomes of orders that were undecided when their zone closed. Callers own the transaction."""

from datetime import datetime
from typing import Final

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.orders.intake import deciding, ledger
from services.orders.intake.life import Turn

log = structlog.get_logger()

REASON: Final = "orders.zone_closed"
# A zone may leave tens of thousands: no batch holds the rows of a few hundred for long.
BATCH: Final = 500
# Without an order of their own: that would sort all that is left for each batch, and no lock is waited for.
CLAIM = text("""
    SELECT order_id FROM orders
    WHERE status = 'placed' AND group_id IS NULL AND slot_id IN (
        SELECT slot_id FROM slots
        WHERE status = 'closed' AND told_at IS NULL AND incident_id IS NOT NULL
    )
    LIMIT :limit FOR UPDATE SKIP LOCKED
""")


async def refuse_undecided(session: AsyncSession, now: datetime) -> int:
    """Refuse a batch of what is undecided in closed zones; a group's parts are refused with their group.

    An order of which an answer is being written is left to that answer.
    """
    claimed = (await session.execute(CLAIM, {"limit": BATCH})).scalars().all()
    if not claimed:
        return 0
    orders = await ledger.lock_orders(session, claimed)
    refused = [order.after(Turn.ZONE_CLOSED, refusals=order.failing(REASON)) for order in orders.values()]
    await deciding.settle(session, orders, refused, now)
    log.info("zone.orders_refused", orders=len(orders))
    return len(orders)
