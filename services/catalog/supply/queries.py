"""Every SELECT and lock of supply. Whoever changes a zone's assignments holds its row of `supplies`."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from services.catalog.outlets.domain import Risk
from services.catalog.supply import shortages
from services.catalog.supply.domain import Assignment, Candidate, Figures, Status, Supply
from services.catalog.supply.tables import AssignmentRow, PolicyRow, SupplyRow
from services.catalog.zones.domain import Zone
from services.contracts.values import OutletKind, Point, ZoneClass

# A zone's class and a kind of outlet → orders a day of a thousand households; no zone without class has any.
Demand = Mapping[tuple[ZoneClass | None, OutletKind], int]

OUTLETS_OF_ZONES = text("""
    SELECT zone_id, outlet_id, (array_agg(kind ORDER BY rank))[1] AS kind, min(rank) AS rank,
           sum(accepted_orders) AS accepted_orders
    FROM assignments
    WHERE zone_id = ANY(CAST(:zone_ids AS uuid[])) AND status = 'accepted'
    GROUP BY zone_id, outlet_id ORDER BY zone_id, min(rank)
""")
LOCK = text("""
    SELECT zone_id FROM supplies WHERE zone_id = ANY(CAST(:zone_ids AS uuid[]))
    ORDER BY zone_id FOR UPDATE
""")
CLAIM_DUE = text("""
    SELECT zone_id FROM supplies
    WHERE due_at <= :now OR zone_id IN (SELECT zone_id FROM shortages WHERE NOT is_seen)
    ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
""")
NEEDS = text("""
    SELECT zone_id, kind, needed_orders FROM zone_needs
    WHERE zone_id = ANY(CAST(:zone_ids AS uuid[])) ORDER BY zone_id, place
""")
ASSIGNMENTS = text("""
    SELECT assignments.*, coalesce(qualified_until >= :today, false) AS is_qualified, name, lat, lon,
           outlets.kind AS outlet_kind
    FROM assignments JOIN outlets USING (outlet_id)
    WHERE zone_id = ANY(CAST(:zone_ids AS uuid[])) ORDER BY zone_id, rank
""")
# Two zones that look for outlets at once: the second waits here, and then sees what the first has asked for.
LOCK_CANDIDATES = text("""
    SELECT outlet_id, outlets.kind, lat, lon, risk, reserve_person_days, capacity_orders FROM outlets
    WHERE kind = ANY(CAST(:kinds AS text[])) AND qualified_until >= :today
    ORDER BY outlet_id FOR NO KEY UPDATE
""")
PROMISED = text("""
    SELECT outlet_id, sum(coalesce(accepted_orders, asked_orders)) AS orders
    FROM assignments JOIN zones USING (zone_id)
    WHERE outlet_id = ANY(CAST(:outlet_ids AS uuid[])) AND status IN ('asked', 'accepted') AND is_open
    GROUP BY outlet_id
""")
DEMAND = text("""
    SELECT DISTINCT ON (zone_class, kind) zone_class, kind, orders_permille FROM demand_policies
    WHERE valid_from <= :now ORDER BY zone_class, kind, valid_from DESC
""")
BY_KIND = text("""
    SELECT kind, count(DISTINCT outlet_id) AS outlets FROM assignments JOIN zones USING (zone_id)
    WHERE incident_id = :incident_id AND status = 'accepted' GROUP BY kind ORDER BY kind
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplyingOutlet:
    """An outlet that accepted to supply a zone: so many orders a day; the lowest rank is asked first."""

    outlet_id: UUID
    kind: OutletKind
    rank: int
    capacity_orders: int


@dataclass(frozen=True, slots=True)
class Sign:
    """How an outlet is named to the others."""

    name: str
    kind: OutletKind
    position: Point


@dataclass(frozen=True, slots=True)
class Stated:
    """What catalog said last of a zone's supply, and when for the first time."""

    word: Mapping[str, object] | None
    supplied_at: datetime | None


async def outlets_of_zone(
    session: AsyncSession, zone_ids: Iterable[UUID]
) -> Mapping[UUID, tuple[SupplyingOutlet, ...]]:
    """Return the outlets of each zone in rank order, also of a closed zone; none for an unknown one."""
    wanted = set(zone_ids)
    rows = await session.execute(OUTLETS_OF_ZONES, {"zone_ids": sorted(wanted)})
    found: dict[UUID, list[SupplyingOutlet]] = {zone_id: [] for zone_id in wanted}
    for row in rows:
        outlet = SupplyingOutlet(
            outlet_id=row.outlet_id,
            kind=OutletKind(row.kind),
            rank=row.rank,
            capacity_orders=int(row.accepted_orders),
        )
        found[row.zone_id].append(outlet)
    return {zone_id: tuple(outlets) for zone_id, outlets in found.items()}


async def lock_zones(session: AsyncSession, zone_ids: Iterable[UUID]) -> list[UUID]:
    """Lock what is said of zones, in the order of their ids; return those that are there."""
    return list((await session.execute(LOCK, {"zone_ids": list(zone_ids)})).scalars())


async def claim_due(session: AsyncSession, *, now: datetime, limit: int) -> list[UUID]:
    """Lock zones that are to be looked at, or short of something, passing over those that somebody holds."""
    return list((await session.execute(CLAIM_DUE, {"now": now, "limit": limit})).scalars())


async def load_supplies(
    session: AsyncSession, zones: Mapping[UUID, Zone], *, today: date
) -> tuple[list[Supply], Mapping[UUID, Sign]]:
    """Return the zones' needs and assignments, and how the outlets assigned are named."""
    needs: defaultdict[UUID, dict[OutletKind, int]] = defaultdict(dict)
    for row in await session.execute(NEEDS, {"zone_ids": list(zones)}):
        needs[row.zone_id][OutletKind(row.kind)] = row.needed_orders
    assignments: defaultdict[UUID, list[Assignment]] = defaultdict(list)
    signs: dict[UUID, Sign] = {}
    for found in (await session.execute(ASSIGNMENTS, {"zone_ids": list(zones), "today": today})).mappings():
        assignments[found["zone_id"]].append(_assignment_of(found))
        position = Point(lat=found["lat"], lon=found["lon"])
        signs[found["outlet_id"]] = Sign(found["name"], OutletKind(found["outlet_kind"]), position)
    short = await shortages.find(session, zones)
    supplies = [
        Supply(
            zone_id=zone_id,
            needs=needs[zone_id],
            gates=zone.gates,
            pins=zone.pins,
            assignments=tuple(assignments[zone_id]),
            short=short[zone_id],
        )
        for zone_id, zone in zones.items()
    ]
    return supplies, signs


async def lock_candidates(
    session: AsyncSession, kinds: Iterable[OutletKind], *, today: date
) -> list[Candidate]:
    """Lock the outlets of these kinds that qualify today and return what each can still promise."""
    rows = (await session.execute(LOCK_CANDIDATES, {"kinds": list(kinds), "today": today})).all()
    promised = await session.execute(PROMISED, {"outlet_ids": [row.outlet_id for row in rows]})
    taken = {row.outlet_id: int(row.orders) for row in promised}
    return [
        Candidate(
            outlet_id=row.outlet_id,
            kind=OutletKind(row.kind),
            position=Point(lat=row.lat, lon=row.lon),
            risk=Risk(row.risk),
            reserve_person_days=row.reserve_person_days,
            remaining=max(0, row.capacity_orders - taken.get(row.outlet_id, 0)),
        )
        for row in rows
    ]


async def find_stated(session: AsyncSession, zone_ids: Iterable[UUID]) -> Mapping[UUID, Stated]:
    """Return what was said last of each zone's supply."""
    asked = select(SupplyRow).where(col(SupplyRow.zone_id).in_(list(zone_ids)))
    rows = await session.scalars(asked, execution_options={"populate_existing": True})
    return {row.zone_id: Stated(row.stated, row.supplied_at) for row in rows}


async def get_figures(session: AsyncSession, *, now: datetime) -> Figures:
    """Return the figures in force."""
    found = await session.scalars(
        select(PolicyRow)
        .where(PolicyRow.valid_from <= now)
        .order_by(col(PolicyRow.valid_from).desc())
        .limit(1)
    )
    row = found.one()
    return Figures(
        answer_seconds=row.answer_seconds,
        look_again_seconds=row.look_again_seconds,
        persons_per_100_households=row.persons_per_100_households,
        surcharge_permille=row.surcharge_permille,
    )


async def list_policies(session: AsyncSession, *, after: UUID | None, limit: int) -> Sequence[PolicyRow]:
    """Return a page of the figures that were stated and one more, in the order of ids."""
    asked = select(PolicyRow).order_by(col(PolicyRow.policy_id)).limit(limit + 1)
    if after is not None:
        asked = asked.where(col(PolicyRow.policy_id) > after)
    return (await session.scalars(asked)).all()


async def list_demand(
    session: AsyncSession, *, now: datetime
) -> Mapping[tuple[ZoneClass | None, OutletKind], int]:
    """Return the orders a day that a thousand households make, by the zone's class and the kind of outlet."""
    rows = await session.execute(DEMAND, {"now": now})
    return {(ZoneClass(row.zone_class), OutletKind(row.kind)): row.orders_permille for row in rows}


async def find_assignment(session: AsyncSession, assignment_id: UUID) -> AssignmentRow | None:
    """Return an assignment as it is now, or None."""
    asked = select(AssignmentRow).where(AssignmentRow.assignment_id == assignment_id)
    found = await session.scalars(asked, execution_options={"populate_existing": True})
    return found.one_or_none()


async def list_assignments(
    session: AsyncSession,
    *,
    zone_id: UUID | None = None,
    outlet_id: UUID | None = None,
    after: UUID | None,
    limit: int,
) -> Sequence[AssignmentRow]:
    """Return a page of a zone's or an outlet's assignments and one more, in the order they were asked."""
    asked = select(AssignmentRow).order_by(col(AssignmentRow.assignment_id)).limit(limit + 1)
    if zone_id is not None:
        asked = asked.where(AssignmentRow.zone_id == zone_id)
    if outlet_id is not None:
        asked = asked.where(AssignmentRow.outlet_id == outlet_id)
    if after is not None:
        asked = asked.where(col(AssignmentRow.assignment_id) > after)
    return (await session.scalars(asked)).all()


async def count_outlets_by_kind(session: AsyncSession, incident_id: UUID) -> dict[str, int]:
    """Return how many outlets supply an incident's zones, by kind."""
    rows = await session.execute(BY_KIND, {"incident_id": incident_id})
    return {row.kind: row.outlets for row in rows}


def _assignment_of(row: RowMapping) -> Assignment:
    return Assignment(
        assignment_id=row["assignment_id"],
        outlet_id=row["outlet_id"],
        kind=OutletKind(row["kind"]),
        rank=row["rank"],
        status=Status(row["status"]),
        asked_orders=row["asked_orders"],
        accepted_orders=row["accepted_orders"],
        answer_by=row["answer_by"],
        is_qualified=row["is_qualified"],
    )
