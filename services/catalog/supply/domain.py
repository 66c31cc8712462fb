"""Which outlets a zone asks, in which order, and when it is supplied. Pure; times are arguments."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from math import asin, cos, radians, sin, sqrt
from typing import Final
from uuid import UUID

from services.catalog.outlets.domain import Risk
from services.catalog.zones.domain import Gate
from services.contracts.values import MissingSupply, OutletKind, Pin, Point

EARTH_RADIUS_M: Final = 6_371_000
# Outlets of one band are equally near: there the greater reserve goes first.
BAND_M: Final = 500
RISKS: Final = (Risk.LOW, Risk.MEDIUM, Risk.HIGH)


class Status(StrEnum):
    """Where an assignment stands."""

    ASKED = "asked"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    SILENT = "silent"
    WITHDRAWN = "withdrawn"
    ENDED = "ended"


class Turn(StrEnum):
    """What can happen to an assignment."""

    ACCEPTANCE = "acceptance"
    REFUSAL = "refusal"
    SILENCE = "silence"
    DISQUALIFICATION = "disqualification"
    CLOSURE = "closure"


NEXT: Mapping[tuple[Status, Turn], Status] = {
    (Status.ASKED, Turn.ACCEPTANCE): Status.ACCEPTED,
    (Status.ASKED, Turn.REFUSAL): Status.REFUSED,
    (Status.ASKED, Turn.SILENCE): Status.SILENT,
    (Status.ASKED, Turn.DISQUALIFICATION): Status.WITHDRAWN,
    (Status.ASKED, Turn.CLOSURE): Status.ENDED,
    (Status.ACCEPTED, Turn.DISQUALIFICATION): Status.WITHDRAWN,
    # What was promised to a closed zone is still given: its confirmed orders are delivered.
    (Status.ACCEPTED, Turn.CLOSURE): Status.ACCEPTED,
    # The clock was faster than the answer; what the zone still lacks is taken.
    (Status.SILENT, Turn.ACCEPTANCE): Status.ACCEPTED,
    (Status.SILENT, Turn.REFUSAL): Status.REFUSED,
}


class OutOfTurn(Exception):
    """Something is asked of an assignment that cannot happen in its status."""

    def __init__(self, *, status: Status, turn: Turn) -> None:
        super().__init__(f"{turn} cannot happen to an assignment that is {status}")
        self.status = status
        self.turn = turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was decided for planning, dated: time to answer, households by head-count, the surcharge."""

    answer_seconds: int
    look_again_seconds: int
    persons_per_100_households: int
    surcharge_permille: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """An outlet that was asked for so many orders a day; an accepted one promised some or all of them."""

    assignment_id: UUID
    outlet_id: UUID
    kind: OutletKind
    rank: int
    status: Status
    asked_orders: int
    accepted_orders: int | None
    answer_by: datetime
    is_qualified: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Short:
    """Orders that could not be served; those `of_stock` met outlets that can pick, and empty shelves."""

    orders: int
    of_stock: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What an outlet has accepted for a zone, all its asks together; its place is that of the first."""

    outlet_id: UUID
    rank: int
    orders: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """A zone's needs in orders a day by kind, and whom it asked for them."""

    zone_id: UUID
    needs: Mapping[OutletKind, int]
    gates: tuple[Gate, ...]
    pins: tuple[Pin, ...]
    assignments: tuple[Assignment, ...]
    short: Mapping[OutletKind, Short] = field(default_factory=dict)

    def found(self, kind: OutletKind) -> int:
        """Return how many orders a day of a kind were accepted."""
        return sum(one.accepted_orders or 0 for one in self._of(kind, Status.ACCEPTED))

    def lacking(self, kind: OutletKind) -> int:
        """Return how many orders a day of a kind are neither accepted nor asked for."""
        asked = sum(one.asked_orders for one in self._of(kind, Status.ASKED))
        return max(0, self.needs.get(kind, 0) - self.found(kind) - asked)

    @property
    def promises(self) -> list[Promise]:
        """Return what each outlet has accepted, by rank."""
        accepted: dict[UUID, list[Assignment]] = {}
        for one in sorted(self.assignments, key=lambda one: one.rank):
            if one.status is Status.ACCEPTED:
                accepted.setdefault(one.outlet_id, []).append(one)
        return [
            Promise(
                outlet_id=outlet_id, rank=asks[0].rank, orders=sum(one.accepted_orders or 0 for one in asks)
            )
            for outlet_id, asks in accepted.items()
        ]

    @property
    def is_settled(self) -> bool:
        """Say whether every kind is covered, or nobody is left whose answer could cover it."""
        return all(
            self.found(kind) >= needed or not self._of(kind, Status.ASKED)
            for kind, needed in self.needs.items()
        )

    def _of(self, kind: OutletKind, status: Status) -> list[Assignment]:
        return [one for one in self.assignments if one.kind is kind and one.status is status]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A qualified outlet; `remaining` is its capacity less what it has promised or is asked for elsewhere."""

    outlet_id: UUID
    kind: OutletKind
    position: Point
    risk: Risk
    reserve_person_days: int
    remaining: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """An outlet to be asked for so many orders a day; the rank is its place among all whom the zone asked."""

    zone_id: UUID
    outlet_id: UUID
    kind: OutletKind
    rank: int
    orders: int
    distance_m: int
    pin_reason: str | None


def next_status(status: Status, turn: Turn) -> Status:
    """Return what an assignment becomes; raise `OutOfTurn` for what is not in the table."""
    try:
        return NEXT[status, turn]
    except KeyError:
        raise OutOfTurn(status=status, turn=turn) from None


def count_households(gates: Iterable[Gate], *, persons_per_100_households: int) -> int:
    """Return the households of a zone: by head-count, or as registered where there are more."""
    return sum(
        max(gate.households, -(-gate.head_count * 100 // persons_per_100_households)) for gate in gates
    )


def needed_orders(households: int, *, orders_permille: int, surcharge_permille: int) -> int:
    """Return the orders a day that a zone needs of a kind, rounded up."""
    return -(-households * orders_permille * (1000 + surcharge_permille) // 1_000_000)


def seconds_between(activated_at: datetime | None, supplied_at: datetime) -> float:
    """Return the seconds to a zone's supply, never below 0: another machine's clock may be ahead of ours."""
    return max(0.0, (supplied_at - activated_at).total_seconds()) if activated_at else 0.0


def metres_between(one: Point, other: Point) -> float:
    """Return the distance of two points on the sphere (haversine)."""
    lat, other_lat = radians(one.lat), radians(other.lat)
    half = sin((other_lat - lat) / 2) ** 2
    half += cos(lat) * cos(other_lat) * sin(radians(other.lon - one.lon) / 2) ** 2
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(half)))


def metres_to_gates(position: Point, gates: Sequence[Gate]) -> int:
    """Return the mean distance to a zone's gates, each counted by its heads; 0 where there is no gate."""
    heads = sum(max(1, gate.head_count) for gate in gates)
    metres = sum(metres_between(position, gate.position) * max(1, gate.head_count) for gate in gates)
    return round(metres / heads) if heads else 0


def rank_candidates(
    candidates: Iterable[Candidate], *, gates: Sequence[Gate], pins: Sequence[Pin]
) -> list[tuple[Candidate, int]]:
    """Return candidates and their distances: pinned first, then by risk, distance, reserve, capacity."""
    pinned = {pin.subject_id: place for place, pin in enumerate(pins)}
    measured = [(one, metres_to_gates(one.position, gates)) for one in candidates]

    def order(entry: tuple[Candidate, int]) -> tuple[int, int, int, int, int, int, UUID]:
        one, metres = entry
        return (
            pinned.get(one.outlet_id, len(pins)),
            RISKS.index(one.risk),
            metres // BAND_M,
            -one.reserve_person_days,
            -one.remaining,
            metres,
            one.outlet_id,
        )

    return sorted(measured, key=order)


def find_missing(supply: Supply) -> tuple[MissingSupply, ...]:
    """Return what the accepted outlets do not cover, by kind, in the order of the needs."""
    return tuple(
        MissingSupply(
            kind=kind,
            code="catalog.capacity_short" if supply.found(kind) else "catalog.kind_missing",
            needed=needed,
            found=supply.found(kind),
        )
        for kind, needed in supply.needs.items()
        if supply.found(kind) < needed
    )
