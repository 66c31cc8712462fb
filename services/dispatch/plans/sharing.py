"""How the work of a wave is shared among its vehicles: beyond a fair share each second has a price. Pure.

See `docs/decisions/0008-work-beyond-a-fair-share-has-a-price.md`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from services.dispatch.plans.domain import Trip, Vehicle, Wave

# For less than an hour of work nobody more is called out.
LEAST_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True)
class Share:
    """How many seconds of work cost a vehicle nothing, and how many metres each further one is worth."""

    seconds: int
    price: int

    def cost(self, trips: Sequence[Trip]) -> tuple[int, int]:
        """Return what trips cost, the less the better: first the loads they do not carry, then metres."""
        beyond = sum(max(0, seconds - self.seconds) for seconds in _work(trips).values())
        carried = len(set(chain(*(trip.load_ids for trip in trips))))
        return -carried, sum(trip.metres for trip in trips) + self.price * beyond


# All the work is anyone's.
ALL: Final = Share(seconds=10**9, price=0)


def find_able(wave: Wave, trips: Sequence[Trip]) -> list[Vehicle]:
    """Return the vehicles that can be on the road together: those that make the trips, or have a driver."""
    used = {trip.vehicle_id for trip in trips}
    return [each for each in wave.vehicles if each.vehicle_id in used or each.vehicle_id in wave.crewed_ids]


def find_share(wave: Wave, trips: Sequence[Trip], able: Sequence[Vehicle]) -> Share | None:
    """Return the fair share of the work of some trips; None where no vehicle does more than that."""
    work = _work(trips)
    seconds = max(LEAST_SECONDS, sum(work.values()) // max(1, len(able)))
    if max(work.values(), default=0) <= seconds:
        return None
    # A second is worth the way that can be driven in it.
    return Share(seconds, max(1, round(wave.travel.metres_per_hour / 3600)))


def _work(trips: Sequence[Trip]) -> Counter[object]:
    work: Counter[object] = Counter()
    for trip in trips:
        work[trip.vehicle_id] += trip.seconds
    return work
