"""SQL of clearances, duties and heartbeats."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from services.contracts.access import Role
from services.contracts.values import ZoneClass
from services.contracts.whitelist import DutyStated, Heartbeat
from services.dispatch.crew.domain import CrewClearance, Duty, Word
from services.dispatch.crew.tables import CrewRow
from services.dispatch.rows import to_json
from services.kit.event import Arrived
from services.kit.retention import Retention

PROJECT = text("""
    INSERT INTO crew (person_id, sequence, role, sealed_until, controlled_until, precaution_until,
                      is_suspended, codes)
    SELECT person_id, sequence, role, sealed_until, controlled_until, precaution_until, is_suspended,
           ARRAY(SELECT jsonb_array_elements_text(codes))
    FROM jsonb_to_recordset(CAST(:people AS jsonb)) AS row (
        person_id uuid, sequence bigint, role text, sealed_until timestamptz, controlled_until timestamptz,
        precaution_until timestamptz, is_suspended boolean, codes jsonb
    )
    ORDER BY person_id
    ON CONFLICT (person_id) DO UPDATE SET
        sequence = excluded.sequence, role = excluded.role, sealed_until = excluded.sealed_until,
        controlled_until = excluded.controlled_until, precaution_until = excluded.precaution_until,
        is_suspended = excluded.is_suspended, codes = excluded.codes
    WHERE crew.sequence < excluded.sequence
    RETURNING person_id
""")
KEEP = text("""
    INSERT INTO crew_history (person_id, sequence, said_from, role, sealed_until, controlled_until,
                              precaution_until, is_suspended)
    SELECT * FROM jsonb_to_recordset(CAST(:people AS jsonb)) AS row (
        person_id uuid, sequence bigint, said_from timestamptz, role text, sealed_until timestamptz,
        controlled_until timestamptz, precaution_until timestamptz, is_suspended boolean
    )
    ORDER BY person_id, sequence
    ON CONFLICT DO NOTHING
""")
# The newest word that was said by then; a word that came late stands in its place.
FIND_STANDING = text("""
    SELECT asked.at, said.* FROM unnest(
        CAST(:person_ids AS uuid[]), CAST(:moments AS timestamptz[])
    ) AS asked (person_id, at) CROSS JOIN LATERAL (
        SELECT * FROM crew_history
        WHERE crew_history.person_id = asked.person_id AND said_from <= asked.at
        ORDER BY sequence DESC LIMIT 1
    ) AS said
""")
# The word that stands at the limit is kept, and every later one: all that a late hand-over can be judged by.
OLD_WORDS = Retention(
    table="crew_history",
    days=90,
    delete=text("""
        DELETE FROM crew_history WHERE ctid = ANY(ARRAY(
            SELECT old.ctid FROM crew_history AS old
            WHERE old.said_from < :before AND EXISTS (
                SELECT FROM crew_history AS newer
                WHERE newer.person_id = old.person_id AND newer.sequence > old.sequence
                  AND newer.said_from <= :before
            )
            ORDER BY old.said_from LIMIT :limit FOR UPDATE OF old SKIP LOCKED
        ))
    """),
)
PROJECT_DUTIES = text("""
    INSERT INTO duties (duty_id, sequence, person_id, role, community_id, building_ids, starts_at, ends_at)
    SELECT duty_id, sequence, person_id, role, community_id,
           ARRAY(SELECT CAST(id AS uuid) FROM jsonb_array_elements_text(building_ids) AS id),
           starts_at, ends_at
    FROM jsonb_to_recordset(CAST(:duties AS jsonb)) AS row (
        duty_id uuid, sequence bigint, person_id uuid, role text, community_id uuid, building_ids jsonb,
        starts_at timestamptz, ends_at timestamptz
    )
    ORDER BY duty_id
    ON CONFLICT (duty_id) DO UPDATE SET
        sequence = excluded.sequence, person_id = excluded.person_id, role = excluded.role,
        community_id = excluded.community_id, building_ids = excluded.building_ids,
        starts_at = excluded.starts_at, ends_at = excluded.ends_at, is_lapsed = false
    WHERE duties.sequence < excluded.sequence
    RETURNING person_id
""")
LOCK_DUTIES = text("""
    SELECT person_id FROM duties WHERE duty_id = ANY(CAST(:duty_ids AS uuid[])) ORDER BY duty_id FOR UPDATE
""")
CLAIM_LAPSED = text("""
    UPDATE duties SET is_lapsed = true
    WHERE duty_id IN (
        SELECT duty_id FROM duties WHERE NOT is_lapsed AND ends_at <= :now
        ORDER BY ends_at LIMIT :batch FOR UPDATE SKIP LOCKED
    )
    RETURNING person_id
""")
BEAT = text("""
    INSERT INTO whitelist_beats (partition, beat_at)
    SELECT partition, max(beat_at)
    FROM unnest(CAST(:partitions AS smallint[]), CAST(:beats AS timestamptz[])) AS row (partition, beat_at)
    GROUP BY partition ORDER BY partition
    ON CONFLICT (partition) DO UPDATE SET beat_at = excluded.beat_at
    WHERE whitelist_beats.beat_at < excluded.beat_at
""")
# Shared among those who assign and hand over; who suspends a person waits for them, and they for him.
LOCK = text("""
    SELECT * FROM crew WHERE person_id = ANY(CAST(:person_ids AS uuid[])) ORDER BY person_id FOR SHARE
""")
LOCK_FREE = text("""
    SELECT person_id FROM crew WHERE person_id = ANY(CAST(:person_ids AS uuid[]))
    ORDER BY person_id FOR SHARE SKIP LOCKED
""")
LIST_CLEARED_DRIVERS = text("""
    SELECT * FROM crew WHERE role = 'driver' AND NOT is_suspended
      AND greatest(sealed_until, controlled_until, precaution_until) > :now
""")
LIST_ON_DUTY = text("""
    SELECT * FROM crew WHERE role = 'steward' AND person_id IN (
        SELECT person_id FROM duties
        WHERE community_id = :community_id AND starts_at <= :now AND ends_at > :now
    )
    ORDER BY person_id
""")
FIND_DUTIES = text("""
    SELECT * FROM duties WHERE person_id = ANY(CAST(:person_ids AS uuid[])) AND ends_at > :since
""")


async def project(session: AsyncSession, words: Iterable[Word]) -> set[UUID]:
    """Write what whitelist says of people, each at its sequence; return those of whom it was news."""
    rows = [
        {
            "person_id": word.clearance.person_id,
            "sequence": word.sequence,
            "said_from": word.said_from,
            "role": word.clearance.role,
            **{f"{zone_class}_until": word.clearance.valid_until.get(zone_class) for zone_class in ZoneClass},
            "is_suspended": word.clearance.is_suspended,
            "codes": list(word.codes),
        }
        for word in words
    ]
    # The newest word first: its row is the lock by which who is handing something over is met.
    news = set((await session.execute(PROJECT, {"people": to_json(rows)})).scalars())
    await session.execute(KEEP, {"people": to_json(rows)})
    return news


async def project_duties(session: AsyncSession, arrivals: Sequence[Arrived[DutyStated]]) -> set[UUID]:
    """Write the newest word on each duty; return whose duties it changes: who had them, and who has."""
    rows = [{**arrived.event.model_dump(), "sequence": arrived.sequence} for arrived in arrivals]
    duty_ids = sorted(arrived.event.duty_id for arrived in arrivals)
    before = set((await session.execute(LOCK_DUTIES, {"duty_ids": duty_ids})).scalars())
    return before | set((await session.execute(PROJECT_DUTIES, {"duties": to_json(rows)})).scalars())


async def claim_lapsed(session: AsyncSession, now: datetime, *, batch: int) -> set[UUID]:
    """Take duties whose end has come and was not looked at yet; return whose they were."""
    return set((await session.execute(CLAIM_LAPSED, {"now": now, "batch": batch})).scalars())


async def note_beats(session: AsyncSession, beats: Sequence[Heartbeat]) -> None:
    """Note when each partition was last heard of."""
    given = {"partitions": [beat.partition for beat in beats], "beats": [beat.beat_at for beat in beats]}
    await session.execute(BEAT, given)


async def find_beats(session: AsyncSession) -> dict[int, datetime]:
    """Return when each partition was last heard of."""
    rows = await session.execute(text("SELECT partition, beat_at FROM whitelist_beats"))
    return {row.partition: row.beat_at for row in rows}


async def lock_clearances(session: AsyncSession, person_ids: Iterable[UUID]) -> dict[UUID, CrewClearance]:
    """Hold what is known of people until the transaction ends; nobody is suspended meanwhile."""
    found = await session.execute(LOCK, {"person_ids": sorted(set(person_ids))})
    return {row.person_id: _clearance_of(row) for row in found}


async def lock_free(session: AsyncSession, person_ids: Iterable[UUID]) -> set[UUID]:
    """Hold the clearances of those people of whom nobody is writing at this moment; return their ids."""
    given = {"person_ids": sorted(set(person_ids))}
    return set((await session.execute(LOCK_FREE, given)).scalars())


async def find_standing(
    session: AsyncSession, asked: Iterable[tuple[UUID, datetime]]
) -> dict[tuple[UUID, datetime], CrewClearance]:
    """Return what stood of people at moments; who was not heard of by then is not named."""
    wanted = sorted(set(asked))
    given = {"person_ids": [person for person, _ in wanted], "moments": [at for _, at in wanted]}
    rows = await session.execute(FIND_STANDING, given)
    return {(row.person_id, row.at): _clearance_of(row) for row in rows}


async def list_cleared_drivers(session: AsyncSession, now: datetime) -> list[CrewClearance]:
    """Return the drivers who are cleared for any class of zone now."""
    return [_clearance_of(row) for row in await session.execute(LIST_CLEARED_DRIVERS, {"now": now})]


async def list_on_duty(session: AsyncSession, community_id: UUID, now: datetime) -> list[CrewClearance]:
    """Return the stewards on duty in a community now, cleared or not."""
    given = {"community_id": community_id, "now": now}
    return [_clearance_of(row) for row in await session.execute(LIST_ON_DUTY, given)]


async def list_crew(session: AsyncSession, *, limit: int, after: UUID | None) -> list[CrewRow]:
    """Return a page of the crew, one more than the limit."""
    asked = select(CrewRow).order_by(col(CrewRow.person_id)).limit(limit + 1)
    if after:
        asked = asked.where(col(CrewRow.person_id) > after)
    return list((await session.execute(asked)).scalars())


async def find_duties(session: AsyncSession, *person_ids: UUID, since: datetime) -> list[Duty]:
    """Return people's duties that were not over at `since`."""
    rows = await session.execute(FIND_DUTIES, {"person_ids": sorted(set(person_ids)), "since": since})
    return [
        Duty(
            person_id=row.person_id,
            role=Role(row.role),
            community_id=row.community_id,
            building_ids=frozenset(row.building_ids),
            starts_at=row.starts_at,
            ends_at=row.ends_at,
        )
        for row in rows
    ]


def valid_until_of(row: CrewRow | Row[Any]) -> Mapping[ZoneClass, datetime]:
    """Return until when a person is cleared, for those classes that have a moment."""
    moments = {
        ZoneClass.SEALED: row.sealed_until,
        ZoneClass.CONTROLLED: row.controlled_until,
        ZoneClass.PRECAUTION: row.precaution_until,
    }
    return {zone_class: until for zone_class, until in moments.items() if until is not None}


def _clearance_of(row: Row[Any]) -> CrewClearance:
    return CrewClearance(
        person_id=row.person_id,
        role=Role(row.role),
        valid_until=valid_until_of(row),
        is_suspended=row.is_suspended,
    )
