"""The bench's own hands on the bus: records laid ready, ends asked for, topics read back."""

import asyncio
from collections.abc import Sequence

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from services.kit.bus.records import Record
from services.kit.outbox import PARTITIONS
from tests.bench.rows import Incorrect

FETCH = 500
BATCH_BYTES = 256 * 1024


async def send(broker: str, records: Sequence[Record]) -> None:
    """Send records as fast as one idempotent producer can, and return when all are acknowledged."""
    producer = AIOKafkaProducer(
        bootstrap_servers=broker, enable_idempotence=True, acks="all", max_batch_size=BATCH_BYTES
    )
    await producer.start()
    try:
        await send_by(producer, records)
    finally:
        await producer.stop()


async def send_by(producer: AIOKafkaProducer, records: Sequence[Record]) -> None:
    sent = [
        await producer.send(one.topic, key=one.key.encode(), value=one.value, headers=list(one.headers))
        for one in records
    ]
    await asyncio.gather(*sent)


def lay_ready(broker: str, records: Sequence[Record]) -> None:
    uvloop.run(send(broker, records))


class Topic:
    """A topic that is watched: how many records it has, and which came since the last look."""

    def __init__(self, broker: str, name: str) -> None:
        self.consumer = AIOKafkaConsumer(
            bootstrap_servers=broker, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        self.partitions = [TopicPartition(name, number) for number in range(PARTITIONS)]

    async def start(self) -> None:
        await self.consumer.start()
        self.consumer.assign(self.partitions)

    async def count(self) -> int:
        return sum((await self.consumer.end_offsets(self.partitions)).values())

    async def wait_for(self, records: int, *, within: float) -> None:
        """Return when the topic has so many records; what never comes is lost."""
        try:
            async with asyncio.timeout(within):
                while await self.count() < records:  # noqa: ASYNC110 - the broker rings no bell
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise Incorrect(f"{records - await self.count()} of {records} never came") from None

    async def read(self, records: int) -> "list[ConsumerRecord[bytes, bytes]]":
        """Return so many records that were not read before, each partition in order."""
        found: list[ConsumerRecord[bytes, bytes]] = []
        async with asyncio.timeout(60):
            while len(found) < records:
                for came in (await self.consumer.getmany(timeout_ms=200, max_records=5000)).values():
                    found += came
        return found

    async def stop(self) -> None:
        await self.consumer.stop()
