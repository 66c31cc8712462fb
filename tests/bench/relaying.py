"""B5: what a worker's relay sends in a second, beside a bare producer with the same records."""

import time
from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg
import uvloop
from aiokafka import AIOKafkaProducer

from services.kit import database, outbox
from services.kit.bus import choose
from services.kit.database import Sessions
from services.kit.event import Event
from tests.bench import parcels, wires
from tests.bench.rows import Incorrect, Row, compare
from tests.bench.stage import Stage
from tests.bench.wires import Topic
from tests.builders import record_of

EVENTS: Final = 20_000
AT_ONCE: Final = 500
SETTLES_WITHIN: Final = 60.0
IS_PENDING: Final = "SELECT EXISTS (SELECT FROM outbox_pending)"
Found = Mapping[str, float]


class Contest:
    """A worker that relays, a bare producer, and what each has sent so far."""

    def __init__(self, broker: str, sessions: Sessions, connection: asyncpg.Connection) -> None:
        self.sessions = sessions
        self.connection = connection
        self.producer = AIOKafkaProducer(
            bootstrap_servers=broker, enable_idempotence=True, acks="all", max_batch_size=wires.BATCH_BYTES
        )
        self.relayed, self.bare = Topic(broker, "relayed"), Topic(broker, "bare")
        self.sent: list[tuple[str, int]] = []

    async def relay(self) -> Found:
        """Let events become pending at one moment; take the time until they are on the bus and gone."""
        events = parcels.make("relayed", EVENTS)
        self.sent += [(event.key, sequence) for event, sequence in events]
        before = await self.relayed.count()
        async with self.sessions.begin() as session:
            for start in range(0, EVENTS, AT_ONCE):
                await outbox.add_all(session, events[start : start + AT_ONCE])
        begun = time.perf_counter()
        await self.relayed.wait_for(before + EVENTS, within=SETTLES_WITHIN)
        while await self.connection.fetchval(IS_PENDING):
            if time.perf_counter() > begun + SETTLES_WITHIN:
                raise Incorrect("what was sent stays pending")
        return {"per_second": EVENTS / (time.perf_counter() - begun)}

    async def send(self) -> Found:
        events: list[tuple[Event, int]] = parcels.make("bare", EVENTS)
        records = [record_of(event, sequence=sequence) for event, sequence in events]
        begun = time.perf_counter()
        await wires.send_by(self.producer, records)
        return {"per_second": EVENTS / (time.perf_counter() - begun)}

    async def check(self) -> None:
        heard = [
            ((record.key or b"").decode(), int(dict(record.headers)["ce_sequence"]))
            for record in await self.relayed.read(await self.relayed.count())
        ]
        if faults := parcels.find_faults(self.sent, heard):
            raise Incorrect("; ".join(faults))


async def contend(up: Stage, url: str) -> list[dict[str, Found]]:
    await choose.bus_from(f"kafka://{up.broker}").make_topics(["relayed", "bare"], within=30)
    engine, connection = database.create_engine(url), await asyncpg.connect(url)
    contest = Contest(up.broker, database.create_sessions(engine), connection)
    for each in (contest.producer, contest.relayed, contest.bare):
        await each.start()
    worker = up.work("whitelist", url, f"kafka://{up.broker}")
    try:
        await contest.send()
        await contest.relay()
        rounds = [{"ours": await contest.relay(), "bare": await contest.send()} for _ in range(up.rounds)]
        await contest.check()
    finally:
        for started in (contest.producer, contest.relayed, contest.bare):
            await started.stop()
        await connection.close()
        await engine.dispose()
        up.stop(worker)
    return rounds


def measure(up: Stage) -> Sequence[Row]:
    url = up.database("whitelist")
    assert up.broker  # started outside of the loop
    return [
        compare(
            "B5",
            "outbox relayed to Kafka by a worker beside a bare idempotent producer",
            uvloop.run(contend(up, url)),
            ours="ours",
            reference="bare",
            of=lambda found: float(found["per_second"]),
            unit="events/s",
            target=0.7,
        )
    ]
