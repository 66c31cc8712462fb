import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from sqlalchemy import text

from services.kit import outbox
from services.kit.bus.records import read_record
from services.kit.bus.transport import Bus, BusUnavailable
from services.kit.database import Sessions
from services.kit.ids import new_id
from services.kit.relay_loop import keep_relaying
from tests.builders import make_lamp_lit
from tests.kit.buses import fetch_all, until
from tests.kit.wires import Wire


def url_of(sessions: Sessions) -> str:
    return sessions.kw["bind"].url.render_as_string(hide_password=False)


@asynccontextmanager
async def relaying(sessions: Sessions, *buses: Bus) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(keep_relaying(url_of(sessions), bus)) for bus in buses]
    yield tasks
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def write(sessions: Sessions, lamps: list[UUID], sequences: range) -> None:
    for sequence in sequences:
        async with sessions.begin() as session:
            await outbox.add_all(session, [(make_lamp_lit(lamp_id=lamp), sequence) for lamp in lamps])


async def read(sessions: Sessions, query: str) -> list[tuple]:
    async with sessions() as session:
        return [tuple(row) for row in await session.execute(text(query))]


COUNT_PENDING = "SELECT count(*) FROM outbox_pending"
COUNT_OWNERS = """
    SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) GROUP BY pid ORDER BY 1
"""


async def until_row(sessions: Sessions, query: str, row: tuple) -> None:
    async with asyncio.timeout(60):
        while True:
            if await read(sessions, query) == [row]:
                return
            await asyncio.sleep(0.05)


async def owners(sessions: Sessions, shards_of_each: list[int]) -> None:
    async with asyncio.timeout(20):
        while True:
            if [count for (count,) in await read(sessions, COUNT_OWNERS)] == shards_of_each:
                return
            await asyncio.sleep(0.05)


async def test_two_relays_divide_the_shards_and_nothing_is_sent_twice(sessions: Sessions) -> None:
    lamps = [new_id() for _ in range(40)]
    first, second = Wire(), Wire()
    async with relaying(sessions, first, second):
        await owners(sessions, [6, 6])
        await write(sessions, lamps, range(1, 26))
        await until(lambda: len(first.records) + len(second.records) >= 1000)
    assert await read(sessions, COUNT_PENDING) == [(0,)]
    assert first.records
    assert second.records
    for lamp in lamps:
        assert first.sequences_of(str(lamp)) + second.sequences_of(str(lamp)) == list(range(1, 26))


async def test_shards_pass_on_in_mid_stream_and_no_key_is_overtaken_or_sent_twice(sessions: Sessions) -> None:
    lamps = [new_id() for _ in range(20)]
    wire = Wire()
    async with relaying(sessions, wire):
        await write(sessions, lamps, range(1, 6))
        async with relaying(sessions, wire):
            writing = asyncio.create_task(write(sessions, lamps, range(6, 106)))
            await owners(sessions, [6, 6])
            await writing
        await owners(sessions, [12])
        await write(sessions, lamps, range(106, 111))
        await until(lambda: len(wire.records) >= 2200)
    for lamp in lamps:
        assert wire.sequences_of(str(lamp)) == list(range(1, 111))


async def test_a_relay_outlives_the_failure_of_its_sender_with_a_fresh_one(sessions: Sessions) -> None:
    lamp, wire, failures = new_id(), Wire(), iter((BusUnavailable("away"), TimeoutError(), ConnectionError()))

    async def fail_half_way(records) -> None:
        if failure := next(failures, None):
            wire.records += [read_record(record) for record in records[:4]]
            raise failure

    wire.before = fail_half_way
    await write(sessions, [lamp], range(1, 11))
    async with relaying(sessions, wire):
        await until(lambda: len(wire.records) >= 22)
    assert wire.sequences_of(str(lamp)) == [1, 2, 3, 4] * 3 + list(range(1, 11))
    assert wire.opened == 4


async def test_a_relay_that_lost_its_connection_goes_on_with_another(sessions: Sessions) -> None:
    lamp, wire = new_id(), Wire()
    async with relaying(sessions, wire):
        await write(sessions, [lamp], range(1, 4))
        await until(lambda: len(wire.records) == 3)
        await until_row(sessions, COUNT_PENDING, (0,))
        await owners(sessions, [12])
        ended = await read(
            sessions,
            "SELECT count(pg_terminate_backend(pid)) FROM (SELECT DISTINCT pid FROM pg_locks"
            " WHERE locktype = 'advisory' AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())) AS relays",
        )
        assert ended == [(1,)]
        await write(sessions, [lamp], range(4, 7))
        await until(lambda: len(wire.records) >= 6)
    assert wire.sequences_of(str(lamp)) == [1, 2, 3, 4, 5, 6]
    assert wire.opened == 2


async def test_a_relay_that_is_told_to_stop_finishes_its_batch(sessions: Sessions) -> None:
    lamp, wire = new_id(), Wire()
    sends, may_send = asyncio.Event(), asyncio.Event()

    async def wait(records) -> None:
        sends.set()
        await may_send.wait()

    wire.before = wait
    await write(sessions, [lamp], range(1, 6))
    async with relaying(sessions, wire) as (task,):
        await sends.wait()
        task.cancel()
        may_send.set()
        await asyncio.wait([task])
        assert wire.sequences_of(str(lamp)) == [1, 2, 3, 4, 5]
        assert await read(sessions, COUNT_PENDING) == [(0,)]


async def test_what_a_relay_sends_crosses_a_real_bus_in_order(sessions: Sessions, bus: Bus) -> None:
    await bus.make_topics(["lamps"], within=60)
    lamps, group = [new_id() for _ in range(10)], f"g-{new_id()}"
    async with relaying(sessions, bus, bus), bus.receiving(group=group, topics=["lamps"]) as receiver:
        await write(sessions, lamps, range(1, 21))
        keys, got = {str(lamp) for lamp in lamps}, []
        async with asyncio.timeout(60):
            while len(got) < 200:
                got += [received for received in await fetch_all(receiver, 1) if received.key in keys]
    for lamp in lamps:
        assert [received.sequence for received in got if received.key == str(lamp)] == list(range(1, 21))
