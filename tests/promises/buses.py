"""One topic on either bus, looked at from outside: all it has, how far a group is, and how it is lost."""

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from services.kit.bus.choose import bus_from
from services.kit.bus.records import Received
from services.kit.outbox import PARTITIONS


class Topic(Protocol):
    name: str

    def url(self, member: int | None = None) -> str:
        """Address of the bus; with a number, that of a member which is the same after its restart."""

    async def ends(self) -> dict[int, int]:
        """How many records each partition has had."""

    async def committed(self, group: str) -> dict[int, int]:
        """How far a group is in each partition that has anything."""

    async def reset(self, group: str) -> None:
        """Put a group without members back to the first record."""

    async def lose(self) -> None:
        """Lose all that the topic has; of a whole bus of its own, all that there is."""


@dataclass(frozen=True)
class EmbeddedTopic:
    address: str
    name: str

    def url(self, member: int | None = None) -> str:  # noqa: ARG002 - its members need no names
        return self.address

    async def _fetch(self, query: str, *given: Any) -> dict[int, int]:
        connection = await asyncpg.connect(self.address)
        try:
            return {row[0]: row[1] for row in await connection.fetch(query, *given)}
        finally:
            await connection.close()

    async def ends(self) -> dict[int, int]:
        return await self._fetch("SELECT partition, next_offset FROM bus_heads WHERE topic = $1", self.name)

    async def committed(self, group: str) -> dict[int, int]:
        return await self._fetch(
            "SELECT partition, next_offset FROM bus_offsets JOIN bus_groups ON group_id = id"
            " WHERE group_name = $1 AND topic = $2",
            group, self.name,
        )  # fmt: skip

    async def reset(self, group: str) -> None:
        await self._fetch(
            "UPDATE bus_offsets SET next_offset = 0 WHERE group_id IN"
            " (SELECT id FROM bus_groups WHERE group_name = $1)",
            group,
        )

    async def lose(self) -> None:
        await self._fetch("DROP TABLE bus_offsets, bus_groups, bus_records, bus_heads")


@dataclass(frozen=True)
class KafkaTopic:
    address: str
    name: str

    def url(self, member: int | None = None) -> str:
        return f"kafka://{self.address}" + ("" if member is None else f"?member={self.name}-{member}")

    @property
    def _partitions(self) -> list[TopicPartition]:
        return [TopicPartition(self.name, number) for number in range(PARTITIONS)]

    async def ends(self) -> dict[int, int]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.address)
        await consumer.start()
        try:
            found = await consumer.end_offsets(self._partitions)
        finally:
            await consumer.stop()
        return {place.partition: end for place, end in found.items()}

    async def committed(self, group: str) -> dict[int, int]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.address)
        await admin.start()
        try:
            found = await admin.list_consumer_group_offsets(group)
        finally:
            await admin.close()
        return {place.partition: at.offset for place, at in found.items() if at.offset > 0}

    async def reset(self, group: str) -> None:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.address, group_id=group, enable_auto_commit=False)
        consumer.assign(self._partitions)
        await consumer.start()
        try:
            # Refused for as long as the broker still counts on a member that was killed.
            async with asyncio.timeout(60):
                while True:
                    try:
                        return await consumer.commit(dict.fromkeys(self._partitions, 0))
                    except Exception:  # noqa: BLE001 - of many names
                        await asyncio.sleep(0.5)
        finally:
            await consumer.stop()

    async def lose(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.address)
        await admin.start()
        try:
            await admin.delete_topics([self.name])
            async with asyncio.timeout(30):
                while True:
                    if self.name not in await admin.list_topics():
                        return
                    await asyncio.sleep(0.1)
        finally:
            await admin.close()


async def read_all(topic: Topic) -> list[Received]:
    """Return every record of a topic from the first, each partition in order."""
    total = sum((await topic.ends()).values())
    read: list[Received] = []
    bus = bus_from(topic.url())
    async with asyncio.timeout(120), bus.receiving(group=f"all-of-{topic.name}", topics=[topic.name]) as all_:
        while len(read) < total:
            read += await all_.fetch(within=0.5)
    return read


async def until_read(topic: Topic, group: str, *, within: float = 120) -> None:
    """Wait until a group has committed the end of every partition."""
    async with asyncio.timeout(within):
        while True:
            ends, committed = await topic.ends(), await topic.committed(group)
            if all(committed.get(place, 0) == end for place, end in ends.items()):
                return
            await asyncio.sleep(0.25)
