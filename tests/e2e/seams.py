"""Four services in this process, without a socket: real databases, handlers and timers, a pump between.

The pump is the bus at its worst that it may be: each topic and key in order, everything else as it likes.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import text

from services.dispatch import solving
from services.kit import consumer, database
from services.kit.bus.records import Received
from services.kit.database import Sessions
from services.kit.timers import Timer
from tests import serving
from tests.dispatch.towns import solve_here

SERVICES = ("whitelist", "orders", "catalog", "dispatch")
HEARS = {
    "orders": ("catalog", "dispatch", "whitelist"),
    "catalog": ("orders", "dispatch"),
    "dispatch": ("orders", "catalog", "whitelist"),
}
# What tells of the machinery and not of the town, or is a moment of writing.
MACHINERY = frozenset({"inbox", "outbox_event", "outbox_pending", "idempotency", "alembic_version"})
TAKE = """
    WITH taken AS (DELETE FROM outbox_pending RETURNING id, day)
    SELECT event_id, topic, key, version, type, payload::text AS payload, trace, recorded_at
    FROM outbox_event JOIN taken USING (id, day) ORDER BY id
"""
FIND_GAPS = """
    SELECT topic, key FROM outbox_event GROUP BY topic, key
    HAVING count(*) <> max(version) OR count(DISTINCT version) <> count(*) OR min(version) <> 1
        OR array_agg(version ORDER BY id) <> array_agg(version ORDER BY version)
"""
LIST_TABLES = """
    SELECT relname FROM pg_class
    WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace
"""


@dataclass(frozen=True, kw_only=True)
class Post:
    """How records travel: in batches of so many, across keys in any order, each so many times."""

    batch: int = 100
    is_shuffled: bool = False
    times: int = 1
    seed: int = 7

    def cut(self, records: Sequence[Received]) -> list[list[Received]]:
        """Return the batches in which records arrive; a key's records stay in order."""
        chance = Random(self.seed + len(records))
        line = [record for record in records for _ in range(self.times)]
        if self.is_shuffled:
            line = _shuffle(line, chance)
        batches, start = [], 0
        while start < len(line):
            size = chance.randint(1, self.batch) if self.times > 1 else self.batch
            batches.append(line[start : start + size])
            start += size
        # Offsets that were not committed bring a whole batch again.
        return [batch for batch in batches for _ in range(self.times)]


def _shuffle(records: Sequence[Received], chance: Random) -> list[Received]:
    waiting: defaultdict[tuple[str, str], list[Received]] = defaultdict(list)
    for record in reversed(records):
        waiting[record.topic, record.key].append(record)
    line = []
    while waiting:
        key = chance.choice(list(waiting))
        line.append(waiting[key].pop())
        if not waiting[key]:
            del waiting[key]
    return line


@dataclass(kw_only=True)
class World:
    """The four services; `held` are records that the bus keeps back, by service and topic."""

    clients: dict[str, httpx.AsyncClient]
    sessions: dict[str, Sessions]
    post: Post
    said: list[Received] = field(default_factory=list)
    backlog: defaultdict[str, list[Received]] = field(default_factory=lambda: defaultdict(list))
    deaf: set[tuple[str, str]] = field(default_factory=set)

    async def rows(self, service: str, query: str, **given: Any) -> list[Any]:
        async with self.sessions[service]() as session:
            return list(await session.execute(text(query), given))

    async def value(self, service: str, query: str, **given: Any) -> Any:
        ((found,),) = await self.rows(service, query, **given)
        return found

    async def do(self, service: str, statement: str, **given: Any) -> None:
        async with self.sessions[service].begin() as session:
            await session.execute(text(statement), given)

    async def send(self, service: str, path: str, body: Any, head: dict[str, str]) -> Any:
        answer = await self.clients[service].post(path, json=body, headers=head)
        assert answer.status_code < 300, f"{path}: {answer.text}"
        return answer.json()

    async def get(self, service: str, path: str, head: dict[str, str]) -> Any:
        answer = await self.clients[service].get(path, headers=head)
        assert answer.status_code == 200, f"{path}: {answer.text}"
        return answer.json()

    async def pump(self) -> int:
        """Let everything that waits to leave arrive at all who hear its topic; return how much moved."""
        for service in SERVICES:
            async with self.sessions[service].begin() as session:
                left = [_received(row) for row in await session.execute(text(TAKE))]
            self.said += left
            for hearer, topics in HEARS.items():
                self.backlog[hearer] += [record for record in left if record.topic in topics]
        moved = 0
        for hearer in HEARS:
            kept = [record for record in self.backlog[hearer] if (hearer, record.topic) in self.deaf]
            due = [record for record in self.backlog[hearer] if (hearer, record.topic) not in self.deaf]
            self.backlog[hearer] = kept
            moved += await self._deliver(hearer, due, self.post)
        return moved

    async def tick(self) -> int:
        """Run every timer of every service once, and the solver."""
        done = 0
        for service in SERVICES:
            timers: Sequence[Timer] = import_module(f"services.{service}.timers").TIMERS
            for timer in timers:
                async with self.sessions[service].begin() as session:
                    done += await timer.run(session, await database.now(session))
        while await solving.solve_next(self.sessions["dispatch"], solve_here):
            done += 1
        return done

    async def settle(self) -> None:
        """Pump and tick until nothing moves."""
        for _ in range(60):
            moved = await self.pump()
            if not moved + await self.tick():
                return
        raise AssertionError("the town does not come to rest")

    async def tell_again(self, post: Post) -> None:
        """Bring everything that was ever said once more."""
        for hearer, topics in HEARS.items():
            await self._deliver(hearer, [record for record in self.said if record.topic in topics], post)

    async def snapshot(self) -> dict[str, list[str]]:
        """Return every row of every table that is not the machinery's."""
        seen = {}
        for service in SERVICES:
            for (table,) in await self.rows(service, LIST_TABLES):
                if table not in MACHINERY:
                    found = await self.rows(service, f"SELECT row::text FROM {table} AS row ORDER BY 1")
                    seen[f"{service}.{table}"] = [row[0] for row in found]
        return seen

    async def _deliver(self, hearer: str, records: Sequence[Received], post: Post) -> int:
        handlers = import_module(f"services.{hearer}.consumers").HANDLERS
        return sum(
            [
                await consumer.deliver(self.sessions[hearer], batch, consumer=hearer, handlers=handlers)
                for batch in post.cut(records)
            ]
        )


def _received(row: Any) -> Received:
    recorded_at: datetime = row.recorded_at
    return Received(
        topic=row.topic,
        key=row.key,
        value=row.payload.encode(),
        event_id=UUID(str(row.event_id)),
        name=row.type,
        sequence=row.version,
        recorded_at=recorded_at,
        correlation_id=row.trace,
    )


async def make_world(
    stack: AsyncExitStack, database_of: Callable[[str], Awaitable[str]], folder: Path, post: Post
) -> World:
    """Start four services on databases of their own."""
    clients, sessions = {}, {}
    for service in SERVICES:
        url = await database_of(service)
        engine = database.create_engine(url)
        stack.push_async_callback(engine.dispose)
        sessions[service] = database.create_sessions(engine)
        kind = getattr(import_module(f"services.{service}.settings"), f"{service.capitalize()}Settings")
        settings = serving.make_settings(kind, folder, url)
        create_app = import_module(f"services.{service}.main").create_app
        clients[service] = await stack.enter_async_context(serving.client_of(create_app, settings))
    return World(clients=clients, sessions=sessions, post=post)
