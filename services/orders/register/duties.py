"""Whitelist's duties as orders knows them: who is the steward of which building, from when until when."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.whitelist import DutyStated
from services.orders.register.clearances import IS_NOT_SUSPENDED

IS_ON_DUTY = text(f"""
    SELECT EXISTS (
        SELECT FROM building_stewards JOIN duties AS duty USING (duty_id)
        WHERE building_id = :building_id AND person_id = :person_id AND starts_at <= :now AND :now < ends_at
          AND {IS_NOT_SUSPENDED}
    )
""")  # noqa: S608 - the condition is written beside its table
SAVE_DUTIES = text("""
    INSERT INTO duties AS duty (
        duty_id, person_id, role, community_id, building_ids, starts_at, ends_at, sequence, due_at)
    SELECT duty_id, person_id, role, community_id, CAST(string_to_array(buildings, ',') AS uuid[]), starts_at,
           ends_at, sequence, CASE WHEN starts_at > :now THEN starts_at END
    FROM unnest(
        CAST(:duty_ids AS uuid[]), CAST(:person_ids AS uuid[]), CAST(:roles AS text[]),
        CAST(:community_ids AS uuid[]), CAST(:buildings AS text[]), CAST(:starts AS timestamptz[]),
        CAST(:ends AS timestamptz[]), CAST(:sequences AS bigint[])
    ) AS given (duty_id, person_id, role, community_id, buildings, starts_at, ends_at, sequence)
    ORDER BY duty_id
    ON CONFLICT (duty_id) DO UPDATE SET
        person_id = excluded.person_id, role = excluded.role, community_id = excluded.community_id,
        building_ids = excluded.building_ids, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
        sequence = excluded.sequence, due_at = excluded.due_at
    WHERE duty.sequence < excluded.sequence
    RETURNING duty_id
""")
DROP_STEWARDS = text("DELETE FROM building_stewards WHERE duty_id = ANY(CAST(:duty_ids AS uuid[]))")
ADD_STEWARDS = text("""
    INSERT INTO building_stewards (building_id, duty_id)
    SELECT DISTINCT building_id, duty_id FROM duties, unnest(building_ids) AS building_id
    WHERE duty_id = ANY(CAST(:duty_ids AS uuid[]))
    RETURNING building_id
""")
CLAIM_DUE = text("""
    UPDATE duties SET due_at = NULL
    WHERE duty_id IN (SELECT duty_id FROM duties WHERE due_at <= :now
                      ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING building_ids
""")


async def save_duties(
    session: AsyncSession, duties: Sequence[tuple[DutyStated, int, Sequence[UUID]]], *, now: datetime
) -> Sequence[UUID]:
    """Keep duties, each with its sequence and the buildings it stewards; an older word changes nothing."""
    saved = await session.execute(
        SAVE_DUTIES,
        {
            "duty_ids": [duty.duty_id for duty, _, _ in duties],
            "person_ids": [duty.person_id for duty, _, _ in duties],
            "roles": [duty.role for duty, _, _ in duties],
            "community_ids": [duty.community_id for duty, _, _ in duties],
            "buildings": [",".join(map(str, buildings)) for _, _, buildings in duties],
            "starts": [duty.starts_at for duty, _, _ in duties],
            "ends": [duty.ends_at for duty, _, _ in duties],
            "sequences": [sequence for _, sequence, _ in duties],
            "now": now,
        },
    )
    newer = saved.scalars().all()
    await session.execute(DROP_STEWARDS, {"duty_ids": newer})
    return (await session.execute(ADD_STEWARDS, {"duty_ids": newer})).scalars().all()


async def claim_due_duties(session: AsyncSession, *, now: datetime, limit: int) -> tuple[int, Sequence[UUID]]:
    """Claim duties that have begun unseen; return how many, and the buildings they are for."""
    claimed = (await session.execute(CLAIM_DUE, {"now": now, "limit": limit})).all()
    return len(claimed), [building_id for row in claimed for building_id in row.building_ids]


async def is_steward_on_duty(
    session: AsyncSession, *, person_id: UUID, building_id: UUID, now: datetime
) -> bool:
    """Say whether a person is a steward on duty for a building at this moment, and not suspended."""
    given = {"person_id": person_id, "building_id": building_id, "now": now}
    return bool((await session.execute(IS_ON_DUTY, given)).scalar_one())
