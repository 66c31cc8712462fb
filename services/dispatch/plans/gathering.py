"""A wave gathered from what stands in the database: the pool, the fleet at hand, the places, the road."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.values import Point
from services.dispatch.crew import queries as crew_queries
from services.dispatch.fleet import domain as fleet_domain
from services.dispatch.markets import queries as markets_queries
from services.dispatch.passes import domain as passes_domain
from services.dispatch.passes import queries as passes_queries
from services.dispatch.passes.domain import Pass
from services.dispatch.places import queries as places_queries
from services.dispatch.plans import domain, pool, queries
from services.dispatch.plans.domain import Vehicle, Wave, Window
from services.dispatch.trips import queries as trips_queries
from services.dispatch.trips import stops as trip_stops
from services.dispatch.trips.domain import TripStatus, Turn


async def gather(
    session: AsyncSession,
    *,
    zone_ids: Sequence[UUID],
    slot_ids: Sequence[UUID],
    load_ids: Sequence[UUID] | None,
    now: datetime,
) -> Wave:
    """Return what is to be planned now, and with what."""
    loads = await pool.list_pool(session, slot_ids, load_ids)
    origin_ids = {load.origin_id for load in loads}
    stranded = await queries.find_stranded(session, origin_ids)
    windows = await queries.find_windows(session, slot_ids)
    # What waits on the road, or was left behind, is brought as soon as it can be: no gate is shut to it.
    urgent = {load.slot_id for load in loads} - set(slot_ids)
    around = _around(windows.values(), now, is_urgent=bool(urgent))
    rows = await queries.list_vehicles(session, zone_ids, origin_ids, around, now)
    latest = max((row.shift_ends_at for row in rows), default=around.ends_at)
    windows |= dict.fromkeys(urgent, Window(now, latest))
    passes = await passes_queries.find_passes(session, vehicle_ids=[row.vehicle_id for row in rows])
    turns = await trips_queries.list_turns(session, now)
    cleared = {driver.person_id for driver in await crew_queries.list_cleared_drivers(session, now)}
    permits = passes_domain.find_drivable(passes.values(), cleared)
    origins = await places_queries.find_outlets(session, origin_ids)
    wanted = {load.destination_id for load in loads}
    gates = await places_queries.find_gates(session, wanted)
    destinations = {**gates, **await markets_queries.find_places(session, wanted)}
    vehicles = await _where_they_stand(session, _at_hand(rows, permits, turns, around, now))
    return Wave(
        starts_at=now,
        vehicles=vehicles,
        crewed_ids=_crewed(vehicles, permits, cleared),
        loads=loads,
        origins={origin_id: place.point for origin_id, place in origins.items()} | stranded,
        destinations={destination_id: place.point for destination_id, place in destinations.items()},
        windows=windows,
        travel=await queries.get_travel(session, now),
    )


def _around(windows: Iterable[Window], now: datetime, *, is_urgent: bool) -> Window:
    known = [*windows, *([Window(now, now)] if is_urgent else [])] or [Window(now, now)]
    return Window(min(window.starts_at for window in known), max(window.ends_at for window in known))


def _at_hand(
    rows: Iterable[Row[Any]], passes: Iterable[Pass], turns: Iterable[Turn], around: Window, now: datetime
) -> list[Vehicle]:
    permits, busy = list(passes), list(turns)
    vehicles = []
    for row in rows:
        free = [
            window
            for permit in permits
            if permit.vehicle_id == row.vehicle_id
            and (window := _free_under(permit, row, busy, around, now)) is not None
        ]
        if free:
            longest = max(free, key=lambda window: window.ends_at - window.starts_at)
            vehicles.append(
                Vehicle(
                    vehicle_id=row.vehicle_id,
                    capacity_g=row.capacity_g,
                    capacity_pieces=row.capacity_pieces,
                    stands_at=Point(lat=row.lat, lon=row.lon),
                    base=Point(lat=row.base_lat, lon=row.base_lon),
                    starts_at=longest.starts_at,
                    ends_at=longest.ends_at,
                )
            )
    return vehicles


async def _where_they_stand(session: AsyncSession, vehicles: Sequence[Vehicle]) -> list[Vehicle]:
    """Return those between two trips of a plan at the gate where they stand, to be back for the next."""
    moments = {each.vehicle_id: each.starts_at for each in vehicles if each.stands_at == each.base}
    left_off = {row.vehicle_id: row for row in await trip_stops.find_left_off(session, moments)}
    stops = await trip_stops.list_stops(session, [row.trip_id for row in left_off.values()])
    placed = []
    for vehicle in vehicles:
        row = left_off.get(vehicle.vehicle_id)
        last = stops[row.trip_id][-1] if row else None
        if row is None or last is None or last.lat is None:
            placed.append(vehicle)
            continue
        gate = Point(lat=last.lat, lon=last.lon)
        base = gate if TripStatus.PLANNED in row.following else vehicle.base
        placed.append(replace(vehicle, stands_at=gate, base=base))
    return placed


def _crewed(vehicles: Iterable[Vehicle], permits: Iterable[Pass], drivers: AbstractSet[UUID]) -> list[UUID]:
    crews = {permit.vehicle_id: permit.crew for permit in permits}
    strongest = sorted(vehicles, key=lambda vehicle: (-vehicle.capacity_g, vehicle.vehicle_id))
    return fleet_domain.find_crewed([vehicle.vehicle_id for vehicle in strongest], crews, drivers)


def _free_under(
    permit: Pass, row: Row[Any], turns: Iterable[Turn], around: Window, now: datetime
) -> Window | None:
    shift = Window(max(row.shift_starts_at, permit.valid_from), min(row.shift_ends_at, permit.valid_to))
    taken = [Window(turn.departs_at, turn.ends_at) for turn in turns if turn.vehicle_id == row.vehicle_id]
    return domain.free_window(shift, taken, around, not_before=now)
