"""One suite for every transport: what the services may rely on, whatever carries their events."""

import asyncio
import signal
import sys
import time
from pathlib import Path

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from sqlalchemy import text

from services.kit import outbox, relay
from services.kit.bus import postgres_tables
from services.kit.bus.choose import bus_from
from services.kit.bus.kafka import SENDS_WITHIN, STOPS_WITHIN, KafkaBus
from services.kit.bus.postgres import PostgresBus
from services.kit.bus.transport import Bus, BusUnavailable
from services.kit.consumer import deliver
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests.builders import LampLit, make_lamp_lit
from tests.kit.buses import (
    STARTS_WITHIN,
    fetch_all,
    fetch_nothing_more,
    make_record,
    sequences_of,
)


def some_group() -> str:
    return f"g-{new_id()}"


async def test_records_of_a_key_come_in_the_order_they_were_sent(bus: Bus, topic: str) -> None:
    keys = [str(new_id()) for _ in range(20)]
    async with bus.sending() as sender:
        for sequence in range(1, 11):
            await sender.send([make_record(topic, key, sequence) for key in keys])
    async with bus.receiving(group=some_group(), topics=[topic]) as receiver:
        got = await fetch_all(receiver, 200)
        await fetch_nothing_more(receiver)
    assert [sequences_of(got, key) for key in keys] == [list(range(1, 11))] * 20


async def test_what_was_not_committed_comes_again_and_what_was_does_not(bus: Bus, topic: str) -> None:
    group = some_group()
    async with bus.sending() as sender:
        await sender.send([make_record(topic, "a", 1)])
        for commits in (False, True):
            async with bus.receiving(group=group, topics=[topic]) as receiver:
                assert [got.sequence for got in await fetch_all(receiver, 1)] == [1]
                if commits:
                    await receiver.commit()
        await sender.send([make_record(topic, "a", 2)])
        async with bus.receiving(group=group, topics=[topic]) as receiver:
            assert [got.sequence for got in await fetch_all(receiver, 1)] == [2]
            await fetch_nothing_more(receiver)


async def test_what_is_fetched_is_not_fetched_again_while_nothing_is_committed(bus: Bus, topic: str) -> None:
    async with (
        bus.sending() as sender,
        bus.receiving(group=some_group(), topics=[topic]) as receiver,
    ):
        for sequence in (1, 2, 3):
            await sender.send([make_record(topic, "a", sequence)])
            assert [got.sequence for got in await fetch_all(receiver, 1)] == [sequence]


async def test_two_groups_both_get_everything(bus: Bus, topic: str) -> None:
    async with bus.sending() as sender:
        await sender.send([make_record(topic, str(place), 1) for place in range(50)])
    for _ in range(2):
        async with bus.receiving(group=some_group(), topics=[topic]) as receiver:
            got = await fetch_all(receiver, 50)
            await receiver.commit()
        assert sorted(int(received.key) for received in got) == list(range(50))


async def test_a_receiver_gets_all_its_topics_and_no_other(bus: Bus, topic: str) -> None:
    second, foreign = f"t-{new_id()}", f"t-{new_id()}"
    await bus.make_topics([topic, second, foreign], within=STARTS_WITHIN)
    async with bus.sending() as sender:
        await sender.send([make_record(name, "a", 1) for name in (topic, foreign, second)])
    async with bus.receiving(group=some_group(), topics=[topic, second]) as receiver:
        assert {got.topic for got in await fetch_all(receiver, 2)} == {topic, second}
        await fetch_nothing_more(receiver)


async def test_keys_values_and_headers_keep_every_character(bus: Bus, topic: str) -> None:
    record = make_record(
        topic, "门 4-1-302 🏮", 7, value='{"words":"灯🏮"}'.encode(), correlation_id="来路 ✓"
    )
    async with bus.sending() as sender:
        await sender.send([record])
    async with bus.receiving(group=some_group(), topics=[topic]) as receiver:
        (got,) = await fetch_all(receiver, 1)
    assert (got.key, got.value, got.correlation_id) == (record.key, record.value, "来路 ✓")
    assert (got.sequence, got.name) == (7, "lamps.lamp_lit.v1")
    assert str(got.event_id) == dict(record.headers)["ce_id"].decode()


async def test_a_record_that_is_none_of_ours_holds_up_nobody(bus: Bus, topic: str) -> None:
    odd = make_record(topic, "a", 1)
    object.__setattr__(odd, "headers", (("ce_id", b"no id"),))
    async with bus.sending() as sender:
        await sender.send([odd, make_record(topic, "a", 2)])
    async with bus.receiving(group=some_group(), topics=[topic]) as receiver:
        assert [got.sequence for got in await fetch_all(receiver, 1)] == [2]


async def test_a_large_batch_crosses_whole_and_in_order(bus: Bus, topic: str) -> None:
    records = [make_record(topic, f"k{place % 7}", place, value=b"x" * 2000) for place in range(1, 3001)]
    # More in one record than a batch of records has.
    records[1500] = make_record(topic, f"k{1501 % 7}", 1501, value=b"x" * 300_000)
    async with bus.sending() as sender:
        await sender.send(records)
    async with bus.receiving(group=some_group(), topics=[topic]) as receiver:
        got = await fetch_all(receiver, 3000)
    assert max(len(each.value) for each in got) == 300_000
    for key in range(7):
        assert sequences_of(got, f"k{key}") == [n for n in range(1, 3001) if n % 7 == key]


async def test_members_of_a_group_share_the_partitions_and_nothing_comes_twice(bus: Bus, topic: str) -> None:
    group, got, came = some_group(), [], [0, 0]
    async with (
        bus.receiving(group=group, topics=[topic]) as first,
        bus.receiving(group=group, topics=[topic]) as second,
        bus.sending() as sender,
        asyncio.timeout(STARTS_WITHIN),
    ):
        while not all(came):
            await sender.send([make_record(topic, str(new_id()), 1) for _ in range(36)])
            for place, receiver in enumerate((first, second)):
                batch = await receiver.fetch(within=0.5)
                await receiver.commit()
                came[place] += len(batch)
                got += batch
    assert len({received.event_id for received in got}) == len(got)


async def test_nothing_is_passed_over_of_what_many_senders_send_at_once(bus: Bus, topic: str) -> None:
    keys = [str(new_id()) for _ in range(8)]

    async def send(key: str) -> None:
        async with bus.sending() as sender:
            for first in range(1, 101, 4):
                await sender.send([make_record(topic, key, sequence) for sequence in range(first, first + 4)])

    async with bus.receiving(group=some_group(), topics=[topic]) as receiver:
        sending = asyncio.gather(*(send(key) for key in keys))
        got = await fetch_all(receiver, 800)
        await sending
        await fetch_nothing_more(receiver)
    assert [sequences_of(got, key) for key in keys] == [list(range(1, 101))] * 8


# A member in a process of its own, to be killed: says what it fetched and commits when told to.
MEMBER = """
import asyncio, sys
from services.kit.bus.choose import bus_from

async def main(url, group, topic):
    async with bus_from(url).receiving(group=group, topics=[topic]) as receiver:
        while True:
            for received in await receiver.fetch(within=0.2):
                print(received.sequence, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_what_a_killed_member_had_not_committed_comes_to_another(
    bus: Bus, address: str, topic: str
) -> None:
    group = some_group()
    async with bus.sending() as sender:
        await sender.send([make_record(topic, "a", sequence) for sequence in range(1, 6)])
    member = await asyncio.create_subprocess_exec(
        sys.executable, "-c", MEMBER, address, group, topic,
        stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    async with asyncio.timeout(STARTS_WITHIN):
        assert [int(await member.stdout.readline()) for _ in range(5)] == [1, 2, 3, 4, 5]
    member.send_signal(signal.SIGKILL)
    await member.wait()
    await member.stdout.read()

    async with bus.receiving(group=group, topics=[topic]) as receiver:
        assert [got.sequence for got in await fetch_all(receiver, 5)] == [1, 2, 3, 4, 5]


async def test_a_key_has_the_partition_kafkas_client_would_choose(bus: Bus, topic: str) -> None:
    keys = [f"门{place}" for place in range(100)]
    async with bus.sending() as sender:
        await sender.send([make_record(topic, key, 1) for key in keys])
    if isinstance(bus, PostgresBus):
        connection = await asyncpg.connect(bus.url)
        rows = await connection.fetch("SELECT key, partition FROM bus_records WHERE topic = $1", topic)
        heads = await connection.fetchval("SELECT count(*) FROM bus_heads WHERE topic = $1", topic)
        await connection.close()
        assert heads == 12
        assert {row["key"]: row["partition"] for row in rows} == {
            key: outbox.partition_of(key) for key in keys
        }
        return
    partitions = [TopicPartition(topic, partition) for partition in range(12)]
    async with AIOKafkaConsumer(bootstrap_servers=bus.bootstrap) as consumer:
        ends = await consumer.end_offsets(partitions)
    counted = {partition.partition: end for partition, end in ends.items()}
    chosen = [outbox.partition_of(key) for key in keys]
    assert counted == {partition: chosen.count(partition) for partition in range(12)}


async def test_a_topic_that_does_not_exist_is_an_error_and_not_a_new_topic(bus: Bus, topic: str) -> None:
    if isinstance(bus, KafkaBus):
        pytest.skip("Kafka's client waits for the topic; the relay's limit ends that")
    async with bus.sending() as sender:
        with pytest.raises(BusUnavailable):
            await sender.send([make_record(topic, "a", 1), make_record(f"t-{new_id()}", "a", 1)])
    async with bus.receiving(group=some_group(), topics=[topic]) as receiver:
        await fetch_nothing_more(receiver)


async def test_making_topics_twice_and_at_once_makes_them_once(bus: Bus, topic: str) -> None:
    names = [f"t-{new_id()}" for _ in range(2)]
    await asyncio.gather(*(bus.make_topics([topic, *names], within=STARTS_WITHIN) for _ in range(4)))
    async with bus.sending() as sender:
        await sender.send([make_record(name, "a", 1) for name in names])
    async with bus.receiving(group=some_group(), topics=names) as receiver:
        received = await fetch_all(receiver, 2)
    assert sorted(each.topic for each in received) == sorted(names)


async def relay_everything(sessions: Sessions, send: relay.Send) -> int:
    url = sessions.kw["bind"].url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(url)
    try:
        return await relay.send_pending(connection, range(outbox.PARTITIONS), send)
    finally:
        await connection.close()


async def test_events_cross_in_key_order_and_are_applied_once_though_offsets_are_lost(
    bus: Bus, sessions: Sessions
) -> None:
    await bus.make_topics(["lamps"], within=STARTS_WITHIN)
    lamps, applied = [new_id() for _ in range(20)], []
    events = [(make_lamp_lit(lamp_id=lamp), sequence) for sequence in range(1, 11) for lamp in lamps]
    async with sessions.begin() as session:
        await outbox.add_all(session, events)

    async def note(session, arrivals, now) -> None:
        applied.extend((arrived.event.lamp_id, arrived.sequence) for arrived in arrivals)

    async with bus.sending() as sender:
        assert await relay_everything(sessions, sender.send) == 200

    # The second group is what a lost offset looks like: everything comes again to the same consumer.
    for _ in range(2):
        async with bus.receiving(group=some_group(), topics=["lamps"]) as receiver:
            batch = await fetch_all(receiver, 200)
            await deliver(sessions, batch, consumer="streets", handlers={LampLit: note})
            await receiver.commit()

    assert len(applied) == 200
    for lamp in lamps:
        assert [sequence for lamp_id, sequence in applied if lamp_id == lamp] == list(range(1, 11))
    async with sessions() as session:
        assert (await session.execute(text("SELECT count(*) FROM outbox_pending"))).scalar_one() == 0


async def test_a_batch_whose_sending_broke_is_sent_again_whole_and_in_order(
    bus: Bus, sessions: Sessions
) -> None:
    await bus.make_topics(["lamps"], within=STARTS_WITHIN)
    lamp = new_id()
    async with sessions.begin() as session:
        await outbox.add_all(session, [(make_lamp_lit(lamp_id=lamp), n) for n in range(1, 11)])

    async with bus.sending() as sender:

        async def send_half(records) -> None:
            await sender.send(records[:4])
            raise ConnectionError("the broker is away")

        with pytest.raises(ConnectionError):
            await relay_everything(sessions, send_half)
    async with bus.sending() as sender:
        assert await relay_everything(sessions, sender.send) == 10

    async with bus.receiving(group=some_group(), topics=["lamps"]) as receiver:
        got: list = []
        async with asyncio.timeout(STARTS_WITHIN):
            while len(sequences_of(got, str(lamp))) < 14:
                got += await receiver.fetch(within=0.2)
    assert sequences_of(got, str(lamp)) == [1, 2, 3, 4, *range(1, 11)]


@pytest.mark.parametrize(
    "url",
    [
        "amqp://host/",
        "kafka://",
        "kafka://host",
        "kafka://host:9092/topic",
        "kafka://h:1?acks=0",
        "postgresql://",
        "x",
    ],
)
def test_an_address_of_no_bus_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="addressed by"):
        bus_from(url)


def test_an_address_says_all_about_its_bus() -> None:
    assert bus_from("kafka://a:1,b:2") == KafkaBus("a:1,b:2")
    assert bus_from("kafka://a:1?member=orders-0&replicas=3") == KafkaBus(
        "a:1", member="orders-0", replicas=3
    )
    assert bus_from("postgresql://u@h:1/bus") == PostgresBus("postgresql://u@h:1/bus")


async def test_a_frozen_member_of_the_embedded_bus_loses_its_partitions_and_can_move_nothing(
    embedded_bus: PostgresBus,
) -> None:
    bus, topic, group = PostgresBus(embedded_bus.url, frozen_after=1.0), f"t-{new_id()}", some_group()
    await bus.make_topics([topic], within=STARTS_WITHIN)
    async with bus.sending() as sender, bus.receiving(group=group, topics=[topic]) as frozen:
        await sender.send([make_record(topic, "a", 1), make_record(topic, "a", 2)])
        assert len(await fetch_all(frozen, 2)) == 2
        async with embedded_bus.receiving(group=group, topics=[topic]) as other:
            assert [got.sequence for got in await fetch_all(other, 2)] == [1, 2]
            await other.commit()
            await frozen.commit()
            with pytest.raises(BusUnavailable):
                await frozen.fetch(within=1)
            await sender.send([make_record(topic, "a", 3)])
            assert [got.sequence for got in await fetch_all(other, 1)] == [3]
            await other.commit()
    async with bus.receiving(group=group, topics=[topic]) as third:
        await fetch_nothing_more(third)


async def test_a_sender_whose_broker_hangs_gives_up_in_time_and_sends_nothing_afterwards(kafka: str) -> None:
    broker = find_broker(kafka)
    bus, topic = KafkaBus(kafka), f"t-{new_id()}"
    await bus.make_topics([topic], within=STARTS_WITHIN)
    records = [make_record(topic, "a", sequence, value=b"x" * 2000) for sequence in range(1, 101)]
    begun = time.monotonic()
    try:
        with pytest.raises(BusUnavailable):
            async with bus.sending() as sender:
                await sender.send(records[:1])
                broker.suspend()
                await sender.send(records)
        assert time.monotonic() - begun < SENDS_WITHIN + STOPS_WITHIN + 2
    finally:
        broker.resume()
    async with bus.sending() as sender:
        await sender.send(records)
    async with bus.receiving(group=some_group(), topics=[topic]) as receiver:
        got = [received.sequence for received in await fetch_all(receiver, 101)]
        got += [received.sequence for received in await receiver.fetch(within=2.0)]
    assert list(dict.fromkeys(got)) == list(range(1, 101))
    assert got[-100:] == list(range(1, 101))


def find_broker(kafka: str) -> psutil.Process:
    port = f":{kafka.rpartition(':')[2]}"
    for child in psutil.Process().children(recursive=True):
        words = child.cmdline()
        if "kafka.Kafka" in words and port in Path(words[-1]).read_text():
            return child
    pytest.skip("the broker is not this run's own, and must not be stopped")


async def test_the_embedded_bus_deletes_what_is_older_than_seven_days_and_nothing_else(
    embedded_bus: PostgresBus,
) -> None:
    bus, topic = embedded_bus, f"t-{new_id()}"
    await bus.make_topics([topic], within=STARTS_WITHIN)
    async with bus.sending() as sender:
        await sender.send([make_record(topic, "a", sequence) for sequence in range(1, 6)])
    connection = await asyncpg.connect(bus.url)
    await connection.execute(
        "UPDATE bus_records SET sent_at = now() - interval '7 days 1 second'"
        " WHERE topic = $1 AND record_offset < 3",
        topic,
    )
    assert await postgres_tables.delete_old(connection, limit=2)
    assert not await postgres_tables.delete_old(connection, limit=2)
    await connection.close()
    async with bus.receiving(group="g", topics=[topic]) as receiver:
        assert [got.sequence for got in await fetch_all(receiver, 2)] == [4, 5]


async def test_a_topic_of_kafka_keeps_seven_days_whatever_the_brokers_default_is(kafka: str) -> None:
    topic = f"t-{new_id()}"
    await KafkaBus(kafka).make_topics([topic], within=STARTS_WITHIN)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    finally:
        await admin.close()
    ((*_, entries),) = answer.resources
    kept = {name: value for name, value, *_ in entries}["retention.ms"]
    assert int(kept) == 7 * 24 * 3600 * 1000
