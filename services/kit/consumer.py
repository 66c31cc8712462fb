"""Records to handlers: marks and effects of a batch in one transaction."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit import correlation, crash_points, database, failures, inbox, parking
from services.kit.bus.records import Received
from services.kit.database import Sessions
from services.kit.event import Arrived, Event
from services.kit.inbox import Mark
from services.kit.waves import by_name, waves

# Gets the events of one type, at most one of each key, and the transaction's timestamp.
Handler = Callable[[AsyncSession, Sequence[Arrived[Any]], datetime], Awaitable[None]]
Handlers = Mapping[type[Event], Handler]

APPLIED = Counter("consumer_events_applied_total", "Events that were new and are applied", ["consumer"])
PARKED = Counter("consumer_events_parked_total", "Events kept until a person acts", ["consumer"])


async def deliver(sessions: Sessions, batch: Sequence[Received], *, consumer: str, handlers: Handlers) -> int:
    """Apply each record of `batch` that `consumer` had not seen, all in one transaction; return how many.

    Names nobody handles are marked and passed over; what would overtake a parked event of its key is parked
    behind it. If a handler raises, nothing of the batch has happened.
    """
    async with sessions.begin() as session:
        fresh = await _mark_fresh(session, batch, consumer=consumer)
        await crash_points.reach("inbox.marked")
        parked = await parking.find_parked_keys(session, fresh, consumer=consumer) if fresh else set()
        for received in fresh:
            if (received.topic, received.key) in parked:
                await parking.park(
                    session, received, consumer=consumer, error="behind a parked event of its key"
                )
        todo = [received for received in fresh if (received.topic, received.key) not in parked]
        await _apply(session, todo, handlers)
        await crash_points.reach("consumer.committing")
    await crash_points.reach("consumer.committed")
    PARKED.labels(consumer).inc(len(fresh) - len(todo))
    APPLIED.labels(consumer).inc(len(todo))
    return len(todo)


async def deliver_or_park(
    sessions: Sessions, batch: Sequence[Received], *, consumer: str, handlers: Handlers
) -> None:
    """Deliver a batch; if it fails, each record alone, and park the one whose handler cannot do it.

    What passes by itself (a lock, a lost connection, a server going down) is raised: the caller tries again.
    """
    try:
        await deliver(sessions, batch, consumer=consumer, handlers=handlers)
    except Exception as failed:
        if len(batch) > 1:
            for received in batch:
                await deliver_or_park(sessions, [received], consumer=consumer, handlers=handlers)
            return
        if failures.is_passing(failed):
            raise
        async with sessions.begin() as session:
            fresh = await _mark_fresh(session, batch, consumer=consumer)
            for received in fresh:
                await parking.park(session, received, consumer=consumer, error=failures.describe(failed))
        PARKED.labels(consumer).inc(len(fresh))


async def release(sessions: Sessions, *, consumer: str, topic: str, key: str, handlers: Handlers) -> int:
    """Apply what is parked of a key, in order and in one transaction; if that fails, it stays parked."""
    async with sessions.begin() as session:
        taken = await parking.take(session, consumer=consumer, topic=topic, key=key)
        await _apply(session, taken, handlers)
    return len(taken)


async def _mark_fresh(session: AsyncSession, batch: Sequence[Received], *, consumer: str) -> list[Received]:
    marks = [Mark(received.event_day, received.event_id) for received in batch]
    fresh = await inbox.mark_new(session, consumer=consumer, marks=marks)
    # A twin within the batch falls together with the first of its id.
    return list({received.event_id: received for received in batch if received.event_id in fresh}.values())


async def _apply(session: AsyncSession, todo: Sequence[Received], handlers: Handlers) -> None:
    kinds = {kind.name: kind for kind in handlers}
    now = await database.now(session)
    for wave in waves(todo):
        # A wave has each key once, so what a handler says about a key answers that key's event.
        with correlation.bind({received.key: received.correlation_id for received in wave}):
            for name, same in by_name(wave).items():
                if kind := kinds.get(name):
                    await handlers[kind](session, [received.as_arrived(kind) for received in same], now)
