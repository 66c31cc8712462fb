"""What can be asked about trips. Callers own the transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.dispatch import TripDeparted
from services.dispatch.crew import queries as crew_queries
from services.dispatch.crew.domain import is_degraded
from services.dispatch.passes import domain as passes_domain
from services.dispatch.passes import queries as passes_queries
from services.dispatch.places import queries as places_queries
from services.dispatch.trips import domain, queries, seats
from services.dispatch.trips.domain import Seat, TripStatus, Turn
from services.kit import outbox
from services.kit.errors import Conflict, Fault, NotFound, Rejected

DEPARTED = Counter("trips_departed_total", "Trips that left with their loads")
REASSIGNED = Counter("trips_reassigned_total", "Trips that got another driver after a suspension")


class Trip(Protocol):
    """What a trip's row tells of it."""

    trip_id: UUID
    vehicle_id: UUID
    zone_ids: list[UUID]
    departs_at: datetime
    ends_at: datetime


@dataclass(slots=True)
class Released:
    """What became of the loads of a driver in one incident, whose trips were taken back."""

    person_id: UUID
    incident_id: UUID
    # On the same trip, which somebody else drives.
    reassigned_load_ids: list[UUID] = field(default_factory=list)
    # In the pool again.
    pooled_load_ids: list[UUID] = field(default_factory=list)
    # With the driver: to be rescued.
    aboard_load_ids: list[UUID] = field(default_factory=list)


async def make_seats(session: AsyncSession, trips: Sequence[Trip]) -> dict[UUID, Seat]:
    """Return what each trip asks of its driver, and the pass under which it may go."""
    zones = await places_queries.find_zones(session, {zone for trip in trips for zone in trip.zone_ids})
    passes = await passes_queries.find_passes(session, vehicle_ids={trip.vehicle_id for trip in trips})
    return {
        trip.trip_id: Seat(
            trip_id=trip.trip_id,
            vehicle_id=trip.vehicle_id,
            departs_at=trip.departs_at,
            ends_at=trip.ends_at,
            classes=frozenset(zone_class for zone in trip.zone_ids if (zone_class := zones[zone].zone_class)),
            permit=passes_domain.find_usable(
                [each for each in passes.values() if each.vehicle_id == trip.vehicle_id],
                trip.departs_at,
                trip.ends_at,
            ),
        )
        for trip in trips
    }


async def find_path(session: AsyncSession, zone_ids: Iterable[UUID]) -> tuple[UUID, ...]:
    """Return everything of the tree that zones lie in, themselves included."""
    zones = await places_queries.find_zones(session, zone_ids)
    return tuple({area for zone in zones.values() for area in (zone.zone_id, *zone.path)})


async def is_copy_stale(session: AsyncSession, now: datetime) -> bool:
    """Say whether what is known of the crew may lack a suspension; what is assigned then is marked."""
    return is_degraded(await crew_queries.find_beats(session), now)


async def assign_driver(session: AsyncSession, trip_id: UUID, person_id: UUID, now: datetime) -> None:
    """Give a trip that has not left another driver; raise every reason why that one may not."""
    clearances = await crew_queries.lock_clearances(session, [person_id])
    await queries.lock_seats(session)
    trip = await queries.lock_trip(session, trip_id)
    if trip is None:
        raise NotFound("kit.not_found", "Nothing is found here")
    if trip.status != TripStatus.PLANNED:
        facts = {"status": trip.status}
        raise Conflict(
            "dispatch.trip_not_planned",
            "Only a trip that is planned and has not left can be changed",
            faults=[Fault("", "dispatch.trip_not_planned", facts)],
        )
    seat = (await make_seats(session, [trip]))[trip_id]
    if seat.permit is None:
        raise pass_missing([Fault("", domain.PASS_MISSING, {"vehicle_id": str(trip.vehicle_id)})])
    faults = domain.find_clearance_faults(
        seat, person_id, clearances.get(person_id), now=now, pointer="/person_id"
    )
    if faults:
        raise not_cleared(faults)
    _require_free(seat, person_id, await queries.list_turns(session, seat.departs_at), "/person_id")
    await queries.seat(session, {trip_id: person_id}, is_degraded=await is_copy_stale(session, now))


async def depart(session: AsyncSession, trip_id: UUID, now: datetime) -> None:
    """Let a trip leave on its driver's word that all its loads are on board."""
    trip = await queries.lock_trip(session, trip_id)
    if trip is None or not await _leave(session, [trip_id], now, is_told=True):
        raise Conflict(
            "dispatch.trip_not_planned", "Only a trip that is planned and has not left can be changed"
        )


async def note_loaded(session: AsyncSession, takers: Mapping[UUID, UUID | None], now: datetime) -> int:
    """Know that loads are on board, by whoever took each (None: not told yet); return how many trips left.

    A trip with all of its loads has left. What somebody else took is its trip's no more, and not waited for.
    The caller holds the rows of the loads.
    """
    held = await queries.find_held(session, takers)
    if not held:
        return 0
    planned = await queries.lock_planned(session, held.values())
    drivers = await queries.find_drivers(session, held.values())
    elsewhere = {
        load_id for load_id, trip_id in held.items() if takers[load_id] not in (None, drivers[trip_id])
    }
    await queries.let_go(session, {held[load_id] for load_id in elsewhere}, elsewhere)
    await queries.note_loaded(session, held.keys() - elsewhere, now)
    await _release_emptied(session, planned)
    return await _leave(session, planned, now, is_told=False)


async def take_off(session: AsyncSession, load_ids: Iterable[UUID]) -> None:
    """Take loads off the trips that hold them; one that was to carry nothing else is not made."""
    held = await queries.find_held(session, load_ids)
    planned = await queries.lock_planned(session, held.values())
    await queries.let_go(session, held.values(), held)
    await _release_emptied(session, planned)


async def release(session: AsyncSession, person_ids: Iterable[UUID], now: datetime) -> list[Released]:
    """Take all open trips from suspended drivers: to another driver, to the pool, or to be rescued.

    The caller has written the suspensions in this transaction.
    """
    suspended = set(person_ids)
    await queries.lock_seats(session)
    trips = await queries.lock_open(session, person_ids=suspended)
    if not trips:
        return []
    loads = await _loads_of(session, trips)
    untouched = [
        trip for trip in trips if not any(load.is_touched for load in loads[trip.trip_id])
        and trip.status == TripStatus.PLANNED
    ]  # fmt: skip
    drivers = await _find_others(session, untouched, suspended, now)
    await seats.end(session, [trip.trip_id for trip in trips])
    await queries.seat(session, drivers, is_degraded=await is_copy_stale(session, now))
    REASSIGNED.inc(len(drivers))
    released: dict[tuple[UUID, UUID], Released] = {}
    for trip in trips:
        key = (trip.driver_id, trip.incident_id)
        entry = released.setdefault(key, Released(*key))
        if trip.trip_id in drivers:
            entry.reassigned_load_ids.extend(load.load_id for load in loads[trip.trip_id])
        else:
            await _give_back(session, trip, loads[trip.trip_id], entry)
    return list(released.values())


async def release_vehicle(session: AsyncSession, vehicle_id: UUID) -> list[Released]:
    """Take all open trips from a vehicle that is lost: to the pool, or to be rescued from its driver."""
    await queries.lock_seats(session)
    trips = await queries.lock_open(session, vehicle_ids=[vehicle_id])
    loads = await _loads_of(session, trips)
    await seats.end(session, [trip.trip_id for trip in trips])
    released: dict[tuple[UUID, UUID], Released] = {}
    for trip in trips:
        key = (trip.driver_id, trip.incident_id)
        await _give_back(session, trip, loads[trip.trip_id], released.setdefault(key, Released(*key)))
    return list(released.values())


def not_cleared(faults: Sequence[Fault]) -> Rejected:
    """Return the refusal of a driver who may not drive a trip."""
    return Rejected(domain.DRIVER_NOT_CLEARED, "This person is not cleared to drive this trip", faults=faults)


def pass_missing(faults: Sequence[Fault]) -> Rejected:
    """Return the refusal of a vehicle that has no pass for a trip."""
    return Rejected(
        domain.PASS_MISSING, "The vehicle has no pass that is valid for the whole trip", faults=faults
    )


def _require_free(seat: Seat, person_id: UUID, turns: Iterable[Turn], pointer: str) -> None:
    if clash := domain.find_clash(seat, person_id, turns):
        raise driver_busy([Fault(pointer, "dispatch.driver_busy", {"trip_id": str(clash.trip_id)})])


def driver_busy(faults: Sequence[Fault]) -> Conflict:
    """Return the refusal of a driver who drives another trip at that time."""
    return Conflict("dispatch.driver_busy", "This person drives another trip at that time", faults=faults)


async def _find_others(
    session: AsyncSession, trips: Sequence[Trip], suspended: set[UUID], now: datetime
) -> Mapping[UUID, UUID]:
    if not trips:
        return {}
    drivers = {each.person_id for each in await crew_queries.list_cleared_drivers(session, now)}
    # Someone about whom whitelist is just writing is passed over rather than waited for.
    free = await crew_queries.lock_free(session, drivers - suspended)
    seats = await make_seats(session, trips)
    turns = await queries.list_turns(session, min(trip.departs_at for trip in trips))
    return domain.match_drivers(
        [seat for seat in seats.values() if seat.permit],
        await crew_queries.lock_clearances(session, free),
        [turn for turn in turns if turn.person_id not in suspended],
        chosen={},
        now=now,
    )


async def _loads_of(session: AsyncSession, trips: Sequence[Trip]) -> dict[UUID, list[Any]]:
    loads: dict[UUID, list[Any]] = {trip.trip_id: [] for trip in trips}
    for load in await queries.list_aboard(session, loads):
        loads[load.trip_id].append(load)
    return loads


async def _give_back(session: AsyncSession, trip: Any, loads: Sequence[Any], entry: Released) -> None:
    aboard = [load.load_id for load in loads if load.is_aboard]
    pooled = [load.load_id for load in loads if not load.is_touched]
    entry.aboard_load_ids.extend(aboard)
    entry.pooled_load_ids.extend(pooled)
    await queries.let_go(session, [trip.trip_id], pooled)
    if aboard:
        await queries.set_status(session, [trip.trip_id], TripStatus.STRANDED)
    elif trip.status == TripStatus.PLANNED:
        await queries.set_status(session, [trip.trip_id], TripStatus.RELEASED)


async def _release_emptied(session: AsyncSession, planned: Iterable[UUID]) -> None:
    emptied = await queries.list_emptied(session, planned)
    await seats.end(session, emptied)
    await queries.set_status(session, emptied, TripStatus.RELEASED)


async def _leave(session: AsyncSession, trip_ids: Sequence[UUID], now: datetime, *, is_told: bool) -> int:
    left = await queries.depart(session, trip_ids, now, is_told=is_told)
    await outbox.add_all(
        session,
        [
            (
                TripDeparted(
                    trip_id=row.trip_id,
                    incident_id=row.incident_id,
                    vehicle_id=row.vehicle_id,
                    driver_id=row.driver_id,
                    load_ids=tuple(row.load_ids),
                    departed_at=now,
                ),
                row.sequence,
            )
            for row in left
        ],
    )
    DEPARTED.inc(len(left))
    return len(left)
