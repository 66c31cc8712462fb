"""Pending rows to the bus: one relay per shard, in the order of ids, deleted when all are acknowledged."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

import asyncpg

from services.kit import crash_points, shares
from services.kit.bus.records import Record, make_headers

# Sends in order and returns when all are acknowledged, or raises; what then became of each is unknown.
Send = Callable[[Sequence[Record]], Awaitable[None]]

BATCH = 500
ACKNOWLEDGED_WITHIN = 10.0
LOCK_SPACE = 0x0B7A  # the first half of the advisory lock's key; the second is the shard

READ = """
    SELECT p.id, e.event_id, e.topic, e.key, e.version, e.type, e.payload::text AS payload, e.trace,
           e.recorded_at
    FROM (SELECT id, day FROM outbox_pending WHERE shard = $1 ORDER BY id LIMIT $2) AS p
    JOIN outbox_event AS e ON e.day = p.day AND e.id = p.id
    ORDER BY p.id
"""
FIND_BUSY = """
    SELECT shard FROM unnest($1::smallint[]) AS mine (shard)
    WHERE EXISTS (SELECT FROM outbox_pending WHERE outbox_pending.shard = mine.shard)
    ORDER BY shard
"""
DELETE = "DELETE FROM outbox_pending WHERE shard = $1 AND id = ANY($2::bigint[])"


async def own_shard(connection: asyncpg.Connection, shard: int) -> bool:
    """Try to own `shard` until `connection` closes; the lock lives on the connection that reads.

    A relay that lost its connection has lost its shards with it, and can read nothing more of them.
    """
    return await shares.take(connection, LOCK_SPACE, shard)


async def find_busy(connection: asyncpg.Connection, shards: Iterable[int]) -> list[int]:
    """Return those of `shards` that have something pending: one question, however often nothing is."""
    return [shard for (shard,) in await connection.fetch(FIND_BUSY, list(shards))]


async def send_pending(connection: asyncpg.Connection, shard: int, send: Send, *, limit: int = BATCH) -> int:
    """Send the oldest `limit` events of an owned shard and return how many went.

    On any error nothing is deleted: the same events are read and sent again. The caller then discards
    its producer, whose numbering no longer agrees with the broker's.
    """
    rows = await connection.fetch(READ, shard, limit)
    if not rows:
        return 0
    await crash_points.reach("relay.selected")
    async with asyncio.timeout(ACKNOWLEDGED_WITHIN):
        await send([_record_of(row) for row in rows])
    await crash_points.reach("relay.acked")
    await connection.execute(DELETE, shard, [row["id"] for row in rows])
    await crash_points.reach("relay.deleted")
    return len(rows)


def _record_of(row: asyncpg.Record) -> Record:
    headers = make_headers(
        event_id=row["event_id"],
        name=row["type"],
        sequence=row["version"],
        recorded_at=row["recorded_at"],
        correlation_id=row["trace"],
    )
    return Record(topic=row["topic"], key=row["key"], value=row["payload"].encode(), headers=headers)
