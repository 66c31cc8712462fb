"""Pending rows to the bus: one relay per shard, in the order of ids, deleted when all are acknowledged."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence

import asyncpg

from services.kit import arrays, crash_points, shares
from services.kit.bus.records import Record, make_headers

# Sends in order and returns when all are acknowledged, or raises; what then became of each is unknown.
Send = Callable[[Sequence[Record]], Awaitable[None]]

# Of all shards together: so much is in memory at once, and is sent anew after a failure.
BATCH = 1200
ACKNOWLEDGED_WITHIN = 10.0
LOCK_SPACE = 0x0B7A  # the first half of the advisory lock's key; the second is the shard

READ = """
    SELECT mine.shard, p.id, e.event_id, e.topic, e.key, e.version, e.type, e.payload::text AS payload,
           e.trace, e.recorded_at
    FROM unnest($1::smallint[]) AS mine (shard)
    CROSS JOIN LATERAL (
        SELECT id, day FROM outbox_pending WHERE shard = mine.shard ORDER BY id LIMIT $2
    ) AS p
    JOIN outbox_event AS e ON e.day = p.day AND e.id = p.id
    ORDER BY mine.shard, p.id
"""
DELETE = """
    DELETE FROM outbox_pending USING unnest($1::text::smallint[], $2::text::bigint[]) AS gone (shard, id)
    WHERE outbox_pending.shard = gone.shard AND outbox_pending.id = gone.id
"""
# Both go by the keys' indexes, also while the statistics still know a table as empty.
PLANS = {"enable_hashjoin": "off", "enable_mergejoin": "off", "enable_seqscan": "off"}


async def own_shard(connection: asyncpg.Connection, shard: int) -> bool:
    """Try to own `shard` until `connection` closes; the lock lives on the connection that reads.

    A relay that lost its connection has lost its shards with it, and can read nothing more of them.
    """
    return await shares.take(connection, LOCK_SPACE, shard)


async def send_pending(
    connection: asyncpg.Connection, shards: Collection[int], send: Send, *, limit: int = BATCH
) -> int:
    """Send the oldest `limit` events of owned shards, each shard's part of them, and return how many went.

    On any error nothing is deleted: the same events are read and sent again. The caller then discards
    its producer, whose numbering no longer agrees with the broker's.
    """
    if not shards:
        return 0
    rows = await connection.fetch(READ, list(shards), max(1, limit // len(shards)))
    if not rows:
        return 0
    await crash_points.reach("relay.selected")
    async with asyncio.timeout(ACKNOWLEDGED_WITHIN):
        await send([_record_of(row) for row in rows])
    await crash_points.reach("relay.acked")
    shards_of, ids = [arrays.literal([row[name] for row in rows]) for name in ("shard", "id")]
    await connection.execute(DELETE, shards_of, ids)
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
    return Record(
        topic=row["topic"],
        key=row["key"],
        value=row["payload"].encode(),
        headers=headers,
        partition=row["shard"],
    )
