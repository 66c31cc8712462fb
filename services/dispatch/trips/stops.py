"""SQL of the stops of trips, and of who stands at one.

A stop keeps its place; its name and where it is are told as they are now.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

# Goods that wait on the road stand where the vehicle stands that they are on: its plate says which it is.
LIST = text("""
    WITH named AS (
        SELECT site_id AS place_id, title, lat, lon FROM work_sites
        UNION ALL (SELECT DISTINCT ON (community_id) community_id, title, gate_lat, gate_lon FROM communities
                   ORDER BY community_id, zone_id)
        UNION ALL (SELECT DISTINCT ON (outlet_id) outlet_id, title, lat, lon FROM outlets
                   ORDER BY outlet_id, is_assigned DESC, zone_id)
        UNION ALL SELECT rescue_id, plate, lat, lon FROM rescues LEFT JOIN vehicles USING (vehicle_id)
    )
    SELECT trip_stops.*, named.title AS place_title, named.lat, named.lon
    FROM trip_stops LEFT JOIN named USING (place_id)
    WHERE trip_id = ANY(CAST(:trip_ids AS uuid[]))
    ORDER BY trip_id, position
""")

# A plan's trips lead from gate to outlet; only the last one that it has for a vehicle leads home.
FIND_LEFT_OFF = text("""
    SELECT * FROM (
        SELECT DISTINCT ON (vehicle_id) vehicle_id, trip_id,
               ARRAY(
                   SELECT status FROM trips AS later
                   WHERE later.plan_id = trips.plan_id AND later.vehicle_id = trips.vehicle_id
                     AND later.number > trips.number
               ) AS following
        FROM unnest(CAST(:vehicle_ids AS uuid[]), CAST(:moments AS timestamptz[])) AS asked (vehicle_id, at)
        JOIN trips USING (vehicle_id) JOIN vehicles USING (vehicle_id)
        WHERE status IN ('planned', 'departed') AND ends_at <= at AND departs_at >= shift_starts_at
        ORDER BY vehicle_id, ends_at DESC
    ) AS latest WHERE following <> '{}'
""")


async def list_stops(session: AsyncSession, trip_ids: Iterable[UUID]) -> dict[UUID, list[Row[Any]]]:
    """Return the stops of trips, each trip's in order, with their places."""
    stops: dict[UUID, list[Row[Any]]] = {}
    for stop in await session.execute(LIST, {"trip_ids": list(trip_ids)}):
        stops.setdefault(stop.trip_id, []).append(stop)
    return stops


async def find_left_off(session: AsyncSession, moments: Mapping[UUID, datetime]) -> list[Row[Any]]:
    """Return which vehicles stand at a moment where a trip of theirs ended, and what follows that."""
    given = {"vehicle_ids": list(moments), "moments": list(moments.values())}
    return list(await session.execute(FIND_LEFT_OFF, given))
