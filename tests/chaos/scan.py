"""The bus from its first record to its last, read as no member of any group."""

from collections.abc import Sequence

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.kit.bus.records import Received, Record, read_record
from services.kit.outbox import PARTITIONS

READ = """
    SELECT topic, key, value, header_names, header_values FROM bus_records
    ORDER BY topic, partition, record_offset
"""


async def scan(bus_url: str, topics: Sequence[str]) -> list[Received]:
    """Return everything there is, each partition in its order."""
    if bus_url.startswith("kafka://"):
        return await _scan_kafka(bus_url.removeprefix("kafka://"), topics)
    return await _scan_postgres(bus_url)


async def _scan_kafka(bootstrap: str, topics: Sequence[str]) -> list[Received]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        found: dict[TopicPartition, list[Received]] = {partition: [] for partition in partitions}
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for partition, records in (await consumer.getmany(timeout_ms=1000, max_records=5000)).items():
                found[partition] += [
                    read_record(Record(raw.topic, raw.key.decode(), raw.value, tuple(raw.headers)))
                    for raw in records
                ]
    finally:
        await consumer.stop()
    return [record for partition in partitions for record in found[partition]]


async def _scan_postgres(url: str) -> list[Received]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(READ)
    finally:
        await connection.close()
    return [
        read_record(
            Record(row["topic"], row["key"], row["value"],
                   tuple(zip(row["header_names"], row["header_values"], strict=True)))
        )
        for row in rows
    ]  # fmt: skip
