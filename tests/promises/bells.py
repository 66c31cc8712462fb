"""Bells that are rung by many writers at once, workers that hear them, and what must be true in the end."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import text

from services.kit import database, outbox, tables
from services.kit.database import Sessions
from tests import databases
from tests.promises.bell_worker import TABLES, rung_on
from tests.promises.buses import Topic, read_all

IS_FULL = os.environ.get("PROMISES") == "full"
SETTLES_WITHIN = 120.0
WRITERS = 4
RING = text("""
    UPDATE bells SET version = version + given.times
    FROM (SELECT bells.bell, times FROM bells JOIN unnest(CAST(:bells AS int[]), CAST(:times AS int[]))
              AS asked (bell, times) USING (bell) ORDER BY bell FOR UPDATE OF bells) AS given
    WHERE bells.bell = given.bell RETURNING bells.bell, bells.version, given.times
""")


@dataclass
class Fleet:
    """Workers in processes of their own, by number."""

    topic: Topic
    database_url: str
    folder: Path
    processes: dict[int, asyncio.subprocess.Process] = field(default_factory=dict)

    async def start(self, number: int, *, is_static: bool = True) -> asyncio.subprocess.Process:
        url = self.topic.url(number if is_static else None)
        with (self.folder / f"worker-{number}.log").open("ab") as log:
            self.processes[number] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.promises.bell_worker", self.topic.name, self.database_url, url,
                cwd=Path(__file__).parents[2], stdout=log, stderr=log,
            )  # fmt: skip
        return self.processes[number]

    async def kill(self, number: int) -> None:
        with suppress(ProcessLookupError):
            self.processes[number].kill()
        await self.processes.pop(number).wait()

    async def stop(self, number: int) -> None:
        """Ask one to end, which takes leave of its group."""
        self.processes[number].terminate()
        assert await self.processes.pop(number).wait() == 0

    async def kill_all(self) -> None:
        for number in list(self.processes):
            await self.kill(number)


@dataclass(frozen=True)
class Tower:
    """A database with bells, and the workers of it."""

    topic: Topic
    sessions: Sessions
    fleet: Fleet

    async def rows(self, query: str, **given: Any) -> list[tuple[Any, ...]]:
        async with self.sessions() as session:
            return [tuple(row) for row in await session.execute(text(query), given)]

    async def ring(self, *, bells: int, times: int, seconds: float, seed: int) -> None:
        """Ring each bell so many times, by writers that meet at the same bells, spread over some seconds."""
        chance = Random(seed)
        rings = [bell for bell in range(bells) for _ in range(times)]
        chance.shuffle(rings)
        chunks = iter([rings[start : start + 10] for start in range(0, len(rings), 10)])
        pause = seconds * WRITERS * 10 / len(rings)
        await asyncio.gather(*(self._keep_ringing(chunks, pause) for _ in range(WRITERS)))

    async def _keep_ringing(self, chunks: Any, pause: float) -> None:
        loop, event = asyncio.get_running_loop(), rung_on(self.topic.name)
        next_at = loop.time()
        for chunk in chunks:
            counted = sorted(Counter(chunk).items())
            async with self.sessions.begin() as session:
                rung = await session.execute(
                    RING, {"bells": [bell for bell, _ in counted], "times": [times for _, times in counted]}
                )
                events = [
                    (event(bell=row.bell), row.version - row.times + n)
                    for row in sorted(rung)
                    for n in range(1, row.times + 1)
                ]
                await outbox.add_all(session, events)
            next_at += pause
            await asyncio.sleep(max(0.0, next_at - loop.time()))

    async def until_heard(self, count: int, *, within: float = SETTLES_WITHIN) -> None:
        """Wait until so many are written down and nothing waits to leave."""
        done = "SELECT (SELECT count(*) FROM heard), (SELECT count(*) FROM outbox_pending)"
        async with asyncio.timeout(within):
            while True:
                ((heard, pending),) = await self.rows(done)
                if heard >= count and not pending:
                    return
                await asyncio.sleep(0.1)

    async def require_once_in_order(self, *, bells: int, times: int) -> None:
        """I5, I6: the same ids in outbox, topic and inbox; each bell heard once, in order; nothing waits."""
        heard: dict[int, list[int]] = {}
        for bell, sequence in await self.rows("SELECT bell, sequence FROM heard ORDER BY place"):
            heard.setdefault(bell, []).append(sequence)
        assert heard == {bell: list(range(1, times + 1)) for bell in range(bells)}
        counts = "SELECT (SELECT count(*) FROM outbox_pending), (SELECT count(*) FROM parked)"
        assert await self.rows(counts) == [(0, 0)]

        said = {row[0] for row in await self.rows("SELECT event_id FROM outbox_event")}
        marked = await self.rows("SELECT event_id FROM inbox WHERE consumer = :name", name=self.topic.name)
        sent = await read_all(self.topic)
        assert len(said) == bells * times
        assert said == {row[0] for row in marked} == {record.event_id for record in sent}
        # What is sent again may stand twice, but never before what precedes it.
        furthest: Counter[str] = Counter()
        for record in sent:
            assert record.sequence <= furthest[record.key] + 1
            furthest[record.key] = max(furthest[record.key], record.sequence)

    async def snapshot(self) -> list[tuple[Any, ...]]:
        """Every row and the transaction that wrote it: a row written anew as it was differs too."""
        names = ("bells", "heard", "inbox", "outbox_event", "outbox_pending", "parked")
        return [
            (name, *row)
            for name in names
            for row in await self.rows(f"SELECT row.xmin::text, row::text FROM {name} AS row ORDER BY 1, 2")
        ]


@asynccontextmanager
async def tower(administrator: str, topic: Topic, folder: Path, *, bells: int) -> AsyncIterator[Tower]:
    async with databases.fresh(administrator) as url:
        engine = database.create_engine(url)
        async with engine.begin() as connection:
            await tables.create_kit_tables(connection)
            await tables.make_partitions(connection, datetime.now(UTC).date())
            for statement in TABLES:
                await connection.execute(text(statement))
            await connection.execute(
                text("INSERT INTO bells SELECT n FROM generate_series(0, :last) AS n"), {"last": bells - 1}
            )
        fleet = Fleet(topic, url, folder)
        try:
            yield Tower(topic, database.create_sessions(engine), fleet)
        finally:
            await fleet.kill_all()
            await engine.dispose()
