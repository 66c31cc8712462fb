"""Who may give and who may take on each leg, and why a hand-over that happened is a breach. Pure.

    leg 1   the outlet (its id, or one of its people)  ->  the driver of the load's trip
            a driver, of what was taken over before    ->  another driver: a rescue, a change of vehicle
    leg 2   a driver                                   ->  a steward with a duty in the community
            a steward with a duty there as well        ->  another one, who relieves the first
    leg 3   a steward with a duty at the building,
            or one who took it over on its way         ->  the load's household, and nobody else

Everybody but the outlet and the household has to be cleared at the moment that counts; but for who has
goods that are to be rescued: they are taken from where they stand, whoever that is. What happened
otherwise is recorded all the same, with every reason for which somebody has to look at it; a person of whom
nothing was known at that moment is not cleared, and has no role that could be wrong. Only the last taker is
not a matter of judgement: what somebody else took was not delivered.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from services.contracts.access import Role
from services.contracts.dispatch import Leg
from services.contracts.values import ZoneClass
from services.dispatch.crew.domain import DRIVING, CrewClearance, Duty, is_cleared, is_steward_of
from services.dispatch.relay.domain import CLOCKS_APART, HandOver
from services.dispatch.trips.domain import Spell
from services.kit.errors import Fault


class Cause(StrEnum):
    """Why a hand-over or a split is a breach."""

    NOT_CLEARED = "dispatch.person_not_cleared"
    ROLE_NOT_ALLOWED = "dispatch.role_not_allowed"
    DRIVER_NOT_ASSIGNED = "dispatch.driver_not_assigned"
    STEWARD_NOT_ON_DUTY = "dispatch.steward_not_on_duty"
    SPLIT_NOT_BY_RULE = "dispatch.split_not_by_rule"


@dataclass(frozen=True, slots=True, order=True)
class Reason:
    """What one person of a hand-over was not."""

    person_id: UUID
    code: Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a load comes from and goes to."""

    outlet_id: UUID
    community_id: UUID
    building_id: UUID
    household_id: UUID
    zone_class: ZoneClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is known of the people of a hand-over and of its load at the moment that counts."""

    clearances: Mapping[UUID, CrewClearance]
    duties: Sequence[Duty]
    spells: Iterable[Spell]
    # Who ever had some of the load in hand on its way.
    takers: AbstractSet[UUID]
    # The goods were to be rescued from the giver's hands.
    is_rescue: bool = False


def find_household_fault(pointer: str, hand_over: HandOver, household_id: UUID) -> Fault | None:
    """Name a taker at the door who is not the household that the goods are for."""
    if hand_over.leg is not Leg.DOOR or hand_over.taker_id == household_id:
        return None
    return Fault(f"{pointer}/taker_id", "dispatch.not_the_household")


def find_reasons(hand_over: HandOver, load: Destination, standing: Standing) -> list[Reason]:
    """Return every reason why a hand-over is a breach; none: it is as it should be."""
    giver, taker = hand_over.giver_id, hand_over.taker_id
    givers = set() if standing.is_rescue else {giver}
    match hand_over.leg:
        case Leg.PICK_UP:
            people = {*givers, taker} - {load.outlet_id}
            found = _judge_pick_up(hand_over, load, standing)
        case Leg.GATE:
            people = {*givers, taker}
            found = [_find_before_gate(hand_over, load, standing), _find_off_gate(hand_over, load, standing)]
        case Leg.DOOR:
            people = {giver}
            found = [_find_off_door(hand_over, load, standing)]
    uncleared = {
        Reason(person, Cause.NOT_CLEARED)
        for person in people
        if not is_cleared(standing.clearances.get(person), load.zone_class, hand_over.at)
    }
    return sorted(uncleared | {reason for reason in found if reason})


def _judge_pick_up(hand_over: HandOver, load: Destination, standing: Standing) -> list[Reason | None]:
    giver, taker = hand_over.giver_id, hand_over.taker_id
    giver_role, taker_role = _role_of(giver, standing), _role_of(taker, standing)
    if standing.is_rescue or (giver_role in DRIVING and giver != load.outlet_id):
        return [_find_role(taker, DRIVING, standing)]
    found = [None if giver == load.outlet_id else _find_role(giver, {Role.OUTLET}, standing)]
    if taker_role is not None and taker_role not in DRIVING:
        return [*found, Reason(taker, Cause.ROLE_NOT_ALLOWED)]
    assigned = any(
        spell.driver_id == taker and spell.covers(hand_over.at, grace=CLOCKS_APART)
        for spell in standing.spells
    )
    return [*found, None if assigned else Reason(taker, Cause.DRIVER_NOT_ASSIGNED)]


def _find_before_gate(hand_over: HandOver, load: Destination, standing: Standing) -> Reason | None:
    giver = hand_over.giver_id
    if standing.is_rescue:
        return None
    if _role_of(giver, standing) is Role.STEWARD and giver != hand_over.taker_id:
        return _find_off_duty(giver, hand_over, load, standing)
    return _find_role(giver, DRIVING, standing)


def _find_off_gate(hand_over: HandOver, load: Destination, standing: Standing) -> Reason | None:
    taker = hand_over.taker_id
    if wrong := _find_role(taker, {Role.STEWARD}, standing):
        return wrong
    return _find_off_duty(taker, hand_over, load, standing)


def _find_off_duty(
    person_id: UUID, hand_over: HandOver, load: Destination, standing: Standing
) -> Reason | None:
    on_duty = is_steward_of(
        _duties_of(person_id, standing), community_id=load.community_id, building_id=None, at=hand_over.at
    )
    return None if on_duty else Reason(person_id, Cause.STEWARD_NOT_ON_DUTY)


def _find_off_door(hand_over: HandOver, load: Destination, standing: Standing) -> Reason | None:
    giver = hand_over.giver_id
    if wrong := _find_role(giver, {Role.STEWARD}, standing):
        return wrong
    on_duty = giver in standing.takers or is_steward_of(
        _duties_of(giver, standing),
        community_id=load.community_id,
        building_id=load.building_id,
        at=hand_over.at,
    )
    return None if on_duty else Reason(giver, Cause.STEWARD_NOT_ON_DUTY)


def _find_role(person_id: UUID, allowed: Collection[Role], standing: Standing) -> Reason | None:
    role = _role_of(person_id, standing)
    return None if role is None or role in allowed else Reason(person_id, Cause.ROLE_NOT_ALLOWED)


def _role_of(person_id: UUID, standing: Standing) -> Role | None:
    clearance = standing.clearances.get(person_id)
    return clearance.role if clearance else None


def _duties_of(person_id: UUID, standing: Standing) -> list[Duty]:
    return [duty for duty in standing.duties if duty.person_id == person_id]
