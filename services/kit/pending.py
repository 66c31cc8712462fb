"""How long the oldest event has been waiting to leave: the first thing to look at when the bus is away."""

import asyncio
from typing import Final

import structlog
from prometheus_client import Gauge
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit import failures
from services.kit.database import Sessions

log = structlog.get_logger()

AGE = Gauge("outbox_pending_age_seconds", "Age of the oldest event that has not left")
MEASURES_EVERY: Final = 1.0

# The lowest id of each shard by its index; no count, no scan.
OLDEST = text("""
    SELECT coalesce(extract(epoch FROM transaction_timestamp() - min(event.recorded_at)), 0)
    FROM generate_series(0, 11) AS shard
    CROSS JOIN LATERAL (
        SELECT id, day FROM outbox_pending WHERE outbox_pending.shard = shard.shard ORDER BY id LIMIT 1
    ) AS first
    JOIN outbox_event AS event ON event.day = first.day AND event.id = first.id
""")


async def oldest_age(session: AsyncSession) -> float:
    """Return the age in seconds of the oldest event that has not left, 0 if all have."""
    return max(0.0, float((await session.execute(OLDEST)).scalar_one()))


async def keep_measuring(sessions: Sessions) -> None:
    """Measure every second, whether or not the relay gets on; runs until cancelled."""
    while True:
        try:
            async with sessions() as session:
                AGE.set(await oldest_age(session))
        except failures.UNANSWERED as error:
            log.warning("pending.unmeasured", error=type(error).__name__)
        await asyncio.sleep(MEASURES_EVERY)
