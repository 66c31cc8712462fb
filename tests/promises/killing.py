"""Who kills the processes of a service while something goes on, and starts again what is dead."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from tests.promises.parts import Part

# The lines at which a death hurts most, of an API and of a worker.
ACCEPTING = ("request.committed", "request.committing")
CONSUMING = ("consumer.committing", "consumer.committed", "stock.changed", "relay.acked")


@asynccontextmanager
async def killed(
    *parts: Part, points: Sequence[str], progress: Callable[[], int], kills: int, total: int
) -> AsyncIterator[None]:
    """Let processes live and die for as long as the context lasts.

    While the progress comes to a total, they are killed so often, in turn; the first life of each, and each
    after a kill, ends by itself, at a line.
    """
    for part in parts:
        part.start(f"{points[0]}=crash@2")
    async with beside(
        _keep_killing(
            parts, points, progress, [(number + 1) * total // (kills + 2) for number in range(kills)]
        )
    ):
        yield


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let endless work go on for as long as the context lasts, which ends at once where the work fails."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        yield
        task.cancel()


async def _keep_killing(
    parts: Sequence[Part], points: Sequence[str], progress: Callable[[], int], kills: Sequence[int]
) -> None:
    chance = Random(len(kills))
    for number, at in enumerate(kills):
        while progress() < at:
            await _revive(parts)
        part = parts[number % len(parts)]
        part.kill()
        part.start(f"{points[number % len(points)]}=crash@{chance.randint(1, 6)}")
    while True:
        await _revive(parts)


async def _revive(parts: Sequence[Part]) -> None:
    for part in parts:
        if part.has_died():
            part.start()
    await asyncio.sleep(0.02)
