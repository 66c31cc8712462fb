"""A vehicle's visits, given times and cut into trips where it is empty. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.contracts.values import Point
from services.dispatch.plans.domain import Stop, StopKind, Trip, Vehicle, Wave
from services.dispatch.plans.shipments import Shipment, drive


@dataclass(frozen=True, slots=True)
class Visit:
    """A shipment taken or given."""

    kind: StopKind
    shipment: Shipment


@dataclass(frozen=True, slots=True)
class Leg:
    """The way to a visit, and the visit itself."""

    visit: Visit
    metres: int
    drive: timedelta
    departs_at: datetime
    arrives_at: datetime
    leaves_at: datetime

    @property
    def wait(self) -> timedelta:
        """Return how long the vehicle stands before it may begin."""
        return self.arrives_at - self.departs_at - self.drive


def make_trips(wave: Wave, vehicle: Vehicle, visits: Sequence[Visit]) -> list[Trip]:
    """Return the trips of a vehicle that makes `visits` in order, each arriving as early as it can."""
    home = wave.travel.metres(_place(wave, visits[-1]), vehicle.base)
    home_takes = timedelta(seconds=wave.travel.seconds(home))
    trips: list[Trip] = []
    # Backwards: a trip may end no later than lets the vehicle's next one begin, or lets it go home.
    end_by = vehicle.ends_at - home_takes
    for loop in reversed(list(_loops(_legs(wave, vehicle, visits)))):
        trip = _trip_of(wave, vehicle, _without_waiting(loop), end_by)
        trips.append(trip)
        end_by = trip.departs_at + trip.slack
    trips[0] = replace(trips[0], ends_at=trips[0].ends_at + home_takes, metres=trips[0].metres + home)
    return trips[::-1]


def _legs(wave: Wave, vehicle: Vehicle, visits: Iterable[Visit]) -> Iterator[Leg]:
    place, free_at = vehicle.stands_at, max(vehicle.starts_at, wave.starts_at)
    for visit in visits:
        position = _place(wave, visit)
        takes = drive(wave, place, position)
        arrives_at = free_at + takes
        if visit.kind is StopKind.GATE:
            arrives_at = max(arrives_at, wave.windows[visit.shipment.slot_id].starts_at)
        handling = wave.travel.handling_seconds(visit.shipment.pieces)
        leaves_at = arrives_at + timedelta(seconds=handling)
        yield Leg(visit, wave.travel.metres(place, position), takes, free_at, arrives_at, leaves_at)
        place, free_at = position, leaves_at


def _loops(legs: Iterable[Leg]) -> Iterator[list[Leg]]:
    loop: list[Leg] = []
    on_board = 0
    for leg in legs:
        loop.append(leg)
        on_board += 1 if leg.visit.kind is StopKind.PICK_UP else -1
        if on_board == 0:
            yield loop
            loop = []


def _without_waiting(loop: Sequence[Leg]) -> list[Leg]:
    """Return the loop with all before its first gate moved later, by what it would wait there."""
    first = next(index for index, leg in enumerate(loop) if leg.visit.kind is StopKind.GATE)
    wait = loop[first].wait
    moved = [
        replace(
            leg,
            departs_at=leg.departs_at + wait,
            arrives_at=leg.arrives_at + wait,
            leaves_at=leg.leaves_at + wait,
        )
        for leg in loop[:first]
    ]
    gate = replace(loop[first], departs_at=loop[first].departs_at + wait)
    return [*moved, gate, *loop[first + 1 :]]


def _trip_of(wave: Wave, vehicle: Vehicle, loop: Sequence[Leg], end_by: datetime) -> Trip:
    taken = [leg.visit.shipment for leg in loop if leg.visit.kind is StopKind.PICK_UP]
    spare = [
        wave.windows[leg.visit.shipment.slot_id].ends_at - leg.arrives_at
        for leg in loop
        if leg.visit.kind is StopKind.GATE
    ]
    return Trip(
        vehicle_id=vehicle.vehicle_id,
        stops=tuple(_stops(loop)),
        departs_at=loop[0].departs_at,
        ends_at=loop[-1].leaves_at,
        metres=sum(leg.metres for leg in loop),
        grams=sum(shipment.grams for shipment in taken),
        pieces=sum(shipment.pieces for shipment in taken),
        slack=min(end_by - loop[-1].leaves_at, *spare),
    )


def _stops(loop: Iterable[Leg]) -> Iterator[Stop]:
    last: Stop | None = None
    for leg in loop:
        stop = _stop(leg)
        if last and (last.kind, last.place_id, last.leaves_at) == (stop.kind, stop.place_id, stop.arrives_at):
            last = replace(last, load_ids=last.load_ids + stop.load_ids, leaves_at=stop.leaves_at)
            continue
        if last:
            yield last
        last = stop
    if last:
        yield last


def _stop(leg: Leg) -> Stop:
    shipment = leg.visit.shipment
    return Stop(
        kind=leg.visit.kind,
        place_id=shipment.origin_id if leg.visit.kind is StopKind.PICK_UP else shipment.destination_id,
        load_ids=tuple(load.load_id for load in shipment.loads),
        arrives_at=leg.arrives_at,
        leaves_at=leg.leaves_at,
    )


def _place(wave: Wave, visit: Visit) -> Point:
    if visit.kind is StopKind.PICK_UP:
        return wave.origins[visit.shipment.origin_id]
    return wave.destinations[visit.shipment.destination_id]
