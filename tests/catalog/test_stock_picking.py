from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import text

from services.catalog.consumers import HANDLERS
from services.catalog.stock.holds import application
from services.contracts.orders import OrderRefused
from services.contracts.values import Slot, TallyLine
from services.kit import database
from services.kit.consumer import deliver
from services.kit.ids import new_id
from tests.catalog import goods
from tests.catalog.builders import make_outlet, make_received, make_zone_opened, qualify_outlets
from tests.catalog.goods import make_cancelled, make_confirmed, make_placed, wanted


async def make_shelf(client, units=100):
    outlet_id, product_id = await goods.make_shop(client), await goods.make_product(client)
    await goods.stock_up(client, outlet_id, product_id, units)
    return outlet_id, UUID(product_id)


async def picked(sessions):
    """Orders by days from today."""
    async with sessions() as session:
        rows = await session.execute(
            text("""
                SELECT day - CAST(now() AT TIME ZONE 'Asia/Shanghai' AS date) AS ahead, sum(taken) AS taken
                FROM picking GROUP BY day
            """)
        )
        return {row.ahead: row.taken for row in rows if row.taken}


async def codes_of(sessions, *orders):
    words = [(await goods.read_events(sessions, order.order_id))[0] for order in orders]
    return [content["failures"][0]["code"] if "failures" in content else name for name, _, content in words]


async def test_picking_is_booked_on_the_day_of_delivery(client, service_sessions) -> None:
    outlet_id, product_id = await make_shelf(client)
    zone_id = await goods.supply_zone(service_sessions, [outlet_id], orders=2)
    orders = [make_placed(zone_id, wanted(product_id), day=day) for day in (1, 1, 1, 2)]
    await goods.tell(service_sessions, *orders)
    assert await codes_of(service_sessions, *orders) == [
        "stock_reserved", "stock_reserved", "catalog.picking_full", "stock_reserved",
    ]  # fmt: skip
    assert await picked(service_sessions) == {1: 2, 2: 1}
    await goods.tell(service_sessions, make_cancelled(orders[0].order_id), sequence=2)
    assert await picked(service_sessions) == {1: 1, 2: 1}


async def test_an_order_of_a_slot_that_is_not_heard_of_waits_for_it(client, service_sessions) -> None:
    [outlet_id] = await qualify_outlets(client, make_outlet())
    product_id = UUID(await goods.make_product(client))
    await goods.stock_up(client, outlet_id, product_id, 10)
    zone_id = await goods.supply_zone(service_sessions, [outlet_id])
    later, never = (make_placed(zone_id, wanted(product_id), day=day) for day in (7, 8))
    await goods.tell(service_sessions, later, never)
    assert await goods.read_status(service_sessions, later.order_id) == "waiting"
    slot = Slot(
        slot_id=later.slot_id, starts_at=datetime.now(UTC), ends_at=datetime.now(UTC),
        cut_off_at=datetime.now(UTC),
    )  # fmt: skip
    opened = make_zone_opened(zone_id=zone_id, slots=(slot,), needed_kinds=())
    await deliver(
        service_sessions, [make_received(opened, sequence=2)], consumer="catalog", handlers=HANDLERS
    )
    async with service_sessions.begin() as session:
        assert await application.decide_waiting(session, await database.now(session)) == 1
    assert await goods.read_status(service_sessions, later.order_id) == "held"
    assert await goods.read_status(service_sessions, never.order_id) == "waiting"
    assert await picked(service_sessions) == {0: 1}


async def make_group(client, sessions, *, quantity, households, orders):
    outlet_id, product_id = await make_shelf(client)
    zone_id = await goods.supply_zone(sessions, [outlet_id], orders=orders)
    line = TallyLine(product_id=product_id, quantity=quantity, seen_price_fen=120)
    locked = goods.make_locked(zone_id, line, households=households)
    await goods.tell(sessions, locked)
    [(_, _, content)] = await goods.read_events(sessions, locked.group_id)
    [granted] = content["grants"]
    [part] = await goods.read_given(sessions, locked.group_id)
    return locked, granted, part


async def test_forty_households_with_picking_for_thirty_nine_are_served_but_for_one(
    client, service_sessions
) -> None:
    locked, granted, part = await make_group(client, service_sessions, quantity=40, households=40, orders=39)
    assert (granted["granted"], granted["code"]) == (39, "catalog.picking_full")
    assert await picked(service_sessions) == {0: 39}
    parts = [
        make_confirmed(new_id(), [part.model_copy(update={"quantity": 1})], group_id=locked.group_id)
        for _ in range(39)
    ]
    await goods.tell(service_sessions, *parts)
    assert await picked(service_sessions) == {0: 39}


@pytest.mark.parametrize("at_once", [True, False])
async def test_what_a_group_was_charged_is_given_back_to_the_order_when_its_parts_let_go(
    client, service_sessions, at_once
) -> None:
    locked, granted, part = await make_group(client, service_sessions, quantity=9, households=3, orders=2)
    assert granted["granted"] == 6
    assert await picked(service_sessions) == {0: 2}
    # More households share the goods than the outlet was charged for.
    parts = [
        OrderRefused(
            order_id=new_id(), incident_id=goods.INCIDENT, reservation_id=locked.group_id, refusals=(),
            lines=(part.model_copy(update={"quantity": 2}),),
        )
        for _ in range(3)
    ]  # fmt: skip
    batches = [parts] if at_once else [[one] for one in parts]
    for batch in batches:
        await goods.tell(service_sessions, *batch)
    assert await picked(service_sessions) == {}
    assert await goods.read_status(service_sessions, locked.group_id) == "released"


async def test_a_group_pays_for_the_households_that_have_goods_of_the_outlet(
    client, service_sessions
) -> None:
    locked, _, part = await make_group(client, service_sessions, quantity=9, households=3, orders=2)
    group = {"group_id": locked.group_id}
    parts = [make_confirmed(new_id(), [part.model_copy(update={"quantity": 2})], **group) for _ in range(3)]
    await goods.tell(service_sessions, *parts)
    assert await picked(service_sessions) == {0: 3}
    for number, one in enumerate(parts, 1):
        await goods.tell(service_sessions, make_cancelled(one.order_id, one.lines, **group), sequence=2)
        assert await picked(service_sessions) == ({0: 3 - number} if number < len(parts) else {})
