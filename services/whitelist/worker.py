"""The worker process of whitelist: it hears nobody, judges what is due and beats."""

from services.kit.worker import Work, run_worker
from services.whitelist.settings import WhitelistSettings
from services.whitelist.timers import TIMERS

WORK = Work(service="whitelist", topics=(), own_topic="whitelist", handlers={}, timers=TIMERS)


async def run(settings: WhitelistSettings) -> None:
    """Work until told to stop."""
    await run_worker(settings, WORK)
