"""The bus on both transports."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.kit import database
from services.kit.bus.choose import bus_from
from services.kit.bus.postgres import PostgresBus
from services.kit.bus.transport import Bus
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests import databases
from tests.kit import lamps as lamps_face
from tests.kit.buses import STARTS_WITHIN


@pytest.fixture(scope="session")
async def embedded_bus(postgres: str) -> AsyncIterator[PostgresBus]:
    async with databases.fresh(postgres) as url:
        yield PostgresBus(url)


@pytest.fixture(scope="session", params=["postgres", "kafka"])
def address(request: pytest.FixtureRequest, embedded_bus: PostgresBus) -> str:
    """Address of a bus, of each transport in turn."""
    return f"kafka://{request.getfixturevalue('kafka')}" if request.param == "kafka" else embedded_bus.url


@pytest.fixture
def bus(address: str) -> Bus:
    return bus_from(address)


@pytest.fixture
async def topic(bus: Bus) -> str:
    name = f"t-{new_id()}"
    await bus.make_topics([name], within=STARTS_WITHIN)
    return name


@pytest.fixture(scope="session")
async def lamps_template(postgres: str) -> AsyncIterator[str]:
    """Name of a database with the kit's tables and lamps."""
    async with databases.fresh(postgres) as url:
        await lamps_face.prepare(url)
        yield url.rpartition("/")[2]


@pytest.fixture
async def lamps_url(postgres: str, lamps_template: str) -> AsyncIterator[str]:
    """Address of this test's own database of lamps."""
    async with databases.fresh(postgres, template=lamps_template) as url:
        yield url


@pytest.fixture
async def lamps(lamps_url: str, tmp_path: Path) -> AsyncIterator[lamps_face.Running]:
    """The service of lamps, and a client of it."""
    async with lamps_face.running(tmp_path, lamps_url) as running:
        yield running


@pytest.fixture
async def lamp_sessions(lamps_url: str) -> AsyncIterator[Sessions]:
    """Sessions with real commits on the database that `lamps` writes to."""
    engine = database.create_engine(lamps_url, pool_size=5)
    yield database.create_sessions(engine)
    await engine.dispose()
