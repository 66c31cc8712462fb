"""P4: every committed event is applied once per consumer, in key order."""

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from services.kit.ids import new_id
from tests import databases
from tests.promises.bells import IS_FULL, Fleet, tower
from tests.promises.buses import EmbeddedTopic, KafkaTopic, Topic, until_read


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is rung within how long, and what is done to the workers meanwhile."""

    bells: int
    times: int
    seconds: float
    workers: int
    # Seconds: between two kills, of a freeze (twice the session and more), between two who come and go.
    kills_every: tuple[float, float]
    frozen_for: float
    comes_every: float


SIZE = (
    Size(bells=200, times=250, seconds=300, workers=3, kills_every=(1, 3), frozen_for=65, comes_every=20)
    if IS_FULL
    else Size(bells=40, times=50, seconds=4, workers=2, kills_every=(1, 2), frozen_for=2, comes_every=60)
)


# Of a small run on Kafka most were the ten seconds after which the broker gives up a killed member.
@pytest.fixture(params=["postgres", "kafka"] if IS_FULL else ["postgres"])
async def topic(request: pytest.FixtureRequest, postgres: str) -> AsyncIterator[Topic]:
    name = f"bells-{new_id()}"
    if request.param == "kafka":
        yield KafkaTopic(request.getfixturevalue("kafka"), name)
        return
    async with databases.fresh(postgres) as url:
        yield EmbeddedTopic(url, name)


async def keep_killing(fleet: Fleet, chance: Random, frozen: set[int]) -> None:
    while True:
        await asyncio.sleep(chance.uniform(*SIZE.kills_every))
        number = chance.choice([number for number in range(SIZE.workers) if number not in frozen])
        await fleet.kill(number)
        await fleet.start(number)


async def keep_freezing(fleet: Fleet, chance: Random, frozen: set[int]) -> None:
    while True:
        number = chance.randrange(SIZE.workers)
        frozen.add(number)
        fleet.processes[number].send_signal(signal.SIGSTOP)
        await asyncio.sleep(SIZE.frozen_for)
        fleet.processes[number].send_signal(signal.SIGCONT)
        frozen.discard(number)
        await asyncio.sleep(SIZE.frozen_for / 4)


async def keep_coming_and_going(fleet: Fleet) -> None:
    while True:
        await asyncio.sleep(SIZE.comes_every / 2)
        await fleet.start(SIZE.workers, is_static=False)
        await asyncio.sleep(SIZE.comes_every / 2)
        await fleet.stop(SIZE.workers)


async def test_events_are_applied_once_and_in_order_whatever_is_done_to_the_workers(
    topic: Topic, postgres: str, tmp_path: Path
) -> None:
    total, chance, frozen = SIZE.bells * SIZE.times, Random(4), set()
    async with tower(postgres, topic, tmp_path, bells=SIZE.bells) as bells:
        for number in range(SIZE.workers):
            await bells.fleet.start(number)
        harm = [
            asyncio.create_task(keep_killing(bells.fleet, chance, frozen)),
            asyncio.create_task(keep_freezing(bells.fleet, chance, frozen)),
            asyncio.create_task(keep_coming_and_going(bells.fleet)),
        ]
        await bells.ring(bells=SIZE.bells, times=SIZE.times, seconds=SIZE.seconds, seed=4)
        assert not any(task.done() for task in harm)
        for task in harm:
            task.cancel()
        await asyncio.wait(harm)
        await bells.fleet.kill_all()
        await bells.fleet.start(0)
        await bells.until_heard(total)
        await until_read(topic, topic.name)
        await bells.require_once_in_order(bells=SIZE.bells, times=SIZE.times)

        await bells.fleet.kill_all()
        before = await bells.snapshot()
        await topic.reset(topic.name)
        assert set((await topic.committed(topic.name)).values()) <= {0}
        await bells.fleet.start(1)
        await until_read(topic, topic.name)
        assert await bells.snapshot() == before
