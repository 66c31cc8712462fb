"""B4: from the POST of an order to its confirmation, over Kafka, at half of what the town can keep up with.

The moments are those that the events themselves carry: when the transaction that wrote one began, and when
its relay gave it to the bus. An order counts as confirmed when that is said to the others: then it is
committed, so what is measured is rather too much than too little.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from statistics import mean, median
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import structlog
import uvloop
from aiokafka import ConsumerRecord

from services.catalog.main import create_app
from services.catalog.settings import CatalogSettings
from services.kit import database
from services.kit.ids import new_id
from tests import serving
from tests.bench import stage, town
from tests.bench.rows import Incorrect, Row, against
from tests.bench.stage import Stage
from tests.bench.town import Town
from tests.bench.wires import Topic
from tests.catalog import goods

CONNECTIONS = 64
WARM_UP = 0.7
RAMP = (100, 200, 400, 800, 1600)
RAMP_SECONDS = 1.5
# A rate is kept up with where the last fifth of a step's orders takes no longer than this in the middle.
KEPT_UP_WITHIN_MS = 500.0
RESTS_WITHIN = 60.0
SAID = ("orders.order_placed.v1", "catalog.stock_reserved.v1", "orders.order_confirmed.v1")
HOPS = (
    "POST to the outbox of orders",
    "outbox of orders to Kafka",
    "Kafka to catalog",
    "decided by catalog and given to Kafka",
    "Kafka to orders",
    "applied by orders and said",
)
SOLD = """
    SELECT count(*) FILTER (WHERE reserved > on_hand) AS oversold,
           count(*) FILTER (WHERE reserved <> coalesce(taken, 0)) AS otherwise
    FROM stock LEFT JOIN (
        SELECT offer_id, sum(held + committed) AS taken FROM holds GROUP BY offer_id
    ) AS sums USING (offer_id)
"""
STOCK_UP = "UPDATE stock SET on_hand = 1000000000"
SAME_SLOT = "UPDATE slots SET slot_id = $1 WHERE slot_id = $2"


@dataclass(frozen=True)
class Journey:
    """The moments of an order, in milliseconds: asked for, then written and sent, event after event."""

    moments: tuple[float, ...]

    @property
    def whole(self) -> float:
        return self.moments[-1] - self.moments[0]

    @property
    def hops(self) -> list[float]:
        return [after - before for before, after in pairwise(self.moments)]


@dataclass
class Contest:
    up: Stage
    town: Town
    catalog: str
    requests: Mapping[str, Any]
    port: int
    orders_topic: Topic
    catalog_topic: Topic
    read: Counter[str] = field(default_factory=Counter)
    accepted: list[str] = field(default_factory=list)
    said: Counter[tuple[str, str]] = field(default_factory=Counter)
    turned_away: int = 0

    async def drive(self, rate: float, seconds: float) -> list[Journey]:
        """Send orders at this rate, wait until all are confirmed, and return their journeys."""
        plan = {
            "host": "127.0.0.1",
            "port": self.port,
            "path": "/v1/orders",
            "prefix": f"{new_id()}-",
            "connections": CONNECTIONS,
            "seconds": seconds,
            "warm_up": WARM_UP,
            "journal": True,
            "rate": rate,
            **self.requests,
        }
        found = await asyncio.to_thread(stage.call, "tests.bench.load", plan, self.up.folder)
        # A service that is asked for too much says so; whoever was told that has no order.
        if not {"202"} <= set(found["statuses"]) <= {"202", "503"}:
            raise Incorrect(f"orders were answered {found['statuses']}")
        self.turned_away = found["statuses"].get("503", 0)
        asked = dict(zip(found["accepted"], found["asked_at"], strict=True))
        self.accepted += found["accepted"]
        await self._rest()
        events = await self._read()
        begun = min(asked.values()) + WARM_UP
        return [
            Journey((at * 1000, *(moment for name in SAID for moment in events[name, order_id])))
            for order_id, at in asked.items()
            if at >= begun
        ]

    async def pass_over(self) -> None:
        """Leave aside what earlier rows have said."""
        await self._read()
        self.said.clear()

    async def _rest(self) -> None:
        """Return when every order is decided and everything that was written has left."""
        orders, catalog = await asyncpg.connect(self.town.url), await asyncpg.connect(self.catalog)
        waits = "SELECT EXISTS (SELECT FROM orders WHERE status = 'placed')"
        leaves = "SELECT EXISTS (SELECT FROM outbox_pending)"
        refused = "SELECT refusals FROM orders WHERE status <> 'confirmed' LIMIT 1"
        try:
            async with asyncio.timeout(RESTS_WITHIN):
                while (  # noqa: ASYNC110 - of another process there is no event
                    await orders.fetchval(waits)
                    or await orders.fetchval(leaves)
                    or await catalog.fetchval(leaves)
                ):
                    await asyncio.sleep(0.1)
            if why := await orders.fetchval(refused):
                raise Incorrect(f"an order is refused: {why}")
        except TimeoutError:
            raise Incorrect("orders are not decided though nobody orders any more") from None
        finally:
            await orders.close()
            await catalog.close()

    async def _read(self) -> dict[tuple[str, str], tuple[float, float]]:
        """Read what was said since the last time: of each event when it was written and when it was sent."""
        found = {}
        for name, topic in (("orders", self.orders_topic), ("catalog", self.catalog_topic)):
            new = await topic.count() - self.read[name]
            self.read[name] += new
            for record in await topic.read(new):
                kind, order_id, moments = _read_record(record)
                self.said[kind, order_id] += 1
                found[kind, order_id] = moments
        return found

    async def check(self) -> None:
        """Raise `Incorrect` where an accepted order is not confirmed exactly once, by everybody."""
        faults = await asyncio.to_thread(town.find_faults, self.town, self.accepted)
        wanted = {(name, order_id) for name in SAID for order_id in self.accepted}
        told = {each: times for each, times in self.said.items() if each[0] in SAID}
        if told.keys() != wanted or set(told.values()) != {1}:
            faults.append("an order is not placed, reserved and confirmed exactly once")
        orders, catalog = await asyncpg.connect(self.town.url), await asyncpg.connect(self.catalog)
        try:
            confirmed = await orders.fetch("SELECT order_id FROM orders WHERE status = 'confirmed'")
            [sold] = await catalog.fetch(SOLD)
        finally:
            await orders.close()
            await catalog.close()
        if {row[0] for row in confirmed} != {UUID(order_id) for order_id in self.accepted}:
            faults.append("what was accepted is not what is confirmed")
        if sold["oversold"] or sold["otherwise"]:
            faults.append("shelves and holds disagree")
        if faults:
            raise Incorrect("; ".join(faults))


def measure(up: Stage) -> Sequence[Row]:
    orders, catalog = up.database("orders"), up.database("catalog")
    planted = Town.plant(orders)
    uvloop.run(_supply(up, catalog, planted))
    bus = f"kafka://{up.broker}"
    port = up.serve("orders", orders, bus)
    workers = [up.work("orders", orders, bus), up.work("catalog", catalog, bus)]
    try:
        return uvloop.run(_measure(up, planted, catalog, port))
    finally:
        for worker in workers:
            up.stop(worker)


async def _measure(up: Stage, planted: Town, catalog: str, port: int) -> Sequence[Row]:
    orders, answers = Topic(up.broker, "orders"), Topic(up.broker, "catalog")
    for topic in (orders, answers):
        await topic.start()
    contest = Contest(up, planted, catalog, planted.requests(), port, orders, answers)
    try:
        await contest.pass_over()
        knee, ramp = await _find_knee(contest)
        rounds, turned_away = [], 0
        slow = max(stage.pace() for _ in range(3))
        for _ in range(up.rounds):
            rounds.append(await contest.drive(knee / 2, up.seconds))
            turned_away += contest.turned_away
        await contest.check()
    finally:
        for topic in (orders, answers):
            await topic.stop()
    return _rows(
        rounds, knee, {"the last orders of a ramp": ramp, "turned away": turned_away, stage.PACE: slow}
    )


async def _find_knee(contest: Contest) -> tuple[int, str]:
    """Return the highest rate that was kept up with, and how long the last orders of each took."""
    await contest.drive(RAMP[0], RAMP_SECONDS)
    knee, told = RAMP[0], []
    for rate in RAMP:
        found = await contest.drive(rate, RAMP_SECONDS)
        last = median(one.whole for one in found[-len(found) // 5 :])
        told.append(f"{rate}/s {last:.0f} ms")
        if last > KEPT_UP_WITHIN_MS or contest.turned_away:
            break
        knee = rate
    return knee, ", ".join(told)


def _rows(rounds: Sequence[Sequence[Journey]], knee: int, found_out: Mapping[str, Any]) -> Sequence[Row]:
    found = [sorted(one.whole for one in journeys) for journeys in rounds]
    whole = mean(one.whole for journeys in rounds for one in journeys)
    shares = {
        hop: f"{took:.0f} ms ({took / whole:.0%})"
        for hop, took in zip(
            HOPS,
            map(mean, zip(*(one.hops for journeys in rounds for one in journeys), strict=True)),
            strict=True,
        )
    }
    what = f"an order from its POST to its confirmation, Kafka, {knee // 2} orders/s,"
    notes = {**found_out, "knee, orders/s": knee, "mean in ms": whole, **shares}
    return [
        against(
            "B4a", f"{what} p50", [_percentile(one, 0.5) for one in found], unit="ms", target=100, notes=notes
        ),
        against("B4b", f"{what} p99", [_percentile(one, 0.99) for one in found], unit="ms", target=400),
    ]


async def _supply(up: Stage, url: str, planted: Town) -> None:
    """Let one shop have everything that the town's households order."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    settings = serving.make_settings(CatalogSettings, up.folder, url)
    engine = database.create_engine(url)
    async with serving.client_of(create_app, settings) as client:
        outlet_id = await goods.make_shop(client)
        planted.products[:] = await _make_products(client, len(planted.products))
        listings = [goods.make_listing(product, str(place)) for place, product in enumerate(planted.products)]
        await goods.list_goods(client, outlet_id, *listings)
        counts = [goods.make_change(str(place), quantity=1) for place in range(len(planted.products))]
        await goods.change_stock(client, outlet_id, *counts)
        zone_id = planted.ground.zone_id
        await goods.supply_zone(
            database.create_sessions(engine), [outlet_id], zone_id=zone_id, orders=town.NO_END
        )
    await engine.dispose()
    connection = await asyncpg.connect(url)
    await connection.execute(STOCK_UP)
    await connection.execute(SAME_SLOT, planted.ground.slot_id, goods.slot_of(zone_id))
    await connection.close()


async def _make_products(client: httpx.AsyncClient, count: int) -> list[UUID]:
    kind = {"unit_name": "500 g", "category": "vegetables"}
    names = [f"good {number}" for number in range(count)]
    products = [{**kind, "external_id": name, "name": name, "variety": name} for name in names]
    head = serving.headers("commander", subject="keeper", key="goods")
    answer = await client.post("/v1/products", json={"products": products}, headers=head)
    return [UUID(item["product_id"]) for item in answer.json()["items"]]


def _read_record(record: "ConsumerRecord[bytes, bytes]") -> tuple[str, str, tuple[float, float]]:
    headers = dict(record.headers)
    written = datetime.fromisoformat(headers["ce_time"].decode()).timestamp() * 1000
    return headers["ce_type"].decode(), (record.key or b"").decode(), (written, float(record.timestamp))


def _percentile(ordered: Sequence[float], part: float) -> float:
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]
