"""What catalog does when others have said something; one handler gets at most one event of a key."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.catalog.stock.holds import application as holds
from services.catalog.stock.holds import endings
from services.catalog.stock.holds.moves import HandOver
from services.catalog.supply import application as supply
from services.contracts.dispatch import LoadHandedOver
from services.contracts.orders import (
    GroupLocked,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderRefused,
    OrderReleased,
    ZoneClosed,
    ZoneOpened,
)
from services.kit.consumer import Handlers
from services.kit.event import Arrived


async def on_order_placed(
    session: AsyncSession, arrivals: Sequence[Arrived[OrderPlaced]], now: datetime
) -> None:
    """Promise stock for orders."""
    await holds.reserve(session, [arrived.event for arrived in arrivals], now)


async def on_group_locked(
    session: AsyncSession, arrivals: Sequence[Arrived[GroupLocked]], now: datetime
) -> None:
    """Grant groups what there is."""
    await holds.grant(session, [arrived.event for arrived in arrivals], now)


async def on_order_confirmed(
    session: AsyncSession, arrivals: Sequence[Arrived[OrderConfirmed]], now: datetime
) -> None:
    """Let orders have their goods for good."""
    await endings.commit(session, [arrived.event for arrived in arrivals], now)


async def on_order_released(
    session: AsyncSession, arrivals: Sequence[Arrived[OrderReleased]], _now: datetime
) -> None:
    """Take back what orders no longer need."""
    await endings.release(session, [arrived.event for arrived in arrivals])


async def on_load_handed_over(
    session: AsyncSession, arrivals: Sequence[Arrived[LoadHandedOver]], now: datetime
) -> None:
    """Let goods leave the shelves with the first baton that is told of.

    A device that is lost takes its log along: what is further has left, or it would be promised for ever.
    """
    loads = [
        HandOver(
            load_id=arrived.event.load_id,
            order_id=order_id,
            outlet_id=arrived.event.outlet_id,
            occurred_at=arrived.event.occurred_at,
        )
        for arrived in arrivals
        for order_id in arrived.event.order_ids
    ]
    if loads:
        await endings.hand_over(session, loads, now)


HANDLERS: Handlers = {
    ZoneOpened: supply.open_zones,
    ZoneClosed: supply.close_zones,
    OrderPlaced: on_order_placed,
    GroupLocked: on_group_locked,
    OrderConfirmed: on_order_confirmed,
    OrderRefused: on_order_released,
    OrderCancelled: on_order_released,
    LoadHandedOver: on_load_handed_over,
}
