"""The days of outbox and inbox: made ahead, dropped behind, every hour."""

import asyncio
from typing import Final

import structlog
from prometheus_client import Counter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.kit import failures, tables
from services.kit.loops import Pause, to_its_end

log = structlog.get_logger()

FAILURES = Counter("upkeep_failures_total", "Times the partitions could not be looked after")
EVERY: Final = 3600.0
TODAY = text("SELECT (transaction_timestamp() AT TIME ZONE 'UTC')::date")


async def look_after(engine: AsyncEngine) -> list[str]:
    """Make the partitions of the coming days, drop those no longer needed and return their names.

    Two at once do it one after the other. Making commits first: it must not wait for a drop that is refused.
    """
    async with engine.begin() as connection:
        today = (await connection.execute(TODAY)).scalar_one()
        await tables.make_partitions(connection, today)
    async with engine.begin() as connection:
        return await tables.drop_partitions(connection, today)


async def keep_looking_after(engine: AsyncEngine) -> None:
    """Look after the partitions now and every hour, until cancelled; what fails is tried again."""
    pause = Pause(least=1.0, most=60.0)
    while True:
        try:
            dropped = await to_its_end(look_after(engine))
        except failures.UNANSWERED as error:
            FAILURES.inc()
            log.warning("upkeep.failed", error=type(error).__name__)
            await asyncio.sleep(pause.next())
            continue
        pause.reset()
        if dropped:
            log.info("partitions.dropped", names=dropped)
        await asyncio.sleep(EVERY)
