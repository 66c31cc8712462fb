"""B6: what a worker's consumer applies in a second, inbox and a trivial effect, beside a bare consumer."""

import time
from collections.abc import Mapping, Sequence
from typing import Final

import asyncpg
import uvloop
from aiokafka import AIOKafkaConsumer

from services.kit.bus import choose
from tests.bench import parcels, wires
from tests.bench.rows import Incorrect, Row, compare
from tests.bench.stage import Stage
from tests.builders import record_of

TOPIC: Final = "parcels"
EVENTS: Final = 30_000
SETTLES_WITHIN: Final = 60.0
HEARD: Final = "SELECT count(*) FROM heard WHERE consumer = $1"
LIST: Final = "SELECT key, sequence FROM heard WHERE consumer = $1 ORDER BY at, sequence"
# From the first batch's transaction to the last one's: what the last batch had is not counted.
PACE: Final = """
    SELECT count(*) FILTER (WHERE at < ends) / extract(epoch FROM max(ends) - min(at))
    FROM heard, (SELECT max(at) AS ends FROM heard WHERE consumer = $1) AS last WHERE consumer = $1
"""
Found = Mapping[str, float]


async def apply(up: Stage, url: str, number: int, sent: Sequence[tuple[str, int]]) -> Found:
    """Let a new consumer hear everything; its marks and its offsets are its own."""
    consumer = f"ours{number}"
    up.start(f"{consumer}-work", "tests.bench.parcels", TOPIC, consumer, url, f"kafka://{up.broker}")
    worker = up.children[-1]
    connection = await asyncpg.connect(url)
    try:
        deadline = time.monotonic() + SETTLES_WITHIN
        while await connection.fetchval(HEARD, consumer) < len(sent):
            if time.monotonic() > deadline:
                raise Incorrect("an event was lost")
            await connection.execute("SELECT pg_sleep(0.2)")
        heard = [(row[0], row[1]) for row in await connection.fetch(LIST, consumer)]
        if faults := parcels.find_faults(sent, heard):
            raise Incorrect("; ".join(faults))
        return {"per_second": float(await connection.fetchval(PACE, consumer))}
    finally:
        await connection.close()
        up.stop(worker)


async def hear(up: Stage, number: int) -> Found:
    """Let a bare consumer of a new group fetch everything, and commit what it has every 500 records."""
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=up.broker,
        group_id=f"bare{number}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_records=wires.FETCH,
    )
    await consumer.start()
    try:
        begun, heard = 0.0, 0
        while heard < EVENTS:
            fetched = await consumer.getmany(timeout_ms=1000, max_records=wires.FETCH)
            begun = begun or (time.perf_counter() if fetched else 0.0)
            if fetched:
                heard += sum(map(len, fetched.values()))
                await consumer.commit({where: came[-1].offset + 1 for where, came in fetched.items()})
        return {"per_second": heard / (time.perf_counter() - begun)}
    finally:
        await consumer.stop()


async def contend(up: Stage, url: str) -> list[dict[str, Found]]:
    await choose.bus_from(f"kafka://{up.broker}").make_topics([TOPIC], within=30)
    connection = await asyncpg.connect(url)
    await connection.execute(parcels.TABLE)
    await connection.close()
    events = parcels.make(TOPIC, EVENTS)
    await wires.send(up.broker, [record_of(event, sequence=sequence) for event, sequence in events])
    sent = [(event.key, sequence) for event, sequence in events]
    await hear(up, up.rounds)
    return [
        {"ours": await apply(up, url, number, sent), "bare": await hear(up, number)}
        for number in range(up.rounds)
    ]


def measure(up: Stage) -> Sequence[Row]:
    url = up.database("whitelist")
    assert up.broker  # started outside of the loop
    return [
        compare(
            "B6",
            "events applied by a worker, inbox and one insert, beside a bare consumer",
            uvloop.run(contend(up, url)),
            ours="ours",
            reference="bare",
            of=lambda found: float(found["per_second"]),
            unit="events/s",
            target=0.3,
        )
    ]
