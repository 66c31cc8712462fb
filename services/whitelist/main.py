"""The API process of whitelist."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.kit.http import application
from services.kit.vault import Master
from services.whitelist.checks import routes as checks
from services.whitelist.clearance import routes as clearance
from services.whitelist.duties import routes as duties
from services.whitelist.people import routes as people
from services.whitelist.policies import routes as policies
from services.whitelist.settings import WhitelistSettings


def create_app(settings: WhitelistSettings) -> FastAPI:
    """Build whitelist's application; nothing connects before its first request."""
    return application.create(
        settings,
        title="whitelist",
        routers=[
            people.router,
            duties.router,
            checks.router,
            checks.commitments,
            policies.router,
            clearance.router,
        ],
        background=[_with_master_key],
        words=["services.contracts", "services.whitelist"],
    )


@asynccontextmanager
async def _with_master_key(app: FastAPI) -> AsyncIterator[None]:
    # Without it no name can be read or written: better not to start.
    app.state.master = Master.of_file(app.state.settings.master_key)
    yield
