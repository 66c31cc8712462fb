"""P3: no oversell, and no deadlock reaches anyone; six zones take from the same shelves at once."""

import asyncio
import os
import random

from sqlalchemy import text

from services.catalog.stock.holds import shelves
from services.kit import database
from tests.catalog import goods
from tests.catalog.goods import make_placed, wanted
from tests.catalog.test_stock_races import make_town, read_statuses, tell_patiently

FULL = os.environ.get("PROMISES") == "full"
UNITS, BUYERS, CONNECTIONS = (500, 5000, 64) if FULL else (60, 240, 8)
AT_ONCE = 10
ZONES = 6
LOCK = text("SELECT FROM stock WHERE offer_id = ANY(CAST(:ids AS uuid[])) FOR UPDATE NOWAIT")
WAITS = text("""
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
""")


async def test_baskets_of_many_zones_on_the_same_shelves_sell_exactly_what_there_is(
    client, service_sessions, catalog_url
) -> None:
    first_zone, made = await make_town(client, service_sessions, products=2, units=UNITS)
    async with service_sessions.begin() as session:
        # Two that wait for each other are told so before either has waited too long.
        name = (await session.execute(text("SELECT current_database()"))).scalar_one()
        await session.execute(text(f"ALTER DATABASE {name} SET deadlock_timeout = '50ms'"))
        outlet_id = (await session.execute(text("SELECT DISTINCT outlet_id FROM offers"))).scalar_one()
    zones = [first_zone, *[await goods.supply_zone(service_sessions, [outlet_id]) for _ in range(ZONES - 1)]]
    draw = random.Random(20221120)
    orders = [
        make_placed(
            # Batches of one zone each: those of one wait for each other already for its picking.
            zones[place // AT_ONCE % ZONES],
            *(wanted(product_id, number=number) for number, (product_id, _) in enumerate(basket, 1)),
        )
        for place, basket in enumerate(draw.sample(made, 2) for _ in range(BUYERS))
    ]
    batches = iter([orders[start : start + AT_ONCE] for start in range(0, BUYERS, AT_ONCE)])
    engine = database.create_engine(catalog_url, pool_size=CONNECTIONS)
    sessions = database.create_sessions(engine)

    async def work() -> None:
        for batch in batches:
            await tell_patiently(sessions, *batch)

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    await engine.dispose()
    assert await read_statuses(service_sessions) == {"held": UNITS, "refused": BUYERS - UNITS}
    for _, offer_id in made:
        assert await goods.read_shelf(service_sessions, offer_id) == (UNITS, UNITS)


async def test_shelves_are_locked_in_key_order_so_that_nobody_waits_in_a_ring(
    client, service_sessions
) -> None:
    _, made = await make_town(client, service_sessions, products=6, units=1)
    first, *rest = sorted(offer_id for _, offer_id in made)

    async def lock_all() -> None:
        async with service_sessions.begin() as session:
            await shelves.lock_free(session, [*rest, first])

    for _ in range(5):
        async with service_sessions() as holder, service_sessions() as other:
            await holder.execute(LOCK, {"ids": [first]})
            waiting = asyncio.create_task(lock_all())
            while not (await other.execute(WAITS)).scalar_one():
                assert not waiting.done()
            # Who waits for the first has none of the others in hand.
            await other.execute(LOCK, {"ids": rest})
            await other.rollback()
            await holder.rollback()
            await waiting
