"""What every endless loop of a worker needs: pauses that grow, and an end between two pieces of work."""

import asyncio
import random
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

# Together below the 25 s a process has for its end (promises.md P7).
ENDS_WITHIN: Final = 18.0
GIVES_UP_AFTER: Final = 2.0


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


def is_told_to_end() -> bool:
    """Say whether the task itself was cancelled: a `CancelledError` may be of a library's own work alone."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def to_its_end(work: Coroutine[Any, Any, T], *, ends_within: float = ENDS_WITHIN) -> T:
    """Run `work` and let it finish when the caller is cancelled meanwhile; the cancellation comes after it.

    So a process that is told to stop does so between two transactions; what takes too long is cancelled too.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await _end(task, ends_within)
        raise


async def _end(task: asyncio.Future[Any], ends_within: float) -> None:
    try:
        await asyncio.wait([task], timeout=ends_within)
    finally:
        task.cancel()
    await asyncio.wait([task], timeout=GIVES_UP_AFTER)
    if task.done() and not task.cancelled():
        task.exception()  # the work's own failure is no news to one who leaves
