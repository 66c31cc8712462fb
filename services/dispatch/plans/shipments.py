"""Loads merged into shipments: 1,500 household bags become some dozens of things to carry. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from services.contracts.values import Point
from services.dispatch.plans.domain import Load, Unassigned, Vehicle, Wave, WhyNot

# Of more shipments the usual seconds make longer ways than the smallest vehicles save: then larger ones set
# the measure, as long as those that can still carry each shipment are most of the fleet.
MANY: Final = 60


@dataclass(frozen=True, slots=True)
class Shipment:
    """Loads of one origin, destination and slot that ride together, whoever they are for."""

    loads: tuple[Load, ...]

    @property
    def origin_id(self) -> UUID:
        """Return where it is picked up."""
        return self.loads[0].origin_id

    @property
    def destination_id(self) -> UUID:
        """Return where it is given."""
        return self.loads[0].destination_id

    @property
    def slot_id(self) -> UUID:
        """Return when it is given."""
        return self.loads[0].slot_id

    @property
    def grams(self) -> int:
        """Return its mass."""
        return sum(load.grams for load in self.loads)

    @property
    def pieces(self) -> int:
        """Return how many load units it has."""
        return sum(load.pieces for load in self.loads)


def sort_out(wave: Wave) -> tuple[list[Load], list[Unassigned]]:
    """Return the loads that some vehicle could carry if it had nothing else to do, and why not the others."""
    carriable: list[Load] = []
    left: list[Unassigned] = []
    for load in wave.loads:
        why = _why_not(wave, load)
        if why is None:
            carriable.append(load)
        else:
            left.append(Unassigned(load.load_id, why))
    return carriable, left


def find_useful(wave: Wave, loads: Sequence[Load]) -> list[Vehicle]:
    """Return the vehicles that could carry at least one of the loads."""
    return [
        vehicle
        for vehicle in wave.vehicles
        if any(is_carriable(wave, vehicle, Shipment((load,))) for load in loads)
    ]


def merge(wave: Wave, loads: Sequence[Load]) -> list[Shipment]:
    """Return shipments that each fit some vehicle, and whose handling leaves the window reachable."""
    fleet = sorted(wave.vehicles, key=lambda vehicle: (vehicle.capacity_g, vehicle.capacity_pieces))
    at_least = sum(vehicle.capacity_g for vehicle in fleet) / 2
    shipments: list[Shipment] = []
    # The smallest vehicle sets the measure, so that each can carry each; unless that makes too many.
    for index, vehicle in enumerate(fleet):
        if sum(larger.capacity_g for larger in fleet[index:]) < at_least:
            break
        shipments = list(_packed(loads, vehicle))
        if len(shipments) <= MANY:
            break
    return [part for shipment in shipments for part in _reachable_parts(wave, shipment)]


def is_carriable(wave: Wave, vehicle: Vehicle, shipment: Shipment) -> bool:
    """Say whether a vehicle can bring a shipment in time and be home in time, doing nothing else."""
    if not vehicle.holds(grams=shipment.grams, pieces=shipment.pieces):
        return False
    travel, window = wave.travel, wave.windows[shipment.slot_id]
    origin, destination = wave.origins[shipment.origin_id], wave.destinations[shipment.destination_id]
    handling = timedelta(seconds=travel.handling_seconds(shipment.pieces))
    moment = max(vehicle.starts_at, wave.starts_at)
    moment += drive(wave, vehicle.stands_at, origin) + handling + drive(wave, origin, destination)
    moment = max(moment, window.starts_at)
    if moment > window.ends_at:
        return False
    home = travel.seconds(travel.metres(destination, vehicle.base))
    return moment + handling + timedelta(seconds=home) <= vehicle.ends_at


def drive(wave: Wave, start: Point, end: Point) -> timedelta:
    """Return how long it takes from one stop to the next, until handling begins there."""
    if start == end:
        return timedelta(0)
    metres = wave.travel.metres(start, end)
    return timedelta(seconds=wave.travel.seconds(metres) + wave.travel.stop_seconds)


def _why_not(wave: Wave, load: Load) -> WhyNot | None:
    if load.origin_id not in wave.origins:
        return WhyNot.OUTLET_POSITION_UNKNOWN
    if load.destination_id not in wave.destinations:
        return WhyNot.GATE_UNKNOWN
    return _unfit_fleet(wave, load)


def _unfit_fleet(wave: Wave, load: Load) -> WhyNot | None:
    if not wave.vehicles:
        return WhyNot.NO_VEHICLE
    strong = [vehicle for vehicle in wave.vehicles if vehicle.holds(grams=load.grams, pieces=load.pieces)]
    if not strong:
        return WhyNot.TOO_HEAVY
    window = wave.windows[load.slot_id]
    awake = [
        vehicle
        for vehicle in strong
        if vehicle.ends_at >= window.starts_at and vehicle.starts_at <= window.ends_at
    ]
    if not awake:
        return WhyNot.OUTSIDE_EVERY_SHIFT
    if not any(is_carriable(wave, vehicle, Shipment((load,))) for vehicle in awake):
        return WhyNot.NOT_REACHABLE
    return None


def _packed(loads: Sequence[Load], measure: Vehicle) -> Iterator[Shipment]:
    alike: dict[tuple[UUID, UUID, UUID], list[Load]] = {}
    for load in sorted(loads, key=lambda load: load.load_id):
        alike.setdefault((load.origin_id, load.destination_id, load.slot_id), []).append(load)
    for _, together in sorted(alike.items()):
        part: list[Load] = []
        grams = pieces = 0
        for load in together:
            if part and not measure.holds(grams=grams + load.grams, pieces=pieces + load.pieces):
                yield Shipment(tuple(part))
                part, grams, pieces = [], 0, 0
            part.append(load)
            grams, pieces = grams + load.grams, pieces + load.pieces
        yield Shipment(tuple(part))


def _reachable_parts(wave: Wave, shipment: Shipment) -> Iterator[Shipment]:
    # Many pieces take long to load: a half may reach a window that the whole would miss.
    if len(shipment.loads) == 1 or any(is_carriable(wave, vehicle, shipment) for vehicle in wave.vehicles):
        yield shipment
        return
    middle = len(shipment.loads) // 2
    yield from _reachable_parts(wave, Shipment(shipment.loads[:middle]))
    yield from _reachable_parts(wave, Shipment(shipment.loads[middle:]))
