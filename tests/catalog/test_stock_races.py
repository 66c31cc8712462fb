import asyncio
import random
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.catalog.stock.holds import shelves
from tests.catalog import goods
from tests.catalog.goods import make_cancelled, make_placed, wanted

# lock_timeout and statement_timeout: the machine is slow, nothing is wrong
TOO_LONG = ("55P03", "57014")


async def make_town(client, sessions, *, products, units):
    outlet_id = await goods.make_shop(client)
    made = []
    for number in range(products):
        product_id = UUID(await goods.make_product(client, f"product-{number}"))
        made.append((product_id, await goods.stock_up(client, outlet_id, product_id, units, f"{number}")))
    return await goods.supply_zone(sessions, [outlet_id]), made


async def read_statuses(sessions):
    async with sessions() as session:
        rows = await session.execute(text("SELECT status, count(*) FROM reservations GROUP BY status"))
        return {row[0]: row[1] for row in rows}


async def tell_patiently(sessions, *events):
    """As the worker does: a lock that is waited for too long is tried again; a deadlock fails the test."""
    while True:
        try:
            return await goods.tell(sessions, *events)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) not in TOO_LONG:
                raise


async def test_many_buyers_at_once_get_what_there_is_and_not_one_unit_more(client, service_sessions) -> None:
    zone_id, [(product_id, offer_id)] = await make_town(client, service_sessions, products=1, units=500)
    orders = [make_placed(zone_id, wanted(product_id)) for _ in range(1000)]
    await asyncio.gather(
        *(tell_patiently(service_sessions, *orders[start : start + 125]) for start in range(0, 1000, 125))
    )
    assert await read_statuses(service_sessions) == {"held": 500, "refused": 500}
    assert await goods.read_shelf(service_sessions, offer_id) == (500, 500)


async def test_baskets_in_any_order_at_once_oversell_nothing_and_wait_for_nobody_in_a_ring(
    client, service_sessions
) -> None:
    zone_id, made = await make_town(client, service_sessions, products=6, units=40)
    draw = random.Random(7)
    orders = [
        make_placed(
            zone_id,
            *(
                wanted(product_id, draw.randint(1, 2), number=number)
                for number, (product_id, _) in enumerate(draw.sample(made, 3), 1)
            ),
        )
        for _ in range(200)
    ]
    await asyncio.gather(
        *(tell_patiently(service_sessions, *orders[start : start + 25]) for start in range(0, 200, 25))
    )
    held = set()
    for order in orders:
        if await goods.read_status(service_sessions, order.order_id) == "held":
            held.add(order.order_id)
    cancelled = [make_cancelled(order.order_id) for order in orders[::2]]
    await asyncio.gather(
        *(tell_patiently(service_sessions, *cancelled[start : start + 20]) for start in range(0, 100, 20))
    )
    left = [order for order in orders[1::2] if order.order_id in held]
    for product_id, offer_id in made:
        units = sum(line.quantity for order in left for line in order.lines if line.product_id == product_id)
        assert await goods.read_shelf(service_sessions, offer_id) == (40, units)


async def test_the_same_batch_on_two_connections_is_decided_once(client, service_sessions) -> None:
    zone_id, [(product_id, offer_id)] = await make_town(client, service_sessions, products=1, units=100)
    orders = [make_placed(zone_id, wanted(product_id)) for _ in range(50)]
    await asyncio.gather(*(tell_patiently(service_sessions, *orders) for _ in range(2)))
    assert await goods.read_shelf(service_sessions, offer_id) == (100, 50)
    for order in orders:
        assert len(await goods.read_events(service_sessions, order.order_id)) == 1


async def test_a_hand_over_and_its_confirmation_at_once_meet(client, service_sessions) -> None:
    zone_id, [(product_id, offer_id)] = await make_town(client, service_sessions, products=1, units=100)
    orders = [make_placed(zone_id, wanted(product_id)) for _ in range(20)]
    await goods.tell(service_sessions, *orders)
    for order in orders:
        given = await goods.read_given(service_sessions, order.order_id)
        await asyncio.gather(
            tell_patiently(service_sessions, goods.make_confirmed(order.order_id, given)),
            tell_patiently(service_sessions, goods.make_handed_over(order.order_id, given[0].outlet_id)),
        )
    assert await read_statuses(service_sessions) == {"handed_over": 20}
    assert await goods.read_shelf(service_sessions, offer_id) == (80, 0)


async def test_confirmations_while_others_reserve_wait_for_nobody_in_a_ring(client, service_sessions) -> None:
    zone_id, made = await make_town(client, service_sessions, products=6, units=1000)
    draw = random.Random(11)

    def baskets(count):
        return [
            make_placed(
                zone_id,
                *(
                    wanted(product_id, number=number)
                    for number, (product_id, _) in enumerate(draw.sample(made, 5), 1)
                ),
            )
            for _ in range(count)
        ]

    first = baskets(80)
    await goods.tell(service_sessions, *first)
    confirmed = [
        goods.make_confirmed(order.order_id, await goods.read_given(service_sessions, order.order_id))
        for order in first
    ]
    await asyncio.gather(
        *(
            tell_patiently(service_sessions, *batch[start : start + 20])
            for batch in (confirmed, baskets(80))
            for start in range(0, 80, 20)
        )
    )
    assert await read_statuses(service_sessions) == {"committed": 80, "held": 80}


async def test_no_promise_is_written_that_the_shelf_does_not_hold(client, service_sessions) -> None:
    _, [(_, offer_id)] = await make_town(client, service_sessions, products=1, units=3)
    with pytest.raises(shelves.Oversold):
        async with service_sessions.begin() as session:
            await shelves.promise(session, {offer_id: 4})
    assert await goods.read_shelf(service_sessions, offer_id) == (3, 0)


async def test_a_shop_counts_while_its_goods_are_promised(client, service_sessions) -> None:
    zone_id, [(product_id, offer_id)] = await make_town(client, service_sessions, products=1, units=30)
    async with service_sessions() as session:
        outlet_id = (await session.execute(text("SELECT outlet_id FROM offers"))).scalar_one()
    orders = [make_placed(zone_id, wanted(product_id)) for _ in range(60)]
    sold = [
        goods.change_stock(
            client, outlet_id, goods.make_change("0", "adjustment", -1, reference=f"till {number}")
        )
        for number in range(5)
    ]
    await asyncio.gather(
        *(tell_patiently(service_sessions, *orders[start : start + 10]) for start in range(0, 60, 10)), *sold
    )
    on_hand, reserved = await goods.read_shelf(service_sessions, offer_id)
    assert on_hand == 25
    assert 25 <= reserved <= 30
