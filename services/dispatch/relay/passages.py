"""What recorded hand-overs move: loads over their legs, portions to their households, trips on their way."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.dispatch import Leg, LoadHandedOver, PortionDelivered
from services.dispatch.relay import domain, queries, stand_ins
from services.dispatch.relay.domain import Contents, HandOver, Moments
from services.dispatch.rescues import application as rescues_application
from services.dispatch.trips import application as trips_application
from services.kit import outbox
from services.kit.event import Event

log = structlog.get_logger()


async def move(session: AsyncSession, loads: Mapping[UUID, Row[Any]], now: datetime) -> None:
    """Bring loads up to what their hand-overs make of them, and tell the others what is news.

    The caller holds the rows of the loads.
    """
    hand_overs = await queries.find_of_loads(session, loads)
    found = await queries.find_contents(session, loads)
    contents = {
        load_id: stand_ins.as_came(each, hand_overs.get(load_id, ())) for load_id, each in found.items()
    }
    moments = {
        load_id: domain.moments_of(contents[load_id], hand_overs.get(load_id, ()))
        for load_id in sorted(loads)
    }
    news = {
        load_id: _news_of(loads[load_id], contents[load_id].order_ids, each)
        for load_id, each in moments.items()
    }
    sequences = await queries.move_loads(
        session, moments, {load_id: len(events) for load_id, events in news.items()}
    )
    said: list[tuple[Event, int]] = []
    for load_id, events in news.items():
        first = sequences[load_id] - len(events) + 1
        said.extend((event, first + place) for place, event in enumerate(events))
    said.extend(await _deliver(session, contents, hand_overs))
    started = [
        load_id
        for load_id, each in moments.items()
        if not loads[load_id].leg and loads[load_id].withdrawn_at is None and any(map(each.at, Leg))
    ]
    takers = {load_id: moments[load_id].taker(Leg.PICK_UP) for load_id in started}
    takers |= await rescues_application.settle(session, loads, now)
    await trips_application.note_loaded(session, takers, now)
    await outbox.add_all(session, said)


async def _deliver(
    session: AsyncSession,
    contents: Mapping[UUID, Contents],
    hand_overs: Mapping[UUID, Sequence[HandOver]],
) -> list[tuple[Event, int]]:
    """Write which portions have reached their doors, and return what is news of that."""
    deliveries = {
        portion_id: at
        for load_id, each in contents.items()
        for portion_id, at in domain.deliveries_of(each.bags, hand_overs.get(load_id, ())).items()
    }
    return [
        (
            PortionDelivered(
                portion_id=row.portion_id,
                order_id=row.order_id,
                incident_id=row.incident_id,
                household_id=row.household_id,
                delivered_at=row.delivered_at,
            ),
            row.sequence,
        )
        for row in await queries.deliver_portions(session, deliveries)
    ]


def _news_of(load: Row[Any], order_ids: tuple[UUID, ...], moments: Moments) -> list[Event]:
    if load.withdrawn_at is not None:
        # Its order has ended, yet the goods left: the shop's shelf has to know, and no portion is delivered.
        log.warning("load.strayed", load_id=str(load.load_id))
    before = {Leg.PICK_UP: load.picked_up_at, Leg.GATE: load.at_gate_at, Leg.DOOR: load.delivered_at}
    return [
        LoadHandedOver(
            load_id=load.load_id,
            order_ids=order_ids,
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
