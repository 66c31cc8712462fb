import asyncio
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import text

from services.kit import inbox, outbox, tables, upkeep
from services.kit.database import Sessions
from services.kit.ids import new_id
from services.kit.inbox import Mark
from tests.builders import make_lamp_lit

TODAY = datetime.now(UTC).date()


async def list_days(sessions: Sessions, table: str) -> list[date]:
    async with sessions() as session:
        rows = await session.execute(
            text(
                "SELECT right(relname, 8) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
                f" WHERE inhparent = '{table}'::regclass ORDER BY 1"
            )
        )
        return [datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).date() for day in rows.scalars()]


async def make_days(sessions: Sessions, today: date) -> None:
    async with sessions.kw["bind"].begin() as connection:
        await tables.make_partitions(connection, today)


def days_around(first: int, last: int) -> list[date]:
    return [TODAY + timedelta(days=offset) for offset in range(first, last + 1)]


async def write_event_of(sessions: Sessions, day: date, *, pending: bool) -> None:
    async with sessions.begin() as session:
        await session.execute(
            text(
                "INSERT INTO outbox_event (id, day, event_id, topic, key, version, type, payload, trace)"
                " VALUES (nextval('outbox_event_id'), :day, :event_id, 't', 'k', 1, 'n', '{}', 'c')"
            ),
            {"day": day, "event_id": new_id()},
        )
        if pending:
            await session.execute(
                text("INSERT INTO outbox_pending SELECT 0, id, day FROM outbox_event WHERE day = :day"),
                {"day": day},
            )


async def test_days_are_made_ahead_by_many_at_once_and_written_to_meanwhile(sessions: Sessions) -> None:
    engine = sessions.kw["bind"]
    async with engine.begin() as connection:
        for day in days_around(1, 3):
            await connection.execute(text(f"DROP TABLE outbox_event_{day:%Y%m%d}"))
    async with sessions.begin() as session:
        await outbox.add(session, make_lamp_lit(), sequence=1)
        await asyncio.gather(*(upkeep.look_after(engine) for _ in range(4)))
    assert await list_days(sessions, "outbox_event") == days_around(-1, 3)
    assert await list_days(sessions, "inbox") == days_around(-30, 3)


async def test_a_new_day_takes_events_as_a_day_made_at_the_beginning_does(sessions: Sessions) -> None:
    await make_days(sessions, TODAY + timedelta(days=10))
    await write_event_of(sessions, TODAY + timedelta(days=12), pending=True)
    async with sessions.begin() as session:
        mark = Mark(TODAY + timedelta(days=13), new_id())
        assert await inbox.mark_new(session, consumer="c", marks=[mark]) == {mark.event_id}
        assert await inbox.mark_new(session, consumer="c", marks=[mark]) == set()


async def test_events_are_dropped_after_seven_days_but_never_a_day_that_has_one_pending(
    sessions: Sessions,
) -> None:
    await make_days(sessions, TODAY - timedelta(days=10))
    await make_days(sessions, TODAY - timedelta(days=6))
    await make_days(sessions, TODAY - timedelta(days=1))
    waits, left, kept = (TODAY - timedelta(days=days) for days in (9, 8, 7))
    await write_event_of(sessions, waits, pending=True)
    await write_event_of(sessions, left, pending=False)
    await write_event_of(sessions, kept, pending=False)

    await upkeep.look_after(sessions.kw["bind"])

    assert await list_days(sessions, "outbox_event") == [waits, *days_around(-7, 3)]
    async with sessions() as session:
        rows = await session.execute(text("SELECT day FROM outbox_event ORDER BY day"))
        assert rows.scalars().all() == [waits, kept]


async def test_marks_are_dropped_after_thirty_days(sessions: Sessions) -> None:
    await make_days(sessions, TODAY - timedelta(days=2))
    assert (await list_days(sessions, "inbox"))[0] == TODAY - timedelta(days=32)
    await upkeep.look_after(sessions.kw["bind"])
    assert await list_days(sessions, "inbox") == days_around(-30, 3)


async def test_two_that_drop_at_once_both_succeed(sessions: Sessions) -> None:
    await make_days(sessions, TODAY - timedelta(days=5))
    dropped = await asyncio.gather(*(upkeep.look_after(sessions.kw["bind"]) for _ in range(3)))
    assert sorted(len(names) for names in dropped) == [0, 0, 5]
