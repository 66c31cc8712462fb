"""How shops promise stock: SELECT … FOR UPDATE for each order, by many clients at once, on asyncpg.

The same tables and rows as ours but for the inbox and what outlets pick; offers and prices are known already,
nothing is read from a bus and nothing is sent to one.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import uvloop

from services.contracts.catalog import StockRefused, StockReserved
from services.contracts.orders import OrderPlaced
from services.contracts.values import GivenLine, LineFailure
from services.kit import outbox
from services.kit.ids import new_id

OFFERS = "SELECT product_id, offer_id, outlet_id, name, grams, price_fen FROM offers"
LOCK = """
    SELECT offer_id, on_hand - reserved AS free FROM stock
    WHERE offer_id = ANY($1) ORDER BY offer_id FOR UPDATE
"""
EVENT = """
    event AS (
        INSERT INTO outbox_event (id, day, event_id, topic, key, version, type, payload, trace)
        VALUES (nextval('outbox_event_id'), (transaction_timestamp() AT TIME ZONE 'UTC')::date, $8,
                'catalog', $1::text, 1, $9, $10::text::jsonb, $1::text)
        RETURNING id, day
    )
    INSERT INTO outbox_pending (shard, id, day) SELECT $11, id, day FROM event
"""
RESERVATION = """
    WITH reservation AS (
        INSERT INTO reservations (reservation_id, status, is_group, zone_id, incident_id, households,
                                  slot_id, asked_by, sequence, deadline_at, limit_at, day)
        VALUES ($1::text::uuid, $2, false, $3, $4, 1, $5, $6, 1, now() + interval '20 s',
                now() + interval '300 s', $7::date)
    ),
"""
REFUSE = RESERVATION + EVENT
HOLD = f"""
    {RESERVATION}
    held AS (
        INSERT INTO holds (reservation_id, offer_id, outlet_id, quantity, held)
        SELECT $1::text::uuid, offer_id, outlet_id, units, units
        FROM unnest($12::uuid[], $13::uuid[], $14::integer[]) AS row (offer_id, outlet_id, units)
    ), taken AS (
        UPDATE stock SET reserved = reserved + row.units
        FROM unnest($12::uuid[], $14::integer[]) AS row (offer_id, units)
        WHERE stock.offer_id = row.offer_id
    ),
    {EVENT}
"""


class Shop:
    def __init__(self, offers: dict[UUID, asyncpg.Record], day: date, plan: dict[str, Any]) -> None:
        self.offers = offers
        self.day = day
        self.orders: Iterator[OrderPlaced] = iter(
            [OrderPlaced.model_validate_json(order) for order in plan["orders"]]
        )
        self.begun = time.perf_counter()
        self.ends = self.begun + plan["warm_up"] + plan["seconds"]
        self.starts = self.begun + plan["warm_up"]
        self.answered: list[float] = []

    async def serve(self, connection: asyncpg.Connection) -> None:
        for order in self.orders:
            if time.perf_counter() >= self.ends:
                return
            async with connection.transaction():
                await self.promise(connection, order)
            self.answered.append(time.perf_counter())

    async def promise(self, connection: asyncpg.Connection, order: OrderPlaced) -> None:
        wanted = [(line, self.offers[line.product_id]) for line in order.lines]
        locked = await connection.fetch(LOCK, [offer["offer_id"] for _, offer in wanted])
        free = {row["offer_id"]: row["free"] for row in locked}
        failures = tuple(
            LineFailure(line=line.line, product_id=line.product_id, code="out_of_stock",
                        asked=line.quantity, available=free[offer["offer_id"]])
            for line, offer in wanted if free[offer["offer_id"]] < line.quantity
        )  # fmt: skip
        event: StockReserved | StockRefused
        if failures:
            event = StockRefused(reservation_id=order.order_id, failures=failures)
        else:
            lines = tuple(
                GivenLine(line=line.line, quantity=line.quantity, **offer) for line, offer in wanted
            )
            event = StockReserved(reservation_id=order.order_id, lines=lines)
        given = (
            event.key, "refused" if failures else "held", order.zone_id, order.incident_id, order.slot_id,
            order.household_id, None if failures else self.day, new_id(), event.name, event.model_dump_json(),
            outbox.partition_of(event.key),
        )  # fmt: skip
        if failures:
            await connection.execute(REFUSE, *given)
        else:
            goods = sorted((offer["offer_id"], offer["outlet_id"], line.quantity) for line, offer in wanted)
            await connection.execute(HOLD, *given, *map(list, zip(*goods, strict=True)))


async def promise_all(plan: dict[str, Any]) -> dict[str, Any]:
    connections = [await asyncpg.connect(plan["url"]) for _ in range(plan["clients"])]
    offers = {row["product_id"]: row for row in await connections[0].fetch(OFFERS)}
    shop = Shop(offers, await connections[0].fetchval("SELECT current_date"), plan)
    gc.collect()
    gc.freeze()
    await asyncio.gather(*map(shop.serve, connections))
    for connection in connections:
        await connection.close()
    counted = [at for at in shop.answered if shop.starts <= at <= shop.ends]
    # Few may be left to serve when all were asked: the time is then up to the last answer.
    took = min(plan["seconds"], max(shop.answered) - shop.starts)
    return {"answered": len(shop.answered), "per_second": len(counted) / took}


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text())
    Path(sys.argv[2]).write_text(json.dumps(uvloop.run(promise_all(given))))
