"""Reads, writes and locks of areas, households and duties."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from services.kit.errors import NotFound
from services.kit.ids import new_id
from services.orders.register.domain import Home
from services.orders.register.tables import AreaRow, CertificateRow, HouseholdRow

# One change of the tree at a time, an import or a zone's: so they never meet in an index or wait in a circle.
LOCK_TREE = text("SELECT pg_advisory_xact_lock(hashtextextended('orders.areas', 0))")
LOCK_HOUSEHOLDS = text("SELECT pg_advisory_xact_lock(hashtextextended('orders.households', 0))")
SAVE_AREAS = text("""
    INSERT INTO areas (area_id, code, title, level, parent_id, path, gate_lat, gate_lon, head_count, sequence)
    SELECT area_id, code, title, level, parent_id, CAST(string_to_array(path, ',') AS uuid[]),
           gate_lat, gate_lon, head_count, 1
    FROM unnest(
        CAST(:area_ids AS uuid[]), CAST(:codes AS text[]), CAST(:titles AS text[]), CAST(:levels AS text[]),
        CAST(:parent_ids AS uuid[]), CAST(:paths AS text[]), CAST(:lats AS double precision[]),
        CAST(:lons AS double precision[]), CAST(:head_counts AS integer[])
    ) AS given (area_id, code, title, level, parent_id, path, gate_lat, gate_lon, head_count)
    ON CONFLICT (area_id) DO UPDATE SET
        title = excluded.title, gate_lat = excluded.gate_lat, gate_lon = excluded.gate_lon,
        head_count = excluded.head_count, sequence = areas.sequence + 1,
        updated_at = transaction_timestamp()
    RETURNING area_id, sequence
""")
SET_CLASS = text("""
    UPDATE areas SET zone_class = CAST(:zone_class AS text), updated_at = transaction_timestamp()
    WHERE area_id = ANY(CAST(:area_ids AS uuid[]))
""")
RESTATE = text("""
    UPDATE areas AS area SET sequence = area.sequence + 1
    FROM (SELECT area_id FROM areas
          WHERE area_id = ANY(CAST(:area_ids AS uuid[])) OR parent_id = ANY(CAST(:area_ids AS uuid[]))
          ORDER BY area_id FOR UPDATE) AS locked
    WHERE area.area_id = locked.area_id
    RETURNING area.area_id
""")
SAVE_HOUSEHOLDS = text("""
    INSERT INTO households (household_id, external_id, building_id, community_id, persons, sealed)
    SELECT * FROM unnest(
        CAST(:household_ids AS uuid[]), CAST(:external_ids AS text[]), CAST(:building_ids AS uuid[]),
        CAST(:community_ids AS uuid[]), CAST(:persons AS smallint[]), CAST(:sealed AS bytea[])
    )
    ON CONFLICT (household_id) DO UPDATE SET
        building_id = excluded.building_id, community_id = excluded.community_id, persons = excluded.persons,
        sealed = excluded.sealed, updated_at = transaction_timestamp()
""")
FIND_HOMES = text("""
    SELECT household.household_id, household.building_id, household.community_id, area.path
    FROM households AS household JOIN areas AS area ON area.area_id = household.building_id
    WHERE household.household_id = ANY(CAST(:household_ids AS uuid[]))
""")
NOTE_READ = text("""
    INSERT INTO personal_reads (read_id, household_id, reader, purpose)
    VALUES (:read_id, :household_id, :reader, :purpose)
""")
ERASE = text("""
    UPDATE households SET sealed = NULL, erased_at = :now
    WHERE household_id = :household_id AND erased_at IS NULL
""")


@dataclass(frozen=True, slots=True)
class Sealed:
    """A household as it is written: its contact already sealed."""

    household_id: UUID
    external_id: str
    building_id: UUID
    community_id: UUID
    persons: int
    sealed: bytes


async def find_areas(
    session: AsyncSession, *, codes: Iterable[str] = (), ids: Iterable[UUID] = ()
) -> list[AreaRow]:
    """Return the areas of these codes or ids."""
    wanted = col(AreaRow.code).in_(set(codes)) | col(AreaRow.area_id).in_(set(ids))
    return list((await session.execute(select(AreaRow).where(wanted))).scalars())


async def list_children(
    session: AsyncSession, parent_ids: Iterable[UUID], *, level: str
) -> Sequence[AreaRow]:
    """Return the areas of one level right below others."""
    wanted = select(AreaRow).where(col(AreaRow.parent_id).in_(set(parent_ids)), AreaRow.level == level)
    return (await session.execute(wanted.order_by(col(AreaRow.area_id)))).scalars().all()


async def list_areas(
    session: AsyncSession, *, level: str | None, parent_id: UUID | None, after: UUID | None, limit: int
) -> Sequence[AreaRow]:
    """Return a page of areas and one more."""
    wanted = select(AreaRow).order_by(col(AreaRow.area_id)).limit(limit + 1)
    if level:
        wanted = wanted.where(AreaRow.level == level)
    if parent_id:
        wanted = wanted.where(AreaRow.parent_id == parent_id)
    if after:
        wanted = wanted.where(col(AreaRow.area_id) > after)
    return (await session.execute(wanted)).scalars().all()


async def lock_tree(session: AsyncSession) -> None:
    """Let nobody else change areas before this transaction ends."""
    await session.execute(LOCK_TREE)


async def save_areas(session: AsyncSession, areas: Sequence[AreaRow]) -> Mapping[UUID, int]:
    """Write areas, new or changed, and return the sequence of each."""
    if not areas:
        return {}
    written = await session.execute(
        SAVE_AREAS,
        {
            "area_ids": [area.area_id for area in areas],
            "codes": [area.code for area in areas],
            "titles": [area.title for area in areas],
            "levels": [area.level for area in areas],
            "parent_ids": [area.parent_id for area in areas],
            "paths": [",".join(map(str, area.path)) for area in areas],
            "lats": [area.gate_lat for area in areas],
            "lons": [area.gate_lon for area in areas],
            "head_counts": [area.head_count for area in areas],
        },
    )
    return {row.area_id: row.sequence for row in written}


async def set_class(session: AsyncSession, area_ids: Iterable[UUID], zone_class: str | None) -> None:
    """Set the areas' own regime; their children's follows from it."""
    await session.execute(SET_CLASS, {"area_ids": sorted(area_ids), "zone_class": zone_class})


async def restate_areas(session: AsyncSession, area_ids: Iterable[UUID]) -> Sequence[AreaRow]:
    """Draw the next sequence of the areas and of their children, in key order, and return them whole."""
    drawn = await session.execute(RESTATE, {"area_ids": sorted(area_ids)})
    wanted = select(AreaRow).where(col(AreaRow.area_id).in_(drawn.scalars().all()))
    ordered = wanted.order_by(col(AreaRow.area_id))
    fresh = await session.execute(ordered, execution_options={"populate_existing": True})
    return fresh.scalars().all()


async def lock_households(session: AsyncSession, external_ids: Iterable[str]) -> Mapping[str, HouseholdRow]:
    """Return the households of these external ids; no other import begins before this transaction ends."""
    await session.execute(LOCK_HOUSEHOLDS)
    wanted = select(HouseholdRow).where(col(HouseholdRow.external_id).in_(set(external_ids)))
    return {row.external_id: row for row in (await session.execute(wanted)).scalars()}


async def save_households(session: AsyncSession, households: Sequence[Sealed]) -> None:
    """Write households, new or changed."""
    if not households:
        return
    await session.execute(
        SAVE_HOUSEHOLDS,
        {
            "household_ids": [household.household_id for household in households],
            "external_ids": [household.external_id for household in households],
            "building_ids": [household.building_id for household in households],
            "community_ids": [household.community_id for household in households],
            "persons": [household.persons for household in households],
            "sealed": [household.sealed for household in households],
        },
    )


async def get_household(session: AsyncSession, household_id: UUID, *, lock: bool = False) -> HouseholdRow:
    """Return a household, sealed as it lies; raise `NotFound` where there is none."""
    found = await session.get(HouseholdRow, household_id, with_for_update=lock or None)
    if found is None:
        raise NotFound("kit.not_found", "Nothing is found here")
    return found


async def get_path(session: AsyncSession, building_id: UUID) -> tuple[UUID, ...]:
    """Return a building's path from the root; raise `NotFound` where there is no such area."""
    found = await session.get(AreaRow, building_id)
    if found is None:
        raise NotFound("kit.not_found", "Nothing is found here")
    return tuple(found.path)


async def list_households(
    session: AsyncSession, building_id: UUID, *, after: UUID | None, limit: int
) -> Sequence[HouseholdRow]:
    """Return a page of a building's households and one more."""
    wanted = select(HouseholdRow).where(HouseholdRow.building_id == building_id)
    if after:
        wanted = wanted.where(col(HouseholdRow.household_id) > after)
    wanted = wanted.order_by(col(HouseholdRow.household_id)).limit(limit + 1)
    return (await session.execute(wanted)).scalars().all()


async def find_homes(session: AsyncSession, household_ids: Iterable[UUID]) -> Mapping[UUID, Home]:
    """Return where households live; one that is not registered is left out."""
    found = await session.execute(FIND_HOMES, {"household_ids": sorted(set(household_ids))})
    return {
        row.household_id: Home(row.household_id, row.building_id, row.community_id, tuple(row.path))
        for row in found
    }


async def note_read(session: AsyncSession, household_id: UUID, *, reader: str, purpose: str) -> None:
    """Keep for ever who reads a household's personal data, and for what."""
    given = {"read_id": new_id(), "household_id": household_id, "reader": reader, "purpose": purpose}
    await session.execute(NOTE_READ, given)


async def find_certificate(session: AsyncSession, scope_id: UUID) -> CertificateRow | None:
    """Return the certificate of a scope whose key was destroyed."""
    wanted = select(CertificateRow).where(CertificateRow.scope_id == scope_id)
    return (await session.execute(wanted)).scalar_one_or_none()


async def erase_household(session: AsyncSession, household_id: UUID, now: datetime) -> None:
    """Take the sealed text off the row, which stays as a pseudonym."""
    await session.execute(ERASE, {"household_id": household_id, "now": now})
