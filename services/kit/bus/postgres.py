"""The bus in a small PostgreSQL database of its own: for one machine, with the promises of Kafka's."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

import asyncpg
import structlog

from services.kit import crash_points, failures
from services.kit.bus import postgres_tables
from services.kit.bus.postgres_tables import CHANNEL
from services.kit.bus.records import Received, Record, read_or_skip
from services.kit.bus.transport import BusUnavailable
from services.kit.outbox import PARTITIONS, partition_of
from services.kit.shares import Shares

log = structlog.get_logger()

FETCH: Final = 500
# However many partitions a member has, each gives so many at once.
FETCH_OF_PARTITION: Final = 40
SETTLES_EVERY: Final = 1.0
CLEANS_EVERY: Final = 60.0
ANSWERS_WITHIN: Final = 10.0
SETTINGS: Final = {"synchronous_commit": "on", "statement_timeout": "8000", "lock_timeout": "5000"}

LOCK_HEADS = """
    SELECT topic, partition, next_offset FROM bus_heads
    WHERE (topic, partition) IN (SELECT * FROM unnest($1::text[], $2::smallint[]))
    ORDER BY topic, partition FOR UPDATE
"""
MOVE_HEADS = """
    UPDATE bus_heads AS head SET next_offset = moved.next_offset
    FROM unnest($1::text[], $2::smallint[], $3::bigint[]) AS moved (topic, partition, next_offset)
    WHERE head.topic = moved.topic AND head.partition = moved.partition
"""
INSERT = """
    INSERT INTO bus_records (topic, partition, record_offset, key, value, header_names, header_values)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
READ_OFFSETS = "SELECT partition, next_offset FROM bus_offsets WHERE group_id = $1"
READ = """
    SELECT record.* FROM unnest($1::text[], $2::smallint[], $3::bigint[]) AS mine (topic, partition, position)
    CROSS JOIN LATERAL (
        SELECT topic, partition, record_offset, key, value, header_names, header_values FROM bus_records
        WHERE topic = mine.topic AND partition = mine.partition AND record_offset >= mine.position
        ORDER BY record_offset LIMIT $4
    ) AS record
    ORDER BY record.topic, record.partition, record.record_offset
"""
COMMIT = """
    INSERT INTO bus_offsets (group_id, partition, next_offset)
    SELECT * FROM unnest($1::int[], $2::smallint[], $3::bigint[])
    ON CONFLICT (group_id, partition) DO UPDATE SET next_offset = EXCLUDED.next_offset
"""

Place = tuple[str, int]


class PostgresSender:
    """Draws offsets under the lock of each partition's head: who commits first has the lower ones.

    So a reader that has seen an offset will never find a lower one later.
    """

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._cleaned = float("-inf")

    async def send(self, records: Sequence[Record]) -> None:
        """Send all or nothing; where the connection breaks in the commit, all may have been sent."""
        if not records:
            return
        with _telling():
            async with asyncio.timeout(ANSWERS_WITHIN):
                await self._insert(records)
                await self._clean()

    async def _insert(self, records: Sequence[Record]) -> None:
        placed = [(record, (record.topic, partition_of(record.key))) for record in records]
        places = sorted({place for _, place in placed})
        async with self._connection.transaction():
            heads = await self._connection.fetch(LOCK_HEADS, *_columns(places))
            upcoming: Counter[Place] = Counter(
                {(row["topic"], row["partition"]): row["next_offset"] for row in heads}
            )
            if missing := {topic for topic, _ in places} - {topic for topic, _ in upcoming}:
                raise BusUnavailable(f"no such topic: {', '.join(sorted(missing))}")
            rows = []
            for record, place in placed:
                rows.append(_row_of(record, place, upcoming[place]))
                upcoming[place] += 1
            await self._connection.executemany(INSERT, rows)
            await self._connection.execute(
                MOVE_HEADS, *_columns(places), [upcoming[place] for place in places]
            )
            await crash_points.reach("relay.sent")
            # Rung at the commit; the lock NOTIFY takes there holds up nobody but this small database.
            for topic in sorted({topic for topic, _ in places}):
                await self._connection.execute("SELECT pg_notify($1, $2)", CHANNEL, topic)

    async def _clean(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._cleaned < CLEANS_EVERY:
            return
        try:
            more = await postgres_tables.delete_old(self._connection)
        except asyncpg.PostgresError as error:
            # What is sent is sent: raised, this would have it sent again, for ever.
            log.warning("cleaning.failed", error=type(error).__name__)
            more = False
        if not more:
            self._cleaned = now


class PostgresReceiver:
    """Owns partitions by advisory locks on the connection it reads with; its cursor is in memory."""

    def __init__(self, connection: asyncpg.Connection, shares: dict[str, tuple[int, Shares]]) -> None:
        self._connection = connection
        self._shares = shares
        self._positions: dict[Place, int] = {}
        self._done: dict[Place, int] = {}
        self._rung = asyncio.Event()
        self._settled = float("-inf")

    def ring(self, topic: str) -> None:
        """Wake up a fetch that waits for `topic`."""
        if topic in self._shares:
            self._rung.set()

    async def fetch(self, *, within: float) -> list[Received]:
        """Return what follows the last fetch, each partition in order, waiting so many seconds for it."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + within
        while True:
            self._rung.clear()
            with _telling():
                async with asyncio.timeout(ANSWERS_WITHIN):
                    if loop.time() - self._settled >= SETTLES_EVERY:
                        await self._settle()
                        self._settled = loop.time()
                    found = await self._read()
            if found or loop.time() >= ends:
                return found
            try:
                async with asyncio.timeout(min(ends - loop.time(), SETTLES_EVERY)):
                    await self._rung.wait()
            except TimeoutError:
                continue

    async def commit(self) -> None:
        """Note that all fetched is applied: on the owning connection, so that who lost it moves nothing."""
        if not self._done:
            return
        ids = [self._shares[topic][0] for topic, _ in self._done]
        partitions = [partition for _, partition in self._done]
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                await self._connection.execute(COMMIT, ids, partitions, list(self._done.values()))
        except failures.LOST_CONNECTION as error:
            log.info("commit.failed", error=type(error).__name__)
            return
        self._done.clear()

    async def _settle(self) -> None:
        owned: dict[Place, int] = {}
        for topic, (group_id, shares) in self._shares.items():
            before = {partition for name, partition in self._positions if name == topic}
            await shares.settle()
            # Read after the lock is held: the owner before may have committed until then.
            fresh = shares.owned - before
            if fresh:
                await crash_points.reach("consumer.rebalanced")
            rows = await self._connection.fetch(READ_OFFSETS, group_id) if fresh else []
            committed = {row["partition"]: row["next_offset"] for row in rows}
            for partition in shares.owned:
                place = (topic, partition)
                owned[place] = self._positions.get(place, committed.get(partition, 0))
        self._positions = owned
        self._done = {place: done for place, done in self._done.items() if place in owned}

    async def _read(self) -> list[Received]:
        if not self._positions:
            return []
        limit = max(FETCH // len(self._positions), FETCH_OF_PARTITION)
        rows = await self._connection.fetch(
            READ, *_columns(list(self._positions)), list(self._positions.values()), limit
        )
        for row in rows:
            place = (row["topic"], row["partition"])
            self._positions[place] = self._done[place] = row["record_offset"] + 1
        read = [read_or_skip(_record_of(row)) for row in rows]
        return [received for received in read if received]


@dataclass(frozen=True, slots=True)
class PostgresBus:
    """The embedded bus in the database at `url`; it is no distributed log and must not grow into one."""

    url: str
    # A member that is frozen keeps its connection, and with it its partitions: the server ends that one.
    frozen_after: float = 30.0

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[PostgresSender]:
        """Open a connection to send on; on any error leave, and open a fresh one."""
        async with _connected(self.url, SETTINGS) as connection:
            yield PostgresSender(connection)

    @asynccontextmanager
    async def receiving(self, *, group: str, topics: Sequence[str]) -> AsyncIterator[PostgresReceiver]:
        """Join `group`; a new group begins with the oldest record there is."""
        frozen = {"idle_session_timeout": str(int(self.frozen_after * 1000))}
        async with _connected(self.url, SETTINGS | frozen) as connection:
            with _telling():
                ids = {topic: await postgres_tables.join(connection, group, topic) for topic in topics}
                shares = {
                    topic: (group_id, Shares(connection, space=group_id, count=PARTITIONS))
                    for topic, group_id in ids.items()
                }
                receiver = PostgresReceiver(connection, shares)
                await connection.add_listener(CHANNEL, lambda *heard: receiver.ring(str(heard[3])))
            yield receiver

    async def make_topics(self, names: Sequence[str], *, within: float) -> None:
        """Make the tables and topics that are missing, waiting up to `within` seconds for the server."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + within
        while True:
            try:
                async with _connected(self.url, SETTINGS) as connection:
                    with _telling():
                        return await postgres_tables.create(connection, names)
            except BusUnavailable:
                if loop.time() >= ends:
                    raise
            await asyncio.sleep(0.2)


@asynccontextmanager
async def _connected(url: str, settings: dict[str, str]) -> AsyncIterator[asyncpg.Connection]:
    with _telling():
        connection = await asyncpg.connect(
            url, timeout=ANSWERS_WITHIN, command_timeout=ANSWERS_WITHIN, server_settings=settings
        )
    try:
        yield connection
    finally:
        # Closed at once, without a farewell that could hang: the server ends what was in the middle.
        connection.terminate()


@contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except failures.LOST_CONNECTION as error:
        raise BusUnavailable(f"PostgreSQL: {type(error).__name__}") from error


def _columns(places: Sequence[Place]) -> tuple[list[str], list[int]]:
    return [topic for topic, _ in places], [partition for _, partition in places]


def _row_of(record: Record, place: Place, offset: int) -> tuple[object, ...]:
    names = [name for name, _ in record.headers]
    return (*place, offset, record.key, record.value, names, [value for _, value in record.headers])


def _record_of(row: asyncpg.Record) -> Record:
    headers = zip(row["header_names"], row["header_values"], strict=True)
    return Record(row["topic"], row["key"], row["value"], tuple(headers))
