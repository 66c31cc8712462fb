"""What a rescue is: goods in hands that may not carry them on, grouped by who has them and where. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from services.contracts.dispatch import Leg
from services.contracts.values import Point


class Cause(StrEnum):
    """Why somebody may not carry goods on."""

    DRIVER_SUSPENDED = "driver_suspended"
    VEHICLE_LOST = "vehicle_lost"
    STEWARD_SUSPENDED = "steward_suspended"
    DUTY_LAPSED = "duty_lapsed"


class RescueStatus(StrEnum):
    """Where a rescue stands; an escalated one is open, and somebody was called."""

    OPEN = "open"
    ESCALATED = "escalated"
    SETTLED = "settled"


# The leg by which somebody has goods says where they are: on the road, or at the gate.
SUSPENDED: Final[Mapping[Leg, Cause]] = {
    Leg.PICK_UP: Cause.DRIVER_SUSPENDED,
    Leg.GATE: Cause.STEWARD_SUSPENDED,
}
LOST: Final[Mapping[Leg, Cause]] = {Leg.PICK_UP: Cause.VEHICLE_LOST}
LAPSED: Final[Mapping[Leg, Cause]] = {Leg.GATE: Cause.DUTY_LAPSED}


@dataclass(frozen=True, slots=True, order=True)
class InHand:
    """A load unit that somebody has since a leg."""

    load_unit_id: UUID
    load_id: UUID
    holder_id: UUID
    leg: Leg


@dataclass(frozen=True, slots=True, kw_only=True)
class StrandedUnit:
    """A unit in somebody's hands: on which vehicle, where it was seen last, where it would be otherwise."""

    load_unit_id: UUID
    load_id: UUID
    holder_id: UUID
    leg: Leg
    incident_id: UUID
    zone_id: UUID
    community_id: UUID
    vehicle_id: UUID | None
    seen: Point | None
    seen_at: datetime | None
    usual: Point | None


@dataclass(frozen=True, slots=True)
class Situation:
    """What one task is about: whose hands, why, in which zone; at which community's gate, or on the road."""

    holder_id: UUID
    cause: Cause
    incident_id: UUID
    zone_id: UUID
    community_id: UUID | None
    vehicle_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Covering:
    """A rescue of a unit from somebody's hands, from when until when; None: it lasts."""

    rescue_id: UUID
    holder_id: UUID
    opened_at: datetime
    settled_at: datetime | None

    def covers(self, giver_id: UUID, at: datetime, *, grace: timedelta) -> bool:
        """Say whether goods taken from this person at a moment were taken in the rescue.

        A clock may be `grace` apart, and the goods may be taken before the word of it has come.
        """
        is_over = self.settled_at is not None and self.settled_at < at
        return self.holder_id == giver_id and self.opened_at <= at + grace and not is_over


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """How it stands with goods and with who has them: at a gate or on the road."""

    at_gate: bool
    is_cleared: bool
    is_on_duty: bool
    is_vehicle_lost: bool
    is_scanned: bool


def find_hindrances(cause: Cause, hold: Hold) -> list[str]:
    """Return what stands against it that goods stay with who has them: each as the code of its fault.

    What nobody scanned is with nobody but by a word: without its rescue it would be at its shop again.
    """
    return [
        code
        for code, stands in (
            ("dispatch.person_not_cleared", not hold.is_cleared),
            ("dispatch.steward_not_on_duty", hold.at_gate and not hold.is_on_duty),
            ("dispatch.vehicle_lost", cause is Cause.VEHICLE_LOST and hold.is_vehicle_lost),
            ("dispatch.goods_not_scanned", not hold.is_scanned),
        )
        if stands
    ]


def group(units: Iterable[StrandedUnit], causes: Mapping[Leg, Cause]) -> dict[Situation, list[StrandedUnit]]:
    """Return units by the situation they are in; a leg that has no cause is none."""
    found: dict[Situation, list[StrandedUnit]] = {}
    for unit in units:
        if unit.leg not in causes:
            continue
        at_gate = unit.leg is Leg.GATE
        situation = Situation(
            holder_id=unit.holder_id,
            cause=causes[unit.leg],
            incident_id=unit.incident_id,
            zone_id=unit.zone_id,
            community_id=unit.community_id if at_gate else None,
            vehicle_id=None if at_gate else unit.vehicle_id,
        )
        found.setdefault(situation, []).append(unit)
    return found


def place_of(units: Sequence[StrandedUnit]) -> Point | None:
    """Return where goods stand: at the gate; on the road where any was seen last, or at the outlet."""
    usual = next((unit.usual for unit in units if unit.usual), None)
    seen = [
        (unit.seen_at, unit.seen.lat, unit.seen.lon)
        for unit in units
        if unit.leg is Leg.PICK_UP and unit.seen and unit.seen_at
    ]
    if not seen:
        return usual
    _, lat, lon = max(seen)
    return Point(lat=lat, lon=lon)


def status_of(*, escalated_at: datetime | None, settled_at: datetime | None) -> RescueStatus:
    """Return where a rescue stands."""
    if settled_at is not None:
        return RescueStatus.SETTLED
    return RescueStatus.OPEN if escalated_at is None else RescueStatus.ESCALATED
