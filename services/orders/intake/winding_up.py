"""What becomes of orders that were undecided when their zone closed. Callers own the transaction."""

from datetime import datetime
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from services.orders.intake import deciding, ledger
from services.orders.intake.life import Turn

log = structlog.get_logger()

REASON: Final = "orders.zone_closed"
# A zone may leave tens of thousands: no batch holds the rows of a few hundred for long.
BATCH: Final = 500


async def refuse_undecided(session: AsyncSession, now: datetime) -> int:
    """Refuse a batch of what is undecided in closed zones; a group's parts are refused with their group.

    An order of which an answer is being written is left to that answer.
    """
    orders = await ledger.claim_undecided(session, limit=BATCH)
    if not orders:
        return 0
    refused = [order.after(Turn.ZONE_CLOSED, refusals=order.failing(REASON)) for order in orders]
    await deciding.settle(session, {order.order_id: order for order in orders}, refused, now)
    log.info("zone.orders_refused", orders=len(orders))
    return len(orders)
