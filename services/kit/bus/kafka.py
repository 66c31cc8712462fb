"""The bus on Apache Kafka, through aiokafka: defaults that could lose a message are set here."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import structlog
from aiokafka import (
    AIOKafkaConsumer,
    AIOKafkaProducer,
    ConsumerRebalanceListener,
    ConsumerRecord,
    TopicPartition,
)
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError
from aiokafka.producer.message_accumulator import BatchBuilder

from services.kit import crash_points
from services.kit.bus.records import Received, Record, read_or_skip
from services.kit.bus.transport import KEEPS_DAYS, BusUnavailable
from services.kit.loops import is_told_to_end
from services.kit.outbox import PARTITIONS, partition_of

log = structlog.get_logger()

# aiokafka can hang for ever while the broker is away (#1101): no call of it stands without a limit.
STARTS_WITHIN: Final = 15.0
SENDS_WITHIN: Final = 10.0
REBALANCES_WITHIN: Final = 30.0
COMMITS_WITHIN: Final = 5.0
STOPS_WITHIN: Final = 5.0
# What a batch costs however small it is, its questions, its commit and its offsets, is shared by so many.
FETCH: Final = 1000
# Several of the largest events there can be, and well below what a broker takes at once (1 MiB).
BATCH_BYTES: Final = 256 * 1024
# After so long without a record it is asked whether there truly is none: a consumer can be stuck (#1037).
DOUBTS_AFTER: Final = 30.0
# Whatever the broker's own default: what it kept longer than the inbox keeps its marks would come as new.
CONFIGS: Final = {"retention.ms": str(KEEPS_DAYS * 24 * 3600 * 1000)}


class KafkaSender:
    """One life of an idempotent producer: discarded after any error, its numbering being burnt (#1017)."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def send(self, records: Sequence[Record]) -> None:
        """Send in order and return when every record is acknowledged by all replicas in sync."""
        places: defaultdict[TopicPartition, list[Record]] = defaultdict(list)
        for record in records:
            partition = partition_of(record.key) if record.partition is None else record.partition
            places[TopicPartition(record.topic, partition)].append(record)
        with _telling():
            async with asyncio.timeout(SENDS_WITHIN):
                acknowledgements = [
                    await self._producer.send_batch(batch, place.topic, partition=place.partition)
                    for place, batch in self._batches(places)
                ]
                await crash_points.reach("relay.sent")
                await asyncio.gather(*acknowledgements)

    def _batches(
        self, places: Mapping[TopicPartition, Sequence[Record]]
    ) -> Iterator[tuple[TopicPartition, BatchBuilder]]:
        # The client's own `send` makes a future and asks for a partition for each record alone.
        for place, records in places.items():
            batch = self._producer.create_batch()
            for record in records:
                if not _append(batch, record):
                    yield place, batch
                    batch = self._producer.create_batch()
                    # An empty one takes any record; one that went into none must not be thought sent.
                    if not _append(batch, record):
                        raise BusUnavailable("Kafka: a record that goes into no batch")
            yield place, batch


def _append(batch: BatchBuilder, record: Record) -> bool:
    added = batch.append(
        timestamp=None, key=record.key.encode(), value=record.value, headers=list(record.headers)
    )
    return added is not None


class _Generation(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka carries no types
    """Counts rebalances and does nothing else: whatever a listener awaits holds up the whole group."""

    def __init__(self) -> None:
        self.number = 0

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:  # noqa: ARG002 - theirs
        """Count: what was fetched before is perhaps another's by now."""
        self.number += 1

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:  # noqa: ARG002 - theirs
        """Count again: fetching goes on from what was committed, not from where this member was."""
        self.number += 1
        await crash_points.reach("consumer.rebalanced")


class KafkaReceiver:
    """One member of a consumer group; what it fetched counts as done only when `commit` says so.

    What is handed out before a rebalance may be applied after it: the inbox makes the copies harmless, and as
    every member begins at a commit, and commits only what is applied, none comes before its predecessor.
    """

    def __init__(self, consumer: AIOKafkaConsumer, generation: _Generation) -> None:
        self._consumer = consumer
        self._generation = generation
        self._fetched_in = 0
        self._done: dict[TopicPartition, int] = {}
        self._loop = asyncio.get_running_loop()
        self._last_came = self._loop.time()
        self._behind: dict[TopicPartition, int] = {}

    async def fetch(self, *, within: float) -> list[Received]:
        """Return what has come within so many seconds, some hundred at most, each partition in order."""
        with _telling():
            async with asyncio.timeout(within + REBALANCES_WITHIN):
                fetched = await self._consumer.getmany(timeout_ms=int(within * 1000), max_records=FETCH)
            if not fetched:
                await self._doubt()
                return []
        self._last_came = self._loop.time()
        if self._fetched_in != self._generation.number:
            self._fetched_in = self._generation.number
            self._done.clear()
        self._done.update({partition: found[-1].offset + 1 for partition, found in fetched.items()})
        read = [read_or_skip(_record_of(raw)) for found in fetched.values() for raw in found]
        return [received for received in read if received]

    async def commit(self) -> None:
        """Note that all fetched is applied; a failure is harmless, the inbox knows what was done."""
        if not self._done or self._fetched_in != self._generation.number:
            return
        try:
            with _telling():
                async with asyncio.timeout(COMMITS_WITHIN):
                    await self._consumer.commit(self._done)
        except BusUnavailable as error:
            log.info("commit.failed", error=str(error))
            return
        self._done.clear()

    async def _doubt(self) -> None:
        if self._loop.time() - self._last_came < DOUBTS_AFTER:
            return
        self._last_came = self._loop.time()
        async with asyncio.timeout(STARTS_WITHIN):
            behind = await self._positions_behind()
        # What has just come may be behind once; what stands still at one place twice is stuck.
        if behind.items() & self._behind.items():
            raise BusUnavailable("nothing comes of partitions that have records")
        self._behind = behind

    async def _positions_behind(self) -> dict[TopicPartition, int]:
        ends = await self._consumer.end_offsets(list(self._consumer.assignment()))
        positions = {
            partition: await self._consumer.position(partition)
            for partition in ends
            if partition in self._consumer.assignment()
        }
        return {partition: at for partition, at in positions.items() if at < ends[partition]}


@dataclass(frozen=True, slots=True)
class KafkaBus:
    """Kafka at `bootstrap` (host:port,…).

    With a `member` name, one for each process and the same after a restart, a restart within the session
    makes no rebalance (static membership). `replicas` is how often each new topic is kept.
    """

    bootstrap: str
    member: str | None = None
    replicas: int = 1

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[KafkaSender]:
        """Open a producer for as long as nothing fails; on any error leave, and open a fresh one."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            enable_idempotence=True,
            acks="all",
            linger_ms=0,
            max_batch_size=BATCH_BYTES,
        )
        try:
            with _telling():
                async with asyncio.timeout(STARTS_WITHIN):
                    await producer.start()
            yield KafkaSender(producer)
        finally:
            await _discard(producer)

    @asynccontextmanager
    async def receiving(self, *, group: str, topics: Sequence[str]) -> AsyncIterator[KafkaReceiver]:
        """Join `group`; a new group begins with the oldest record there is."""
        generation = _Generation()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=group,
            group_instance_id=self.member,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=FETCH,
        )
        consumer.subscribe(topics, listener=generation)
        try:
            with _telling():
                async with asyncio.timeout(STARTS_WITHIN):
                    await consumer.start()
            yield KafkaReceiver(consumer, generation)
        finally:
            await _leave(consumer)

    async def make_topics(self, names: Sequence[str], *, within: float) -> None:
        """Make the topics that are missing, waiting so many seconds for a broker that is just starting."""
        with _telling():
            async with asyncio.timeout(within):
                while True:
                    if await self._try_to_make(names):
                        return
                    await asyncio.sleep(0.2)

    async def _try_to_make(self, names: Sequence[str]) -> bool:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            await admin.start()
            for name in names:
                await _make_topic(admin, NewTopic(name, PARTITIONS, self.replicas, topic_configs=CONFIGS))
        except KafkaError:
            return False
        finally:
            await admin.close()
        return True


async def _make_topic(admin: AIOKafkaAdminClient, topic: NewTopic) -> None:
    try:
        await admin.create_topics([topic])
    except TopicAlreadyExistsError:
        return


def _record_of(raw: "ConsumerRecord[Any, Any]") -> Record:
    return Record(raw.topic, (raw.key or b"").decode(errors="replace"), raw.value or b"", tuple(raw.headers))


@contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except asyncio.CancelledError as error:
        # The client has ended a task of its own in which we waited; passed on, it would end ours, in silence.
        if is_told_to_end():
            raise
        raise BusUnavailable("Kafka: CancelledError") from error
    except (KafkaError, OSError) as error:
        raise BusUnavailable(f"Kafka: {type(error).__name__}") from error


async def _discard(producer: AIOKafkaProducer) -> None:
    # Never the client's own `stop`: it first flushes, and so could still send the end of a batch whose
    # beginning failed, behind the back of the producer that sends the whole batch again.
    producer._closed = True  # noqa: SLF001 - the client has no way to end without a flush
    task = producer._sender.sender_task if producer._sender else None  # noqa: SLF001 - likewise
    if task:
        task.cancel()
    try:
        with _telling():
            async with asyncio.timeout(STOPS_WITHIN):
                await producer.client.close()
                if task:
                    await asyncio.wait([task])
    except BusUnavailable as error:
        log.warning("producer.abandoned", error=str(error))


async def _leave(consumer: AIOKafkaConsumer) -> None:
    try:
        with _telling():
            async with asyncio.timeout(STOPS_WITHIN):
                await consumer.stop()
    except BusUnavailable as error:
        log.warning("consumer.abandoned", error=str(error))
        # Without its connections it cannot go on saying that it lives, and its partitions find a new owner.
        with suppress(BusUnavailable), _telling():
            async with asyncio.timeout(STOPS_WITHIN):
                await consumer._client.close()  # noqa: SLF001 - no public way ends them when `stop` hangs
