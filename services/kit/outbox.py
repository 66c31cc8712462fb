"""What leaves a service: rows written in the transaction of the change."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit import arrays, correlation
from services.kit.event import Event
from services.kit.ids import new_id
from services.kit.murmur import murmur2

PARTITIONS = 12

# Ids are drawn in the order given, after the sort; the two inserts share one set of them.
INSERT = text("""
    WITH given AS (
        SELECT * FROM unnest(
            (:shards)::text::smallint[], (:event_ids)::text::uuid[], CAST(:topics AS text[]),
            CAST(:keys AS text[]), (:versions)::text::bigint[], CAST(:types AS text[]),
            CAST(:payloads AS text[]), CAST(:traces AS text[])
        ) WITH ORDINALITY AS row (shard, event_id, topic, key, version, type, payload, trace, place)
        ORDER BY place
    ), numbered AS MATERIALIZED (
        SELECT nextval('outbox_event_id') AS id,
               (transaction_timestamp() AT TIME ZONE 'UTC')::date AS day, given.*
        FROM given
    ), events AS (
        INSERT INTO outbox_event (id, day, event_id, topic, key, version, type, payload, trace)
        SELECT id, day, event_id, topic, key, version, type, payload::jsonb, trace FROM numbered
    )
    INSERT INTO outbox_pending (shard, id, day) SELECT shard, id, day FROM numbered
""")


def partition_of(key: str) -> int:
    """Return the partition Kafka's own client would choose for `key`."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % PARTITIONS


async def add(session: AsyncSession, event: Event, *, sequence: int) -> None:
    """Let `event` leave if and only if this transaction commits; a batch of one."""
    await add_all(session, [(event, sequence)])


async def add_all(session: AsyncSession, events: Sequence[tuple[Event, int]]) -> None:
    """Let `events`, each with its sequence in its key (1, 2, 3…), leave in the order given.

    The caller holds the lock of each aggregate, so that the order of ids is the order of sequences.
    """
    if not events:
        return
    await session.execute(
        INSERT,
        {
            "shards": arrays.literal([partition_of(event.key) for event, _ in events]),
            "event_ids": arrays.literal([new_id() for _ in events]),
            "topics": [event.topic for event, _ in events],
            "keys": [event.key for event, _ in events],
            "versions": arrays.literal([sequence for _, sequence in events]),
            "types": [event.name for event, _ in events],
            "payloads": [event.model_dump_json() for event, _ in events],
            "traces": [correlation.of(event.key) for event, _ in events],
        },
    )
