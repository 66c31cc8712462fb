"""One Kafka for the run, and the bus on both transports."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.console.parts import kafka as kafka_part
from services.kit.bus.choose import bus_from
from services.kit.bus.postgres import PostgresBus
from services.kit.bus.transport import Bus
from services.kit.ids import new_id
from tests import databases
from tests.kit.buses import STARTS_WITHIN


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
