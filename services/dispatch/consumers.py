"""What dispatch does when others have said something; one handler gets at most one event of a key."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.catalog import ZoneSupplied
from services.contracts.orders import (
    AreaStated,
    GroupDecided,
    OrderCancelled,
    OrderConfirmed,
    OrderRefused,
    SlotClosed,
    ZoneClosed,
    ZoneOpened,
)
from services.contracts.whitelist import DutyStated, Heartbeat, PersonCleared, PersonSuspended
from services.dispatch.crew import application as crew_application
from services.dispatch.fleet import application as fleet_application
from services.dispatch.fleet import queries as fleet_queries
from services.dispatch.loads import application as loads_application
from services.dispatch.places import queries as places_queries
from services.dispatch.rescues import application as rescues_application
from services.kit.consumer import Handlers
from services.kit.event import Arrived


async def on_zone_opened(
    session: AsyncSession, arrivals: Sequence[Arrived[ZoneOpened]], _now: datetime
) -> None:
    """Know the zone, its gates and slots; the slots' capacity is due."""
    await places_queries.open_zones(session, arrivals)
    await loads_application.open_waves(session, arrivals)
    await fleet_application.open_slots(session, arrivals)


async def on_zone_closed(
    session: AsyncSession, arrivals: Sequence[Arrived[ZoneClosed]], now: datetime
) -> None:
    """Know that the zone takes no more orders, and by which class goes on what is still carried there."""
    await places_queries.close_zones(session, arrivals)
    passed_on = {arrived.event.zone_id for arrived in arrivals if arrived.event.zone_class}
    await rescues_application.take_work_in_zones(session, passed_on, now)


async def on_area_stated(
    session: AsyncSession, arrivals: Sequence[Arrived[AreaStated]], _now: datetime
) -> None:
    """Know the area's name, its gate and its place in the tree."""
    await places_queries.state_areas(session, arrivals)


async def on_zone_supplied(
    session: AsyncSession, arrivals: Sequence[Arrived[ZoneSupplied]], _now: datetime
) -> None:
    """Know where the zone's outlets are."""
    await places_queries.supply_zones(session, arrivals)


async def on_slot_closed(
    session: AsyncSession, arrivals: Sequence[Arrived[SlotClosed]], _now: datetime
) -> None:
    """Know how many orders make the wave complete."""
    await loads_application.close_waves(session, arrivals)


async def on_order_confirmed(
    session: AsyncSession, arrivals: Sequence[Arrived[OrderConfirmed]], now: datetime
) -> None:
    """Make the order's loads, their units and portions; what travels in bulk waits for its group."""
    await loads_application.make_loads(session, arrivals, now)


async def on_group_decided(
    session: AsyncSession, arrivals: Sequence[Arrived[GroupDecided]], _now: datetime
) -> None:
    """Know how many parts make a group's manifest complete, and by which rule it is split at the gate."""
    await loads_application.decide_groups(session, arrivals)


async def on_order_ended(
    session: AsyncSession,
    arrivals: Sequence[Arrived[OrderCancelled] | Arrived[OrderRefused]],
    now: datetime,
) -> None:
    """Withdraw what is not on its way."""
    await loads_application.end_orders(session, arrivals, now)


async def on_person_cleared(
    session: AsyncSession, arrivals: Sequence[Arrived[PersonCleared]], now: datetime
) -> None:
    """Know who is cleared for what: what can be carried may have grown, or a class may have fallen away."""
    if cleared := await crew_application.clear_people(session, arrivals):
        await rescues_application.take_work_beyond_clearance(session, cleared, now)
        await fleet_queries.note_growth(session, now)


async def on_person_suspended(
    session: AsyncSession, arrivals: Sequence[Arrived[PersonSuspended]], now: datetime
) -> None:
    """Know who is cleared no more, and what becomes of the work that was that person's."""
    if suspended := await crew_application.suspend_people(session, arrivals):
        await rescues_application.take_work_from(session, suspended, now)
        await fleet_queries.mark_due(session, now)


async def on_duty_stated(
    session: AsyncSession, arrivals: Sequence[Arrived[DutyStated]], now: datetime
) -> None:
    """Know who stands at which door; what somebody has at a gate that is no more theirs is to be rescued."""
    people = await crew_application.state_duties(session, arrivals)
    await rescues_application.take_over_duties(session, people, now)


async def on_heartbeat(session: AsyncSession, arrivals: Sequence[Arrived[Heartbeat]], _now: datetime) -> None:
    """Know how fresh the copy of the whitelist is."""
    await crew_application.hear_beats(session, arrivals)


HANDLERS: Handlers = {
    ZoneOpened: on_zone_opened,
    ZoneClosed: on_zone_closed,
    AreaStated: on_area_stated,
    ZoneSupplied: on_zone_supplied,
    SlotClosed: on_slot_closed,
    OrderConfirmed: on_order_confirmed,
    GroupDecided: on_group_decided,
    OrderCancelled: on_order_ended,
    OrderRefused: on_order_ended,
    PersonCleared: on_person_cleared,
    PersonSuspended: on_person_suspended,
    DutyStated: on_duty_stated,
    Heartbeat: on_heartbeat,
}
