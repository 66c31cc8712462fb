"""P3: no oversell, and no deadlock reaches anyone; two zones take from the same shelves at once."""

import asyncio
import os
import random

from sqlalchemy import text

from services.kit import database
from tests.catalog import goods
from tests.catalog.goods import make_placed, wanted
from tests.catalog.test_stock_races import make_town, read_statuses, tell_patiently

FULL = os.environ.get("PROMISES") == "full"
UNITS, BUYERS, CONNECTIONS = (500, 5000, 64) if FULL else (60, 240, 8)
AT_ONCE = 10


async def test_baskets_of_two_zones_on_the_same_shelves_sell_exactly_what_there_is(
    client, service_sessions, catalog_url
) -> None:
    first_zone, made = await make_town(client, service_sessions, products=2, units=UNITS)
    async with service_sessions() as session:
        outlet_id = (await session.execute(text("SELECT DISTINCT outlet_id FROM offers"))).scalar_one()
    second_zone = await goods.supply_zone(service_sessions, [outlet_id])
    draw = random.Random(20221120)
    orders = [
        make_placed(
            draw.choice([first_zone, second_zone]),
            *(wanted(product_id, number=number) for number, (product_id, _) in enumerate(basket, 1)),
        )
        for basket in (draw.sample(made, 2) for _ in range(BUYERS))
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
