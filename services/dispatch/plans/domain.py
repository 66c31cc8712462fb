"""What a wave is, what a plan of it is, and when such a plan is lawful. Pure; times are given, never read."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import chain
from uuid import UUID

from services.contracts.values import Point
from services.dispatch.plans.travel import Travel


class StopKind(StrEnum):
    """What is done at a stop."""

    PICK_UP = "pick_up"
    GATE = "gate"


class WhyNot(StrEnum):
    """Why a load is on no trip of a plan."""

    OUTLET_POSITION_UNKNOWN = "dispatch.outlet_position_unknown"
    GATE_UNKNOWN = "dispatch.gate_unknown"
    NO_VEHICLE = "dispatch.no_vehicle"
    TOO_HEAVY = "dispatch.too_heavy_for_any_vehicle"
    OUTSIDE_EVERY_SHIFT = "dispatch.outside_every_shift"
    NOT_REACHABLE = "dispatch.not_reachable_in_window"
    FLEET_FULL = "dispatch.fleet_full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle:
    """A vehicle and the time in which it may move: its shift, its pass, and what it already carries.

    Its first trip begins where it stands, its last ends at its base.
    """

    vehicle_id: UUID
    capacity_g: int
    capacity_pieces: int
    stands_at: Point
    base: Point
    starts_at: datetime
    ends_at: datetime

    def holds(self, *, grams: int, pieces: int) -> bool:
        """Say whether so much fits at once."""
        return grams <= self.capacity_g and pieces <= self.capacity_pieces


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one outlet packed for one order, and the places where it is picked up and handed over."""

    load_id: UUID
    origin_id: UUID
    destination_id: UUID
    slot_id: UUID
    grams: int
    pieces: int


@dataclass(frozen=True, slots=True)
class Window:
    """When a gate takes goods; unloading begins within it, both ends included."""

    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """What is planned together; nobody leaves before `starts_at`.

    `crewed_ids` are the vehicles that can have a driver each at the same time.
    """

    starts_at: datetime
    vehicles: Sequence[Vehicle]
    crewed_ids: Collection[UUID]
    loads: Sequence[Load]
    origins: Mapping[UUID, Point]
    destinations: Mapping[UUID, Point]
    windows: Mapping[UUID, Window]
    travel: Travel


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Where a vehicle stands, which loads it takes or gives there, from when until when."""

    kind: StopKind
    place_id: UUID
    load_ids: tuple[UUID, ...]
    arrives_at: datetime
    leaves_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Trip:
    """One loop of a vehicle, from empty to empty; `slack` is how much later all of it may begin.

    The metres lead from where the vehicle stood before; the way back to its base is in its last trip.
    """

    vehicle_id: UUID
    stops: tuple[Stop, ...]
    departs_at: datetime
    ends_at: datetime
    metres: int
    grams: int
    pieces: int
    slack: timedelta

    @property
    def load_ids(self) -> tuple[UUID, ...]:
        """Return the loads it carries, in the order in which they come on board."""
        return tuple(chain(*(stop.load_ids for stop in self.stops if stop.kind is StopKind.PICK_UP)))

    @property
    def seconds(self) -> int:
        """Return how long the trip takes."""
        return int((self.ends_at - self.departs_at).total_seconds())


@dataclass(frozen=True, slots=True)
class Unassigned:
    """A load that is on no trip, and why."""

    load_id: UUID
    why: WhyNot


@dataclass(frozen=True, slots=True)
class Solution:
    """A wave's trips, each vehicle's in the order it makes them, and a reason for every load left out."""

    trips: tuple[Trip, ...]
    unassigned: tuple[Unassigned, ...]


@dataclass(frozen=True, slots=True)
class Violation:
    """What a solution breaks, and where."""

    code: str
    subject_id: UUID
    facts: Mapping[str, object] = field(default_factory=dict)


def free_window(
    shift: Window, busy: Sequence[Window], around: Window, *, not_before: datetime
) -> Window | None:
    """Return the longest free time of a shift, of those that touch the time around which it is wanted.

    A vehicle with trips elsewhere in its shift has several free times; it is planned in one of them.
    """
    starts_at = max(shift.starts_at, not_before)
    free: list[Window] = []
    for taken in sorted(busy, key=lambda window: window.starts_at):
        free.append(Window(starts_at, min(taken.starts_at, shift.ends_at)))
        starts_at = max(starts_at, taken.ends_at)
    free.append(Window(starts_at, shift.ends_at))
    wanted = [
        window
        for window in free
        if window.starts_at < window.ends_at
        and window.starts_at <= around.ends_at
        and around.starts_at <= window.ends_at
    ]
    return max(wanted, key=lambda window: window.ends_at - window.starts_at, default=None)


def find_violations(wave: Wave, solution: Solution) -> list[Violation]:
    """Return everything that makes a solution unlawful, judged without the solver that made it."""
    trips_of: dict[UUID, list[Trip]] = {}
    for trip in solution.trips:
        trips_of.setdefault(trip.vehicle_id, []).append(trip)
    vehicles = {vehicle.vehicle_id: vehicle for vehicle in wave.vehicles}
    found = list(_miscounted(wave, solution))
    for vehicle_id, trips in trips_of.items():
        if vehicle_id not in vehicles:
            found.append(Violation("dispatch.vehicle_unknown", vehicle_id))
            continue
        found.extend(_day_violations(wave, vehicles[vehicle_id], trips))
    return found


def _miscounted(wave: Wave, solution: Solution) -> Iterator[Violation]:
    carried = chain(*(trip.load_ids for trip in solution.trips))
    named = Counter(chain(carried, (left.load_id for left in solution.unassigned)))
    wanted = {load.load_id for load in wave.loads}
    for load_id, times in named.items():
        if times > 1:
            yield Violation("dispatch.load_named_twice", load_id, {"times": times})
        if load_id not in wanted:
            yield Violation("dispatch.load_unknown", load_id)
    yield from (Violation("dispatch.load_forgotten", load_id) for load_id in wanted - set(named))


def _day_violations(wave: Wave, vehicle: Vehicle, trips: Sequence[Trip]) -> Iterator[Violation]:
    place, free_at = vehicle.stands_at, max(vehicle.starts_at, wave.starts_at)
    for trip in trips:
        if trip.departs_at < free_at:
            yield Violation("dispatch.leaves_too_early", vehicle.vehicle_id, {"free_at": free_at})
        yield from _load_violations(wave, vehicle, trip)
        yield from _time_violations(wave, trip, place)
        place, free_at = _position(wave, trip.stops[-1]) or place, trip.stops[-1].leaves_at
    home = free_at + timedelta(seconds=wave.travel.seconds(wave.travel.metres(place, vehicle.base)))
    if home > vehicle.ends_at:
        yield Violation("dispatch.home_too_late", vehicle.vehicle_id, {"home_at": home})


def _load_violations(wave: Wave, vehicle: Vehicle, trip: Trip) -> Iterator[Violation]:
    loads = {load.load_id: load for load in wave.loads}
    on_board: set[UUID] = set()
    for stop in trip.stops:
        known = [loads[load_id] for load_id in stop.load_ids if load_id in loads]
        for load in known:
            right_place = load.origin_id if stop.kind is StopKind.PICK_UP else load.destination_id
            if stop.place_id != right_place:
                yield Violation("dispatch.wrong_place", load.load_id)
        if stop.kind is StopKind.PICK_UP:
            on_board.update(stop.load_ids)
        else:
            missing = set(stop.load_ids) - on_board
            yield from (Violation("dispatch.given_before_taken", load_id) for load_id in missing)
            on_board.difference_update(stop.load_ids)
        grams = sum(loads[load_id].grams for load_id in on_board if load_id in loads)
        pieces = sum(loads[load_id].pieces for load_id in on_board if load_id in loads)
        if not vehicle.holds(grams=grams, pieces=pieces):
            facts = {"grams": grams, "pieces": pieces}
            yield Violation("dispatch.overloaded", vehicle.vehicle_id, facts)
    yield from (Violation("dispatch.never_given", load_id) for load_id in on_board)


def _time_violations(wave: Wave, trip: Trip, place: Point) -> Iterator[Violation]:
    loads = {load.load_id: load for load in wave.loads}
    free_at = trip.departs_at
    for stop in trip.stops:
        known = [loads[load_id] for load_id in stop.load_ids if load_id in loads]
        position = _position(wave, stop)
        if position is None:
            yield Violation("dispatch.place_unknown", stop.place_id)
            continue
        metres = wave.travel.metres(place, position)
        arrival = free_at + timedelta(seconds=wave.travel.seconds(metres))
        if position != place:
            arrival += timedelta(seconds=wave.travel.stop_seconds)
        if stop.arrives_at < arrival:
            yield Violation("dispatch.faster_than_the_road", stop.place_id, {"arrival": arrival})
        handling = wave.travel.handling_seconds(sum(load.pieces for load in known))
        if stop.leaves_at < stop.arrives_at + timedelta(seconds=handling):
            yield Violation("dispatch.leaves_before_done", stop.place_id)
        if stop.kind is StopKind.GATE:
            yield from (
                Violation("dispatch.outside_window", load.load_id)
                for load in known
                if not wave.windows[load.slot_id].starts_at
                <= stop.arrives_at
                <= wave.windows[load.slot_id].ends_at
            )
        place, free_at = position, stop.leaves_at


def _position(wave: Wave, stop: Stop) -> Point | None:
    places = wave.origins if stop.kind is StopKind.PICK_UP else wave.destinations
    return places.get(stop.place_id)
