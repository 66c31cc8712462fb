"""A service's second process: it relays what leaves, applies what arrives and runs what is due."""

import asyncio
import gc
import signal
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.kit import (
    consumer_loop,
    crash_points,
    database,
    failures,
    pending,
    probes,
    relay_loop,
    retention,
    timers,
    upkeep,
)
from services.kit.bus.choose import bus_from
from services.kit.bus.transport import Bus, BusUnavailable
from services.kit.consumer import Handlers
from services.kit.consumer_loop import Subscription
from services.kit.database import Sessions
from services.kit.loops import Pause
from services.kit.settings import ServiceSettings
from services.kit.timers import Timer

log = structlog.get_logger()

MAKES_TOPICS_WITHIN: Final = 15.0
READY_WITHIN: Final = 1.0
# What is there at the start stays; records and rows come and go by the thousand, and hold no rings.
COLLECT_EVERY: Final = 50_000
FORGETS_KEYS: Final = retention.forgetting(retention.KEYS)


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a service's worker does: `service` is also the name its events are marked with in the inbox."""

    service: str
    topics: tuple[str, ...]
    own_topic: str
    handlers: Handlers
    timers: Sequence[Timer] = ()
    # What runs beside, for work that must not sit in a transaction; ended by cancelling it.
    beside: Sequence[Callable[[Sessions], Coroutine[Any, Any, None]]] = ()


async def run_worker(settings: ServiceSettings, work: Work) -> None:
    """Work until SIGTERM or SIGINT, then stop between two transactions, within 25 s.

    If any part ends by itself, all end and its error is raised: the process is started again as a whole.
    """
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    engine = database.create_engine(settings.database_url, pool_size=settings.pool_size)
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY, 20, 20)
    await crash_points.reach("process.started")
    try:
        async with asyncio.TaskGroup() as group:
            parts = [group.create_task(part) for part in _parts(settings, work, engine, stopping)]
            log.info("worker.started", service=work.service)
            await stopping.wait()
            log.info("worker.stopping", service=work.service)
            await crash_points.reach("process.stopping")
            for part in parts:
                part.cancel()
    finally:
        await engine.dispose()
    log.info("worker.stopped", service=work.service)


def _parts(
    settings: ServiceSettings, work: Work, engine: AsyncEngine, stopping: asyncio.Event
) -> list[Coroutine[Any, Any, None]]:
    sessions = database.create_sessions(engine)

    async def ready() -> bool:
        return not stopping.is_set() and await _answers(sessions)

    return [
        probes.keep_answering(settings.host, settings.metrics_port, ready),
        upkeep.keep_looking_after(engine),
        pending.keep_measuring(sessions),
        _move_events(settings, work, sessions),
        *(timers.keep_running(sessions, timer) for timer in (*work.timers, FORGETS_KEYS)),
        *(keep_going(sessions) for keep_going in work.beside),
    ]


async def _move_events(settings: ServiceSettings, work: Work, sessions: Sessions) -> None:
    bus = bus_from(settings.bus_url)
    await _make_topics(bus, sorted({work.own_topic, *work.topics}))
    async with asyncio.TaskGroup() as group:
        group.create_task(relay_loop.keep_relaying(settings.database_url, bus))
        if work.topics:
            group.create_task(
                consumer_loop.keep_consuming(
                    bus,
                    sessions,
                    Subscription(consumer=work.service, topics=work.topics, handlers=work.handlers),
                )
            )


async def _make_topics(bus: Bus, names: Sequence[str]) -> None:
    # For as long as it takes: timers and probes go on while the bus is away.
    pause = Pause(least=0.5, most=5.0)
    while True:
        try:
            return await bus.make_topics(names, within=MAKES_TOPICS_WITHIN)
        except BusUnavailable as error:
            log.warning("topics.unmade", error=str(error))
        await asyncio.sleep(pause.next())


async def _answers(sessions: Sessions) -> bool:
    try:
        async with asyncio.timeout(READY_WITHIN), sessions() as session:
            await session.execute(text("SELECT 1"))
    except failures.UNANSWERED:
        return False
    return True
