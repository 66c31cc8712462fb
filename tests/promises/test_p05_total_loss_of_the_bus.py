"""P5: total loss of the bus loses nothing: `baton outbox replay`."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from services.console.commands import parked
from services.kit.bus.choose import bus_from
from services.kit.ids import new_id
from tests import databases
from tests.promises.bells import IS_FULL, SETTLES_WITHIN, Tower, tower
from tests.promises.brokers import broker_in
from tests.promises.buses import EmbeddedTopic, KafkaTopic, Topic, until_read

BELLS, TIMES, SECONDS = (200, 100, 60.0) if IS_FULL else (40, 50, 3.0)


async def replay(bells: Tower) -> None:
    """Do what `baton outbox replay` does."""
    given = {"since": None, "database_url": bells.fleet.database_url}
    await asyncio.to_thread(parked.replay_outbox, bells.topic.name, **given)


async def until_some_are_heard(bells: Tower, part: float) -> None:
    async with asyncio.timeout(SECONDS + 60):
        while True:
            ((heard,),) = await bells.rows("SELECT count(*) FROM heard")
            if heard >= BELLS * TIMES * part:
                return
            await asyncio.sleep(0.05)


async def lose_in_mid_run(
    bells: Tower, topic: Topic, lose: Callable[[], Awaitable[None]], *, within: float = SETTLES_WITHIN
) -> None:
    """Ring while the bus loses all it has; workers live on, and bring nothing of the old one into the new."""
    await bells.fleet.start(0)
    await bells.fleet.start(1)
    ringing = asyncio.create_task(bells.ring(bells=BELLS, times=TIMES, seconds=SECONDS, seed=5))
    await until_some_are_heard(bells, 0.4)
    await lose()
    await replay(bells)
    await bus_from(topic.url()).make_topics([topic.name], within=60)
    await ringing
    await bells.until_heard(BELLS * TIMES, within=within)
    await until_read(topic, topic.name)
    await bells.require_once_in_order(bells=BELLS, times=TIMES)


async def test_a_bus_that_lost_everything_in_mid_run_is_told_all_again(postgres: str, tmp_path: Path) -> None:
    async with databases.fresh(postgres) as url:
        topic = EmbeddedTopic(url, f"bells-{new_id()}")
        async with tower(postgres, topic, tmp_path, bells=BELLS) as bells:
            await lose_in_mid_run(bells, topic, topic.lose)


@pytest.mark.skipif(not IS_FULL, reason="takes a Kafka of its own: PROMISES=full")
async def test_a_kafka_that_comes_back_empty_in_mid_run_is_told_all_again(
    postgres: str, tmp_path: Path
) -> None:
    async with broker_in(tmp_path / "kafka") as broker:
        topic = KafkaTopic(broker.address, f"bells-{new_id()}")
        await bus_from(topic.url()).make_topics([topic.name], within=60)
        async with tower(postgres, topic, tmp_path, bells=BELLS) as bells:
            await lose_in_mid_run(bells, topic, broker.lose_everything, within=300)
