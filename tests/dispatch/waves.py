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
    wanted = {
        "starts_at": at(0),
        "vehicles": [make_vehicle()] if vehicles is None else vehicles,
        "loads": loads,
        "origins": origins,
        "destinations": destinations,
        "windows": {uid(4001): Window(at(2), at(6))},
        "travel": TRAVEL,
    }
    return Wave(**{**wanted, **given})
