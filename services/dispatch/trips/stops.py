"""SQL of the stops of trips. A stop keeps its place; its name and where it is are told as they are now."""

from collections.abc import Iterable
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


async def list_stops(session: AsyncSession, trip_ids: Iterable[UUID]) -> dict[UUID, list[Row[Any]]]:
    """Return the stops of trips, each trip's in order, with their places."""
    stops: dict[UUID, list[Row[Any]]] = {}
    for stop in await session.execute(LIST, {"trip_ids": list(trip_ids)}):
        stops.setdefault(stop.trip_id, []).append(stop)
    return stops
