"""Whitelist's word on people as orders knows it: until when each is cleared for anything, or that none is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

# Of a person of whom nothing was heard yet the duty counts: a word that is late must not shut a building out.
IS_NOT_SUSPENDED: Final = """NOT EXISTS (
    SELECT FROM clearances AS word
    WHERE word.person_id = duty.person_id AND (word.cleared_until IS NULL OR word.cleared_until <= :now))
"""
LOCK_PEOPLE = text("""
    SELECT pg_advisory_xact_lock(hashtextextended('orders.person ' || person_id, 0))
    FROM (SELECT DISTINCT unnest(CAST(:person_ids AS uuid[])) AS person_id ORDER BY person_id) AS people
""")
SAVE = text("""
    INSERT INTO clearances AS word (person_id, sequence, cleared_until)
    SELECT * FROM unnest(
        CAST(:person_ids AS uuid[]), CAST(:sequences AS bigint[]), CAST(:moments AS timestamptz[])
    ) AS given (person_id, sequence, cleared_until)
    ORDER BY person_id
    ON CONFLICT (person_id) DO UPDATE SET
        sequence = excluded.sequence, cleared_until = excluded.cleared_until
    WHERE word.sequence < excluded.sequence
    RETURNING person_id
""")
LIST_BUILDINGS = text("""
    SELECT DISTINCT building_id FROM building_stewards JOIN duties USING (duty_id)
    WHERE person_id = ANY(CAST(:person_ids AS uuid[]))
""")


@dataclass(frozen=True, slots=True)
class Word:
    """What was said of a person: cleared for some class of zones until a moment; None: suspended."""

    person_id: UUID
    cleared_until: datetime | None
    sequence: int


async def lock_people(session: AsyncSession, person_ids: Iterable[UUID]) -> None:
    """Let nobody else take in a word on these people: of two at once the second sees the first."""
    await session.execute(LOCK_PEOPLE, {"person_ids": list(person_ids)})


async def save_words(session: AsyncSession, words: Sequence[Word]) -> Sequence[UUID]:
    """Keep the newest word on each person; return the buildings of those of whom it was news."""
    given = {
        "person_ids": [word.person_id for word in words],
        "sequences": [word.sequence for word in words],
        "moments": [word.cleared_until for word in words],
    }
    newer = (await session.execute(SAVE, given)).scalars().all()
    return (await session.execute(LIST_BUILDINGS, {"person_ids": newer})).scalars().all()
