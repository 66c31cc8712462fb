"""P9 as the promise names it: a whole town, its own Kafka away for ten minutes, then its database."""

import asyncio
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
import pytest

from services.console.machine import running
from services.console.machine.databases import SERVICES
from services.console.machine.folder import database_url_of
from services.console.machine.running import Plan, Running
from services.console.parts.ports import free_port
from services.console.scenarios import village
from services.console.scenarios.voices import Voices, open_client
from services.kit.ids import new_id
from tests.promises.bells import IS_FULL

AWAY_SECONDS = 600.0
DRAINED_WITHIN = 300.0
PAUSE = 0.5

pytestmark = pytest.mark.skipif(not IS_FULL, reason="takes a quarter of an hour: PROMISES=full")


def tell(line: str) -> None:
    print(line)  # noqa: T201 - what was measured: pytest -rP


@pytest.fixture(scope="module")
def town() -> Iterator[Running]:
    with tempfile.TemporaryDirectory(prefix="baton-away-", ignore_cleanup_errors=True) as path:
        Path(path).chmod(0o755)
        plan = Plan(path=Path(path) / "town", port=free_port(), bus="kafka")
        with running.running(plan, tell) as up:
            asyncio.run(load(up))
            yield up


async def load(up: Running) -> None:
    async with open_client(up.gateway) as client:
        await village.load(Voices(client, up.folder.keys), up.folder, tell)
    # What is tried is the way of an order, not the size of a village.
    await ask(up, "orders", "UPDATE slots SET capacity = 100000")
    await ask(up, "orders", "UPDATE quota_rules SET orders = 100000, units = 1000000")


async def ask(up: Running, service: str, query: str) -> Any:
    url = database_url_of(service, up.folder.path)
    assert url is not None
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


@contextmanager
def suspended(*processes: psutil.Process) -> Iterator[None]:
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


def processes_of(up: Running, name: str) -> list[psutil.Process]:
    """The broker, or the database server with all its backends, the first of them first."""
    if name == "Kafka":
        ((broker,),) = ([child.process for child in up.children if child.name == name],)
        assert broker is not None
        return [psutil.Process(broker.pid)]
    first = psutil.Process(int((up.cluster.data / "postmaster.pid").read_text().split()[0]))
    return [first, *first.children(recursive=True)]


class Residents:
    """Order one thing after the other and remember what was answered, and how soon."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.body: dict[str, Any] = {}
        self.answers: list[tuple[int, float]] = []

    async def look_around(self, up: Running) -> None:
        token = (up.folder.path / "tokens/resident").read_text()
        self.client.headers["authorization"] = f"Bearer {token}"
        zone = (await self.client.get("/v1/zones")).json()["items"][0]["zone_id"]
        slot = (await self.client.get(f"/v1/zones/{zone}/slots")).json()["slots"][0]
        line = (await self.client.get(f"/v1/zones/{zone}/menu")).json()["lines"][0]
        wanted = {"product_id": line["product_id"], "quantity": 1, "seen_price_fen": line["price_fen"]}
        self.body = {"slot_id": slot["slot_id"], "lines": [wanted]}

    async def order(self) -> str:
        begun = time.monotonic()
        answer = await self.client.post(
            "/v1/orders", json=self.body, headers={"idempotency-key": str(new_id())}
        )
        self.answers.append((answer.status_code, time.monotonic() - begun))
        return str(answer.json().get("order_id", answer.text))

    async def keep_ordering(self, seconds: float) -> list[str]:
        ends, orders = time.monotonic() + seconds, []
        while time.monotonic() < ends:
            orders.append(await self.order())
            await asyncio.sleep(PAUSE)
        return orders


async def until_drained(up: Running) -> float:
    begun = time.monotonic()
    async with asyncio.timeout(DRAINED_WITHIN):
        while True:
            waits = [await ask(up, service, "SELECT count(*) FROM outbox_pending") for service in SERVICES]
            placed = await ask(up, "orders", "SELECT count(*) FROM orders WHERE status = 'placed'")
            if not any(waits) and not placed:
                return time.monotonic() - begun
            await asyncio.sleep(0.5)


async def test_kafka_is_away_for_ten_minutes_and_no_order_is_refused_for_it(town: Running) -> None:
    async with open_client(town.gateway) as client:
        residents = Residents(client)
        await residents.look_around(town)
        before = await residents.keep_ordering(3)
        await until_drained(town)
        with suspended(*processes_of(town, "Kafka")):
            orders = await residents.keep_ordering(AWAY_SECONDS)
            seen = (await client.get(f"/v1/orders/{orders[0]}")).json()
            assert (seen["status"], seen["delayed"]) == ("placed", True)
        took = await until_drained(town)
        tell(f"{len(orders)} orders accepted, drained after {took:.1f} s")
        assert {status for status, _ in residents.answers} == {202}
        assert max(seconds for _, seconds in residents.answers) < 3
        assert not any(child.has_died for child in town.children)
    count = "SELECT count(*) FROM orders"
    assert await ask(town, "orders", count) == len({*before, *orders})
    overdue = f"{count} WHERE refusals::text LIKE '%decision_overdue%'"
    assert await ask(town, "orders", overdue) == 0


async def test_the_database_is_away_each_request_ends_and_afterwards_orders_are_taken(town: Running) -> None:
    async with open_client(town.gateway) as client:
        residents = Residents(client)
        await residents.look_around(town)
        await residents.keep_ordering(3)
        with suspended(*processes_of(town, "PostgreSQL")):
            await asyncio.gather(*(residents.keep_ordering(30) for _ in range(4)))
        statuses = {status for status, _ in residents.answers}
        tell(f"{len(residents.answers)} answers, the slowest {max(s for _, s in residents.answers):.2f} s")
        assert statuses == {202, 503}
        assert max(seconds for _, seconds in residents.answers) < 3
        async with asyncio.timeout(60):
            while True:
                await residents.order()
                if residents.answers[-1][0] == httpx.codes.ACCEPTED:
                    break
                await asyncio.sleep(PAUSE)
        await until_drained(town)
        assert not any(child.has_died for child in town.children)
