"""P9: the bus away, orders are accepted and wait for their decision; the database away, each request ends."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from services.kit import consumer_loop, database, outbox, pending, relay_loop, timers, upkeep
from services.kit.bus.choose import bus_from
from services.kit.consumer_loop import Subscription
from services.kit.database import Sessions
from services.kit.ids import new_id
from services.kit.timers import Timer
from services.orders.consumers import HANDLERS
from services.orders.main import create_app
from services.orders.settings import OrdersSettings
from services.orders.timers import TIMERS
from tests import databases
from tests.builders import record_of
from tests.orders.ground import Ground, open_ground, reserved
from tests.promises.bell_worker import rung_on
from tests.promises.bells import IS_FULL
from tests.promises.stalling import Proxy, proxy_to
from tests.serving import client_of, make_settings

ENDS_WITHIN = 60.0
POLICY = "UPDATE intake_policies SET stalled_after_seconds = 1, put_off_seconds = 90"


@asynccontextmanager
async def through_proxy(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """Yield a proxy to the server at `url`, and the address through it."""
    address = make_url(url)
    async with proxy_to(str(address.host), int(address.port or 0)) as proxy:
        near = address.set(host="127.0.0.1", port=int(proxy.address.rpartition(":")[2]))
        yield proxy, near.render_as_string(hide_password=False)


@asynccontextmanager
async def together(*work: Any) -> AsyncIterator[list["asyncio.Task[None]"]]:
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def until_value(sessions: Sessions, query: str, value: Any) -> None:
    async with asyncio.timeout(ENDS_WITHIN):
        while True:
            async with sessions() as session:
                if (await session.execute(text(query))).scalar_one() == value:
                    return
            await asyncio.sleep(0.05)


async def place(client: httpx.AsyncClient, ground: Ground, number: int) -> str:
    answer = await client.post(
        "/v1/orders", json=ground.body(), headers=ground.resident(number, key=str(new_id()))
    )
    assert answer.status_code == 202, answer.text
    return answer.json()["order_id"]


async def see(client: httpx.AsyncClient, ground: Ground, number: int, order_id: str) -> tuple[str, bool]:
    order = (await client.get(f"/v1/orders/{order_id}", headers=ground.resident(number))).json()
    return order["status"], order["delayed"]


async def test_while_the_bus_is_away_orders_are_accepted_and_decided_when_it_is_back(
    database_of: Callable[[str], Awaitable[str]], postgres: str, tmp_path: Path
) -> None:
    url = await database_of("orders")
    engine = database.create_engine(url)
    sessions = database.create_sessions(engine)
    ground = await open_ground(sessions, households=6)
    async with sessions.begin() as session:
        await session.execute(text(POLICY))
    async with databases.fresh(postgres) as bus_url, through_proxy(bus_url) as (proxy, near):
        bus, direct = bus_from(near), bus_from(bus_url)
        await direct.make_topics(["orders", "catalog"], within=ENDS_WITHIN)
        subscription = Subscription(consumer="orders", topics=["catalog"], handlers=HANDLERS)
        work = [
            relay_loop.keep_relaying(url, bus),
            consumer_loop.keep_consuming(bus, sessions, subscription),
            *(timers.keep_running(sessions, timer) for timer in TIMERS),
        ]
        settings = make_settings(OrdersSettings, tmp_path, url)
        async with together(*work) as parts, client_of(create_app, settings) as client:
            first = await place(client, ground, 0)
            await until_value(sessions, "SELECT count(*) FROM outbox_pending", 0)
            async with direct.sending() as sender:
                await sender.send([record_of(reserved(first))])
            await until_value(sessions, "SELECT count(*) FROM orders WHERE status = 'confirmed'", 1)

            proxy.stall()
            orders = [first, *[await place(client, ground, number) for number in range(1, 6)]]
            await until_value(sessions, "SELECT count(*) FROM orders WHERE is_delayed", 5)
            seen = [await see(client, ground, number, order_id) for number, order_id in enumerate(orders)]
            assert seen == [("confirmed", False), *[("placed", True)] * 5]

            proxy.mend()
            async with direct.sending() as sender:
                await sender.send([record_of(reserved(order_id)) for order_id in orders[1:]])
            await until_value(sessions, "SELECT count(*) FROM orders WHERE status = 'confirmed'", 6)
            await until_value(sessions, "SELECT count(*) FROM outbox_pending", 0)
            assert not any(part.done() for part in parts)
        read: list[Any] = []
        async with direct.receiving(group="all", topics=["orders"]) as receiver:
            while len(read) < 12:
                read += await receiver.fetch(within=0.5)
        assert {(record.key, record.sequence) for record in read} == {
            (order_id, sequence) for order_id in orders for sequence in (1, 2)
        }
    await engine.dispose()


@pytest.mark.parametrize("after", ["flows on", "stays mute"] if IS_FULL else ["stays mute"])
async def test_while_the_database_is_unreachable_each_request_ends_and_afterwards_all_is_as_before(
    after: str, database_of: Callable[[str], Awaitable[str]], tmp_path: Path
) -> None:
    url = await database_of("orders")
    engine = database.create_engine(url)
    ground = await open_ground(database.create_sessions(engine), households=8)
    async with through_proxy(url) as (proxy, near):
        settings = make_settings(OrdersSettings, tmp_path, near, pool_size=4)
        async with client_of(create_app, settings) as client:
            known = await place(client, ground, 0)
            proxy.stall()

            async def ask(method: str, path: str, number: int, **given: Any) -> tuple[int, str, float]:
                begun = time.monotonic()
                answer = await client.request(
                    method, path, headers=ground.resident(number, key=f"k{number}"), **given
                )
                return answer.status_code, answer.json()["code"], time.monotonic() - begun

            told = await asyncio.gather(
                *(ask("POST", "/v1/orders", number, json=ground.body()) for number in range(1, 5)),
                *(ask("GET", f"/v1/orders/{known}", number) for number in range(5, 8)),
            )
            assert {status for status, _, _ in told} == {503}
            assert {code for _, code, _ in told} <= {"kit.timeout", "kit.unavailable", "kit.overloaded"}
            assert max(seconds for _, _, seconds in told) < 3

            proxy.mend(forgets=after == "stays mute")
            orders = []
            for number in range(1, 5):
                async with asyncio.timeout(ENDS_WITHIN):
                    while True:
                        again = await client.post(
                            "/v1/orders",
                            json=ground.body(),
                            headers=ground.resident(number, key=f"k{number}"),
                        )
                        if again.status_code != 503:
                            break
                assert again.status_code == 202, again.text
                orders.append(again.json()["order_id"])
    sessions = database.create_sessions(engine)
    await until_value(sessions, "SELECT count(*) FROM orders", 5)
    assert len({known, *orders}) == 5
    await engine.dispose()


async def test_a_worker_whose_connections_to_the_database_fall_mute_goes_on_with_new_ones(
    sessions: Sessions, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limits in (database, relay_loop):
        monkeypatch.setattr(limits, "ANSWERS_WITHIN", 0.5)
    name, heard = f"bells-{new_id()}", []
    url = sessions.kw["bind"].url.render_as_string(hide_password=False)

    async def hear(session: Any, arrivals: Any, now: Any) -> None:
        await session.execute(text("SELECT 1"))
        heard.extend(arrived.sequence for arrived in arrivals)

    async def count(session: Any, now: Any) -> int:
        await session.execute(text("INSERT INTO runs VALUES (now())"))
        return 0

    async with sessions.begin() as session:
        await session.execute(text("CREATE TABLE runs (at timestamptz)"))
    async with databases.fresh(postgres) as bus_url, through_proxy(url) as (proxy, near):
        bus = bus_from(bus_url)
        await bus.make_topics([name], within=ENDS_WITHIN)
        engine = database.create_engine(near, pool_size=5)
        through = database.create_sessions(engine)
        subscription = Subscription(consumer=name, topics=[name], handlers={rung_on(name): hear})
        work = [
            relay_loop.keep_relaying(near, bus, frozen_after=1.0),
            consumer_loop.keep_consuming(bus, through, subscription),
            timers.keep_running(through, Timer("counts", 0.1, count)),
            pending.keep_measuring(through),
            upkeep.keep_looking_after(engine),
        ]
        async with together(*work) as parts:
            async with sessions.begin() as session:
                await outbox.add(session, rung_on(name)(bell=1), sequence=1)
            await until_value(sessions, "SELECT count(*) FROM inbox", 1)
            proxy.stall()
            async with sessions.begin() as session:
                await outbox.add(session, rung_on(name)(bell=1), sequence=2)
                await session.execute(text("DELETE FROM runs"))
            await asyncio.sleep(1.0)
            proxy.mend(forgets=True)
            await until_value(sessions, "SELECT count(*) FROM inbox", 2)
            await until_value(sessions, "SELECT sign(count(*)) FROM runs", 1)
            await until_value(sessions, "SELECT count(*) FROM outbox_pending", 0)
            assert not any(part.done() for part in parts)
        assert heard == [1, 2]
        await engine.dispose()
