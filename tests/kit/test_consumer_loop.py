import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from sqlalchemy import text

from services.kit import outbox
from services.kit.bus.postgres import PostgresBus
from services.kit.bus.transport import Bus
from services.kit.consumer import Handlers
from services.kit.consumer_loop import ConsumerStuck, Subscription, keep_consuming
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests.builders import LampLit, make_lamp_lit
from tests.kit.buses import count_of, fetch_nothing_more, make_record, until
from tests.kit.test_consumer import make_log, on_lamp_lit, read_log

OFFSETS_MOVED = """
    SELECT count(*) FROM bus_offsets JOIN bus_groups ON id = group_id WHERE group_name = $1
"""


def make_lamp_record(topic: str, lamp_id, sequence: int, *, correlation_id: str = "c"):
    value = make_lamp_lit(lamp_id=lamp_id).model_dump_json().encode()
    return make_record(topic, str(lamp_id), sequence, value=value, correlation_id=correlation_id)


def subscribe(topic: str, handlers: Handlers) -> Subscription:
    return Subscription(consumer=f"c-{new_id()}", topics=[topic], handlers=handlers)


@asynccontextmanager
async def consuming(bus: Bus, sessions: Sessions, subscription: Subscription) -> AsyncIterator[asyncio.Task]:
    task = asyncio.create_task(keep_consuming(bus, sessions, subscription))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until_applied(sessions: Sessions, count: int) -> list[tuple]:
    async with asyncio.timeout(60):
        while True:
            if len(log := await read_log(sessions)) >= count:
                return log
            await asyncio.sleep(0.05)


async def test_what_comes_is_applied_in_order_and_committed(bus: Bus, sessions: Sessions, topic: str) -> None:
    await make_log(sessions)
    lamps = [new_id() for _ in range(10)]
    subscription = subscribe(topic, {LampLit: on_lamp_lit})
    async with consuming(bus, sessions, subscription), bus.sending() as sender:
        for sequence in range(1, 11):
            await sender.send([make_lamp_record(topic, lamp, sequence) for lamp in lamps])
        log = await until_applied(sessions, 100)
    for lamp in lamps:
        assert [sequence for lamp_id, sequence in log if lamp_id == lamp] == list(range(1, 11))
    async with bus.receiving(group=subscription.consumer, topics=[topic]) as receiver:
        await fetch_nothing_more(receiver)


async def test_two_consumers_share_the_work_and_each_event_is_applied_once(
    bus: Bus, sessions: Sessions, topic: str
) -> None:
    await make_log(sessions)
    lamps = [new_id() for _ in range(30)]
    subscription = subscribe(topic, {LampLit: on_lamp_lit})
    async with (
        bus.sending() as sender,
        consuming(bus, sessions, subscription),
        consuming(bus, sessions, subscription),
    ):
        for sequence in range(1, 21):
            await sender.send([make_lamp_record(topic, lamp, sequence) for lamp in lamps])
        log = await until_applied(sessions, 600)
    for lamp in lamps:
        assert [sequence for lamp_id, sequence in log if lamp_id == lamp] == list(range(1, 21))


async def test_what_fails_by_no_fault_of_the_event_is_tried_again_until_it_goes(
    embedded_bus: PostgresBus, sessions: Sessions
) -> None:
    await make_log(sessions)
    topic, lamp, failures = (
        f"t-{new_id()}",
        new_id(),
        iter((OSError(), ConnectionResetError(), TimeoutError())),
    )

    async def fail_thrice(session, arrivals, now) -> None:
        if failure := next(failures, None):
            raise failure
        await on_lamp_lit(session, arrivals, now)

    await embedded_bus.make_topics([topic], within=60)
    subscription = subscribe(topic, {LampLit: fail_thrice})
    async with embedded_bus.sending() as sender:
        await sender.send([make_lamp_record(topic, lamp, 1)])
        async with consuming(embedded_bus, sessions, subscription):
            assert await until_applied(sessions, 1) == [(lamp, 1)]
            await sender.send([make_lamp_record(topic, lamp, 2)])
            assert await until_applied(sessions, 2) == [(lamp, 1), (lamp, 2)]
    assert count_of("consumer_retries_total", consumer=subscription.consumer) == 3


async def test_a_consumer_told_to_stop_finishes_its_transaction(
    embedded_bus: PostgresBus, sessions: Sessions
) -> None:
    await make_log(sessions)
    topic, lamp = f"t-{new_id()}", new_id()
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def wait(session, arrivals, now) -> None:
        begun.set()
        await may_end.wait()
        await on_lamp_lit(session, arrivals, now)

    await embedded_bus.make_topics([topic], within=60)
    async with embedded_bus.sending() as sender:
        await sender.send([make_lamp_record(topic, lamp, 1)])
    async with consuming(embedded_bus, sessions, subscribe(topic, {LampLit: wait})) as task:
        await begun.wait()
        task.cancel()
        may_end.set()
        await asyncio.wait([task])
        assert await read_log(sessions) == [(lamp, 1)]


async def test_a_consumer_from_which_nothing_comes_back_ends_its_process(
    embedded_bus: PostgresBus, sessions: Sessions
) -> None:
    topic, may_end = f"t-{new_id()}", asyncio.Event()

    async def hang(session, arrivals, now) -> None:
        asyncio.get_running_loop().call_later(3.0, may_end.set)
        await may_end.wait()

    await embedded_bus.make_topics([topic], within=60)
    async with embedded_bus.sending() as sender:
        await sender.send([make_lamp_record(topic, new_id(), 1)])
    with pytest.raises(BaseExceptionGroup) as raised:
        await keep_consuming(embedded_bus, sessions, subscribe(topic, {LampLit: hang}), stuck_after=1.0)
    assert [type(error) for error in raised.value.exceptions] == [ConsumerStuck]


async def test_who_was_frozen_is_not_stuck(
    embedded_bus: PostgresBus, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_log(sessions)
    topic, loop = f"t-{new_id()}", asyncio.get_running_loop()
    await embedded_bus.make_topics([topic], within=60)
    subscription = subscribe(topic, {LampLit: on_lamp_lit})
    consuming_ = asyncio.create_task(keep_consuming(embedded_bus, sessions, subscription))
    async with embedded_bus.sending() as sender:
        await sender.send([make_lamp_record(topic, lamp := new_id(), 1)])
        await until_applied(sessions, 1)
        # An hour goes by for the clock, and nobody has run meanwhile.
        clock = loop.time
        monkeypatch.setattr(loop, "time", lambda: clock() + 3600)
        await sender.send([make_lamp_record(topic, lamp, 2)])
        assert await until_applied(sessions, 2) == [(lamp, 1), (lamp, 2)]
    assert not consuming_.done()
    consuming_.cancel()
    await asyncio.wait([consuming_])


async def test_a_member_that_lost_its_connection_to_the_bus_joins_again(
    embedded_bus: PostgresBus, sessions: Sessions
) -> None:
    await make_log(sessions)
    topic, lamp = f"t-{new_id()}", new_id()
    await embedded_bus.make_topics([topic], within=60)
    subscription = subscribe(topic, {LampLit: on_lamp_lit})
    async with embedded_bus.sending() as sender, consuming(embedded_bus, sessions, subscription):
        await sender.send([make_lamp_record(topic, lamp, 1)])
        await until_applied(sessions, 1)
        async with sessions() as session:
            await session.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
                    " AND query NOT LIKE '%pg_notify%' AND query NOT LIKE 'COMMIT%'"
                    " AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')"
                ),
                {"name": embedded_bus.url.rpartition("/")[2].partition("?")[0]},
            )
        await sender.send([make_lamp_record(topic, lamp, 2)])
        assert await until_applied(sessions, 2) == [(lamp, 1), (lamp, 2)]
        await until(lambda: count_of("consumer_rejoins_total", consumer=subscription.consumer) == 1)


async def test_what_a_handler_says_carries_the_origin_of_the_event_it_answers(
    embedded_bus: PostgresBus, sessions: Sessions
) -> None:
    topic, lamps = f"t-{new_id()}", [new_id() for _ in range(5)]

    async def answer(session, arrivals, now) -> None:
        await outbox.add_all(session, [(arrived.event, arrived.sequence) for arrived in arrivals])

    await embedded_bus.make_topics([topic], within=60)
    async with embedded_bus.sending() as sender:
        await sender.send(
            [make_lamp_record(topic, lamp, n, correlation_id=f"{lamp}-{n}") for n in (1, 2) for lamp in lamps]
        )
    async with consuming(embedded_bus, sessions, subscribe(topic, {LampLit: answer})), asyncio.timeout(30):
        rows: list = []
        while len(rows) < 10:
            async with sessions() as session:
                rows = (await session.execute(text("SELECT key, version, trace FROM outbox_event"))).all()
            await asyncio.sleep(0.05)
    assert {row.trace for row in rows} == {f"{lamp}-{n}" for n in (1, 2) for lamp in lamps}
    assert all(row.trace == f"{row.key}-{row.version}" for row in rows)


async def test_nothing_is_committed_before_it_is_applied(
    embedded_bus: PostgresBus, sessions: Sessions
) -> None:
    topic, begun, may_end = f"t-{new_id()}", asyncio.Event(), asyncio.Event()

    async def wait(session, arrivals, now) -> None:
        begun.set()
        await may_end.wait()

    await embedded_bus.make_topics([topic], within=60)
    async with embedded_bus.sending() as sender:
        await sender.send([make_lamp_record(topic, new_id(), 1)])
    subscription = subscribe(topic, {LampLit: wait})
    connection = await asyncpg.connect(embedded_bus.url)
    async with consuming(embedded_bus, sessions, subscription):
        await begun.wait()
        moved = await connection.fetchval(OFFSETS_MOVED, subscription.consumer)
        may_end.set()
    await connection.close()
    assert moved == 0
