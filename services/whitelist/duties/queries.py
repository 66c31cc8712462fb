"""SQL and locks of duties."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.kit.ids import new_id
from services.whitelist.duties.domain import Duty
from services.whitelist.duties.tables import DutyRow

# What is there already is only touched where it says something else; a row not returned is unchanged.
UPSERT = text("""
    WITH given AS (
        SELECT id, person_id, role, community_id, starts_at, ends_at,
               CAST(ARRAY(SELECT jsonb_array_elements_text(buildings)) AS uuid[]) AS building_ids
        FROM unnest(
            CAST(:ids AS uuid[]), CAST(:person_ids AS uuid[]), CAST(:roles AS text[]),
            CAST(:community_ids AS uuid[]), CAST(:starts_at AS timestamptz[]),
            CAST(:ends_at AS timestamptz[]), CAST(:building_ids AS jsonb[])
        ) AS row (id, person_id, role, community_id, starts_at, ends_at, buildings)
    )
    INSERT INTO duties (id, person_id, role, community_id, building_ids, starts_at, ends_at)
    SELECT id, person_id, role, community_id, building_ids, starts_at, ends_at FROM given
    ORDER BY person_id, role, community_id, starts_at
    ON CONFLICT (person_id, role, community_id, starts_at) DO UPDATE SET
        building_ids = excluded.building_ids, ends_at = excluded.ends_at, sequence = duties.sequence + 1
    WHERE (duties.building_ids, duties.ends_at) IS DISTINCT FROM (excluded.building_ids, excluded.ends_at)
    RETURNING id, person_id, role, community_id, starts_at, sequence
""")
FIND = text("""
    SELECT duties.id, person_id, role, community_id, starts_at, sequence
    FROM duties JOIN unnest(
        CAST(:person_ids AS uuid[]), CAST(:roles AS text[]), CAST(:community_ids AS uuid[]),
        CAST(:starts_at AS timestamptz[])
    ) AS row (person_id, role, community_id, starts_at) USING (person_id, role, community_id, starts_at)
""")

Identity = tuple[UUID, str, UUID, object]


@dataclass(frozen=True, slots=True)
class Written:
    """A duty's row: its id, how often it was said, and whether this was one of those times."""

    duty_id: UUID
    sequence: int
    is_news: bool


async def upsert(session: AsyncSession, duties: Sequence[Duty]) -> dict[Identity, Written]:
    """Write duties, of which no two are the same; return what became of each by its identity."""
    if not duties:
        return {}
    identities = {
        "person_ids": [duty.person_id for duty in duties],
        "roles": [duty.role.value for duty in duties],
        "community_ids": [duty.community_id for duty in duties],
        "starts_at": [duty.starts_at for duty in duties],
    }
    changed = await session.execute(
        UPSERT,
        {
            **identities,
            "ids": [new_id() for _ in duties],
            "ends_at": [duty.ends_at for duty in duties],
            "building_ids": [
                "[" + ",".join(f'"{building_id}"' for building_id in duty.building_ids) + "]"
                for duty in duties
            ],
        },
    )
    news = {tuple(row[1:5]): Written(row.id, row.sequence, is_news=True) for row in changed}
    there = await session.execute(FIND, identities)
    return {tuple(row[1:5]): Written(row.id, row.sequence, is_news=False) for row in there} | news


async def list_duties(
    session: AsyncSession, *, community_id: UUID | None, after: UUID | None, limit: int
) -> Sequence[DutyRow]:
    """Return a page of duties in the order of their ids."""
    wanted = select(DutyRow).order_by(col(DutyRow.id)).limit(limit)
    if community_id is not None:
        wanted = wanted.where(col(DutyRow.community_id) == community_id)
    if after is not None:
        wanted = wanted.where(col(DutyRow.id) > after)
    return (await session.execute(wanted)).scalars().all()
