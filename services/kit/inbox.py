"""What arrives: marked in the transaction of its effect, so that a second delivery changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.kit import arrays

MARK = text("""
    INSERT INTO inbox (consumer, event_day, event_id)
    SELECT :consumer, day, id FROM unnest((:days)::text::date[], (:ids)::text::uuid[]) AS row (day, id)
    ORDER BY day, id
    ON CONFLICT DO NOTHING
    RETURNING event_id
""")


@dataclass(frozen=True, slots=True)
class Mark:
    """One event as the inbox knows it; the day is the producer's, so a late copy meets the same partition."""

    event_day: date
    event_id: UUID


async def mark_new(session: AsyncSession, *, consumer: str, marks: Sequence[Mark]) -> set[UUID]:
    """Mark what `consumer` has not applied before and return those ids; the rest was applied already."""
    result = await session.execute(
        MARK,
        {
            "consumer": consumer,
            "days": arrays.literal([mark.event_day for mark in marks]),
            "ids": arrays.literal([mark.event_id for mark in marks]),
        },
    )
    return set(result.scalars())
