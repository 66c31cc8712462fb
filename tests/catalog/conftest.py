"""Catalog as its callers meet it: the real application on a database of the test's own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from services.catalog.main import create_app
from services.catalog.settings import CatalogSettings
from services.kit import database
from services.kit.database import Sessions
from tests import serving


@pytest.fixture
async def catalog_url(database_of: Callable[[str], Awaitable[str]]) -> str:
    return await database_of("catalog")


@pytest.fixture
async def service_sessions(catalog_url: str) -> AsyncIterator[Sessions]:
    """Sessions with real commits on the database that `client` serves."""
    engine = database.create_engine(catalog_url)
    yield database.create_sessions(engine)
    await engine.dispose()


@pytest.fixture
async def client(catalog_url: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    settings = serving.make_settings(CatalogSettings, tmp_path, catalog_url)
    async with serving.client_of(create_app, settings) as made:
        yield made
