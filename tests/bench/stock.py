"""B3: stock promised from bus to bus by catalog's worker, beside SELECT … FOR UPDATE for each order."""

import logging
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import structlog
import uvloop
from aiokafka import ConsumerRecord

from services.catalog.main import create_app
from services.catalog.settings import CatalogSettings
from services.console.machine.processes import Child
from services.contracts.orders import OrderPlaced
from services.kit import database
from tests import serving
from tests.bench import stage, wires
from tests.bench.rows import Incorrect, Row, compare
from tests.bench.stage import Stage
from tests.bench.wires import Topic
from tests.builders import record_of
from tests.catalog import goods

CLIENTS = 64
WARM_UP = 0.3
MEAN_UNITS = 2
SETTLES_WITHIN = 60.0
STOCK_UP = """
    UPDATE stock SET on_hand = reserved + $2
    WHERE offer_id IN (SELECT offer_id FROM offers WHERE outlet_id = $1)
"""
SOLD = """
    SELECT count(*) FILTER (WHERE reserved > on_hand) AS oversold,
           count(*) FILTER (WHERE reserved <> coalesce(held, 0)) AS otherwise
    FROM stock LEFT JOIN (SELECT offer_id, sum(held) AS held FROM holds GROUP BY offer_id) AS sums
         USING (offer_id)
"""
DECIDED = "SELECT reservation_id, status FROM reservations"
MARKED = "SELECT count(*) FROM inbox"
SAID = {b"catalog.stock_reserved.v1": "held", b"catalog.stock_refused.v1": "refused"}
Found = Mapping[str, float]


@dataclass(frozen=True)
class Case:
    """So many products on a shop's shelves, so many of them in an order, so many orders in a turn of ours."""

    name: str
    products: int
    lines: int
    orders: int


CASES = (Case("one hot product", 1, 1, 6_000), Case("200 products, 5 lines", 200, 5, 3_000))


@dataclass(frozen=True)
class Shop:
    case: Case
    outlet_id: UUID
    zone_id: UUID
    product_ids: list[UUID]

    def orders(self, chance: random.Random) -> list[OrderPlaced]:
        return [self._order(chance) for _ in range(self.case.orders)]

    def _order(self, chance: random.Random) -> OrderPlaced:
        chosen = chance.sample(self.product_ids, self.case.lines)
        lines = (
            goods.wanted(product_id, chance.randint(1, 2 * MEAN_UNITS - 1), number=number)
            for number, product_id in enumerate(chosen, 1)
        )
        return goods.make_placed(self.zone_id, *lines)

    async def stock_up(self, url: str) -> None:
        """Let there be on the shelves what a turn's orders want in the mean: the last of some go without."""
        connection = await asyncpg.connect(url)
        wanted = self.case.orders * self.case.lines * MEAN_UNITS // self.case.products
        await connection.execute(STOCK_UP, self.outlet_id, wanted)
        await connection.close()


async def plant(up: Stage, url: str) -> list[Shop]:
    """Let a shop of each case supply a zone of its own."""
    settings = serving.make_settings(CatalogSettings, up.folder, url)
    engine = database.create_engine(url)
    shops = []
    async with serving.client_of(create_app, settings) as client:
        for case in CASES:
            outlet_id = await goods.make_shop(client, case.name)
            made = [
                await goods.make_product(client, f"{number} of {case.products}")
                for number in range(case.products)
            ]
            listings = [goods.make_listing(one, str(place)) for place, one in enumerate(made)]
            await goods.list_goods(client, outlet_id, *listings)
            counts = [goods.make_change(str(place), quantity=0) for place in range(case.products)]
            await goods.change_stock(client, outlet_id, *counts)
            zone_id = await goods.supply_zone(
                database.create_sessions(engine), [outlet_id], orders=1_000_000_000
            )
            shops.append(Shop(case, outlet_id, zone_id, [UUID(one) for one in made]))
    await engine.dispose()
    return shops


@dataclass
class Contest:
    up: Stage
    url: str
    worker: Child
    topic: Topic
    asked: list[UUID] = field(default_factory=list)
    answered: list["ConsumerRecord[bytes, bytes]"] = field(default_factory=list)

    async def drive(self, shop: Shop, orders: Sequence[OrderPlaced]) -> Found:
        """Lay orders ready on the bus while the worker stands still; take the time until all are answered."""
        await shop.stock_up(self.url)
        records = [record_of(order) for order in orders]
        self.asked += [order.order_id for order in orders]
        before = await self.topic.count()
        with stage.standing_still(self.worker):
            await wires.send(self.up.broker, records)
        begun = time.perf_counter()
        await self.topic.wait_for(before + len(orders), within=SETTLES_WITHIN)
        took = time.perf_counter() - begun
        self.answered += await self.topic.read(len(orders))
        return {"per_second": len(orders) / took}

    async def check(self) -> None:
        """Raise `Incorrect` where something is oversold, lost or answered twice, or sums disagree."""
        answers = [
            (UUID((record.key or b"").decode()), SAID[dict(record.headers)["ce_type"]])
            for record in self.answered
        ]
        connection = await asyncpg.connect(self.url)
        try:
            decided = {row[0]: row[1] for row in await connection.fetch(DECIDED)}
            [sold] = await connection.fetch(SOLD)
            marked = await connection.fetchval(MARKED)
        finally:
            await connection.close()
        faults = {
            "an order is decided that nobody asked for, or one is not": decided.keys() != set(self.asked),
            "an order is not answered exactly once": Counter(order for order, _ in answers)
            != Counter(self.asked),
            "an order is told otherwise than it was decided": dict(answers) != decided,
            "an event is not marked once": marked != len(self.asked),
            "oversold": bool(sold["oversold"]),
            "shelves and holds disagree": bool(sold["otherwise"]),
            "nobody had to go without, so nothing was shown": "refused" not in decided.values(),
        }
        if found := [what for what, holds in faults.items() if holds]:
            raise Incorrect("; ".join(found))


async def check_reference(url: str) -> None:
    connection = await asyncpg.connect(url)
    [sold] = await connection.fetch(SOLD)
    await connection.close()
    if sold["oversold"] or sold["otherwise"]:
        raise Incorrect("the reference oversold")


async def contend(up: Stage, ours: str, theirs: str) -> list[dict[str, Found]]:
    shops, other_shops = await plant(up, ours), await plant(up, theirs)
    worker = up.work("catalog", ours, f"kafka://{up.broker}")
    topic = Topic(up.broker, "catalog")
    await topic.start()
    contest = Contest(up, ours, worker, topic)
    chance = random.Random(7)
    rounds = []
    try:
        await contest.drive(shops[0], shops[0].orders(chance)[:500])
        for _ in range(up.rounds):
            found: dict[str, Found] = {}
            for shop, other in zip(shops, other_shops, strict=True):
                found[f"ours {shop.case.name}"] = await contest.drive(shop, shop.orders(chance))
                found[f"theirs {shop.case.name}"] = await refer(up, theirs, other, chance)
            rounds.append(found)
        await contest.check()
        await check_reference(theirs)
    finally:
        await topic.stop()
        up.stop(worker)
    return rounds


async def refer(up: Stage, url: str, shop: Shop, chance: random.Random) -> Found:
    """Let the reference promise for one turn, of as many orders as ours is given."""
    await shop.stock_up(url)
    plan: dict[str, Any] = {
        "url": url,
        "orders": [order.model_dump_json() for order in shop.orders(chance)],
        "clients": CLIENTS,
        "seconds": up.seconds,
        "warm_up": WARM_UP,
    }
    return stage.call("tests.bench.references.for_update", plan, up.folder)


def measure(up: Stage) -> Sequence[Row]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    assert up.broker  # started now, not within the loop
    rounds = uvloop.run(contend(up, up.database("catalog"), up.database("catalog")))
    return [
        compare(
            f"B3{letter}",
            f"stock promised from bus to bus beside FOR UPDATE, {case.name}",
            rounds,
            ours=f"ours {case.name}",
            reference=f"theirs {case.name}",
            of=lambda found: float(found["per_second"]),
            unit="orders/s",
            target=10,
        )
        for letter, case in zip("ab", CASES, strict=True)
    ]
