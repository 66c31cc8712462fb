"""How a plan becomes trips that people drive: all rows held, all judged anew, in one transaction."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, Final
from uuid import UUID

import structlog
from prometheus_client import Counter
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.dispatch.crew import queries as crew_queries
from services.dispatch.crew.domain import CrewClearance
from services.dispatch.plans import pool, queries
from services.dispatch.trips import application as trips
from services.dispatch.trips import domain as trips_domain
from services.dispatch.trips import queries as trips_queries
from services.dispatch.trips import stops as trip_stops
from services.dispatch.trips.domain import Seat, Turn
from services.dispatch.trips.tables import TripRow
from services.kit.errors import Conflict, Fault, NotFound, Rejected

log = structlog.get_logger()

COMMITTED = Counter("trips_committed_total", "Trips that were given a driver by a plan")
NO_DRIVER: Final = trips_domain.NO_DRIVER
OUTDATED: Final = "dispatch.plan_outdated"
LOADS_TAKEN: Final = "dispatch.loads_taken"


@dataclass(frozen=True, slots=True)
class Committed:
    """What a plan has become: the driver of each trip, and the trips that none could be found for."""

    drivers: Mapping[UUID, UUID]
    uncommitted: tuple[UUID, ...]


async def commit_plan(
    session: AsyncSession, plan_id: UUID, *, chosen: Mapping[UUID, UUID], now: datetime
) -> Committed:
    """Make a plan's trips, `chosen` naming the drivers of some; each reason against it is named.

    Rows are held in this order: plan, loads, vehicles, clearances, seats. So of two plans for the same loads
    the first wins, and nobody is suspended in between.
    """
    await _hold_ready(session, plan_id)
    proposed = await trips_queries.list_of_plan(session, plan_id)
    _require_known(chosen, proposed)
    stops = await trip_stops.list_stops(session, [trip.trip_id for trip in proposed])
    await _hold_loads(session, chain(*stops.values()))
    vehicles = await queries.lock_vehicles(session, {trip.vehicle_id for trip in proposed})
    drivers = {driver.person_id for driver in await crew_queries.list_cleared_drivers(session, now)}
    clearances = await crew_queries.lock_clearances(session, drivers | set(chosen.values()))
    await trips_queries.lock_seats(session)
    seats = await trips.make_seats(session, proposed)
    turns = await trips_queries.list_turns(session, min(trip.departs_at for trip in proposed))
    if faults := list(_find_outdated(proposed, stops, vehicles, seats, turns, now)):
        raise outdated(faults)
    _require_drivers(chosen, seats, clearances, turns, now)
    matched = trips_domain.match_drivers(list(seats.values()), clearances, turns, chosen=chosen, now=now)
    return await _seat(session, plan_id, proposed, matched, now)


def outdated(faults: Sequence[Fault]) -> Conflict:
    """Return the refusal of a plan whose loads, vehicles or passes have changed since it was made."""
    return Conflict(OUTDATED, "What the plan was made from has changed", faults=faults)


async def _hold_ready(session: AsyncSession, plan_id: UUID) -> None:
    plan = await queries.lock_plan(session, plan_id)
    if plan is None:
        raise NotFound("kit.not_found", "Nothing is found here")
    if plan.status != "ready":
        facts = {"status": plan.status}
        raise Conflict(
            "dispatch.plan_not_ready",
            "Only a plan that is ready can be committed",
            faults=[Fault("", "dispatch.plan_not_ready", facts)],
        )


async def _seat(
    session: AsyncSession,
    plan_id: UUID,
    proposed: Iterable[TripRow],
    matched: Mapping[UUID, UUID],
    now: datetime,
) -> Committed:
    without = tuple(trip.trip_id for trip in proposed if trip.trip_id not in matched)
    if not matched:
        raise Conflict(
            NO_DRIVER,
            "No driver is cleared and free for any trip of the plan",
            faults=[Fault("", NO_DRIVER, {"trip_id": str(trip_id)}) for trip_id in without],
        )
    await trips_queries.leave_out(session, without, code=NO_DRIVER)
    await trips_queries.seat(session, matched, is_degraded=await trips.is_copy_stale(session, now))
    await queries.mark_committed(session, plan_id, now)
    COMMITTED.inc(len(matched))
    log.info("plan.committed", plan_id=str(plan_id), trips=len(matched), uncommitted=len(without))
    return Committed(matched, without)


def _require_known(chosen: Mapping[UUID, UUID], proposed: Sequence[TripRow]) -> None:
    if not proposed:
        raise Conflict("dispatch.plan_empty", "The plan has no trip")
    known = {trip.trip_id for trip in proposed}
    faults = [
        Fault(f"/drivers/{trip_id}", "dispatch.trip_unknown") for trip_id in chosen if trip_id not in known
    ]
    if faults:
        raise Rejected("dispatch.trip_unknown", "The plan has no such trip", faults=faults)


async def _hold_loads(session: AsyncSession, stops: Iterable[Row[Any]]) -> None:
    places = {load_id: stop.place_id for stop in stops if stop.kind == "pick_up" for load_id in stop.load_ids}
    loads = await pool.lock_loads(session, places)
    held = await trips_queries.find_held(session, places)
    if held:
        raise Conflict(
            LOADS_TAKEN,
            "Another plan carries some of these loads already",
            faults=[
                Fault("", LOADS_TAKEN, {"load_id": str(load_id), "trip_id": str(trip_id)})
                for load_id, trip_id in sorted(held.items())
            ],
        )
    waiting = await pool.find_waiting(session, places)
    changed = [
        Fault("", "dispatch.load_changed", {"load_id": str(load_id)})
        for load_id, place_id in sorted(places.items())
        if not _is_there(loads.get(load_id), place_id, waiting.get(load_id))
    ]
    if changed:
        raise outdated(changed)


def _is_there(load: Row[Any] | None, place_id: UUID, rescue_ids: AbstractSet[UUID] | None) -> bool:
    if load is None or load.withdrawn_at:
        return False
    # What was touched may only be carried on from where it waits to be rescued, or was left behind.
    return place_id in rescue_ids if rescue_ids else load.is_at_outlet and place_id == load.outlet_id


def _find_outdated(  # noqa: PLR0913, PLR0917 - what a plan was made from
    proposed: Iterable[TripRow],
    stops: Mapping[UUID, Sequence[Row[Any]]],
    vehicles: Mapping[UUID, Row[Any]],
    seats: Mapping[UUID, Seat],
    turns: Sequence[Turn],
    now: datetime,
) -> Iterator[Fault]:
    for trip in proposed:
        facts = {"trip_id": str(trip.trip_id), "vehicle_id": str(trip.vehicle_id)}
        vehicle = vehicles.get(trip.vehicle_id)
        if vehicle is None or _has_shrunk(vehicle, trip) or _is_loaded(vehicle, stops[trip.trip_id]):
            yield Fault("", "dispatch.vehicle_changed", facts)
        if any(
            turn.vehicle_id == trip.vehicle_id
            and turn.departs_at < trip.ends_at
            and trip.departs_at < turn.ends_at
            for turn in turns
        ):
            yield Fault("", "dispatch.vehicle_busy", facts)
        if seats[trip.trip_id].permit is None:
            yield Fault("", trips_domain.PASS_MISSING, facts)
        if now > trip.depart_by:
            yield Fault("", "dispatch.departure_passed", {**facts, "depart_by": trip.depart_by.isoformat()})


def _has_shrunk(vehicle: Row[Any], trip: TripRow) -> bool:
    return bool(
        vehicle.lost_at is not None
        or vehicle.capacity_g < trip.capacity_g
        or vehicle.capacity_pieces < trip.capacity_pieces
        or vehicle.shift_starts_at > trip.departs_at
        or vehicle.shift_ends_at < trip.ends_at
    )


def _is_loaded(vehicle: Row[Any], stops: Iterable[Row[Any]]) -> bool:
    # With what it stands with on the road it comes for nothing else.
    origins = {stop.place_id for stop in stops if stop.kind == "pick_up"}
    return bool(vehicle.stands_with) and not origins <= set(vehicle.stands_with)


def _require_drivers(
    chosen: Mapping[UUID, UUID],
    seats: Mapping[UUID, Seat],
    clearances: Mapping[UUID, CrewClearance],
    turns: Sequence[Turn],
    now: datetime,
) -> None:
    uncleared: list[Fault] = []
    busy: list[Fault] = []
    taken = list(turns)
    for trip_id, person_id in sorted(chosen.items()):
        seat, pointer = seats[trip_id], f"/drivers/{trip_id}"
        uncleared.extend(
            trips_domain.find_clearance_faults(
                seat, person_id, clearances.get(person_id), now=now, pointer=pointer
            )
        )
        if clash := trips_domain.find_clash(seat, person_id, taken):
            busy.append(Fault(pointer, "dispatch.driver_busy", {"trip_id": str(clash.trip_id)}))
        taken.append(
            Turn(
                person_id=person_id,
                trip_id=trip_id,
                vehicle_id=seat.vehicle_id,
                departs_at=seat.departs_at,
                ends_at=seat.ends_at,
            )
        )
    if uncleared:
        raise trips.not_cleared(uncleared)
    if busy:
        raise trips.driver_busy(busy)
