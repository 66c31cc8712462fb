"""A wave as PyVRP sees it: paired pick-ups and deliveries, optional at a price no detour is worth. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Any, Final

import numpy as np
import pyvrp
from pyvrp.stop import MaxIterations, MaxRuntime, MultipleCriteria, NoImprovement

from services.contracts.values import Point
from services.dispatch.plans import schedule, sharing, shipments
from services.dispatch.plans.domain import Solution, StopKind, Trip, Unassigned, Vehicle, Wave, WhyNot
from services.dispatch.plans.schedule import Visit
from services.dispatch.plans.sharing import Share
from services.dispatch.plans.shipments import Shipment

# Both count work, not time: the same wave and seed give the same plan unless `seconds` cuts it off.
MOST_ITERATIONS: Final = 20_000
ENOUGH_WITHOUT_GAIN: Final = 1_500


def plan_wave(wave: Wave, *, seconds: float, seed: int) -> Solution:
    """Return trips for a wave and a reason for every load left out; takes `seconds` of one core at most."""
    loads, left = shipments.sort_out(wave)
    if not loads:
        return Solution((), tuple(left))
    wave = replace(wave, vehicles=shipments.find_useful(wave, loads))
    trips = _solve(wave, shipments.merge(wave, loads), seconds=seconds, seed=seed)
    carried = set(chain(*(trip.load_ids for trip in trips)))
    full = [Unassigned(load.load_id, WhyNot.FLEET_FULL) for load in loads if load.load_id not in carried]
    return Solution(tuple(trips), (*left, *full))


def _solve(wave: Wave, merged: Sequence[Shipment], *, seconds: float, seed: int) -> list[Trip]:
    """Return the shortest trips; or where some vehicles stand by while others work long, trips that share."""
    shortest = _search(wave, merged, sharing.ALL, seconds=seconds / 2, seed=seed)
    able = sharing.find_able(wave, shortest)
    share = sharing.find_share(wave, shortest, able)
    if share is None:
        return shortest
    shared = _search(replace(wave, vehicles=able), merged, share, seconds=seconds / 2, seed=seed)
    return min(shortest, shared, key=share.cost)


def _search(wave: Wave, merged: Sequence[Shipment], share: Share, *, seconds: float, seed: int) -> list[Trip]:
    data = _problem(wave, merged, share)
    stop = MultipleCriteria(
        [MaxRuntime(seconds), MaxIterations(MOST_ITERATIONS), NoImprovement(ENOUGH_WITHOUT_GAIN)]
    )
    best = pyvrp.solve(data, stop, seed=seed, collect_stats=False, display=False).best
    trips: list[Trip] = []
    if not best.is_feasible():
        return trips
    for route in best.routes():
        visits = [
            Visit(StopKind.PICK_UP if activity.is_pickup() else StopKind.GATE, merged[activity.idx])
            for activity in route.schedule()
            if activity.is_shipment()
        ]
        if visits:
            trips.extend(schedule.make_trips(wave, wave.vehicles[route.vehicle_type()], visits))
    return trips


def _problem(wave: Wave, merged: Sequence[Shipment], share: Share) -> pyvrp.ProblemData:
    # Depots come first of the places, so that one number means the same point as either.
    depots = list(dict.fromkeys(chain(*((vehicle.stands_at, vehicle.base) for vehicle in wave.vehicles))))
    used = (
        *depots,
        *(wave.origins[shipment.origin_id] for shipment in merged),
        *(wave.destinations[shipment.destination_id] for shipment in merged),
    )
    places = {point: index for index, point in enumerate(dict.fromkeys(used))}
    metres, seconds = _matrices(wave, list(places))
    windows = [wave.windows[shipment.slot_id] for shipment in merged]
    # To wait from one slot to the next is no work.
    apart = max(window.starts_at for window in windows) - min(window.starts_at for window in windows)
    limit = replace(share, seconds=share.seconds + int(apart.total_seconds()))
    # No detour is worth more, nor all the time until the last window ends.
    prize = 4 * (int(metres.max()) or 1) + share.price * max(
        0, _second(wave, max(window.ends_at for window in windows))
    )
    return pyvrp.ProblemData(
        locations=[pyvrp.Location(x=point.lon, y=point.lat) for point in places],
        clients=[],
        depots=[pyvrp.Depot(location=places[point]) for point in depots],
        vehicle_types=[_vehicle(wave, vehicle, places, limit) for vehicle in wave.vehicles],
        distance_matrices=[metres],
        duration_matrices=[seconds],
        shipments=[_shipment(wave, shipment, places, prize=prize) for shipment in merged],
    )


def _matrices(wave: Wave, points: Sequence[Point]) -> tuple[Any, Any]:
    metres = np.zeros((len(points), len(points)), dtype=np.int64)
    seconds = np.zeros_like(metres)
    for row, start in enumerate(points):
        for column, end in enumerate(points):
            if row == column:
                continue
            metres[row, column] = wave.travel.metres(start, end)
            # Stopping is paid on the way in: loads given at one stop pay for it once.
            seconds[row, column] = shipments.drive(wave, start, end).total_seconds()
    return metres, seconds


def _vehicle(wave: Wave, vehicle: Vehicle, places: Mapping[Point, int], share: Share) -> pyvrp.VehicleType:
    return pyvrp.VehicleType(
        capacity=[vehicle.capacity_g, vehicle.capacity_pieces],
        start_depot=places[vehicle.stands_at],
        end_depot=places[vehicle.base],
        tw_early=_second(wave, max(vehicle.starts_at, wave.starts_at)),
        tw_late=_second(wave, vehicle.ends_at, upward=False),
        shift_duration=share.seconds,
        max_overtime=sharing.ALL.seconds,
        unit_overtime_cost=share.price,
    )


def _shipment(wave: Wave, shipment: Shipment, places: Mapping[Point, int], *, prize: int) -> pyvrp.Shipment:
    handling = wave.travel.handling_seconds(shipment.pieces)
    window = wave.windows[shipment.slot_id]
    return pyvrp.Shipment(
        pickup_location=places[wave.origins[shipment.origin_id]],
        delivery_location=places[wave.destinations[shipment.destination_id]],
        pickup_service_duration=handling,
        delivery_service_duration=handling,
        delivery_tw_early=max(0, _second(wave, window.starts_at)),
        delivery_tw_late=_second(wave, window.ends_at, upward=False),
        amount=[shipment.grams, shipment.pieces],
        # More the more loads it has: a full fleet serves most.
        prize=prize * (1 + len(shipment.loads)),
        required=False,
    )


def _second(wave: Wave, moment: datetime, *, upward: bool = True) -> int:
    """Return a moment in whole seconds of the wave, rounded so that a window only gets narrower."""
    passed = (moment - wave.starts_at).total_seconds()
    return int(-(-passed // 1)) if upward else int(passed // 1)
