"""Whitelist in this test's process: its application, and its database for what HTTP does not show."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from services.kit import database
from services.kit.database import Sessions
from services.whitelist.main import create_app
from services.whitelist.settings import WhitelistSettings
from tests.serving import client_of, make_settings


@pytest.fixture
async def whitelist_url(database_of: Callable[[str], Awaitable[str]]) -> str:
    """Address of this test's own database of whitelist, built by its migrations."""
    return await database_of("whitelist")


@pytest.fixture
async def client(whitelist_url: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the whole application."""
    async with client_of(create_app, make_settings(WhitelistSettings, tmp_path, whitelist_url)) as client:
        yield client


@pytest.fixture
async def service_sessions(whitelist_url: str) -> AsyncIterator[Sessions]:
    """Sessions with real commits on the database that `client` writes to."""
    engine = database.create_engine(whitelist_url, pool_size=8)
    yield database.create_sessions(engine)
    await engine.dispose()
