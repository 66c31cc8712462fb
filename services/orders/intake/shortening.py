"""What orders lose when a bulk load is split at the gate. Callers own the transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.dispatch import PortionShortened
from services.kit import correlation, outbox
from services.kit.event import Arrived, Event
from services.orders.intake import deciding, ledger, life, portions
from services.orders.intake.life import Order

log = structlog.get_logger()


async def shorten(
    session: AsyncSession, arrivals: Sequence[Arrived[PortionShortened]], now: datetime
) -> None:
    """Take what was lost from orders, once for each portion; its money and its quota go back.

    An empty portion settles its order as a delivered one does; an order that brings nothing at all is lost.
    """
    with correlation.bind({str(arrived.event.order_id): arrived.correlation_id for arrived in arrivals}):
        await _shorten(session, [arrived.event for arrived in arrivals], now)


async def _shorten(session: AsyncSession, shortened: Sequence[PortionShortened], now: datetime) -> None:
    before = await ledger.lock_orders(session, [portion.order_id for portion in shortened])
    recorded = await portions.record_shortened(session, shortened, now)
    after = dict(before)
    told: list[tuple[Event, int]] = []
    for portion in shortened:
        order = after.get(portion.order_id)
        if portion.portion_id in recorded.portion_ids and order is not None and order.is_promised:
            short = after[order.order_id] = order.shortened(portion.portion_id, portion.lines)
            told.append((life.tell_shortage(short, portion.portion_id), short.sequence))
    for order_id in recorded.lost & after.keys():
        after[order_id] = after[order_id].lost()

    await _write(session, before, after, now)
    await outbox.add_all(session, told)
    await deciding.fulfil(session, after, recorded.fulfilled, now)
    log.info("portions.shortened", portions=len(recorded.portion_ids), lost_orders=len(recorded.lost))


async def _write(
    session: AsyncSession, before: Mapping[UUID, Order], after: Mapping[UUID, Order], now: datetime
) -> None:
    changed = [order for order_id, order in after.items() if order is not before[order_id]]
    if not changed:
        return
    await ledger.write_orders(session, changed, now)
    await ledger.give_back_quotas(
        session, [(order, before[order.order_id].used - order.used) for order in changed]
    )
    for order in changed:
        if order.status is not before[order.order_id].status:
            deciding.DECIDED.labels(order.status).inc()
