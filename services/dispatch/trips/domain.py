"""Who may drive a trip, and who does. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from services.contracts.access import Role
from services.contracts.values import ZoneClass
from services.dispatch.crew.domain import CrewClearance, is_cleared
from services.dispatch.passes.domain import Pass
from services.kit.errors import Fault


class TripStatus(StrEnum):
    """Where a trip stands."""

    # In the preview of a plan.
    PROPOSED = "proposed"
    # Its plan was committed without it: its code says why.
    UNCOMMITTED = "uncommitted"
    PLANNED = "planned"
    DEPARTED = "departed"
    # Given back before anything was on board.
    RELEASED = "released"
    # Its driver was suspended, or its vehicle lost, with goods on board.
    STRANDED = "stranded"


DRIVER_NOT_CLEARED: Final = "dispatch.driver_not_cleared"
PASS_MISSING: Final = "dispatch.pass_missing"  # noqa: S105 - a code
NO_DRIVER: Final = "dispatch.no_driver"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A trip that wants a driver: for zones of which classes, from when to when, under which pass."""

    trip_id: UUID
    vehicle_id: UUID
    departs_at: datetime
    ends_at: datetime
    classes: frozenset[ZoneClass]
    permit: Pass | None


@dataclass(frozen=True, slots=True)
class Spell:
    """A person's time as the driver of a trip; None: it lasts."""

    driver_id: UUID
    seated_at: datetime
    left_at: datetime | None

    def covers(self, at: datetime, *, grace: timedelta) -> bool:
        """Say whether the person was the driver at a moment that a clock apart by `grace` has told."""
        return self.seated_at - grace <= at and (self.left_at is None or at < self.left_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A time in which a person drives already."""

    person_id: UUID
    trip_id: UUID
    vehicle_id: UUID
    departs_at: datetime
    ends_at: datetime


def find_clearance_faults(
    seat: Seat, person_id: UUID, clearance: CrewClearance | None, *, now: datetime, pointer: str
) -> list[Fault]:
    """Name every reason why a person may not drive a trip: now, and until its end."""
    if clearance is None:
        return [Fault(pointer, "dispatch.person_unknown")]
    if clearance.is_suspended:
        return [Fault(pointer, "dispatch.person_suspended")]
    faults = []
    if clearance.role is not Role.DRIVER:
        faults.append(Fault(pointer, "dispatch.not_a_driver", {"role": clearance.role}))
    if seat.permit and not seat.permit.admits(person_id):
        faults.append(Fault(pointer, "dispatch.not_of_the_pass_crew", {"number": seat.permit.number}))
    for zone_class in sorted(seat.classes):
        until = clearance.valid_until.get(zone_class)
        facts = {"zone_class": zone_class, "needed_until": seat.ends_at.isoformat()}
        if not is_cleared(clearance, zone_class, now):
            faults.append(Fault(pointer, "dispatch.not_cleared_for_class", facts))
        elif until is None or until <= seat.ends_at:
            facts["valid_until"] = until.isoformat() if until else ""
            faults.append(Fault(pointer, "dispatch.clearance_ends_too_soon", facts))
    return faults


def find_clash(seat: Seat, person_id: UUID, turns: Iterable[Turn]) -> Turn | None:
    """Return the other trip that a person drives at the same time."""
    return next(
        (
            turn
            for turn in turns
            if turn.person_id == person_id
            and turn.trip_id != seat.trip_id
            and turn.departs_at < seat.ends_at
            and seat.departs_at < turn.ends_at
        ),
        None,
    )


def match_drivers(
    seats: Sequence[Seat],
    clearances: Mapping[UUID, CrewClearance],
    turns: Iterable[Turn],
    *,
    chosen: Mapping[UUID, UUID],
    now: datetime,
) -> dict[UUID, UUID]:
    """Return a driver for each trip that can have one; those chosen are taken as they are.

    Passes with a small crew choose first; a vehicle keeps its driver where it can.
    """
    taken = list(turns)
    drivers: dict[UUID, UUID] = {}
    for seat in sorted(seats, key=lambda seat: (seat.trip_id not in chosen, _choice(seat), seat.departs_at)):
        person_id = chosen.get(seat.trip_id) or _first_free(seat, clearances, taken, now)
        if person_id is None:
            continue
        drivers[seat.trip_id] = person_id
        taken.append(
            Turn(
                person_id=person_id,
                trip_id=seat.trip_id,
                vehicle_id=seat.vehicle_id,
                departs_at=seat.departs_at,
                ends_at=seat.ends_at,
            )
        )
    return drivers


def _choice(seat: Seat) -> int:
    return len(seat.permit.crew) if seat.permit and seat.permit.crew else 1_000_000


def _first_free(
    seat: Seat, clearances: Mapping[UUID, CrewClearance], turns: Sequence[Turn], now: datetime
) -> UUID | None:
    beside = {turn.person_id for turn in turns if turn.vehicle_id == seat.vehicle_id}
    driving = {turn.person_id for turn in turns}
    for person_id in sorted(clearances, key=lambda each: (each not in beside, each in driving, each)):
        if find_clearance_faults(seat, person_id, clearances[person_id], now=now, pointer=""):
            continue
        if find_clash(seat, person_id, turns) is None:
            return person_id
    return None
