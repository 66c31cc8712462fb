"""The API process of dispatch."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.dispatch.crew.routes import router as crew_router
from services.dispatch.fleet.routes import router as fleet_router
from services.dispatch.loads.marks import Marks
from services.dispatch.loads.routes import load_router, portion_router
from services.dispatch.markets.routes import router as markets_router
from services.dispatch.passes.routes import router as passes_router
from services.dispatch.plans.routes import router as plans_router
from services.dispatch.relay import labels
from services.dispatch.relay import routes as relay
from services.dispatch.report.routes import router as report_router
from services.dispatch.rescues import routes as rescues
from services.dispatch.settings import DispatchSettings
from services.dispatch.splits.routes import router as splits_router
from services.dispatch.trips import following
from services.dispatch.trips.routes import router as trips_router
from services.kit.http import application
from services.kit.vault import Master


def create_app(settings: DispatchSettings) -> FastAPI:
    """Build dispatch's application; nothing connects before its first request."""
    return application.create(
        settings,
        title="dispatch",
        routers=[
            fleet_router,
            passes_router,
            crew_router,
            markets_router,
            load_router,
            portion_router,
            plans_router,
            trips_router,
            relay.hand_over_router,
            relay.load_router,
            relay.unit_router,
            labels.unit_router,
            labels.load_router,
            labels.sheet_router,
            splits_router,
            relay.breach_router,
            rescues.rescue_router,
            rescues.vehicle_router,
            report_router,
        ],
        background=[keep_marks, following.running],
        words=["services.contracts", "services.dispatch"],
    )


@asynccontextmanager
async def keep_marks(app: FastAPI) -> AsyncIterator[None]:
    """Know how labels and PINs are made; without a master key the process does not start."""
    settings: DispatchSettings = app.state.settings
    app.state.marks = Marks(Master.of_file(settings.master_key).derive("dispatch.marks"))
    yield
