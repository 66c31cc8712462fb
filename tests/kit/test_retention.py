"""Nothing grows without end: each table has its written retention, and what has days goes after them."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from services.kit import database, retention, tables, upkeep
from services.kit.bus.postgres import PostgresBus
from services.kit.bus.transport import KEEPS_DAYS
from services.kit.database import Sessions
from services.kit.ids import new_id
from services.kit.retention import Retention
from tests.kit.test_timers import running

DOCUMENT = Path(__file__).parents[2] / "docs/retention.md"
SERVICES = ("catalog", "orders", "dispatch", "whitelist")
FORMS = r"for ever|fixed|(until|as long as) [^,]+(, (\d+) days [a-z ]+)?|(\d+) days"
TABLES = """
    SELECT relname FROM pg_class
    WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace
"""


def rows_of(title: str) -> Iterator[tuple[str, ...]]:
    """The rows of the table under a heading, the head of it left out."""
    section = DOCUMENT.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    for line in section.splitlines():
        if line.startswith("|"):
            row = tuple(cell.strip() for cell in line.strip("|").split("|"))
            if row[0] not in {"table", "timer", "---"}:
                yield row


def kept_in(title: str) -> dict[str, str]:
    return {table.strip("`"): kept for table, kept, _ in rows_of(title)}


def days_in(title: str) -> dict[str, int]:
    found = {table: re.search(r"(\d+) days", kept) for table, kept in kept_in(title).items()}
    return {table: int(match[1]) for table, match in found.items() if match}


def timers_of(service: str) -> Any:
    return import_module(f"services.{service}.timers")


def forgotten_of(service: str) -> tuple[Retention, ...]:
    return getattr(timers_of(service), "FORGOTTEN", ())


async def tables_of(sessions: Sessions) -> set[str]:
    async with sessions() as session:
        return set((await session.execute(text(TABLES))).scalars())


@pytest.mark.parametrize("service", SERVICES)
async def test_every_table_of_a_service_has_its_written_retention(
    service: str, database_of: Callable[[str], Awaitable[str]]
) -> None:
    engine = database.create_engine(await database_of(service))
    made = await tables_of(database.create_sessions(engine))
    await engine.dispose()
    kept = kept_in("Every service") | kept_in(service)
    assert set(kept) == made
    assert [table for table, words in kept.items() if not re.fullmatch(FORMS, words)] == []
    assert days_in(service) == {each.table: each.days for each in forgotten_of(service)}


async def test_every_table_of_the_embedded_bus_has_its_written_retention(embedded_bus: PostgresBus) -> None:
    await embedded_bus.make_topics(["t"], within=60)
    engine = database.create_engine(embedded_bus.url)
    assert set(kept_in("The embedded bus")) == await tables_of(database.create_sessions(engine))
    await engine.dispose()
    assert days_in("The embedded bus") == {"bus_records": KEEPS_DAYS}


def test_what_is_kept_for_days_nests_so_that_what_comes_again_meets_its_mark() -> None:
    days = days_in("Every service")
    assert days == {
        "outbox_event": tables.OUTBOX_DAYS,
        "inbox": tables.INBOX_DAYS,
        "idempotency": retention.KEYS.days,
    }
    assert days["inbox"] > days["outbox_event"] >= KEEPS_DAYS


def test_every_timer_says_what_it_looks_for_and_when_that_is_done() -> None:
    written = {timer.replace("`", "") for timer, _, _ in rows_of("What waits for a moment")}
    assert written == {
        f"{service} {timer.name}" for service in SERVICES for timer in timers_of(service).TIMERS
    }


async def forget(sessions: Sessions, kept: Retention) -> list[int]:
    """Run a retention's timer as a worker does, until nothing is left; return how much went each time."""
    timer, done = retention.forgetting(kept), []
    while True:
        async with sessions.begin() as session:
            done.append(await timer.run(session, await database.now(session)))
        if not done[-1]:
            return done


async def keys(sessions: Sessions) -> list[str]:
    async with sessions() as session:
        return list((await session.execute(text("SELECT key FROM idempotency ORDER BY key"))).scalars())


async def plant_key(sessions: Sessions, key: str, *, age: timedelta, is_report: bool) -> None:
    async with sessions.begin() as session:
        await session.execute(
            text("""
                INSERT INTO idempotency (principal, route, key, digest, status, body, accepted_at, is_report)
                VALUES ('p', 'r', :key, '', 200, '', now() - CAST(:age AS interval), :is_report)
            """),
            {"key": key, "age": age, "is_report": is_report},
        )


async def test_keys_of_reports_are_forgotten_after_thirty_days_and_those_of_things_are_not(
    sessions: Sessions,
) -> None:
    just = timedelta(seconds=30)
    await plant_key(sessions, "thing of long ago", age=timedelta(days=400), is_report=False)
    await plant_key(sessions, "report of long ago", age=timedelta(days=400), is_report=True)
    await plant_key(sessions, "report on the far side", age=timedelta(days=30) + just, is_report=True)
    await plant_key(sessions, "report on the near side", age=timedelta(days=30) - just, is_report=True)
    assert await forget(sessions, retention.KEYS) == [2, 0]
    assert await keys(sessions) == ["report on the near side", "thing of long ago"]


async def test_forgetting_goes_by_batches_and_passes_over_what_somebody_holds(sessions: Sessions) -> None:
    for number in range(5):
        await plant_key(sessions, f"{number}", age=timedelta(days=40), is_report=True)
    small = Retention(table="idempotency", days=30, delete=retention.KEYS.delete, batch=2)
    async with sessions.begin() as session:
        await session.execute(text("SELECT FROM idempotency WHERE key = '3' FOR UPDATE"))
        assert await forget(sessions, small) == [2, 2, 0]
        assert await keys(sessions) == ["3"]
    assert await forget(sessions, small) == [1, 0]


async def test_forgetting_is_served_by_an_index_however_much_is_kept(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await session.execute(
            text("""
                INSERT INTO idempotency (principal, route, key, digest, status, body, accepted_at)
                SELECT 'p', 'r', n::text, '', 200, '', now() - interval '400 d'
                FROM generate_series(1, 5000) AS n
            """)
        )
        await session.execute(text("ANALYZE idempotency"))
        explained = await session.execute(
            text(f"EXPLAIN {retention.KEYS.delete}"), {"before": datetime.now(UTC), "limit": 500}
        )
        plan = "\n".join(explained.scalars())
    assert "idempotency_reports" in plan
    assert "Seq Scan" not in plan


async def test_what_is_parked_and_what_has_not_left_stays_however_old_it_is(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await session.execute(
            text("""
                INSERT INTO parked (consumer, topic, key, event_id, version, type, value, recorded_at, trace,
                                    error, parked_at)
                VALUES ('c', 't', 'k', :id, 1, 'n', '', :then, 'c', 'e', :then)
            """),
            {"id": new_id(), "then": datetime.now(UTC) - timedelta(days=400)},
        )
    async with sessions.kw["bind"].begin() as connection:
        long_ago = datetime.now(UTC).date() - timedelta(days=40)
        await tables.make_partitions(connection, long_ago)
        await connection.execute(
            text("""
                INSERT INTO outbox_event (id, day, event_id, topic, key, version, type, payload, trace)
                VALUES (1, :day, :id, 't', 'k', 1, 'n', '{}', 'c')
            """),
            {"day": long_ago, "id": new_id()},
        )
        await connection.execute(text("INSERT INTO outbox_pending VALUES (0, 1, :day)"), {"day": long_ago})
    await upkeep.look_after(sessions.kw["bind"])
    await forget(sessions, retention.KEYS)
    async with sessions() as session:
        left = "SELECT (SELECT count(*) FROM parked), (SELECT count(*) FROM outbox_event)"
        assert tuple((await session.execute(text(left))).one()) == (1, 1)


async def test_a_worker_forgets_as_it_runs(sessions: Sessions) -> None:
    await plant_key(sessions, "old", age=timedelta(days=31), is_report=True)
    async with running(sessions, retention.forgetting(retention.KEYS)):
        async with asyncio.timeout(30):
            while True:
                if not await keys(sessions):
                    return
                await asyncio.sleep(0.02)
