"""A database of dispatch for each test, and its application in the test's own process."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from services.dispatch.main import create_app
from services.dispatch.settings import DispatchSettings
from services.kit import database
from services.kit.database import Sessions
from tests import serving


@pytest.fixture
async def service_url(database_of: Callable[[str], Awaitable[str]]) -> str:
    """Address of this test's database of dispatch."""
    return await database_of("dispatch")


@pytest.fixture
async def service_sessions(service_url: str) -> AsyncIterator[Sessions]:
    """Sessions with real commits on the same database as `client`."""
    engine = database.create_engine(service_url)
    yield database.create_sessions(engine)
    await engine.dispose()


@pytest.fixture
async def client(service_url: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of dispatch's application."""
    settings = serving.make_settings(DispatchSettings, tmp_path, service_url)
    async with serving.client_of(create_app, settings) as client:
        yield client
