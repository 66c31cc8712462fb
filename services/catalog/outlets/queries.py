"""Every SELECT and lock of the ledger; rows are locked in the order of their ids."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, func, select
from sqlmodel.sql.expression import SelectOfScalar

from services.catalog.outlets.domain import Facts, Licence, LicenceKind, LicencePolicy, Risk
from services.catalog.outlets.tables import LicencePolicyRow, LicenceRow, OutletRow, PledgeRow
from services.contracts.values import OutletKind, Point
from services.kit.ids import new_id

# An outlet that was here keeps its id; of two imports at once the second one updates.
UPSERT = text("""
    INSERT INTO outlets (
        outlet_id, client, external_id, name, kind, lat, lon, scale_m2, capacity_orders, reserve_person_days,
        risk, updated_at
    )
    SELECT outlet_id, :client, external_id, name, kind, lat, lon, scale_m2, capacity_orders,
           reserve_person_days, risk, :now
    FROM unnest(
        CAST(:outlet_ids AS uuid[]), CAST(:external_ids AS text[]), CAST(:names AS text[]),
        CAST(:kinds AS text[]), CAST(:lats AS double precision[]), CAST(:lons AS double precision[]),
        CAST(:scales AS integer[]), CAST(:capacities AS integer[]), CAST(:reserves AS integer[]),
        CAST(:risks AS text[])
    ) AS row (outlet_id, external_id, name, kind, lat, lon, scale_m2, capacity_orders, reserve_person_days,
              risk)
    ORDER BY external_id
    ON CONFLICT (client, external_id) DO UPDATE SET
        name = excluded.name, kind = excluded.kind, lat = excluded.lat, lon = excluded.lon,
        scale_m2 = excluded.scale_m2, capacity_orders = excluded.capacity_orders,
        reserve_person_days = excluded.reserve_person_days, risk = excluded.risk,
        updated_at = excluded.updated_at,
        qualified_at = NULL, qualified_by = NULL, qualified_until = NULL
    RETURNING outlet_id, external_id, xmax = 0 AS is_new
""")
DROP_LICENCES = text("DELETE FROM licences WHERE outlet_id = ANY(CAST(:outlet_ids AS uuid[]))")
INSERT_LICENCES = text("""
    INSERT INTO licences (outlet_id, kind, number, valid_to)
    SELECT * FROM unnest(
        CAST(:outlet_ids AS uuid[]), CAST(:kinds AS text[]), CAST(:numbers AS text[]),
        CAST(:valid_tos AS date[])
    )
""")
QUALIFY = text("""
    UPDATE outlets SET qualified_at = row.qualified_at, qualified_by = row.qualified_by,
                       qualified_until = row.qualified_until, updated_at = :now
    FROM unnest(
        CAST(:outlet_ids AS uuid[]), CAST(:ats AS timestamptz[]), CAST(:bys AS text[]),
        CAST(:untils AS date[])
    ) AS row (outlet_id, qualified_at, qualified_by, qualified_until)
    WHERE outlets.outlet_id = row.outlet_id
""")
INSERT_PLEDGE = text("""
    INSERT INTO pledges (outlet_id, text_version, signed_by, signed_at, recorded_by)
    VALUES (:outlet_id, :text_version, :signed_by, :now, :recorded_by)
    ON CONFLICT DO NOTHING
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Qualification:
    """When, by whom and until which day an outlet was found to meet every requirement."""

    at: datetime
    by: str
    until: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """An outlet as the ledger has it."""

    outlet_id: UUID
    facts: Facts
    has_pledge: bool
    qualification: Qualification | None
    updated_at: datetime


async def lock_outlets(
    session: AsyncSession, *, client: str, external_ids: Iterable[str]
) -> dict[str, Outlet]:
    """Lock those outlets of a client's ledger that are there, and return them by their external id."""
    outlets = await _read(
        session,
        select(OutletRow)
        .where(OutletRow.client == client, col(OutletRow.external_id).in_(list(external_ids)))
        .order_by(col(OutletRow.outlet_id))
        .with_for_update(key_share=True),
    )
    return {outlet.facts.external_id: outlet for outlet in outlets}


async def lock_outlet(session: AsyncSession, outlet_id: UUID) -> Outlet | None:
    """Lock an outlet and return it; None where there is none."""
    asked = select(OutletRow).where(OutletRow.outlet_id == outlet_id).with_for_update(key_share=True)
    return next(iter(await _read(session, asked)), None)


async def find_outlet(session: AsyncSession, outlet_id: UUID) -> Outlet | None:
    """Return an outlet, or None where there is none."""
    return next(iter(await _read(session, select(OutletRow).where(OutletRow.outlet_id == outlet_id))), None)


async def find_outlets(session: AsyncSession, outlet_ids: Iterable[UUID]) -> Mapping[UUID, Outlet]:
    """Return the outlets that are known of these."""
    asked = select(OutletRow).where(col(OutletRow.outlet_id).in_(list(outlet_ids)))
    return {outlet.outlet_id: outlet for outlet in await _read(session, asked)}


async def list_outlets(
    session: AsyncSession,
    *,
    after: UUID | None,
    limit: int,
    kind: OutletKind | None = None,
    updated_since: datetime | None = None,
) -> Sequence[Outlet]:
    """Return a page of the ledger and one more, in the order of ids."""
    asked = select(OutletRow).order_by(col(OutletRow.outlet_id)).limit(limit + 1)
    if after is not None:
        asked = asked.where(col(OutletRow.outlet_id) > after)
    if kind is not None:
        asked = asked.where(OutletRow.kind == kind.value)
    if updated_since is not None:
        asked = asked.where(col(OutletRow.updated_at) >= updated_since)
    return await _read(session, asked)


async def list_policies(session: AsyncSession, *, today: date) -> Sequence[LicencePolicy]:
    """Return which licences each kind needs today."""
    rows = await session.execute(
        select(LicencePolicyRow)
        .where(
            LicencePolicyRow.valid_from <= today,
            func.coalesce(LicencePolicyRow.valid_to, today) >= today,
        )
        .order_by(LicencePolicyRow.outlet_kind, LicencePolicyRow.licence_kind)
    )
    return [
        LicencePolicy(OutletKind(row.outlet_kind), LicenceKind(row.licence_kind), row.legal_ref)
        for row in rows.scalars()
    ]


async def write_outlets(
    session: AsyncSession, facts: Sequence[Facts], *, client: str, now: datetime
) -> dict[str, tuple[UUID, bool]]:
    """Write outlets and their licences; return for each external id the outlet's, and whether it is new.

    What was qualified is so no more: the caller judges the new facts.
    """
    if not facts:
        return {}
    rows = await session.execute(UPSERT, {"client": client, "now": now, **_columns_of(facts)})
    written = {row.external_id: (row.outlet_id, bool(row.is_new)) for row in rows}
    await session.execute(DROP_LICENCES, {"outlet_ids": [outlet_id for outlet_id, _ in written.values()]})
    held = [(written[one.external_id][0], licence) for one in facts for licence in one.licences]
    await session.execute(
        INSERT_LICENCES,
        {
            "outlet_ids": [outlet_id for outlet_id, _ in held],
            "kinds": [licence.kind for _, licence in held],
            "numbers": [licence.number for _, licence in held],
            "valid_tos": [licence.valid_to for _, licence in held],
        },
    )
    return written


async def write_qualifications(
    session: AsyncSession, qualified: Mapping[UUID, Qualification], *, now: datetime
) -> None:
    """Keep that outlets are qualified."""
    if not qualified:
        return
    await session.execute(
        QUALIFY,
        {
            "outlet_ids": list(qualified),
            "ats": [one.at for one in qualified.values()],
            "bys": [one.by for one in qualified.values()],
            "untils": [one.until for one in qualified.values()],
            "now": now,
        },
    )


async def insert_pledge(  # noqa: PLR0913 - the columns of a row
    session: AsyncSession,
    outlet_id: UUID,
    *,
    text_version: str,
    signed_by: str,
    recorded_by: str,
    now: datetime,
) -> datetime:
    """Keep a pledge and return when it was signed; the first signature under a text stays."""
    await session.execute(
        INSERT_PLEDGE,
        {
            "outlet_id": outlet_id,
            "text_version": text_version,
            "signed_by": signed_by,
            "recorded_by": recorded_by,
            "now": now,
        },
    )
    signed_at = await session.execute(
        select(PledgeRow.signed_at).where(
            PledgeRow.outlet_id == outlet_id, PledgeRow.text_version == text_version
        )
    )
    return signed_at.scalar_one()


def _columns_of(facts: Sequence[Facts]) -> dict[str, object]:
    return {
        "outlet_ids": [new_id() for _ in facts],
        "external_ids": [one.external_id for one in facts],
        "names": [one.name for one in facts],
        "kinds": [one.kind for one in facts],
        "lats": [one.position.lat for one in facts],
        "lons": [one.position.lon for one in facts],
        "scales": [one.scale_m2 for one in facts],
        "capacities": [one.capacity_orders for one in facts],
        "reserves": [one.reserve_person_days for one in facts],
        "risks": [one.risk for one in facts],
    }


async def _read(session: AsyncSession, asked: SelectOfScalar[OutletRow]) -> list[Outlet]:
    # Rows are written by statements, which the session does not see: what it remembers may be old.
    found = await session.scalars(asked, execution_options={"populate_existing": True})
    return await _with_parts(session, found.all())


async def _with_parts(session: AsyncSession, rows: Sequence[OutletRow]) -> list[Outlet]:
    if not rows:
        return []
    ids = [row.outlet_id for row in rows]
    licences: defaultdict[UUID, list[Licence]] = defaultdict(list)
    found = await session.execute(
        select(LicenceRow)
        .where(col(LicenceRow.outlet_id).in_(ids))
        .order_by(LicenceRow.kind, LicenceRow.number)
        .execution_options(populate_existing=True)
    )
    for licence in found.scalars():
        kind = LicenceKind(licence.kind)
        licences[licence.outlet_id].append(Licence(kind, licence.number, licence.valid_to))
    pledged = set(await session.scalars(select(PledgeRow.outlet_id).where(col(PledgeRow.outlet_id).in_(ids))))
    return [_outlet_of(row, licences[row.outlet_id], row.outlet_id in pledged) for row in rows]


def _outlet_of(row: OutletRow, licences: Sequence[Licence], has_pledge: bool) -> Outlet:  # noqa: FBT001
    facts = Facts(
        external_id=row.external_id,
        name=row.name,
        kind=OutletKind(row.kind),
        position=Point(lat=row.lat, lon=row.lon),
        scale_m2=row.scale_m2,
        capacity_orders=row.capacity_orders,
        reserve_person_days=row.reserve_person_days,
        licences=tuple(licences),
        risk=Risk(row.risk),
    )
    qualification = None
    if row.qualified_at and row.qualified_by and row.qualified_until:
        qualification = Qualification(at=row.qualified_at, by=row.qualified_by, until=row.qualified_until)
    return Outlet(
        outlet_id=row.outlet_id,
        facts=facts,
        has_pledge=has_pledge,
        qualification=qualification,
        updated_at=row.updated_at,
    )
