"""The consumer of a worker: fetch, apply, commit, for as long as the process lives."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from prometheus_client import Counter

from services.kit import crash_points, failures
from services.kit.bus.records import Received
from services.kit.bus.transport import Bus, BusUnavailable
from services.kit.consumer import Handlers, deliver_or_park
from services.kit.database import Sessions
from services.kit.loops import Pause, to_its_end

log = structlog.get_logger()

FETCHED = Counter("consumer_records_fetched_total", "Records fetched, copies included", ["consumer"])
RETRIES = Counter("consumer_retries_total", "Batches that failed and are tried again", ["consumer"])
REJOINS = Counter("consumer_rejoins_total", "Times the bus was lost and joined again", ["consumer"])

WAITS: Final = 0.5
STUCK_AFTER: Final = 120.0
# Silence is counted in looks: of a process that was frozen the clock has gone on, and nobody was looking.
LOOKS: Final = 4


class ConsumerStuck(Exception):
    """The consumer is alive and does nothing: the process must end, so that another takes its place."""


@dataclass(slots=True)
class Progress:
    """How often the consumer has come back from anything it asked for, successful or not."""

    times: int = 0

    def note(self) -> None:
        """Say that something came back."""
        self.times += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """Who wants what: `consumer` is the name of the group, and of the marks in the inbox."""

    consumer: str
    topics: Sequence[str]
    handlers: Handlers


async def keep_consuming(
    bus: Bus, sessions: Sessions, subscription: Subscription, *, stuck_after: float = STUCK_AFTER
) -> None:
    """Apply what comes until cancelled, which ends it between two batches.

    What fails by no fault of the event is tried again for ever. Where nothing comes back for so many seconds,
    neither success nor failure, `ConsumerStuck` is raised (in a group): a member that hangs keeps its
    partitions from the others.
    """
    progress = Progress()
    async with asyncio.TaskGroup() as group:
        group.create_task(_consume(bus, sessions, subscription, progress))
        group.create_task(_watch(progress, subscription.consumer, stuck_after))


async def _watch(progress: Progress, consumer: str, stuck_after: float) -> None:
    seen, silent = progress.times, 0
    while silent < LOOKS:
        await asyncio.sleep(stuck_after / LOOKS)
        silent = silent + 1 if progress.times == seen else 0
        seen = progress.times
    log.error("consumer.stuck", consumer=consumer)
    raise ConsumerStuck(consumer)


async def _consume(bus: Bus, sessions: Sessions, subscription: Subscription, progress: Progress) -> None:
    consumer = subscription.consumer
    pause = Pause(least=0.1, most=5.0)
    while True:
        try:
            async with bus.receiving(group=consumer, topics=subscription.topics) as receiver:
                while True:
                    batch = await receiver.fetch(within=WAITS)
                    progress.note()
                    pause.reset()
                    if batch:
                        FETCHED.labels(consumer).inc(len(batch))
                        await crash_points.reach("consumer.fetched")
                        await _apply(sessions, batch, subscription, progress)
                        await to_its_end(receiver.commit())
                        progress.note()
        except BusUnavailable as error:
            REJOINS.labels(consumer).inc()
            log.warning("bus.lost", consumer=consumer, error=str(error))
        progress.note()
        await asyncio.sleep(pause.next())


async def _apply(
    sessions: Sessions, batch: Sequence[Received], subscription: Subscription, progress: Progress
) -> None:
    consumer, handlers = subscription.consumer, subscription.handlers
    pause = Pause(least=0.1, most=5.0)
    while True:
        try:
            return await to_its_end(deliver_or_park(sessions, batch, consumer=consumer, handlers=handlers))
        except Exception as failed:  # noqa: BLE001 - the edge: nothing may pass over a batch, whatever is wrong
            RETRIES.labels(consumer).inc()
            tell = log.warning if failures.is_passing(failed) else log.error
            tell("batch.retried", consumer=consumer, records=len(batch), error=failures.describe(failed))
        progress.note()
        await asyncio.sleep(pause.next())
