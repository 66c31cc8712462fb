"""How far and how long: the great circle, made longer and slower by a dated policy. Pure."""

from dataclasses import dataclass
from math import asin, cos, radians, sin, sqrt
from typing import Final

from services.contracts.values import Point

EARTH_METRES: Final = 6_371_008.8  # mean radius (IUGG)


@dataclass(frozen=True, slots=True, kw_only=True)
class Travel:
    """A policy of the road: detour over the great circle, speed, and how long a stop and a piece take."""

    detour_percent: int
    metres_per_hour: int
    stop_seconds: int
    piece_seconds: int

    def metres(self, start: Point, end: Point) -> int:
        """Return the metres of road between two positions."""
        return round(great_circle(start, end) * self.detour_percent / 100)

    def seconds(self, metres: int) -> int:
        """Return how long so many metres take, rounded up."""
        return -(-metres * 3600 // self.metres_per_hour)

    def handling_seconds(self, pieces: int) -> int:
        """Return how long so many pieces take to load, or to unload."""
        return pieces * self.piece_seconds


def great_circle(start: Point, end: Point) -> float:
    """Return the metres between two positions on a sphere (haversine)."""
    north = radians(end.lat - start.lat)
    east = radians(end.lon - start.lon)
    chord = sin(north / 2) ** 2 + cos(radians(start.lat)) * cos(radians(end.lat)) * sin(east / 2) ** 2
    return 2 * EARTH_METRES * asin(min(1.0, sqrt(chord)))
