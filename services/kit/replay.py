"""After the bus has lost everything: what has left in the last days leaves once more (promise P5)."""

from collections.abc import Sequence
from datetime import date
from typing import Final

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.kit import outbox, tables

BATCH: Final = 5000

READ = text("""
    SELECT day, id, key FROM outbox_event
    WHERE day >= :since AND (day, id) > (:day, :id) ORDER BY day, id LIMIT :limit
""")
PUT_BACK = text("""
    INSERT INTO outbox_pending (shard, id, day)
    SELECT * FROM unnest(CAST(:shards AS smallint[]), CAST(:ids AS bigint[]), CAST(:days AS date[]))
    ON CONFLICT DO NOTHING
""")


async def replay(connection: AsyncConnection, since_day: date, *, batch: int = BATCH) -> int:
    """Make every event of `since_day` and later pending again; return how many were not already.

    One transaction, the caller's: the relay sees all of it or none, and sends in the order of ids. To be done
    before the new bus has its topics, lest something newer leave first; consumers pass over what they know.
    """
    # A replay of seven days takes as long as it takes.
    await connection.execute(text("SET LOCAL statement_timeout = 0"))
    await tables.lock_partitions(connection)
    put_back, day, last = 0, since_day, 0
    while True:
        found = await connection.execute(READ, {"since": since_day, "day": day, "id": last, "limit": batch})
        rows = found.all()
        if not rows:
            return put_back
        put_back += await _put_back(connection, rows)
        day, last = rows[-1].day, rows[-1].id


async def _put_back(connection: AsyncConnection, rows: Sequence[Row[tuple[date, int, str]]]) -> int:
    result = await connection.execute(
        PUT_BACK,
        {
            "shards": [outbox.partition_of(row.key) for row in rows],
            "ids": [row.id for row in rows],
            "days": [row.day for row in rows],
        },
    )
    return result.rowcount
