"""The bus on Apache Kafka, through aiokafka: defaults that could lose a message are set here."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError

from services.kit.bus.records import Received, Record, read_record

PARTITIONS = 12
# aiokafka can hang for ever while the broker is away (#1101): no call of it stands without a limit.
STOPS_WITHIN = 5.0
FETCH = 500


class KafkaSender:
    """One life of an idempotent producer: discarded after any error, its numbering being burnt (#1017)."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def send(self, records: Sequence[Record]) -> None:
        """Send in order and return when every record is acknowledged by all replicas in sync."""
        acknowledgements = [
            await self._producer.send(
                record.topic, key=record.key.encode(), value=record.value, headers=list(record.headers)
            )
            for record in records
        ]
        await asyncio.gather(*acknowledgements)


class KafkaReceiver:
    """One member of a consumer group; what it fetched counts as done only when `commit` says so."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._done: dict[TopicPartition, int] = {}

    async def fetch(self, *, within: float) -> list[Received]:
        """Return what has come within so many seconds, some hundred at most, each partition in order."""
        fetched = await self._consumer.getmany(timeout_ms=int(within * 1000), max_records=FETCH)
        self._done = {partition: found[-1].offset + 1 for partition, found in fetched.items() if found}
        return [
            read_record(Record(raw.topic, raw.key.decode(), raw.value, tuple(raw.headers)))
            for found in fetched.values()
            for raw in found
        ]

    async def commit(self) -> None:
        """Note that the last fetch is applied; a failure is harmless, the inbox knows what was done."""
        if self._done:
            await self._consumer.commit(self._done)


@asynccontextmanager
async def sending(bootstrap: str) -> AsyncIterator[KafkaSender]:
    """Open a producer for as long as nothing fails; on any error leave, and open a fresh one."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True, acks="all", linger_ms=0)
    await producer.start()
    try:
        yield KafkaSender(producer)
    finally:
        async with asyncio.timeout(STOPS_WITHIN):
            await producer.stop()


@asynccontextmanager
async def receiving(bootstrap: str, *, group: str, topics: Sequence[str]) -> AsyncIterator[KafkaReceiver]:
    """Join `group`; a new group begins with the oldest record there is."""
    consumer = AIOKafkaConsumer(
        *topics,
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=FETCH,
    )
    await consumer.start()
    try:
        yield KafkaReceiver(consumer)
    finally:
        async with asyncio.timeout(STOPS_WITHIN):
            await consumer.stop()


async def make_topics(bootstrap: str, names: Sequence[str], *, within: float, replicas: int = 1) -> None:
    """Make the topics that are missing, waiting up to `within` seconds for a broker that is just starting."""
    async with asyncio.timeout(within):
        while True:
            admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
            try:
                await admin.start()
                for name in names:
                    await _make_topic(admin, NewTopic(name, PARTITIONS, replicas))
            except KafkaError:
                await asyncio.sleep(0.2)
            else:
                return
            finally:
                await admin.close()


async def _make_topic(admin: AIOKafkaAdminClient, topic: NewTopic) -> None:
    try:
        await admin.create_topics([topic])
    except TopicAlreadyExistsError:
        return
