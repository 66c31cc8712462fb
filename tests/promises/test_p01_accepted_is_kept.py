"""P1: what was committed is there after everything was killed, PostgreSQL itself included."""

import asyncio
import os
import tempfile
from pathlib import Path

import asyncpg
import psutil
from sqlalchemy import text

from services.console.parts import postgres
from services.console.parts.postgres import Cluster
from services.kit import database

WRITES = 20_000 if os.environ.get("PROMISES") == "full" else 300


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
