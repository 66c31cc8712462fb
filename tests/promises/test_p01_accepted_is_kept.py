"""P1: what was accepted is there after the API was killed in mid-load, or all of PostgreSQL."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest
from sqlalchemy import text

from services.console.parts import postgres
from services.console.parts.postgres import Cluster
from services.kit import database
from tests.orders.ground import open_ground
from tests.promises import insisting
from tests.promises.bells import IS_FULL
from tests.promises.killing import ACCEPTING, killed
from tests.promises.parts import part_of

WRITES = 20_000 if IS_FULL else 300
ORDERS, KILLS, AT_ONCE = 5000, 20, 32


def kill_all(cluster: Cluster) -> None:
    """Kill the server's first process and all it has started, as when the machine ends them."""
    first = psutil.Process(int((cluster.data / "postmaster.pid").read_text().split()[0]))
    family = [first, *first.children(recursive=True)]
    for process in family:
        process.suspend()
    for process in family:
        process.kill()
    psutil.wait_procs(family, timeout=30)


async def write_and_kill(cluster: Cluster) -> None:
    engine = database.create_engine(cluster.url)
    sessions = database.create_sessions(engine)
    async with sessions.begin() as session:
        await session.execute(text("CREATE TABLE accepted (id integer PRIMARY KEY)"))
    for number in range(WRITES):
        async with sessions.begin() as session:
            await session.execute(text("INSERT INTO accepted VALUES (:id)"), {"id": number})
    # At once: what was only promised to be written soon is lost with the process that promised it.
    kill_all(cluster)
    # Without a word: whom it would say goodbye to is gone.
    await engine.dispose(close=False)


async def count(cluster: Cluster) -> int:
    connection = await asyncpg.connect(cluster.url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM accepted"))
    finally:
        await connection.close()


def test_what_was_committed_outlives_a_killed_database() -> None:
    with tempfile.TemporaryDirectory(prefix="baton-p01-") as folder:
        Path(folder).chmod(0o755)
        with postgres.running(Path(folder) / "postgres") as cluster:
            asyncio.run(write_and_kill(cluster))
            (cluster.data / "postmaster.pid").unlink(missing_ok=True)
            cluster.start()
            assert asyncio.run(count(cluster)) == WRITES


@pytest.mark.skipif(not IS_FULL, reason="P2 kills a smaller one: PROMISES=full")
async def test_what_an_api_accepted_outlives_its_kills_and_what_it_left_open_ends_once(
    database_of: Callable[[str], Awaitable[str]], tmp_path: Path
) -> None:
    url = await database_of("orders")
    engine = database.create_engine(url)
    sessions = database.create_sessions(engine)
    ground = await open_ground(sessions, households=50, capacity=ORDERS, orders=ORDERS, units=ORDERS * 10)
    keys = [f"key-{number}" for number in range(ORDERS)]
    told: list[httpx.Response] = []
    with part_of("serve", "orders", tmp_path, url) as api:

        def count() -> int:
            return len(told)

        async with killed(api, points=ACCEPTING, progress=count, kills=KILLS, total=ORDERS):
            await insisting.order(api.address, ground, keys, at_once=AT_ONCE, copies=1, told=told)
    replayed = sum("idempotency-replayed" in answer.headers for answer in told)
    print(f"{len(told)} answers, {replayed} replayed, {len(api.deaths)} deaths")  # noqa: T201 - pytest -rP
    assert len(api.deaths) > KILLS
    assert {answer.status_code for answer in told} == {httpx.codes.ACCEPTED}
    async with sessions() as session:
        written = await session.execute(text("SELECT CAST(order_id AS text) FROM orders"))
        assert sorted(written.scalars()) == sorted(answer.json()["order_id"] for answer in told)
        assert (await session.execute(text("SELECT sum(taken) FROM slots"))).scalar_one() == ORDERS
    await engine.dispose()
