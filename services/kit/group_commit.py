"""Many requests, one transaction: whatever has queued is written together, and each gets its own answer."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.database import Sessions
from services.kit.errors import Unavailable

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
# Gets a session and the items; returns an outcome, or the error to raise, for each in their order.
Write = Callable[[AsyncSession, Sequence[Item]], Awaitable[Sequence[Outcome | Exception]]]

LARGEST_BATCH = 64
WRITERS = 2
# What waits longer than the service's own limit is better refused at once (promises.md P8).
LONGEST_QUEUE = 2048


class GroupCommit(Generic[Item, Outcome]):
    """Gathers without a timer: while one batch commits, the next one collects."""

    def __init__(self, sessions: Sessions, write: Write[Item, Outcome]) -> None:
        self._sessions = sessions
        self._write = write
        self._queue: asyncio.Queue[tuple[Item, asyncio.Future[Outcome]]] = asyncio.Queue(LONGEST_QUEUE)

    async def submit(self, item: Item) -> Outcome:
        """Return the item's outcome once its batch has committed; raise its refusal, or the failure."""
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait((item, outcome))
        except asyncio.QueueFull:
            raise Unavailable("kit.overloaded", "Too much waits to be written", retry_after=1) from None
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
            batch = [await self._queue.get()]
            while len(batch) < LARGEST_BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            try:
                await self._commit(batch)
            finally:
                for _ in batch:
                    self._queue.task_done()

    async def _commit(self, batch: Sequence[tuple[Item, asyncio.Future[Outcome]]]) -> None:
        try:
            async with self._sessions.begin() as session:
                outcomes = await self._write(session, [item for item, _ in batch])
                # Before the commit: an answer too few is a defect that must not leave anyone waiting.
                answered = list(zip(batch, outcomes, strict=True))
        except Exception as failure:  # noqa: BLE001 - told to whoever waits
            if len(batch) > 1 and not _is_out_of_reach(failure):
                # A bad request fails alone: the batch is redone one by one.
                for one in batch:
                    await self._commit([one])
                return
            for _, waiting in batch:
                _settle(waiting, failure)
            return
        for (_, waiting), outcome in answered:
            _settle(waiting, outcome)


def _is_out_of_reach(failure: Exception) -> bool:
    """Say whether there is no connection: then each item alone would only wait as long once more."""
    if isinstance(failure, DBAPIError):
        return failure.connection_invalidated
    return isinstance(failure, OSError | PoolTimeout)


def _settle(waiting: asyncio.Future[Outcome], outcome: Outcome | Exception) -> None:
    if waiting.done():  # the client has gone; what was accepted stays accepted
        return
    if isinstance(outcome, Exception):
        waiting.set_exception(outcome)
    else:
        waiting.set_result(outcome)
