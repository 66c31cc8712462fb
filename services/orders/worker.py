"""The second process of orders: what leaves, what arrives, what is due."""

from services.kit.worker import Work, run_worker
from services.orders.consumers import HANDLERS
from services.orders.settings import OrdersSettings
from services.orders.timers import TIMERS


async def run(settings: OrdersSettings) -> None:
    """Work until told to stop."""
    work = Work(
        service="orders",
        topics=("catalog", "dispatch", "whitelist"),
        own_topic="orders",
        handlers=HANDLERS,
        timers=TIMERS,
    )
    await run_worker(settings, work)
