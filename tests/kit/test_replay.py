from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from services.kit import outbox, pending, replay, tables
from services.kit.database import Sessions
from services.kit.ids import new_id
from tests.builders import make_lamp_lit
from tests.kit.buses import until
from tests.kit.test_relay_loop import relaying, write
from tests.kit.wires import Wire

TODAY = datetime.now(UTC).date()


async def replay_since(sessions: Sessions, day, **options) -> int:
    async with sessions.kw["bind"].begin() as connection:
        return await replay.replay(connection, day, **options)


async def test_everything_of_the_days_leaves_once_more_in_the_order_it_had(sessions: Sessions) -> None:
    lamps, wire = [new_id() for _ in range(10)], Wire()
    async with relaying(sessions, wire):
        await write(sessions, lamps, range(1, 11))
        await until(lambda: len(wire.records) == 100)
    first, again = wire, Wire()
    assert await replay_since(sessions, TODAY) == 100
    async with relaying(sessions, again):
        await until(lambda: len(again.records) == 100)
    for lamp in lamps:
        assert again.sequences_of(str(lamp)) == list(range(1, 11))
    assert {r.event_id for r in again.records} == {r.event_id for r in first.records}


async def test_what_is_still_pending_is_not_put_back_twice(sessions: Sessions) -> None:
    await write(sessions, [new_id()], range(1, 4))
    assert await replay_since(sessions, TODAY) == 0
    async with sessions() as session:
        assert (await session.execute(text("SELECT count(*) FROM outbox_pending"))).scalar_one() == 3


async def test_days_before_are_left_out_and_many_batches_lose_nothing(sessions: Sessions) -> None:
    async with sessions.kw["bind"].begin() as connection:
        await tables.make_partitions(connection, TODAY - timedelta(days=2))
    insert = text(
        "INSERT INTO outbox_event (id, day, event_id, topic, key, version, type, payload, trace)"
        " SELECT nextval('outbox_event_id'), CAST(:day AS date), uuidv7(), 't', 'k', v, 'n', '{}', 'c'"
        " FROM generate_series(1, 20) AS v"
    )
    async with sessions.begin() as session:
        for days in (2, 1, 0):
            await session.execute(insert, {"day": TODAY - timedelta(days=days)})
    assert await replay_since(sessions, TODAY - timedelta(days=1), batch=7) == 40
    async with sessions() as session:
        rows = (await session.execute(text("SELECT shard, day FROM outbox_pending"))).all()
    assert {row.day for row in rows} == {TODAY, TODAY - timedelta(days=1)}
    assert {row.shard for row in rows} == {outbox.partition_of("k")}


async def test_the_age_of_what_waits_is_that_of_the_oldest(sessions: Sessions) -> None:
    async with sessions() as session:
        assert await pending.oldest_age(session) == 0
    async with sessions.begin() as session:
        await outbox.add_all(session, [(make_lamp_lit(), 1) for _ in range(30)])
    async with sessions.begin() as session:
        await session.execute(
            text("UPDATE outbox_event SET recorded_at = now() - interval '90 s' WHERE id = 1")
        )
        assert 90 <= await pending.oldest_age(session) < 91
