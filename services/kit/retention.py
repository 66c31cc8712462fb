"""What grows with the clock, not with what people do, is forgotten after so many days, in bounded batches."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import CursorResult, TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.timers import Timer

LOOKS_EVERY: Final = 3600.0
BATCH: Final = 500
PATIENCE: Final = text("SET LOCAL statement_timeout = '4 s'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Rows of `table` are kept so many days.

    `delete` removes at most `:limit` of those from before `:before`, passes over what others hold, and is
    served by an index: however much is kept, it holds up nobody.
    """

    table: str
    days: int
    delete: TextClause
    batch: int = BATCH


# Of what is only reported (counts, logs of hand-overs) each item is told apart by itself; a key is for the
# client's own retries, and nobody retries for a month.
KEYS: Final = Retention(
    table="idempotency",
    days=30,
    delete=text("""
        DELETE FROM idempotency WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM idempotency WHERE is_report AND accepted_at < :before
            ORDER BY accepted_at LIMIT :limit FOR UPDATE SKIP LOCKED
        ))
    """),
)


def forgetting(retention: Retention) -> Timer:
    """Return the timer that forgets by a retention: a batch in each transaction until none is left."""

    async def forget(session: AsyncSession, now: datetime) -> int:
        # What is kept for good is looked through too: it may take longer than a request, and blocks nobody.
        await session.execute(PATIENCE)
        before = now - timedelta(days=retention.days)
        done = await session.execute(retention.delete, {"before": before, "limit": retention.batch})
        assert isinstance(done, CursorResult)  # noqa: S101 - what a DELETE gives
        return done.rowcount

    return Timer(f"forget_{retention.table}", every=LOOKS_EVERY, run=forget)
