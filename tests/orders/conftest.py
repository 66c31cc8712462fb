"""Orders in this test's process: its application, and its database for what HTTP does not show."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from services.kit import database
from services.kit.database import Sessions
from services.orders.main import create_app
from services.orders.settings import OrdersSettings
from tests.serving import client_of, make_settings


@pytest.fixture
async def orders_url(database_of: Callable[[str], Awaitable[str]]) -> str:
    """Address of this test's own database of orders, built by its migrations."""
    return await database_of("orders")


@pytest.fixture
async def client(orders_url: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the whole application."""
    async with client_of(create_app, make_settings(OrdersSettings, tmp_path, orders_url)) as client:
        yield client


@pytest.fixture
async def service_sessions(orders_url: str) -> AsyncIterator[Sessions]:
    """Sessions with real commits on the database that `client` writes to."""
    engine = database.create_engine(orders_url, pool_size=10)
    yield database.create_sessions(engine)
    await engine.dispose()
