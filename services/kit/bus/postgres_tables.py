"""The tables of the embedded bus."""

from collections.abc import Sequence
from typing import Final

import asyncpg

from services.kit.bus.transport import KEEPS_DAYS
from services.kit.outbox import PARTITIONS

CHANNEL: Final = "baton_bus"
DELETE_BATCH: Final = 5000
CREATE_LOCK: Final = 0x0B7C

CREATE = """
    CREATE TABLE IF NOT EXISTS bus_heads (
        topic text NOT NULL,
        partition smallint NOT NULL,
        next_offset bigint NOT NULL DEFAULT 0,
        PRIMARY KEY (topic, partition)
    );
    CREATE TABLE IF NOT EXISTS bus_records (
        topic text NOT NULL,
        partition smallint NOT NULL,
        record_offset bigint NOT NULL,
        key text NOT NULL,
        value bytea NOT NULL,
        header_names text[] NOT NULL,
        header_values bytea[] NOT NULL,
        sent_at timestamptz NOT NULL DEFAULT transaction_timestamp(),
        PRIMARY KEY (topic, partition, record_offset)
    );
    CREATE INDEX IF NOT EXISTS bus_records_sent_at ON bus_records (sent_at);
    CREATE TABLE IF NOT EXISTS bus_groups (
        id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        group_name text NOT NULL,
        topic text NOT NULL,
        UNIQUE (group_name, topic)
    );
    CREATE TABLE IF NOT EXISTS bus_offsets (
        group_id int NOT NULL REFERENCES bus_groups,
        partition smallint NOT NULL,
        next_offset bigint NOT NULL,
        PRIMARY KEY (group_id, partition)
    );
"""
ADD_HEADS = """
    INSERT INTO bus_heads (topic, partition)
    SELECT topic, partition FROM unnest($1::text[]) AS topic, generate_series(0, $2 - 1) AS partition
    ORDER BY topic, partition
    ON CONFLICT DO NOTHING
"""
JOIN = "INSERT INTO bus_groups (group_name, topic) VALUES ($1, $2) ON CONFLICT DO NOTHING"
FIND = "SELECT id FROM bus_groups WHERE group_name = $1 AND topic = $2"
DELETE_OLD = """
    DELETE FROM bus_records WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM bus_records WHERE sent_at < now() - make_interval(days => $1)
        ORDER BY sent_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ))
"""


async def create(connection: asyncpg.Connection, topics: Sequence[str]) -> None:
    """Make what is missing of tables and topics; of two at once the second waits and finds it made."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", CREATE_LOCK)
        await connection.execute(CREATE)
        await connection.execute(ADD_HEADS, topics, PARTITIONS)


async def join(connection: asyncpg.Connection, group: str, topic: str) -> int:
    """Return the number of a group's reading of a topic; it is also the space of its partitions' locks."""
    await connection.execute(JOIN, group, topic)
    return int(await connection.fetchval(FIND, group, topic))


async def delete_old(connection: asyncpg.Connection, *, limit: int = DELETE_BATCH) -> bool:
    """Delete up to `limit` records older than seven days, oldest first; say whether there may be more."""
    done = await connection.execute(DELETE_OLD, KEEPS_DAYS, limit)
    return int(done.split()[-1]) == limit
