"""How a promise ends, by orders' word and by the goods' departure. Callers own the transaction."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from services.catalog.stock.counts import queries as ledger
from services.catalog.stock.holds import moves, queries, shelves, words
from services.catalog.stock.holds.domain import Place
from services.catalog.stock.holds.moves import Commitment, HandOver, Hold, Move
from services.catalog.stock.holds.queries import ReservationMissing
from services.contracts.orders import OrderConfirmed, OrderReleased

log = structlog.get_logger()


async def commit(session: AsyncSession, orders: Sequence[OrderConfirmed], now: datetime) -> None:
    """Let confirmed orders have their goods for good; said twice it changes nothing."""
    news = await words.confirm(session, {order.order_id: order.reservation_id for order in orders})
    fresh = [order for order in orders if order.order_id in news]
    locked = await queries.lock(session, {order.reservation_id for order in fresh})
    if any(order.reservation_id not in locked for order in fresh):
        raise ReservationMissing

    moved = [move for order in fresh for move in moves.commit(order.reservation_id, order.lines)]
    shared_out = await queries.move(session, moves.merge(moved))
    await words.commit(session, [goods for order in fresh for goods in _goods_of(order)])
    await shelves.change_picking(session, await words.find_unpicked(session, shared_out))
    await _leave(session, await words.take_early(session, news), now)


async def release(session: AsyncSession, orders: Sequence[OrderReleased]) -> None:
    """Give back what orders that ended had: an order's own reservation whole, of a group's exactly its lines.

    What waits is decided no more, and what has not come yet never will be.
    """
    # A part that ended without goods may still be given some by a late grant: that is its last word.
    final = [order for order in orders if order.reservation_id == order.order_id or order.lines]
    news = await words.release(session, {order.order_id: order.reservation_id for order in final})
    fresh = [order for order in final if order.order_id in news]
    own = {order.order_id for order in fresh if order.reservation_id == order.order_id}
    in_groups = [order for order in fresh if order.order_id not in own]
    locked = await queries.lock(session, own | {order.reservation_id for order in in_groups})
    if any(order.reservation_id not in locked for order in in_groups):
        raise ReservationMissing

    await queries.release_waiting(session, own)
    committed = [one for one in await words.find_commitments(session, news) if one.status == "committed"]
    was_confirmed = {one.order_id for one in committed}
    late = [order for order in in_groups if order.order_id not in was_confirmed]
    holds = [hold for hold in await queries.find_holds(session, own) if hold.held + hold.committed > 0]
    moved = moves.release_all(holds)
    for order in in_groups:
        moved += moves.release_lines(
            order.reservation_id, order.lines, was_confirmed=order.order_id in was_confirmed
        )
    shared_out = await queries.move(session, moves.merge(moved))
    await words.settle(session, committed, status="released")
    await words.commit(session, [goods for order in late for goods in _goods_of(order)], status="released")
    # A group's picking is counted when it is shared out: only what leaves it after that is given back singly.
    counted = [order for order in in_groups if locked[order.reservation_id]["status"] != "held"]
    unpicked = _unpicked(holds, counted, locked)
    unpicked.update(await words.find_unpicked(session, shared_out))
    await shelves.change_picking(session, unpicked)
    await _give_back(session, moved)


def _unpicked(
    holds: Iterable[Hold], in_groups: Iterable[OrderReleased], reservations: Mapping[UUID, RowMapping]
) -> Counter[Place]:
    stations = {(hold.reservation_id, hold.reservation_id, hold.outlet_id) for hold in holds}
    stations |= {
        (order.order_id, order.reservation_id, line.outlet_id) for order in in_groups for line in order.lines
    }
    picking: Counter[Place] = Counter()
    for _, reservation_id, outlet in stations:
        row = reservations[reservation_id]
        picking[row["zone_id"], outlet, row["day"]] -= 1
    return picking


async def hand_over(session: AsyncSession, loads: Sequence[HandOver], now: datetime) -> None:
    """Let goods leave the shelves; what left before its order is confirmed waits for that."""
    known = await words.meet(session, {load.order_id for load in loads})
    await words.keep_early(session, [load for load in loads if load.order_id not in known])
    await queries.lock(session, known.values())
    await _leave(session, [load for load in loads if load.order_id in known], now)


async def _leave(session: AsyncSession, loads: Iterable[HandOver], now: datetime) -> None:
    by_load = {(load.order_id, load.outlet_id): load for load in loads}
    if not by_load:
        return
    commitments = await words.find_commitments(session, {order_id for order_id, _ in by_load})
    gone = [
        (by_load[one.order_id, one.outlet_id], one)
        for one in commitments
        if (one.order_id, one.outlet_id) in by_load and one.status != "handed_over"
    ]
    goods = [one for _, one in gone]
    _warn_of_released(goods)

    moved = moves.hand_over(goods)
    await queries.move(session, moves.merge(moved))
    await words.settle(session, goods, status="handed_over")
    entries = moves.leave_shelves(gone, await shelves.lock_on_hand(session, {one.offer_id for one in goods}))
    await ledger.add_entries(session, entries, now=now)
    left: Counter[UUID] = Counter()
    for entry in entries:
        left[entry.offer_id] -= entry.delta
    await shelves.leave(session, left)
    await _give_back(session, moved)


async def _give_back(session: AsyncSession, moved: Iterable[Move]) -> None:
    units: Counter[UUID] = Counter()
    for move in moved:
        units[move.offer_id] += move.released + move.handed_over
    await shelves.lock_free(session, units)
    await shelves.give_back(session, units)


def _goods_of(order: OrderConfirmed | OrderReleased) -> list[tuple[UUID, UUID, UUID, int]]:
    outlet_of = {line.offer_id: line.outlet_id for line in order.lines}
    return [
        (order.order_id, offer_id, outlet_of[offer_id], quantity)
        for offer_id, quantity in moves.units_of(order.lines).items()
    ]


def _warn_of_released(goods: Iterable[Commitment]) -> None:
    for one in goods:
        if one.status == "released":
            # The goods are gone all the same: the shelf says so, the hold stays released.
            log.warning("stock.handed_over_after_release", order_id=str(one.order_id))
