"""A worker in a process of its own, to be killed: it lights lamps, and so tells itself."""

import asyncio
import os
import sys
from datetime import datetime
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.settings import ServiceSettings
from services.kit.timers import Timer
from services.kit.worker import Work, run_worker
from tests.builders import LampLit
from tests.kit.test_consumer import on_lamp_lit


async def count_run(session: AsyncSession, now: datetime) -> int:
    await session.execute(text("INSERT INTO runs VALUES (:now)"), {"now": now})
    return 0


async def break_down(session: AsyncSession, now: datetime) -> int:
    # Not an error of the timer's work, which is tried again, but the end of a part of the process.
    raise KeyboardInterrupt


WORK = Work(
    service="lamps",
    topics=("lamps",),
    own_topic="lamps",
    handlers={LampLit: on_lamp_lit},
    timers=(
        Timer("counts", 0.1, count_run),
        *((Timer("breaks", 1, break_down),) if os.environ.get("BREAKS") else ()),
    ),
)

if __name__ == "__main__":
    database_url, bus_url, metrics_port = sys.argv[1:]
    settings = ServiceSettings(
        database_url=database_url, bus_url=bus_url, metrics_port=int(metrics_port), token_keys=Path("none")
    )
    asyncio.run(run_worker(settings, WORK))
