"""What the clock starts: rows with their moment, claimed by compare-and-set in a timer's own SQL."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import structlog
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit import crash_points, database, failures
from services.kit.database import Sessions
from services.kit.loops import Pause, to_its_end

log = structlog.get_logger()

DONE = Counter("timer_items_total", "Pieces of work done by timers", ["timer"])
FAILURES = Counter("timer_failures_total", "Runs of timers that failed and are tried again", ["timer"])


@dataclass(frozen=True, slots=True)
class Timer:
    """Work that is looked for `every` so many seconds.

    `run` claims and does a bounded batch in the transaction it is given, `now` being that transaction's, and
    returns how much it did; while that is more than nothing, it is called again at once.
    """

    name: str
    every: float
    run: Callable[[AsyncSession, datetime], Awaitable[int]]


async def keep_running(sessions: Sessions, timer: Timer) -> None:
    """Run `timer` until cancelled, which ends it between two transactions; a failure never ends it."""
    pause = Pause(least=min(0.5, timer.every), most=max(30.0, timer.every))
    while True:
        try:
            done = await to_its_end(_run_once(sessions, timer))
        except Exception as failed:  # noqa: BLE001 - the edge: one timer's defect must not stop the others
            FAILURES.labels(timer.name).inc()
            tell = log.warning if failures.is_passing(failed) else log.error
            tell("timer.failed", timer=timer.name, error=failures.describe(failed))
            await asyncio.sleep(pause.next())
            continue
        pause.reset()
        DONE.labels(timer.name).inc(done)
        if not done:
            await asyncio.sleep(timer.every)


async def _run_once(sessions: Sessions, timer: Timer) -> int:
    async with sessions.begin() as session:
        done = await timer.run(session, await database.now(session))
        if done:
            await crash_points.reach("timer.claimed")
        return done
