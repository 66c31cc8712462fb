"""The bus loses everything, and `baton outbox replay` brings it back (promise P5)."""

import asyncio
import os
import shutil
import signal

import asyncpg
from sqlalchemy.exc import SQLAlchemyError

from services.console.commands import parked
from services.console.machine import databases
from services.console.machine.folder import database_url_of
from services.kit.bus import choose
from tests.chaos.keeper import Keeper

MADE_WITHIN = 60.0
REPLAYED_WITHIN = 60.0


async def wipe(keeper: Keeper, bus: str) -> None:
    """Wipe the bus, replay every outbox while there is none, and make a new one under the same address."""
    if bus == "kafka":
        await _wipe_kafka(keeper)
    else:
        await _wipe_postgres(keeper)


async def _wipe_kafka(keeper: Keeper) -> None:
    with keeper.leaving_alone("Kafka") as broker:
        assert broker.process is not None
        broker.process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(broker.process.wait)
        folder = keeper.up.folder.path / "kafka"
        shutil.rmtree(folder / "log")
        await _replay_all(keeper)
        java, *options = [word for word in broker.command[:-2] if not word.startswith("-Xm")]
        tool = [java, *options, "kafka.tools.StorageTool"]
        cluster = (await _call(*tool, "random-uuid")).split()[-1]
        await _call(*tool, "format", "--standalone", "-t", cluster, "-c", str(folder / "server.properties"))
    await choose.bus_from(bus_url(keeper)).make_topics(databases.SERVICES, within=MADE_WITHIN)


async def _wipe_postgres(keeper: Keeper) -> None:
    async with _administering(keeper) as connection:
        await connection.execute("ALTER DATABASE baton_bus ALLOW_CONNECTIONS false")
        await connection.execute("DROP DATABASE baton_bus WITH (FORCE)")
    await _replay_all(keeper)
    async with _administering(keeper) as connection:
        await connection.execute("CREATE DATABASE baton_bus OWNER baton_bus")
        await connection.execute("REVOKE CONNECT ON DATABASE baton_bus FROM PUBLIC")
    await choose.bus_from(bus_url(keeper)).make_topics(databases.SERVICES, within=MADE_WITHIN)


def bus_url(keeper: Keeper) -> str:
    """Return where every process of the town finds the bus."""
    return keeper.child("orders (worker)").environment["BATON_BUS_URL"]


class _administering:  # noqa: N801 - reads as what it does
    def __init__(self, keeper: Keeper) -> None:
        self._url = keeper.up.cluster.url

    async def __aenter__(self) -> asyncpg.Connection:
        self._connection = await until_connected(self._url)
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()


async def until_connected(url: str, *, within: float = 60.0) -> asyncpg.Connection:
    """Return a connection once the database server takes one."""
    async with asyncio.timeout(within):
        while True:
            try:
                return await asyncpg.connect(url, timeout=5)
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.2)


async def _replay_all(keeper: Keeper) -> None:
    for service in databases.SERVICES:
        url = database_url_of(service, keeper.up.folder.path)
        # An operator's command, without the second it takes to start; where the database is just away, he
        # types it again.
        async with asyncio.timeout(REPLAYED_WITHIN):
            while True:
                try:
                    await asyncio.to_thread(parked.replay_outbox, service, database_url=url)
                    break
                except (OSError, SQLAlchemyError, asyncpg.PostgresError):
                    await asyncio.sleep(0.5)


async def _call(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, env=os.environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said = (await process.communicate())[0].decode(errors="replace")
    if process.returncode:
        raise ChildProcessError(f"{command[-3:]}: {said[-500:]}")
    return said
