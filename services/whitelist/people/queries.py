"""SQL and locks of the staff list."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.contracts.access import Role
from services.whitelist.people.domain import Purpose, Urgency
from services.whitelist.people.tables import Person

# One import of a client at a time, and none beside a policy that marks everyone due.
LOCK_CLIENT = text("SELECT pg_advisory_xact_lock(hashtextextended('whitelist.people:' || :client, 0))")
ENTER = text("SELECT pg_advisory_xact_lock_shared(hashtextextended('whitelist.everyone', 0))")
CLOSE_DOOR = text("SELECT pg_advisory_xact_lock(hashtextextended('whitelist.everyone', 0))")

# NO KEY UPDATE: a check that comes in holds the row by its foreign key, and must not wait.
LOCK = text("""
    SELECT id, role FROM people WHERE id = ANY(CAST(:person_ids AS uuid[])) ORDER BY id FOR NO KEY UPDATE
""")
UPSERT = text("""
    INSERT INTO people (id, client, external_id, role, outlet_id, home_area_id, service_area_ids, sealed)
    SELECT id, :client, external_id, role, outlet_id, home_area_id,
           CAST(ARRAY(SELECT jsonb_array_elements_text(area_ids)) AS uuid[]), sealed
    FROM unnest(
        CAST(:ids AS uuid[]), CAST(:external_ids AS text[]), CAST(:roles AS text[]),
        CAST(:outlet_ids AS uuid[]), CAST(:home_area_ids AS uuid[]), CAST(:service_area_ids AS jsonb[]),
        CAST(:sealed AS bytea[])
    ) AS row (id, external_id, role, outlet_id, home_area_id, area_ids, sealed)
    ORDER BY id
    ON CONFLICT (id) DO UPDATE SET
        role = excluded.role, outlet_id = excluded.outlet_id, home_area_id = excluded.home_area_id,
        service_area_ids = excluded.service_area_ids, sealed = excluded.sealed
""")
MARK = text("""
    INSERT INTO people_due (urgency, person_id)
    SELECT 0, id FROM unnest(CAST(:person_ids AS uuid[])) AS row (id)
""")
MARK_ROLES = text("""
    INSERT INTO people_due (urgency, person_id)
    SELECT 1, id FROM people
    WHERE cardinality(CAST(:roles AS text[])) = 0 OR role = ANY(CAST(:roles AS text[]))
""")
# Materialized: a subselect with a limit may be run again for each row, and would take more than it says.
TAKE_DUE = text("""
    WITH taken AS MATERIALIZED (
        SELECT urgency, id FROM people_due ORDER BY urgency, id LIMIT :most FOR UPDATE SKIP LOCKED
    )
    DELETE FROM people_due USING taken
    WHERE people_due.urgency = taken.urgency AND people_due.id = taken.id
    RETURNING people_due.person_id, people_due.urgency, people_due.marked_at
""")
NOTE_READS = text("""
    INSERT INTO person_reads (person_id, reader, purpose)
    SELECT id, :reader, :purpose FROM unnest(CAST(:person_ids AS uuid[])) AS row (id)
""")

URGENCIES = {0: Urgency.FACT, 1: Urgency.RULE}
Due = tuple[UUID, Urgency, datetime]


async def lock_client(session: AsyncSession, client: str) -> None:
    """Let no other import of the client, and no policy for everyone, run beside this transaction."""
    await session.execute(ENTER)
    await session.execute(LOCK_CLIENT, {"client": client})


async def lock_people(session: AsyncSession, person_ids: Iterable[UUID]) -> dict[UUID, Role]:
    """Lock those of the people who exist, in key order, and return their roles."""
    rows = await session.execute(LOCK, {"person_ids": sorted(set(person_ids))})
    return {row.id: Role(row.role) for row in rows}


async def find_roles(session: AsyncSession, person_ids: Iterable[UUID]) -> dict[UUID, Role]:
    """Return the roles of those of the people who exist."""
    rows = await session.execute(
        select(col(Person.id), col(Person.role)).where(col(Person.id).in_(set(person_ids)))
    )
    return {person_id: Role(role) for person_id, role in rows}


async def find_person(session: AsyncSession, person_id: UUID) -> Person | None:
    """Return a person."""
    return await session.get(Person, person_id)


async def list_people(
    session: AsyncSession, *, role: Role | None, after: UUID | None, limit: int
) -> Sequence[Person]:
    """Return a page of people in the order of their ids."""
    wanted = select(Person).order_by(col(Person.id)).limit(limit)
    if role is not None:
        wanted = wanted.where(col(Person.role) == role.value)
    if after is not None:
        wanted = wanted.where(col(Person.id) > after)
    return (await session.execute(wanted)).scalars().all()


async def lock_entries(session: AsyncSession, client: str, external_ids: Iterable[str]) -> dict[str, Person]:
    """Lock what a client's list has of these external ids, in key order."""
    wanted = (
        select(Person)
        .where(col(Person.client) == client, col(Person.external_id).in_(set(external_ids)))
        .order_by(col(Person.id))
        .with_for_update(key_share=True)
    )
    return {person.external_id: person for person in (await session.execute(wanted)).scalars()}


async def upsert(session: AsyncSession, people: Sequence[Person], *, client: str) -> None:
    """Write new people and changed ones."""
    await session.execute(
        UPSERT,
        {
            "client": client,
            "ids": [person.id for person in people],
            "external_ids": [person.external_id for person in people],
            "roles": [person.role for person in people],
            "outlet_ids": [person.outlet_id for person in people],
            "home_area_ids": [person.home_area_id for person in people],
            "service_area_ids": [
                "[" + ",".join(f'"{area_id}"' for area_id in person.service_area_ids) + "]"
                for person in people
            ],
            "sealed": [person.sealed for person in people],
        },
    )


async def mark_due(session: AsyncSession, person_ids: Iterable[UUID]) -> None:
    """Let these people be judged anew once this transaction has committed."""
    await session.execute(MARK, {"person_ids": sorted(set(person_ids))})


async def mark_roles_due(session: AsyncSession, roles: Iterable[Role]) -> None:
    """Let everyone of these roles be judged anew, everyone at all where none is named.

    Waits for the imports under way, and lets none begin before the commit: nobody slips between.
    """
    await session.execute(CLOSE_DOOR)
    await session.execute(MARK_ROLES, {"roles": sorted(roles)})


async def take_due(session: AsyncSession, *, most: int) -> list[Due]:
    """Take what is due, facts first; what another worker is at is passed over."""
    rows = await session.execute(TAKE_DUE, {"most": most})
    return [(row.person_id, URGENCIES[row.urgency], row.marked_at) for row in rows]


async def note_reads(
    session: AsyncSession, person_ids: Iterable[UUID], *, reader: str, purpose: Purpose
) -> None:
    """Write down who reads what of whom."""
    await session.execute(
        NOTE_READS, {"person_ids": sorted(set(person_ids)), "reader": reader, "purpose": purpose}
    )
