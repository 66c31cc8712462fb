"""Waves around a town's centre; a test overrides only what matters to it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from services.contracts.values import Point
from services.dispatch.plans.domain import Load, Vehicle, Wave, Window
from services.dispatch.plans.travel import Travel

MORNING = datetime(2022, 11, 20, 6, 0, tzinfo=UTC)
# 1 m of latitude on the mean sphere is 8.993e-6 degrees.
DEGREES_A_METRE = 8.993216059187306e-06

TRAVEL = Travel(detour_percent=100, metres_per_hour=36_000, stop_seconds=60, piece_seconds=10)


def east(metres: float) -> Point:
    """A place so many metres along the equator, where every distance can be counted by hand."""
    return Point(lat=0, lon=metres * DEGREES_A_METRE)


def uid(number: int) -> UUID:
    return UUID(int=number)


def at(hours: float) -> datetime:
    return MORNING + timedelta(hours=hours)


def make_vehicle(number: int = 1, **given: Any) -> Vehicle:
    wanted = {
        "vehicle_id": uid(1000 + number),
        "capacity_g": 500_000,
        "capacity_pieces": 60,
        "base": east(0),
        "starts_at": at(0),
        "ends_at": at(8),
    }
    made = {**wanted, **given}
    return Vehicle(**{"stands_at": made["base"], **made})


def make_load(number: int, **given: Any) -> Load:
    wanted = {
        "load_id": uid(number),
        "origin_id": uid(2001),
        "destination_id": uid(3001),
        "slot_id": uid(4001),
        "grams": 10_000,
        "pieces": 1,
    }
    return Load(**{**wanted, **given})


def make_wave(loads: Sequence[Load], vehicles: Sequence[Vehicle] | None = None, **given: Any) -> Wave:
    origins: Mapping[UUID, Point] = {uid(2001): east(1000), uid(2002): east(-1000), uid(2003): east(500)}
    destinations: Mapping[UUID, Point] = {uid(3001): east(3000), uid(3002): east(4000)}
    fleet = [make_vehicle()] if vehicles is None else vehicles
    wanted = {
        "starts_at": at(0),
        "vehicles": fleet,
        "crewed_ids": {vehicle.vehicle_id for vehicle in fleet},
        "loads": loads,
        "origins": origins,
        "destinations": destinations,
        "windows": {uid(4001): Window(at(2), at(6))},
        "travel": TRAVEL,
    }
    return Wave(**{**wanted, **given})


def make_market(**given: Any) -> Wave:
    """Chendai's run as far as it is known: 13.5 t in crates of 25 kg, brought to 8 sites for 26 villages.

    Crates are numbered as orders come: in turn from every village; see `village_of`. Two metres of road a
    metre, as a town's blocks make them, and the buses 500 m from the goods.
    """
    buses = [make_vehicle(n, capacity_g=1_600_000, capacity_pieces=200, base=east(500)) for n in range(1, 5)]
    loads = [
        make_load(n, origin_id=uid(2001), destination_id=site_of(village_of(n)), grams=25_000)
        for n in range(1, 541)
    ]
    wanted = {
        "origins": {uid(2001): east(0)},
        # Four to the west of the goods, four to the east.
        "destinations": {uid(3001 + n): east(800 * (n - 4 if n < 4 else n - 3)) for n in range(8)},
        "windows": {uid(4001): Window(at(1), at(5))},
        "travel": Travel(detour_percent=200, metres_per_hour=18_000, stop_seconds=240, piece_seconds=6),
    }
    return make_wave(loads, buses, **{**wanted, **given})


def village_of(load: int) -> int:
    """For which of the 26 villages a crate of the market is."""
    return load % 26


def site_of(village: int) -> UUID:
    """Which of the eight sites serves a village: three or four each."""
    return uid(3001 + village % 8)
