"""Many requests, one transaction: whatever has queued is written together, and each gets its own answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit import crash_points, failures
from services.kit.database import Sessions
from services.kit.errors import Unavailable

log = structlog.get_logger()

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
# Gets a session and the items; returns an outcome, or the error to raise, for each in their order.
Write = Callable[[AsyncSession, Sequence[Item]], Awaitable[Sequence[Outcome | Exception]]]

LARGEST_BATCH = 128
WRITERS = 2
# After so long a batch waits for a lock, and the next one begins beside it.
HELD_UP_AFTER = 0.1
# Through the loop, until what has reached the process is read, understood and queued.
PASSES = 3
# What waits longer than the service's own limit is better refused at once (promises.md P8).
LONGEST_QUEUE = 2048
LONGEST_WAIT = 3.0
TRIES = 3


@dataclass(frozen=True, slots=True)
class Waiting(Generic[Item, Outcome]):
    """An item, who waits for its outcome, and since when by the loop's clock."""

    item: Item
    outcome: asyncio.Future[Outcome]
    since: float


class GroupCommit(Generic[Item, Outcome]):
    """Gathers without a delay: while one batch commits, the next one collects."""

    def __init__(self, sessions: Sessions, write: Write[Item, Outcome]) -> None:
        self._sessions = sessions
        self._write = write
        self._queue: asyncio.Queue[Waiting[Item, Outcome]] = asyncio.Queue(LONGEST_QUEUE)
        self._gathering = asyncio.Lock()
        self._unhindered = asyncio.Event()
        self._unhindered.set()

    async def submit(self, item: Item) -> Outcome:
        """Return the item's outcome once its batch has committed; raise its refusal, or the failure."""
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Outcome] = loop.create_future()
        try:
            self._queue.put_nowait(Waiting(item, outcome, loop.time()))
        except asyncio.QueueFull:
            raise _overloaded() from None
        return await outcome

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write for as long as the context lasts; what has queued by its end is still written."""
        writers = [asyncio.create_task(self._keep_writing()) for _ in range(WRITERS)]
        try:
            yield
        finally:
            await self._queue.join()
            for writer in writers:
                writer.cancel()
            await asyncio.gather(*writers, return_exceptions=True)

    async def _keep_writing(self) -> None:
        while True:
            async with self._gathering:
                batch = await self._gather()
            self._unhindered.clear()
            try:
                await self._commit(batch)
            finally:
                self._unhindered.set()
                for _ in batch:
                    self._queue.task_done()

    async def _gather(self) -> Sequence[Waiting[Item, Outcome]]:
        """Take what has queued once the batch before is written, or held up: two at once would be small."""
        batch = [await self._queue.get()]
        with suppress(TimeoutError):
            async with asyncio.timeout(HELD_UP_AFTER):
                await self._unhindered.wait()
        for _ in range(PASSES):
            await asyncio.sleep(0)
        while len(batch) < LARGEST_BATCH and not self._queue.empty():
            batch.append(self._queue.get_nowait())
        return batch

    async def _commit(self, queued: Sequence[Waiting[Item, Outcome]]) -> None:
        batch = _refuse_stale(queued)
        if not batch:
            return
        try:
            outcomes = await self._write_all(batch)
        except Exception as failure:  # noqa: BLE001 - told to whoever waits
            if failures.is_passing(failure):
                # What holds up the batch would hold up each of it alone, and all that queue behind it.
                log.warning("batch.put_off", items=len(batch), error=type(failure).__name__)
                for each in batch:
                    _settle(each.outcome, _put_off(failure))
            elif len(batch) > 1:
                # A bad request fails alone: the batch is redone one by one.
                for each in batch:
                    await self._commit([each])
            else:
                _settle(batch[0].outcome, failure)
            return
        for each, outcome in zip(batch, outcomes, strict=True):
            _settle(each.outcome, outcome)

    async def _write_all(self, batch: Sequence[Waiting[Item, Outcome]]) -> Sequence[Outcome | Exception]:
        """Write a batch in one transaction, anew as a whole where it only lost a race."""
        tries = 1
        while True:
            try:
                async with self._sessions.begin() as session:
                    outcomes = await self._write(session, [each.item for each in batch])
                    # Before the commit: an answer too few is a defect that must not leave anyone waiting.
                    settled = [outcome for _, outcome in zip(batch, outcomes, strict=True)]
                    await crash_points.reach("request.committing")
                break
            except DBAPIError as failure:
                if tries == TRIES or not failures.is_lost_race(failure):
                    raise
            tries += 1
        await crash_points.reach("request.committed")
        return settled


def _refuse_stale(queued: Sequence[Waiting[Item, Outcome]]) -> Sequence[Waiting[Item, Outcome]]:
    """Return who may still be answered in time; tell the others to come again, for nothing was begun."""
    oldest = asyncio.get_running_loop().time() - LONGEST_WAIT
    for each in queued:
        if each.since < oldest:
            _settle(each.outcome, _overloaded())
    return [each for each in queued if each.since >= oldest]


def _overloaded() -> Unavailable:
    return Unavailable("kit.overloaded", "Too much waits to be written", retry_after=1)


def _put_off(failure: Exception) -> Unavailable:
    refusal = Unavailable("kit.unavailable", "The service cannot answer now", retry_after=1)
    refusal.__cause__ = failure
    return refusal


def _settle(waiting: asyncio.Future[Outcome], outcome: Outcome | Exception) -> None:
    if waiting.done():  # the client has gone; what was accepted stays accepted
        return
    if isinstance(outcome, Exception):
        waiting.set_exception(outcome)
    else:
        waiting.set_result(outcome)
