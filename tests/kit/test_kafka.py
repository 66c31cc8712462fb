import asyncio
from datetime import UTC, datetime

import asyncpg
from sqlalchemy import text

from services.kit import outbox, relay
from services.kit.bus import kafka as kafka_bus
from services.kit.bus.records import Received, Record, make_headers
from services.kit.consumer import deliver
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests.builders import LampLit, make_lamp_lit

STARTS_WITHIN = 60.0


async def fetch_all(receiver: kafka_bus.KafkaReceiver, count: int) -> list[Received]:
    got: list[Received] = []
    async with asyncio.timeout(STARTS_WITHIN):
        while len(got) < count:
            got += await receiver.fetch(within=0.2)
    return got


async def relay_everything(sessions: Sessions, sender: kafka_bus.KafkaSender) -> int:
    url = sessions.kw["bind"].url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(url)
    try:
        return sum(
            [await relay.send_pending(connection, shard, sender.send) for shard in range(outbox.PARTITIONS)]
        )
    finally:
        await connection.close()


async def test_events_cross_kafka_in_key_order_and_are_applied_once(sessions: Sessions, kafka: str) -> None:
    topic, lamps, applied = "lamps", [new_id() for _ in range(20)], []
    await kafka_bus.make_topics(kafka, [topic], within=STARTS_WITHIN)
    events = [(make_lamp_lit(lamp_id=lamp), sequence) for sequence in range(1, 11) for lamp in lamps]
    async with sessions.begin() as session:
        await outbox.add_all(session, events, correlation_id="c")

    async def note(session, arrivals, now) -> None:
        applied.extend((arrived.event.lamp_id, arrived.sequence) for arrived in arrivals)

    async with kafka_bus.sending(kafka) as sender:
        assert await relay_everything(sessions, sender) == 200

    # The second group is what a lost offset looks like: everything comes again to the same consumer.
    for group in (f"streets-{new_id()}", f"streets-{new_id()}"):
        async with kafka_bus.receiving(kafka, group=group, topics=[topic]) as receiver:
            batch = await fetch_all(receiver, 200)
            await deliver(sessions, batch, consumer="streets", handlers={LampLit: note})
            await receiver.commit()

    assert len(applied) == 200
    for lamp in lamps:
        assert [sequence for lamp_id, sequence in applied if lamp_id == lamp] == list(range(1, 11))
    async with sessions() as session:
        assert (await session.execute(text("SELECT count(*) FROM outbox_pending"))).scalar_one() == 0


async def test_what_was_not_committed_comes_again_and_what_was_does_not(
    sessions: Sessions, kafka: str
) -> None:
    topic, group = f"t-{new_id()}", f"g-{new_id()}"
    await kafka_bus.make_topics(kafka, [topic], within=STARTS_WITHIN)
    await kafka_bus.make_topics(kafka, [topic], within=STARTS_WITHIN)

    async def send(sequence: int) -> None:
        event = make_lamp_lit(lamp_id=new_id())
        headers = make_headers(
            event_id=new_id(),
            name=event.name,
            sequence=sequence,
            recorded_at=datetime.now(UTC),
            correlation_id="c",
        )
        async with kafka_bus.sending(kafka) as sender:
            await sender.send([Record(topic, event.key, b"{}", headers)])

    await send(1)
    async with kafka_bus.receiving(kafka, group=group, topics=[topic]) as receiver:
        assert [got.sequence for got in await fetch_all(receiver, 1)] == [1]
    async with kafka_bus.receiving(kafka, group=group, topics=[topic]) as receiver:
        assert [got.sequence for got in await fetch_all(receiver, 1)] == [1]
        await receiver.commit()
    await send(2)
    async with kafka_bus.receiving(kafka, group=group, topics=[topic]) as receiver:
        assert [got.sequence for got in await fetch_all(receiver, 1)] == [2]
