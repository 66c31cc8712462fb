"""What becomes of confirmed orders. Callers own the transaction."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.orders import (
    Form,
    GroupDecided,
    OrderCancelled,
    OrderConfirmed,
    OrderRefused,
    SlotClosed,
    ZoneOpened,
)
from services.contracts.values import GivenLine
from services.dispatch.loads import contents, domain, manifests, queries
from services.kit.event import Arrived
from services.kit.ids import new_id

MADE = Counter("loads_total", "Loads made from confirmed orders")


async def open_waves(session: AsyncSession, arrivals: Sequence[Arrived[ZoneOpened]]) -> None:
    """Know the slots in which the loads of a zone go out."""
    await queries.open_waves(session, arrivals)


async def close_waves(session: AsyncSession, arrivals: Sequence[Arrived[SlotClosed]]) -> None:
    """Know how many orders make a wave complete."""
    await queries.close_waves(session, arrivals)


async def make_loads(
    session: AsyncSession, arrivals: Sequence[Arrived[OrderConfirmed]], now: datetime
) -> None:
    """Make a load for each outlet of each order, with its units and the household's portion.

    An order whose end has come first makes withdrawn loads; one that is told again makes none. What travels
    in bulk waits in its group's manifest until that is packed.
    """
    news = await queries.confirm_orders(
        session, {each.event.order_id: (each.event.slot_id, each.sequence) for each in arrivals}
    )
    fresh = [each for each in arrivals if each.event.order_id in news]
    packing = await queries.get_packing(session, now)
    await manifests.note_parts(session, [each for each in fresh if _is_in_bulk(each.event)])
    ended_at = {order_id: now if is_ended else None for order_id, is_ended in news.items()}
    bagged = [
        _bag(arrived, outlet_id, lines, bag_g=packing.bag_g, withdrawn_at=ended_at[arrived.event.order_id])
        for arrived in fresh
        if not _is_in_bulk(arrived.event)
        for outlet_id, lines in domain.split_by_outlet(arrived.event.lines).items()
    ]
    made = await queries.insert_loads(session, [load for load, _, _ in bagged])
    new = [(bags, portion) for load, bags, portion in bagged if load["load_id"] in made]
    units = [unit for bags, _ in new for unit in bags]
    await queries.insert_contents(session, units, [portion for _, portion in new])
    MADE.inc(len(made))


async def decide_groups(session: AsyncSession, arrivals: Sequence[Arrived[GroupDecided]]) -> None:
    """Know what groups got; one that travels in bulk is ready to be packed when all its parts are here."""
    await manifests.hear_words(session, arrivals)


async def pack_group(session: AsyncSession, now: datetime) -> int:
    """Make the loads of one group of which everything is here; return how many groups that was."""
    made = await manifests.pack_next(session, now)
    if made is None:
        return 0
    MADE.inc(made)
    return 1


async def end_orders(
    session: AsyncSession,
    arrivals: Sequence[Arrived[OrderCancelled] | Arrived[OrderRefused]],
    now: datetime,
) -> list[UUID]:
    """Withdraw the loads of orders that ended without goods, unless they are on their way; return them.

    What is aboard, or is to be rescued, is carried to its door, where it is recorded; the order stays ended.
    """
    ended = await queries.end_orders(session, {each.event.order_id: each.sequence for each in arrivals})
    return await queries.withdraw(session, ended, now) if ended else []


def _is_in_bulk(order: OrderConfirmed) -> bool:
    # In bulk means together with others: what belongs to no group can only be bagged.
    return order.form is Form.BULK and order.group_id is not None


def _bag(
    arrived: Arrived[OrderConfirmed],
    outlet_id: UUID,
    lines: Sequence[GivenLine],
    *,
    bag_g: int,
    withdrawn_at: datetime | None,
) -> tuple[contents.Row, list[contents.Row], contents.Row]:
    """Return what one outlet packs for an order: the load, its bags, the household's portion."""
    order, load_id = arrived.event, new_id()
    places = order.model_dump(
        include={
            "order_id", "incident_id", "zone_id", "slot_id", "community_id", "building_id", "household_id",
        }
    )  # fmt: skip
    portion = contents.portion_row(
        load_id=load_id,
        order_id=order.order_id,
        household_id=order.household_id,
        building_id=order.building_id,
    )
    bags = contents.bag_rows(portion, lines, bag_g=bag_g)
    load: contents.Row = {
        **places,
        "load_id": load_id,
        "outlet_id": outlet_id,
        "form": Form.BAGGED,
        "grams": sum(line.grams * line.quantity for line in lines),
        "pieces": len(bags),
        "confirmed_at": arrived.recorded_at,
        "withdrawn_at": withdrawn_at,
    }
    return load, bags, portion
