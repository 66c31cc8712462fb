"""What every endless loop of a worker needs: pauses that grow, and an end between two pieces of work."""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Pause:
    """Seconds to wait: double from `least` to `most` with every call of `next`, until `reset`."""

    def __init__(self, *, least: float, most: float) -> None:
        self._least = least
        self._most = most
        self._upcoming = least

    def next(self) -> float:
        """Return how long to wait now: up to a quarter less than the step, lest many come at once."""
        step = self._upcoming
        self._upcoming = min(self._most, step * 2)
        return step * (1 - random.random() / 4)  # noqa: S311 - spreads load, guards nothing

    def reset(self) -> None:
        """Begin with the least again: something went well."""
        self._upcoming = self._least


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` and let it finish when the caller is cancelled meanwhile; the cancellation comes after it.

    So a process that is told to stop does so between two transactions. A second cancellation ends the work.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            await _last_wait(task)
        raise


async def _last_wait(task: asyncio.Future[Any]) -> None:
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # the work's own failure is no news to one who leaves
