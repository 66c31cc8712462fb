"""What becomes of orders, by others' words and by the clock. Callers own the transaction."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.catalog import StockRefused, StockReserved
from services.contracts.dispatch import PortionDelivered
from services.contracts.orders import SlotClosed
from services.contracts.values import GivenLine
from services.kit import outbox, pending
from services.kit.event import Event
from services.orders.intake import acceptance, ledger, life, portions
from services.orders.intake.life import Order, OrderStatus, Turn

log = structlog.get_logger()

DECIDED = Counter("orders_decided_total", "Orders by what became of them", ["status"])

OVERDUE_BATCH = 200
SLOT_BATCH = 50
# A large group's parts are one transaction, but none of its statements may outlast the limit of one.
CHUNK = 500
ENDED_WITHOUT_GOODS = (OrderStatus.REFUSED, OrderStatus.CANCELLED)


class UnknownOrder(Exception):
    """Somebody speaks of orders that were never placed; a person has to look."""

    def __init__(self, *, order_ids: Iterable[UUID]) -> None:
        super().__init__(", ".join(map(str, order_ids)))


async def confirm(session: AsyncSession, answers: Sequence[StockReserved], now: datetime) -> None:
    """Let orders have what catalog holds for them; an answer that comes late changes nothing."""
    orders = await _lock(session, [answer.reservation_id for answer in answers])
    await settle(
        session,
        orders,
        [orders[answer.reservation_id].after(Turn.STOCK_RESERVED, given=answer.lines) for answer in answers],
        now,
    )


async def refuse(session: AsyncSession, answers: Sequence[StockRefused], now: datetime) -> None:
    """Refuse orders with each line that failed; quota and slot are given back with it."""
    orders = await _lock(session, [answer.reservation_id for answer in answers])
    await settle(
        session,
        orders,
        [
            orders[answer.reservation_id].after(Turn.STOCK_REFUSED, refusals=answer.failures)
            for answer in answers
        ],
        now,
    )


async def refuse_overdue(session: AsyncSession, now: datetime) -> int:
    """Refuse orders that got no answer in time; while the bus is away they are put off, and show it."""
    policy = await acceptance.get_policy(session, now)
    is_away = await is_stalled(session, policy)
    overdue = await ledger.claim_overdue(session, due_by(policy, now, is_away=is_away), limit=OVERDUE_BATCH)
    if not overdue:
        return 0
    if is_away:
        await ledger.put_off(session, overdue, until=now + policy.put_off)
        log.warning("decisions.put_off", orders=len(overdue))
        return len(overdue)
    await settle(
        session,
        {order.order_id: order for order in overdue},
        [
            order.after(Turn.DECISION_OVERDUE, refusals=order.failing("orders.decision_overdue"))
            for order in overdue
        ],
        now,
    )
    return len(overdue)


async def is_stalled(session: AsyncSession, policy: acceptance.Policy) -> bool:
    """Say whether our own words have not left for so long that no answer can be expected."""
    return await pending.oldest_age(session) > policy.stalled_after.total_seconds()


def due_by(policy: acceptance.Policy, now: datetime, *, is_away: bool) -> datetime:
    """Return by when a decision is due that is looked at now.

    While the bus is away all are put off that would be due soon after: once it is back, an answer takes time.
    """
    return now + policy.put_off / 2 if is_away else now


async def restate(session: AsyncSession, order_ids: Iterable[UUID]) -> None:
    """Say again, at the next sequence, what was decided; what is undecided is left to its clock."""
    found = await ledger.lock_orders(session, order_ids)
    said = [again for order in found.values() if (again := life.restate(order))]
    if said:
        await ledger.renumber(session, [order for order, _ in said])
        await outbox.add_all(session, [(event, order.sequence) for order, event in said])


async def let_go(
    session: AsyncSession, released: Sequence[tuple[Order, Sequence[GivenLine]]], now: datetime
) -> None:
    """Say of refused parts of a group which of the group's goods each lets go, at its next sequence."""
    orders = [life.let_go(order, given) for order, given in released if given]
    for chunk in _chunks(orders):
        await ledger.write_orders(session, chunk, now)
        await outbox.add_all(session, [(life.announce(order), order.sequence) for order in chunk])


async def count_portions(session: AsyncSession, delivered: Sequence[PortionDelivered], now: datetime) -> None:
    """Count portions once each; an order whose last one is settled is fulfilled, one taken back stays so."""
    orders = await ledger.lock_orders(session, [portion.order_id for portion in delivered])
    await fulfil(session, orders, await portions.record_delivered(session, delivered, now), now)


async def fulfil(
    session: AsyncSession, orders: Mapping[UUID, Order], settled: Iterable[UUID], now: datetime
) -> None:
    """Let locked orders be fulfilled of which every portion is settled, and one at least has come."""
    # A portion beyond the last finds the order fulfilled already.
    turning = [orders[order_id] for order_id in settled if order_id in orders
               and orders[order_id].status is not OrderStatus.FULFILLED]  # fmt: skip
    await settle(session, orders, [order.after(Turn.LAST_PORTION_SETTLED) for order in turning], now)


async def close_slots(session: AsyncSession, now: datetime) -> int:
    """Tell of slots past their cut-off, once every order in them has its decision, how many are confirmed."""
    closed = await ledger.close_slots(session, now, limit=SLOT_BATCH)
    told: list[tuple[Event, int]] = [
        (
            SlotClosed(
                slot_id=slot.slot_id,
                zone_id=slot.zone_id,
                incident_id=slot.incident_id,
                confirmed=confirmed,
            ),
            sequence,
        )
        for slot, confirmed, sequence in closed
    ]
    await outbox.add_all(session, told)
    return len(closed)


async def settle(
    session: AsyncSession, before: Mapping[UUID, Order], after: Sequence[Order], now: datetime
) -> None:
    """Write what locked orders become, give back what those without goods had taken, and tell it."""
    changed = [order for order in after if order is not before[order.order_id]]
    if not changed:
        return
    for chunk in _chunks(changed):
        await ledger.write_orders(session, chunk, now)
    confirmed = [order for order in changed if order.status is OrderStatus.CONFIRMED]
    if confirmed:
        await portions.expect(session, confirmed)
    for chunk in _chunks(changed):
        await outbox.add_all(session, [(life.announce(order), order.sequence) for order in chunk])
    released = [order for order in changed if order.status in ENDED_WITHOUT_GOODS]
    if released:
        await ledger.give_back(session, released)
    for order in changed:
        DECIDED.labels(order.status).inc()


def _chunks(orders: Sequence[Order]) -> Iterable[Sequence[Order]]:
    return (orders[start : start + CHUNK] for start in range(0, len(orders), CHUNK))


async def _lock(session: AsyncSession, order_ids: Sequence[UUID]) -> Mapping[UUID, Order]:
    orders = await ledger.lock_orders(session, order_ids)
    if unknown := set(order_ids) - set(orders):
        raise UnknownOrder(order_ids=unknown)
    return orders
