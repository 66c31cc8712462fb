"""What recorded hand-overs move: loads over their legs, portions to their households, trips on their way."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.dispatch import Leg, LoadHandedOver, PortionDelivered
from services.dispatch.relay import domain, queries
from services.dispatch.relay.domain import Moments
from services.dispatch.trips import application as trips_application
from services.kit import outbox
from services.kit.event import Event

log = structlog.get_logger()


async def move(session: AsyncSession, loads: Mapping[UUID, Row[Any]], now: datetime) -> None:
    """Bring loads up to what their hand-overs make of them, and tell the others what is news.

    The caller holds the rows of the loads.
    """
    hand_overs = await queries.find_of_loads(session, loads)
    unit_ids = await queries.find_unit_ids(session, loads)
    moments = {
        load_id: domain.moments_of(unit_ids[load_id], hand_overs[load_id]) for load_id in sorted(loads)
    }
    news = {load_id: _news_of(loads[load_id], each) for load_id, each in moments.items()}
    sequences = await queries.move_loads(
        session, moments, {load_id: len(events) for load_id, events in news.items()}
    )
    said: list[tuple[Event, int]] = []
    for load_id, events in news.items():
        first = sequences[load_id] - len(events) + 1
        said.extend((event, first + place) for place, event in enumerate(events))
    delivered = await queries.deliver_portions(session, loads)
    for row in delivered:
        portion = PortionDelivered(
            portion_id=row.portion_id,
            order_id=row.order_id,
            incident_id=row.incident_id,
            household_id=row.household_id,
            delivered_at=row.delivered_at,
        )
        said.append((portion, row.sequence))
    started = [
        load_id
        for load_id, events in news.items()
        if events and not loads[load_id].leg and loads[load_id].withdrawn_at is None
    ]
    takers = {load_id: moments[load_id].taker(Leg.PICK_UP) for load_id in started}
    await trips_application.note_loaded(session, takers, now)
    await outbox.add_all(session, said)


def _news_of(load: Row[Any], moments: Moments) -> list[Event]:
    if load.withdrawn_at is not None:
        # Its order has ended, yet the goods left: the shop's shelf has to know, and no portion is delivered.
        log.warning("load.strayed", load_id=str(load.load_id))
    before = {Leg.PICK_UP: load.picked_up_at, Leg.GATE: load.at_gate_at, Leg.DOOR: load.delivered_at}
    return [
        LoadHandedOver(
            load_id=load.load_id,
            order_ids=(load.order_id,),
            outlet_id=load.outlet_id,
            incident_id=load.incident_id,
            leg=leg,
            giver_id=passage.giver_id,
            taker_id=passage.taker_id,
            occurred_at=passage.at,
            is_breach=leg in moments.breached,
        )
        for leg, passage in moments.passages.items()
        if before[leg] is None
    ]
