"""The second process of catalog: it relays what leaves, applies what arrives, does what is due."""

from services.catalog.consumers import HANDLERS
from services.catalog.settings import CatalogSettings
from services.catalog.timers import TIMERS
from services.kit.worker import Work, run_worker


async def run(settings: CatalogSettings) -> None:
    """Work until the process is told to stop."""
    await run_worker(
        settings,
        Work(
            service="catalog",
            topics=("orders", "dispatch"),
            own_topic="catalog",
            handlers=HANDLERS,
            timers=TIMERS,
        ),
    )
