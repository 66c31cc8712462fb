"""One PostgreSQL cluster and one Kafka for the run, and a fresh database for each test that asks."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import settings

from services.console.parts import kafka as kafka_part
from services.console.parts import postgres as postgres_part
from services.kit import database, tables
from services.kit.database import Sessions
from tests import databases

# A slow machine is no defect.
settings.register_profile("baton", deadline=None)
settings.load_profile("baton")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Address of a cluster's administrator: `DATABASE_URL`, or the embedded one of this run."""
    if given := os.environ.get("DATABASE_URL"):
        yield given
        return
    with databases.folder_of_the_run() as folder, postgres_part.running(folder / "postgres") as cluster:
        asyncio.run(databases.spare_the_disk(cluster.url))
        yield cluster.url


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """Address of a broker: `KAFKA_BOOTSTRAP`, or one of this run; skips where Kafka's jars cannot be had."""
    if given := os.environ.get("KAFKA_BOOTSTRAP"):
        yield given
        return
    try:
        kafka_part.find_jars()
    except kafka_part.JarsUnavailable as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"Kafka's jars cannot be had here, its tests are left out: {error}")
    with (
        tempfile.TemporaryDirectory(prefix="baton-kafka-") as folder,
        kafka_part.running(Path(folder)) as address,
    ):
        yield address


@pytest.fixture
async def sessions(postgres: str) -> AsyncIterator[Sessions]:
    """Sessions with real commits on a database of this test's own, with the kit's tables alone."""
    async with databases.fresh(postgres) as url:
        engine = database.create_engine(url)
        async with engine.begin() as connection:
            await tables.create_kit_tables(connection)
            await tables.make_partitions(connection, datetime.now(UTC).date())
        yield database.create_sessions(engine)
        await engine.dispose()


@pytest.fixture(scope="session")
def templates() -> dict[str, str]:
    """Names of the databases that this run has built by a service's real migrations."""
    return {}


@pytest.fixture
async def database_of(
    postgres: str, templates: dict[str, str]
) -> AsyncIterator[Callable[[str], Awaitable[str]]]:
    """Give a test its own database of a service, built by the migrations: `await database_of("orders")`."""
    async with AsyncExitStack() as stack:

        async def make(service: str) -> str:
            if service not in templates:
                templates[service] = await databases.build_template(postgres, service)
            return await stack.enter_async_context(databases.fresh(postgres, template=templates[service]))

        yield make
