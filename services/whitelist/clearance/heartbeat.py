"""The heartbeat of whitelist's topic, a word for each partition: it tells a quiet stream from a dead one."""

from datetime import datetime, timedelta
from functools import cache
from itertools import count
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.whitelist import Heartbeat
from services.kit import outbox

EVERY: Final = timedelta(seconds=15)

# Compare and set: of two workers the second finds the moment of the first and does nothing.
BEAT = text("""
    WITH due AS MATERIALIZED (
        SELECT partition FROM heartbeats WHERE beat_at <= :last_due_at
        ORDER BY partition FOR UPDATE SKIP LOCKED
    )
    UPDATE heartbeats SET sequence = sequence + 1, beat_at = :now
    FROM due WHERE heartbeats.partition = due.partition
    RETURNING heartbeats.partition, sequence
""")


async def beat(session: AsyncSession, now: datetime) -> int:
    """Say on each partition that whitelist lives, where the last beat is 15 s old; return on how many."""
    rows = (await session.execute(BEAT, {"now": now, "last_due_at": now - EVERY})).all()
    words = words_of_partitions()
    await outbox.add_all(
        session,
        [
            (
                Heartbeat(partition=row.partition, key_of_partition=words[row.partition], beat_at=now),
                row.sequence,
            )
            for row in rows
        ],
    )
    return len(rows)


@cache
def words_of_partitions() -> tuple[str, ...]:
    """Return for each partition the first of our words that the bus puts there."""
    words: dict[int, str] = {}
    for number in count():
        word = f"heartbeat-{number}"
        words.setdefault(outbox.partition_of(word), word)
        if len(words) == outbox.PARTITIONS:
            break
    return tuple(words[partition] for partition in range(outbox.PARTITIONS))
