"""What orders does when others have said something; one handler gets at most one event of a key."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.catalog import GroupGranted, HoldOverdue, StockRefused, StockReserved, ZoneSupplied
from services.contracts.dispatch import PortionDelivered, PortionShortened, SlotCapacityStated
from services.contracts.whitelist import DutyStated, PersonCleared, PersonSuspended
from services.kit.consumer import Handlers
from services.kit.event import Arrived
from services.orders.groups import sharing_out
from services.orders.intake import deciding, shortening
from services.orders.register import application as register
from services.orders.zones import application as zones


async def on_duty_stated(
    session: AsyncSession, arrivals: Sequence[Arrived[DutyStated]], now: datetime
) -> None:
    """Know the stewards of buildings; a zone that waited for one may open."""
    building_ids = await register.keep_duties(session, arrivals, now)
    await zones.attend(session, building_ids, now=now)


async def on_person_cleared(
    session: AsyncSession, arrivals: Sequence[Arrived[PersonCleared]], now: datetime
) -> None:
    """Know that a steward's duty counts again; a zone that waited for it may open."""
    await zones.attend(session, await register.keep_clearances(session, arrivals), now=now)


async def on_person_suspended(
    session: AsyncSession, arrivals: Sequence[Arrived[PersonSuspended]], now: datetime
) -> None:
    """Know that a steward's duty counts no more: whoever is suspended stands at no door."""
    await zones.attend(session, await register.keep_clearances(session, arrivals), now=now)


async def on_zone_supplied(
    session: AsyncSession, arrivals: Sequence[Arrived[ZoneSupplied]], now: datetime
) -> None:
    """Know who supplies a zone and what it lacks."""
    await zones.keep_supply(session, arrivals, now)


async def on_slot_capacity_stated(
    session: AsyncSession, arrivals: Sequence[Arrived[SlotCapacityStated]], now: datetime
) -> None:
    """Know how many portions a slot can carry."""
    await zones.keep_capacity(session, arrivals, now)


async def on_stock_reserved(
    session: AsyncSession, arrivals: Sequence[Arrived[StockReserved]], now: datetime
) -> None:
    """Confirm orders whose stock is held."""
    await deciding.confirm(session, [arrived.event for arrived in arrivals], now)


async def on_stock_refused(
    session: AsyncSession, arrivals: Sequence[Arrived[StockRefused]], now: datetime
) -> None:
    """Refuse orders that cannot be given."""
    await deciding.refuse(session, [arrived.event for arrived in arrivals], now)


async def on_hold_overdue(
    session: AsyncSession, arrivals: Sequence[Arrived[HoldOverdue]], _now: datetime
) -> None:
    """Say again what was decided about what catalog still holds."""
    # A reservation is an order's or a group's; each finds its own.
    reservation_ids = [arrived.event.reservation_id for arrived in arrivals]
    await deciding.restate(session, reservation_ids)
    await sharing_out.restate(session, reservation_ids)


async def on_group_granted(
    session: AsyncSession, arrivals: Sequence[Arrived[GroupGranted]], now: datetime
) -> None:
    """Share among its households what a group gets."""
    await sharing_out.share_out(session, arrivals, now)


async def on_portion_delivered(
    session: AsyncSession, arrivals: Sequence[Arrived[PortionDelivered]], now: datetime
) -> None:
    """Count what has reached its door."""
    await deciding.count_portions(session, [arrived.event for arrived in arrivals], now)


async def on_portion_shortened(
    session: AsyncSession, arrivals: Sequence[Arrived[PortionShortened]], now: datetime
) -> None:
    """Know what was lost at the split: it is paid back, and can be ordered again."""
    await shortening.shorten(session, arrivals, now)


HANDLERS: Handlers = {
    StockReserved: on_stock_reserved,
    StockRefused: on_stock_refused,
    GroupGranted: on_group_granted,
    HoldOverdue: on_hold_overdue,
    PortionDelivered: on_portion_delivered,
    PortionShortened: on_portion_shortened,
    DutyStated: on_duty_stated,
    PersonCleared: on_person_cleared,
    PersonSuspended: on_person_suspended,
    ZoneSupplied: on_zone_supplied,
    SlotCapacityStated: on_slot_capacity_stated,
}
