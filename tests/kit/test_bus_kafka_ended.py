"""Kafka's client ends tasks of its own in which ours wait: that is a bus that failed, and not our end."""

import asyncio
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from services.kit.bus import kafka
from services.kit.bus.kafka import KafkaBus
from services.kit.bus.records import Record
from services.kit.bus.transport import BusUnavailable

PLACE = TopicPartition("lamps", 0)
RAW = SimpleNamespace(topic="lamps", key=b"k", value=b"{}", headers=(), offset=7)


class Client:
    """A client that starts, brings one record, and has ended whatever else it is asked to wait for."""

    def __init__(self, **_: Any) -> None:
        self.client = self._client = self
        self._sender = None
        self.comes = {PLACE: [RAW]}
        self.is_closed = False

    async def start(self) -> None:
        pass

    def subscribe(self, topics: Sequence[str], listener: Any) -> None:
        pass

    def create_batch(self) -> SimpleNamespace:
        return SimpleNamespace(append=lambda **_: True)

    async def send_batch(self, *_: Any, **__: Any) -> None:
        await self._wait()

    async def getmany(self, **_: Any) -> Mapping[TopicPartition, Sequence[Any]]:
        if not self.comes:
            await self._wait()
        came, self.comes = self.comes, {}
        return came

    async def commit(self, _offsets: Any) -> None:
        await self._wait()

    async def stop(self) -> None:
        await self._wait()

    async def close(self) -> None:
        self.is_closed = True
        await self._wait()

    async def _wait(self) -> None:
        own = asyncio.create_task(asyncio.sleep(60))
        asyncio.get_running_loop().call_soon(own.cancel)
        await own


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Client]:
    made: list[Client] = []

    def make(**given: Any) -> Client:
        made.append(Client(**given))
        return made[-1]

    for name in ("AIOKafkaConsumer", "AIOKafkaProducer"):
        monkeypatch.setattr(kafka, name, make)
    return made


async def test_what_was_to_be_fetched_has_not_come_and_a_commit_that_failed_says_nothing(
    made: list[Client],
) -> None:
    with pytest.raises(BusUnavailable, match="CancelledError"):
        async with KafkaBus("nowhere").receiving(group="g", topics=["lamps"]) as receiver:
            await receiver.fetch(within=0.1)
            await receiver.commit()
            await receiver.fetch(within=0.1)
    assert made[0].is_closed


async def test_what_was_to_be_sent_may_not_have_gone(made: list[Client]) -> None:
    with pytest.raises(BusUnavailable, match="CancelledError"):
        async with KafkaBus("nowhere").sending() as sender:
            await sender.send([Record("lamps", "k", b"{}", ())])
    assert made[0].is_closed


async def test_who_is_told_to_end_ends(made: list[Client], monkeypatch: pytest.MonkeyPatch) -> None:
    async def consume() -> None:
        async with KafkaBus("nowhere").receiving(group="g", topics=["lamps"]) as receiver:
            made[0].comes = {}
            await receiver.fetch(within=0.1)

    monkeypatch.setattr(Client, "_wait", lambda _: asyncio.sleep(60))
    monkeypatch.setattr(kafka, "STOPS_WITHIN", 0.1)
    consuming = asyncio.create_task(consume())
    while not made or made[0].comes:  # noqa: ASYNC110 - a step of the loop, not of the clock
        await asyncio.sleep(0)
    consuming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consuming
    assert made[0].is_closed
