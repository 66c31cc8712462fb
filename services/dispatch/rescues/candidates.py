"""Who can take over goods that are to be rescued, and why nobody can. Pure; a table of cases tests it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from services.contracts.access import Role
from services.contracts.values import Point, ZoneClass
from services.dispatch.crew.domain import CrewClearance, is_cleared
from services.dispatch.passes.domain import Pass
from services.dispatch.plans.travel import Travel
from services.dispatch.trips.domain import Turn


class WhyNobody(StrEnum):
    """What stands against a take-over."""

    NO_CLEARED_DRIVER = "dispatch.no_cleared_driver"
    NO_DRIVER_FREE = "dispatch.no_driver_free"
    NO_VEHICLE_FREE = "dispatch.no_vehicle_free"
    NO_VEHICLE_WITH_CAPACITY = "dispatch.no_vehicle_with_capacity"
    NO_VEHICLE_WITH_PASS = "dispatch.no_vehicle_with_pass"  # noqa: S105 - a code
    NO_DRIVER_ON_PASS = "dispatch.no_driver_on_pass"  # noqa: S105 - a code
    NONE_NEAR = "dispatch.none_near"
    PLACE_UNKNOWN = "dispatch.rescue_place_unknown"
    NO_STEWARD_ON_DUTY = "dispatch.no_steward_on_duty"
    NO_CLEARED_STEWARD = "dispatch.no_cleared_steward"
    LATE = "dispatch.take_over_late"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be taken over, where it stands, and where it is to be brought."""

    holder_id: UUID
    zone_class: ZoneClass
    place: Point | None
    grams: int
    pieces: int
    gates: Sequence[Point] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ride:
    """A vehicle in service: from where a driver comes with it, what it holds, when it may move.

    Also to one that stands with the goods its driver comes from its base: that it is there helps nobody yet.
    """

    vehicle_id: UUID
    comes_from: Point
    capacity_g: int
    capacity_pieces: int
    shift_starts_at: datetime
    shift_ends_at: datetime
    passes: Sequence[Pass] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """Somebody who can take over; a driver with a vehicle, so many metres of road away from the goods."""

    person_id: UUID
    vehicle_id: UUID | None
    metres: int | None
    is_near: bool


@dataclass(frozen=True, slots=True)
class Judgement:
    """Everybody who can take over, the nearest first, and what stands against it where nobody near can."""

    candidates: tuple[Candidate, ...]
    codes: tuple[WhyNobody, ...]

    @property
    def is_help_near(self) -> bool:
        """Say whether somebody near by can take over."""
        return any(each.is_near for each in self.candidates)


def judge_stewards(task: Task, on_duty: Iterable[CrewClearance], now: datetime) -> Judgement:
    """Judge the stewards on duty in a community: whoever is cleared for its zone stands near."""
    others = [each for each in on_duty if each.person_id != task.holder_id]
    cleared = sorted(each.person_id for each in others if is_cleared(each, task.zone_class, now))
    if not cleared:
        return Judgement((), (WhyNobody.NO_CLEARED_STEWARD if others else WhyNobody.NO_STEWARD_ON_DUTY,))
    found = (Candidate(person_id=each, vehicle_id=None, metres=None, is_near=True) for each in cleared)
    return Judgement(tuple(found), ())


def judge_drivers(  # noqa: PLR0913 - everything a take-over depends on
    task: Task,
    people: Iterable[CrewClearance],
    rides: Sequence[Ride],
    turns: Sequence[Turn],
    *,
    travel: Travel,
    near_metres: int,
    now: datetime,
) -> Judgement:
    """Judge who can come with which vehicle; each cleared driver is named once, with the nearest one.

    Who has the goods stands beside them, and has to go for the vehicle first: his way is there and back.
    A vehicle holds all that is on board; shift, pass, clearance and the next trip leave the time for the way
    to the goods, for taking them over and for the farthest of their gates.
    """
    usable, codes = _usable_rides(task, rides, turns, travel, now)
    drivers, missing = _free_drivers(task, people, turns, now)
    codes += missing
    best = _find_nearest(task, usable, drivers, turns, travel=travel, near_metres=near_metres, now=now)
    if usable and drivers and not best:
        codes.append(WhyNobody.NO_DRIVER_ON_PASS)
    if best and not any(each.is_near for each in best.values()):
        codes.append(WhyNobody.NONE_NEAR if task.place else WhyNobody.PLACE_UNKNOWN)
    return Judgement(tuple(sorted(best.values(), key=_nearness)), tuple(codes))


def _find_nearest(  # noqa: PLR0913 - everything a take-over depends on
    task: Task,
    usable: Sequence[tuple[Ride, Pass]],
    drivers: Sequence[CrewClearance],
    turns: Sequence[Turn],
    *,
    travel: Travel,
    near_metres: int,
    now: datetime,
) -> dict[UUID, Candidate]:
    best: dict[UUID, Candidate] = {}
    for ride, permit in usable:
        for driver in drivers:
            metres, until = _way(task, ride, driver, travel, now)
            theirs = [turn for turn in turns if driver.person_id == turn.person_id]
            theirs += [turn for turn in turns if ride.vehicle_id == turn.vehicle_id]
            if until > ride.shift_ends_at or _is_busy(theirs, now, until):
                continue
            if not _may_drive(task, permit, driver, now, until):
                continue
            each = Candidate(
                person_id=driver.person_id,
                vehicle_id=ride.vehicle_id,
                metres=metres,
                is_near=metres is not None and metres <= near_metres,
            )
            best[driver.person_id] = min(best.get(driver.person_id, each), each, key=_nearness)
    return best


def _may_drive(task: Task, permit: Pass, driver: CrewClearance, now: datetime, until: datetime) -> bool:
    is_admitted = permit.covers(now, until) and permit.admits(driver.person_id)
    return is_admitted and is_cleared(driver, task.zone_class, until)


def _way(
    task: Task, ride: Ride, driver: CrewClearance, travel: Travel, now: datetime
) -> tuple[int | None, datetime]:
    until = now + _takes(task, ride, travel)
    if task.place is None:
        return None, until
    metres = travel.metres(ride.comes_from, task.place)
    if driver.person_id != task.holder_id:
        return metres, until
    return 2 * metres, until + timedelta(seconds=travel.seconds(metres))


def _usable_rides(
    task: Task, rides: Sequence[Ride], turns: Sequence[Turn], travel: Travel, now: datetime
) -> tuple[list[tuple[Ride, Pass]], list[WhyNobody]]:
    takes = {ride.vehicle_id: now + _takes(task, ride, travel) for ride in rides}
    free = [
        ride
        for ride in rides
        if ride.shift_starts_at <= now
        and takes[ride.vehicle_id] <= ride.shift_ends_at
        and not _is_busy(
            [turn for turn in turns if turn.vehicle_id == ride.vehicle_id], now, takes[ride.vehicle_id]
        )
    ]
    if not free:
        return [], [WhyNobody.NO_VEHICLE_FREE]
    strong = [ride for ride in free if task.grams <= ride.capacity_g and task.pieces <= ride.capacity_pieces]
    if not strong:
        return [], [WhyNobody.NO_VEHICLE_WITH_CAPACITY]
    usable = [
        (ride, permit)
        for ride in strong
        for permit in ride.passes
        if permit.covers(now, takes[ride.vehicle_id])
    ]
    return usable, [] if usable else [WhyNobody.NO_VEHICLE_WITH_PASS]


def _free_drivers(
    task: Task, people: Iterable[CrewClearance], turns: Sequence[Turn], now: datetime
) -> tuple[list[CrewClearance], list[WhyNobody]]:
    cleared = [each for each in people if each.role is Role.DRIVER and is_cleared(each, task.zone_class, now)]
    if not cleared:
        return [], [WhyNobody.NO_CLEARED_DRIVER]
    driving = {turn.person_id for turn in turns if turn.departs_at <= now < turn.ends_at}
    free = [each for each in cleared if each.person_id not in driving]
    return free, [] if free else [WhyNobody.NO_DRIVER_FREE]


def _takes(task: Task, ride: Ride, travel: Travel) -> timedelta:
    handling = 2 * (travel.stop_seconds + travel.handling_seconds(task.pieces))
    if task.place is None:
        return timedelta(seconds=handling)
    onward = max((travel.metres(task.place, gate) for gate in task.gates), default=0)
    road = travel.seconds(travel.metres(ride.comes_from, task.place)) + travel.seconds(onward)
    return timedelta(seconds=road + handling)


def _is_busy(turns: Iterable[Turn], since: datetime, until: datetime) -> bool:
    return any(turn.departs_at < until and since < turn.ends_at for turn in turns)


def _nearness(each: Candidate) -> tuple[bool, int, UUID, UUID | None]:
    return not each.is_near, each.metres or 0, each.person_id, each.vehicle_id
