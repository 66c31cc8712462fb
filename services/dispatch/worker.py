"""The worker process of dispatch."""

from services.dispatch.consumers import HANDLERS
from services.dispatch.settings import DispatchSettings
from services.dispatch.solving import keep_solving
from services.dispatch.timers import TIMERS
from services.kit.worker import Work, run_worker

WORK = Work(
    service="dispatch",
    topics=("orders", "catalog", "whitelist"),
    own_topic="dispatch",
    handlers=HANDLERS,
    timers=TIMERS,
    beside=(keep_solving,),
)


async def run(settings: DispatchSettings) -> None:
    """Apply what the others say, let go out what dispatch says, do what is due."""
    await run_worker(settings, WORK)
