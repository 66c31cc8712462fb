import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text

from services.kit import database, timers
from services.kit.database import Sessions
from services.kit.timers import Timer
from tests.kit.buses import count_of, until

CLAIM = text("""
    UPDATE due SET done_at = :now WHERE id IN (
        SELECT id FROM due WHERE done_at IS NULL AND due_at <= :now
        ORDER BY id LIMIT 10 FOR UPDATE SKIP LOCKED
    )
""")


@asynccontextmanager
async def running(sessions: Sessions, *timers_to_run: Timer) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(timers.keep_running(sessions, timer)) for timer in timers_to_run]
    yield tasks
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def make_due(sessions: Sessions, count: int) -> None:
    async with sessions.begin() as session:
        await session.execute(text("CREATE TABLE due (id int, due_at timestamptz, done_at timestamptz)"))
        await session.execute(
            text("INSERT INTO due SELECT id, now() FROM generate_series(1, :count) AS id"), {"count": count}
        )


async def test_due_work_is_done_in_bounded_batches_without_waiting_between_them(sessions: Sessions) -> None:
    await make_due(sessions, 35)
    done: list[int] = []

    async def claim(session, now) -> int:
        assert now == await database.now(session)
        done.append((await session.execute(CLAIM, {"now": now})).rowcount)
        return done[-1]

    async with running(sessions, Timer("claims", 3600, claim)):
        await until(lambda: len(done) == 5)
    assert done == [10, 10, 10, 5, 0]


async def test_of_two_workers_each_piece_is_done_by_one(sessions: Sessions) -> None:
    await make_due(sessions, 200)
    done: list[int] = []

    async def claim(session, now) -> int:
        done.append((await session.execute(CLAIM, {"now": now})).rowcount)
        return done[-1]

    async with running(sessions, *(Timer(name, 0.05, claim) for name in ("one", "other"))):
        await until(lambda: sum(done) >= 200)
    assert sum(done) == 200


async def test_a_timer_that_fails_changes_nothing_is_tried_again_and_stops_no_other(
    sessions: Sessions,
) -> None:
    await make_due(sessions, 5)
    calls, others = [], []

    async def fail_twice(session, now) -> int:
        calls.append(now)
        claimed = (await session.execute(CLAIM, {"now": now})).rowcount
        if len(calls) == 1:
            raise ConnectionResetError
        if len(calls) == 2:
            raise ValueError("a defect")
        return claimed

    async def run_other(session, now) -> int:
        others.append(now)
        return 0

    async with running(sessions, Timer("fails", 0.05, fail_twice), Timer("other", 0.05, run_other)) as tasks:
        await until(lambda: len(calls) >= 4 and len(others) >= 4)
        assert not any(task.done() for task in tasks)
    assert count_of("timer_failures_total", timer="fails") == 2
    assert count_of("timer_items_total", timer="fails") == 5


async def test_a_timer_told_to_stop_finishes_its_transaction(sessions: Sessions) -> None:
    await make_due(sessions, 5)
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def wait(session, now) -> int:
        claimed = (await session.execute(CLAIM, {"now": now})).rowcount
        begun.set()
        await may_end.wait()
        return claimed

    async with running(sessions, Timer("waits", 3600, wait)) as (task,):
        await begun.wait()
        task.cancel()
        may_end.set()
        await asyncio.wait([task])
    async with sessions() as session:
        rows = await session.execute(text("SELECT count(*) FROM due WHERE done_at IS NOT NULL"))
        assert rows.scalar_one() == 5
