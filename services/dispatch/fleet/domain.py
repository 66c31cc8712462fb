"""How many portions a fleet can carry in each slot. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Final
from uuid import UUID

from services.contracts.values import ZoneClass
from services.kit.errors import Fault

# More than any zone has households: a slot of days with a huge fleet is no larger promise than that.
MOST_PORTIONS: Final = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle:
    """What a vehicle can carry at a time, and from when to when it is there."""

    vehicle_id: UUID
    capacity_g: int
    capacity_pieces: int
    shift_starts_at: datetime
    shift_ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """A vehicle's right to be on the road, and for whom: an empty crew is anyone who is cleared."""

    vehicle_id: UUID
    valid_from: datetime
    valid_to: datetime
    crew: frozenset[UUID]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A slot as the fleet sees it; vehicles pinned by its zone serve that zone alone."""

    slot_id: UUID
    zone_id: UUID
    zone_class: ZoneClass
    head_count: int
    starts_at: datetime
    ends_at: datetime
    pinned_vehicle_ids: frozenset[UUID] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The dated averages of a portion, and how long a round takes."""

    portion_g: int
    portion_pieces: int
    trip_minutes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Everything a slot's capacity depends on; drivers by the class of zone they are cleared for."""

    vehicles: Sequence[Vehicle]
    permits: Sequence[Permit]
    drivers: Mapping[ZoneClass, frozenset[UUID]]
    policy: Policy


def find_shift_faults(pointer: str, *, starts_at: datetime, ends_at: datetime) -> list[Fault]:
    """Name what is wrong with a shift: it must end after it starts."""
    return [] if starts_at < ends_at else [Fault(f"{pointer}/shift_ends_at", "dispatch.shift_empty")]


def portions_of(windows: Sequence[Window], fleet: Fleet) -> dict[UUID, int]:
    """Return for each slot how many portions can be carried in it.

    A vehicle counts when it has a permit for the whole slot and a cleared driver of its permit's crew, each
    driver for one vehicle, the largest vehicles first. It carries, by mass or by pieces, whichever is less,
    in as many rounds as its shift leaves of the slot, one at least if that is all of it. What is on the road
    at the same time is shared among the slots by their head-count, so no vehicle is promised twice.
    """
    portions: dict[UUID, int] = {}
    for window in windows:
        carried = {
            vehicle.vehicle_id: trips_in(window, vehicle, fleet.policy)
            * portions_a_trip(vehicle, fleet.policy)
            for vehicle in fleet.vehicles
        }
        crews = _crews_of(window, fleet.permits)
        usable = [vehicle_id for vehicle_id, count in carried.items() if count and vehicle_id in crews]
        usable.sort(key=lambda vehicle_id: (-carried[vehicle_id], vehicle_id))
        crewed = find_crewed(usable, crews, fleet.drivers.get(window.zone_class, frozenset()))
        total = sum((carried[each] * share_of(window, each, windows) for each in crewed), Fraction())
        portions[window.slot_id] = min(int(total), MOST_PORTIONS)
    return portions


def portions_a_trip(vehicle: Vehicle, policy: Policy) -> int:
    """Return how many average portions a vehicle carries at a time."""
    return min(vehicle.capacity_g // policy.portion_g, vehicle.capacity_pieces // policy.portion_pieces)


def trips_in(window: Window, vehicle: Vehicle, policy: Policy) -> int:
    """Return how many rounds a vehicle makes within a slot and its own shift."""
    starts_at = max(window.starts_at, vehicle.shift_starts_at)
    ends_at = min(window.ends_at, vehicle.shift_ends_at)
    if starts_at >= ends_at:
        return 0
    rounds = (ends_at - starts_at) // timedelta(minutes=policy.trip_minutes)
    is_whole = (starts_at, ends_at) == (window.starts_at, window.ends_at)
    return max(rounds, 1) if is_whole else rounds


def find_crewed(
    vehicle_ids: Sequence[UUID], crews: Mapping[UUID, AbstractSet[UUID]], drivers: AbstractSet[UUID]
) -> list[UUID]:
    """Return the vehicles that can have a driver each, those named first preferred (Kuhn's matching)."""
    driver_of: dict[UUID, UUID] = {}
    order = sorted(drivers)

    def seat(vehicle_id: UUID, asked: set[UUID]) -> bool:
        for driver in order:
            if driver in asked or (crews[vehicle_id] and driver not in crews[vehicle_id]):
                continue
            asked.add(driver)
            if driver not in driver_of or seat(driver_of[driver], asked):
                driver_of[driver] = vehicle_id
                return True
        return False

    return [vehicle_id for vehicle_id in vehicle_ids if seat(vehicle_id, set())]


def share_of(window: Window, vehicle_id: UUID, windows: Iterable[Window]) -> Fraction:
    """Return which part of a vehicle a slot gets of all that want it at the same time.

    At any moment the parts of all slots sum to one at most, for each is divided by at least those.
    """
    at_once = [other for other in windows if _overlap(window, other)]
    pinning = [other for other in at_once if vehicle_id in other.pinned_vehicle_ids]
    sharing = pinning or at_once
    if window not in sharing:
        return Fraction(0)
    # A slot of nobody still gets its orders carried.
    return Fraction(max(window.head_count, 1), sum(max(other.head_count, 1) for other in sharing))


def _overlap(window: Window, other: Window) -> bool:
    return window.starts_at < other.ends_at and other.starts_at < window.ends_at


def _crews_of(window: Window, permits: Iterable[Permit]) -> dict[UUID, frozenset[UUID]]:
    crews: dict[UUID, frozenset[UUID]] = {}
    for permit in permits:
        if permit.valid_from <= window.starts_at and window.ends_at <= permit.valid_to:
            crews[permit.vehicle_id] = permit.crew
    return crews
