"""SQL of zones, communities, areas and outlets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.catalog import ZoneSupplied
from services.contracts.orders import AreaStated, ZoneClosed, ZoneOpened
from services.contracts.values import Point, ZoneClass
from services.dispatch.rows import to_json
from services.kit.event import Arrived

OPEN = text("""
    INSERT INTO zones (zone_id, incident_id, opened_sequence, title, zone_class, path)
    SELECT zone_id, incident_id, sequence, title, zone_class,
           ARRAY(SELECT CAST(id AS uuid) FROM jsonb_array_elements_text(path) AS id)
    FROM jsonb_to_recordset(CAST(:zones AS jsonb)) AS row (
        zone_id uuid, incident_id uuid, sequence bigint, title text, zone_class text, path jsonb
    )
    ORDER BY zone_id
    ON CONFLICT (zone_id) DO UPDATE SET
        incident_id = excluded.incident_id, opened_sequence = excluded.opened_sequence,
        title = excluded.title, path = excluded.path,
        -- A class that the zone's closing has stated since then is the one in force; this was its former one.
        zone_class = CASE WHEN zones.closed_sequence > excluded.opened_sequence
            THEN coalesce(zones.zone_class, excluded.zone_class) ELSE excluded.zone_class END,
        former_class = CASE WHEN zones.closed_sequence > excluded.opened_sequence
            AND zones.class_since IS NOT NULL THEN excluded.zone_class END,
        class_since = CASE WHEN zones.closed_sequence > excluded.opened_sequence THEN zones.class_since END
    WHERE zones.opened_sequence < excluded.opened_sequence
    RETURNING zone_id
""")
CLOSE = text("""
    INSERT INTO zones (zone_id, incident_id, closed_sequence, zone_class, class_since)
    SELECT zone_id, incident_id, closed_sequence, zone_class,
           CASE WHEN zone_class IS NOT NULL THEN closed_at END
    FROM unnest(
        CAST(:zone_ids AS uuid[]), CAST(:incident_ids AS uuid[]), CAST(:sequences AS bigint[]),
        CAST(:classes AS text[]), CAST(:moments AS timestamptz[])
    ) AS row (zone_id, incident_id, closed_sequence, zone_class, closed_at) ORDER BY zone_id
    ON CONFLICT (zone_id) DO UPDATE SET
        closed_sequence = excluded.closed_sequence,
        zone_class = coalesce(excluded.zone_class, zones.zone_class),
        former_class = CASE WHEN excluded.zone_class IS NULL THEN zones.former_class
            ELSE zones.zone_class END,
        class_since = coalesce(excluded.class_since, zones.class_since)
    WHERE zones.closed_sequence < excluded.closed_sequence
""")
SAVE_COMMUNITIES = text("""
    INSERT INTO communities (zone_id, community_id, title, gate_lat, gate_lon, head_count, building_ids)
    SELECT zone_id, community_id, title, gate_lat, gate_lon, head_count,
           ARRAY(SELECT CAST(id AS uuid) FROM jsonb_array_elements_text(building_ids) AS id)
    FROM jsonb_to_recordset(CAST(:communities AS jsonb)) AS row (
        zone_id uuid, community_id uuid, title text, gate_lat double precision, gate_lon double precision,
        head_count integer, building_ids jsonb
    )
    ORDER BY zone_id, community_id
    ON CONFLICT (zone_id, community_id) DO UPDATE SET
        title = excluded.title, gate_lat = excluded.gate_lat, gate_lon = excluded.gate_lon,
        head_count = excluded.head_count, building_ids = excluded.building_ids
""")
STATE_AREAS = text("""
    INSERT INTO areas (area_id, sequence, path, level, title, gate_lat, gate_lon, head_count, zone_class)
    SELECT area_id, sequence, ARRAY(SELECT CAST(id AS uuid) FROM jsonb_array_elements_text(path) AS id),
           level, title, gate_lat, gate_lon, head_count, zone_class
    FROM jsonb_to_recordset(CAST(:areas AS jsonb)) AS row (
        area_id uuid, sequence bigint, path jsonb, level text, title text, gate_lat double precision,
        gate_lon double precision, head_count integer, zone_class text
    )
    ORDER BY area_id
    ON CONFLICT (area_id) DO UPDATE SET
        sequence = excluded.sequence, path = excluded.path, level = excluded.level, title = excluded.title,
        gate_lat = excluded.gate_lat, gate_lon = excluded.gate_lon, head_count = excluded.head_count,
        zone_class = excluded.zone_class
    WHERE areas.sequence < excluded.sequence
""")
SUPPLY = text("""
    INSERT INTO zone_supplies (zone_id, sequence)
    SELECT * FROM unnest(CAST(:zone_ids AS uuid[]), CAST(:sequences AS bigint[])) AS row (zone_id, sequence)
    ORDER BY zone_id
    ON CONFLICT (zone_id) DO UPDATE SET sequence = excluded.sequence
    WHERE zone_supplies.sequence < excluded.sequence
    RETURNING zone_id
""")
UNASSIGN = text("""
    UPDATE outlets SET is_assigned = false
    WHERE zone_id = ANY(CAST(:zone_ids AS uuid[])) AND is_assigned
""")
SAVE_OUTLETS = text("""
    INSERT INTO outlets (zone_id, outlet_id, title, kind, lat, lon, rank, is_assigned)
    SELECT zone_id, outlet_id, title, kind, lat, lon, rank, true
    FROM jsonb_to_recordset(CAST(:outlets AS jsonb)) AS row (
        zone_id uuid, outlet_id uuid, title text, kind text, lat double precision, lon double precision,
        rank integer
    )
    ORDER BY zone_id, outlet_id
    ON CONFLICT (zone_id, outlet_id) DO UPDATE SET
        title = excluded.title, kind = excluded.kind, lat = excluded.lat, lon = excluded.lon,
        rank = excluded.rank, is_assigned = true
""")
FIND_ZONES = text("SELECT * FROM zones WHERE zone_id = ANY(CAST(:zone_ids AS uuid[]))")
FIND_ZONES_WITHIN = text("SELECT zone_id FROM zones WHERE path && CAST(:area_ids AS uuid[])")
FIND_OUTLETS = text("""
    SELECT DISTINCT ON (outlet_id) outlet_id, title, lat, lon FROM outlets
    WHERE outlet_id = ANY(CAST(:outlet_ids AS uuid[])) ORDER BY outlet_id, is_assigned DESC, zone_id
""")
FIND_GATES = text("""
    SELECT DISTINCT ON (community_id) community_id, title, gate_lat AS lat, gate_lon AS lon FROM communities
    WHERE community_id = ANY(CAST(:community_ids AS uuid[])) ORDER BY community_id, zone_id
""")
FIND_AREAS = text("SELECT area_id, title, path FROM areas WHERE area_id = ANY(CAST(:area_ids AS uuid[]))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """A zone as dispatch knows it; where only its closing was heard, it has no class and no path."""

    zone_id: UUID
    incident_id: UUID
    zone_class: ZoneClass | None
    path: tuple[UUID, ...]
    is_closed: bool


@dataclass(frozen=True, slots=True)
class Place:
    """A named position."""

    title: str
    point: Point


async def open_zones(session: AsyncSession, arrivals: Sequence[Arrived[ZoneOpened]]) -> set[UUID]:
    """Write the newest word on each zone and its communities; return the zones of which it was news."""
    rows = [
        {
            **arrived.event.model_dump(include={"zone_id", "incident_id", "title", "zone_class", "path"}),
            "sequence": arrived.sequence,
        }
        for arrived in arrivals
    ]
    news = set((await session.execute(OPEN, {"zones": to_json(rows)})).scalars())
    communities = [
        {
            "zone_id": arrived.event.zone_id,
            "community_id": community.community_id,
            "title": community.name,
            "gate_lat": community.gate.lat,
            "gate_lon": community.gate.lon,
            "head_count": community.head_count,
            "building_ids": community.building_ids,
        }
        for arrived in arrivals
        if arrived.event.zone_id in news
        for community in arrived.event.communities
    ]
    await session.execute(SAVE_COMMUNITIES, {"communities": to_json(communities)})
    return news


async def close_zones(session: AsyncSession, arrivals: Sequence[Arrived[ZoneClosed]]) -> None:
    """Note that zones are closed, each at the sequence of that word.

    What is carried from then on is judged by the class that the closing has stated; where the regime was
    lifted, by the zone's own as before: the stricter is the safe side.
    """
    given = {
        "zone_ids": [arrived.event.zone_id for arrived in arrivals],
        "incident_ids": [arrived.event.incident_id for arrived in arrivals],
        "sequences": [arrived.sequence for arrived in arrivals],
        "classes": [arrived.event.zone_class for arrived in arrivals],
        "moments": [arrived.recorded_at for arrived in arrivals],
    }
    await session.execute(CLOSE, given)


async def state_areas(session: AsyncSession, arrivals: Sequence[Arrived[AreaStated]]) -> None:
    """Write the newest word on each area."""
    rows = [
        {
            **arrived.event.model_dump(exclude={"gate"}),
            "gate_lat": arrived.event.gate.lat if arrived.event.gate else None,
            "gate_lon": arrived.event.gate.lon if arrived.event.gate else None,
            "sequence": arrived.sequence,
        }
        for arrived in arrivals
    ]
    await session.execute(STATE_AREAS, {"areas": to_json(rows)})


async def supply_zones(session: AsyncSession, arrivals: Sequence[Arrived[ZoneSupplied]]) -> None:
    """Write the newest word on the outlets of each zone, whole."""
    given = {
        "zone_ids": [arrived.event.zone_id for arrived in arrivals],
        "sequences": [arrived.sequence for arrived in arrivals],
    }
    news = set((await session.execute(SUPPLY, given)).scalars())
    await session.execute(UNASSIGN, {"zone_ids": sorted(news)})
    outlets = [
        {
            "zone_id": arrived.event.zone_id,
            "outlet_id": outlet.outlet_id,
            "title": outlet.name,
            "kind": outlet.kind,
            "lat": outlet.position.lat,
            "lon": outlet.position.lon,
            "rank": outlet.rank,
        }
        for arrived in arrivals
        if arrived.event.zone_id in news
        for outlet in arrived.event.outlets
    ]
    await session.execute(SAVE_OUTLETS, {"outlets": to_json(outlets)})


async def find_zones(session: AsyncSession, zone_ids: Iterable[UUID]) -> dict[UUID, Zone]:
    """Return those zones that were heard of."""
    rows = await session.execute(FIND_ZONES, {"zone_ids": sorted(set(zone_ids))})
    return {
        row.zone_id: Zone(
            zone_id=row.zone_id,
            incident_id=row.incident_id,
            zone_class=ZoneClass(row.zone_class) if row.zone_class else None,
            path=tuple(row.path),
            is_closed=row.closed_sequence > row.opened_sequence,
        )
        for row in rows
    }


async def find_zones_within(session: AsyncSession, area_ids: Iterable[UUID]) -> tuple[UUID, ...]:
    """Return the zones that lie in one of these areas, or are one of them."""
    rows = await session.execute(FIND_ZONES_WITHIN, {"area_ids": sorted(set(area_ids))})
    return tuple(rows.scalars())


async def find_outlets(session: AsyncSession, outlet_ids: Iterable[UUID]) -> dict[UUID, Place]:
    """Return where these outlets are, as far as it was said."""
    rows = await session.execute(FIND_OUTLETS, {"outlet_ids": sorted(set(outlet_ids))})
    return {row.outlet_id: _place_of(row) for row in rows}


async def find_gates(session: AsyncSession, community_ids: Iterable[UUID]) -> dict[UUID, Place]:
    """Return where the gates of these communities are, as far as it was said."""
    rows = await session.execute(FIND_GATES, {"community_ids": sorted(set(community_ids))})
    return {row.community_id: _place_of(row) for row in rows}


async def find_titles(session: AsyncSession, area_ids: Iterable[UUID | None]) -> dict[UUID | None, str]:
    """Return the names of areas (communities, buildings), as far as they were said; None has none."""
    known = {area_id for area_id in area_ids if area_id is not None}
    rows = await session.execute(FIND_AREAS, {"area_ids": sorted(known)})
    return {row.area_id: row.title for row in rows}


def _place_of(row: Row[Any]) -> Place:
    return Place(row.title, Point(lat=row.lat, lon=row.lon))
