"""P3: workers are killed in a sale, buyers go back on it: nothing is oversold, and every hold ends."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx
from sqlalchemy import text

from services.contracts.orders import OrderPlaced
from services.kit.bus.choose import bus_from
from services.kit.bus.transport import Bus
from services.kit.database import Sessions
from services.kit.event import Event
from tests import databases
from tests.builders import record_of
from tests.catalog import goods
from tests.catalog.goods import make_placed, wanted
from tests.catalog.test_stock_races import make_town, read_statuses
from tests.promises.bells import IS_FULL
from tests.promises.killing import CONSUMING, beside, killed
from tests.promises.parts import part_of

UNITS, BUYERS, WORKERS, KILLS = (500, 5000, 3, 40) if IS_FULL else (20, 60, 1, 0)
AT_ONCE = 50 if IS_FULL else 10
ZONES = 6
ENDS_WITHIN = 600.0
LOOK = text("SELECT (SELECT count(*) FROM inbox), (SELECT count(*) FROM stock WHERE reserved > on_hand)")
HELD = text("SELECT reservation_id FROM reservations WHERE status = 'held'")


@dataclass
class Sale:
    """What was said to catalog, how much of it was heard, how often more was promised than there is."""

    bus: Bus
    sessions: Sessions
    said: int = 0
    heard: int = 0
    oversold: int = 0

    def count(self) -> int:
        return self.heard

    async def keep_looking(self) -> None:
        while True:
            async with self.sessions() as session:
                self.heard, oversold = (await session.execute(LOOK)).one()
            self.oversold += oversold
            await asyncio.sleep(0.05)

    async def say(self, *events: Event, sequence: int = 1) -> None:
        async with self.bus.sending() as sender:
            await sender.send([record_of(event, sequence=sequence) for event in events])
        self.said += len(events)

    async def until_heard(self, but: int = 0) -> None:
        async with asyncio.timeout(ENDS_WITHIN):
            while self.heard < self.said - but:  # noqa: ASYNC110 - of another process there is no event
                await asyncio.sleep(0.02)

    async def sell(self, orders: Sequence[OrderPlaced], *, taken_back: int) -> None:
        """Let orders come, and of each so many one that is taken back, before or after it was granted."""
        for start in range(0, len(orders), AT_ONCE):
            batch = orders[start : start + AT_ONCE]
            await self.say(*batch)
            back = batch[::taken_back] if taken_back else ()
            if back:
                await self.say(*(goods.make_cancelled(order.order_id) for order in back), sequence=2)
            await self.until_heard(but=3 * AT_ONCE)
        await self.until_heard()

    async def confirm_what_is_held(self) -> None:
        async with self.sessions() as session:
            held: list[UUID] = list((await session.execute(HELD)).scalars())
        given = [await goods.read_given(self.sessions, reservation_id) for reservation_id in held]
        await self.say(*map(goods.make_confirmed, held, given), sequence=2)
        await self.until_heard()


async def test_killed_workers_sell_exactly_what_there_is_and_leave_no_hold_without_an_end(
    client: httpx.AsyncClient, service_sessions: Sessions, catalog_url: str, postgres: str, tmp_path: Path
) -> None:
    first_zone, made = await make_town(client, service_sessions, products=2, units=UNITS)
    async with service_sessions() as session:
        outlet_id = (await session.execute(text("SELECT DISTINCT outlet_id FROM offers"))).scalar_one()
    zones = [first_zone, *[await goods.supply_zone(service_sessions, [outlet_id]) for _ in range(ZONES - 1)]]
    draw = random.Random(3)

    def order(number: int) -> OrderPlaced:
        lines = [wanted(product, number=place) for place, (product, _) in enumerate(draw.sample(made, 2), 1)]
        return make_placed(zones[number % ZONES], *lines)

    async with databases.fresh(postgres) as bus_url:
        bus = bus_from(bus_url)
        await bus.make_topics(["catalog", "dispatch", "orders"], within=60)
        sale = Sale(bus, service_sessions)
        with ExitStack() as stack:
            workers = [
                stack.enter_context(
                    part_of("work", "catalog", tmp_path, catalog_url, number=number, bus_url=bus_url)
                )
                for number in range(WORKERS)
            ]
            async with (
                beside(sale.keep_looking()),
                killed(*workers, points=CONSUMING, progress=sale.count, kills=KILLS, total=BUYERS),
            ):
                await sale.sell([order(number) for number in range(BUYERS)], taken_back=3)
                # Whoever comes last finds what was given back.
                await sale.sell([order(number) for number in range(UNITS)], taken_back=0)
                await sale.confirm_what_is_held()
            deaths = [death for worker in workers for death in worker.deaths]
    print(f"{sale.said} events, {len(deaths)} deaths")  # noqa: T201 - what was measured: pytest -rP
    assert len(deaths) > KILLS
    assert sale.oversold == 0
    statuses = await read_statuses(service_sessions)
    assert statuses.pop("committed") == UNITS
    assert set(statuses) == {"refused", "released"}
    assert sum(statuses.values()) == BUYERS
    for _, offer_id in made:
        assert await goods.read_shelf(service_sessions, offer_id) == (UNITS, UNITS)
