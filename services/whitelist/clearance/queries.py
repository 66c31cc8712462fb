"""SQL and locks of what was said of people."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

FIND = text("""
    SELECT person_id, sequence, said FROM standings WHERE person_id = ANY(CAST(:person_ids AS uuid[]))
""")
WRITE = text("""
    INSERT INTO standings (person_id, sequence, said, judged_at, judged_again_at)
    SELECT person_id, sequence, said, :judged_at, judged_again_at
    FROM unnest(
        CAST(:person_ids AS uuid[]), CAST(:sequences AS bigint[]), CAST(:said AS jsonb[]),
        CAST(:judged_again_at AS timestamptz[])
    ) AS row (person_id, sequence, said, judged_again_at)
    ORDER BY person_id
    ON CONFLICT (person_id) DO UPDATE SET
        sequence = excluded.sequence, said = excluded.said, judged_at = excluded.judged_at,
        judged_again_at = excluded.judged_again_at
""")
# Locks people, as every judgement does before it reads; what another worker is at is passed over.
LOCK_LAPSED = text("""
    SELECT people.id FROM people JOIN standings ON standings.person_id = people.id
    WHERE standings.judged_again_at <= :now
    ORDER BY people.id LIMIT :most
    FOR NO KEY UPDATE OF people SKIP LOCKED
""")

Said = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """What was last said of a person, and how often something was said."""

    person_id: UUID
    sequence: int
    said: Said
    judged_again_at: datetime | None = None


async def find_standings(session: AsyncSession, person_ids: Iterable[UUID]) -> dict[UUID, Standing]:
    """Return what was last said of those people of whom anything was."""
    rows = await session.execute(FIND, {"person_ids": sorted(set(person_ids))})
    return {row.person_id: Standing(row.person_id, row.sequence, row.said) for row in rows}


async def write_standings(session: AsyncSession, standings: Sequence[Standing], *, now: datetime) -> None:
    """Keep what is said now."""
    await session.execute(
        WRITE,
        {
            "person_ids": [standing.person_id for standing in standings],
            "sequences": [standing.sequence for standing in standings],
            "said": [orjson.dumps(standing.said).decode() for standing in standings],
            "judged_again_at": [standing.judged_again_at for standing in standings],
            "judged_at": now,
        },
    )


async def lock_lapsed(session: AsyncSession, now: datetime, *, most: int) -> list[UUID]:
    """Lock people whose verdict time alone may have changed."""
    rows = await session.execute(LOCK_LAPSED, {"now": now, "most": most})
    return list(rows.scalars())
