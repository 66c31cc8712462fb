"""One PostgreSQL cluster for the run, and a fresh database with the kit's tables for each test that asks."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from hypothesis import settings
from sqlalchemy.engine import make_url

from services.console.parts import postgres as postgres_part
from services.kit import database, tables
from services.kit.database import Sessions
from services.kit.ids import new_id

# A slow machine is no defect.
settings.register_profile("baton", deadline=None)
settings.load_profile("baton")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Address of a cluster's administrator: `DATABASE_URL`, or the embedded one of this run."""
    if given := os.environ.get("DATABASE_URL"):
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="baton-test-") as folder:
        Path(folder).chmod(0o755)
        with postgres_part.running(Path(folder) / "postgres") as url:
            yield url


@pytest.fixture
async def sessions(postgres: str) -> AsyncIterator[Sessions]:
    """Sessions with real commits on a database of this test's own."""
    name = f"test_{new_id().hex}"
    administrator = await asyncpg.connect(postgres)
    await administrator.execute(f"CREATE DATABASE {name}")
    engine = database.create_engine(
        make_url(postgres).set(database=name).render_as_string(hide_password=False)
    )
    try:
        async with engine.begin() as connection:
            await tables.create_kit_tables(connection)
            await tables.make_partitions(connection, datetime.now(UTC).date())
        yield database.create_sessions(engine)
    finally:
        await engine.dispose()
        await administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await administrator.close()
