from datetime import timedelta
from uuid import UUID

import pytest

from services.contracts.access import Role
from services.contracts.dispatch import Leg
from services.contracts.values import ZoneClass
from services.dispatch.crew.domain import CrewClearance, Duty
from services.dispatch.relay import parties
from services.dispatch.relay.domain import HandOver
from services.dispatch.relay.parties import Cause, Destination, Standing
from services.dispatch.trips.domain import Spell
from services.kit.ids import new_id
from tests.dispatch.builders import HOUR, NOW

SHOP, CLERK, DRIVER, OTHER, STEWARD, FAR, HOME, STRANGER = (UUID(int=number) for number in range(1, 9))
COMMUNITY, BUILDING = UUID(int=101), UUID(int=102)
ROLES = {
    CLERK: Role.OUTLET,
    DRIVER: Role.DRIVER,
    OTHER: Role.DRIVER,
    STEWARD: Role.STEWARD,
    FAR: Role.STEWARD,
}
LOAD = Destination(
    outlet_id=SHOP,
    community_id=COMMUNITY,
    building_id=BUILDING,
    household_id=HOME,
    zone_class=ZoneClass.SEALED,
)


def standing(**given) -> Standing:
    cleared = {ZoneClass.SEALED: NOW + HOUR}
    duty = Duty(
        person_id=STEWARD,
        role=Role.STEWARD,
        community_id=COMMUNITY,
        building_ids=frozenset({BUILDING}),
        starts_at=NOW - HOUR,
        ends_at=NOW + HOUR,
    )
    wanted = {
        "clearances": {
            person: CrewClearance(person_id=person, role=role, valid_until=cleared)
            for person, role in ROLES.items()
        },
        "duties": [duty],
        "spells": [Spell(DRIVER, NOW - HOUR, None)],
        "takers": frozenset(),
    }
    return Standing(**{**wanted, **given})


def reasons(leg: Leg, giver: UUID, taker: UUID, at=NOW, **given) -> set[tuple[UUID, Cause]]:
    hand_over = HandOver(
        hand_over_id=new_id(), load_unit_id=new_id(), leg=leg, giver_id=giver, taker_id=taker, occurred_at=at
    )
    return {(each.person_id, each.code) for each in parties.find_reasons(hand_over, LOAD, standing(**given))}


@pytest.mark.parametrize(
    ("leg", "giver", "taker"),
    [
        (Leg.PICK_UP, SHOP, DRIVER),
        (Leg.PICK_UP, CLERK, DRIVER),
        (Leg.PICK_UP, DRIVER, OTHER),
        (Leg.GATE, DRIVER, STEWARD),
        (Leg.GATE, OTHER, STEWARD),
        (Leg.DOOR, STEWARD, HOME),
    ],
)
def test_each_baton_has_its_giver_and_its_taker(leg: Leg, giver: UUID, taker: UUID) -> None:
    assert reasons(leg, giver, taker) == set()


@pytest.mark.parametrize(
    ("leg", "giver", "taker", "expected"),
    [
        (Leg.PICK_UP, STEWARD, DRIVER, {(STEWARD, Cause.ROLE_NOT_ALLOWED)}),
        (Leg.PICK_UP, SHOP, STEWARD, {(STEWARD, Cause.ROLE_NOT_ALLOWED)}),
        (Leg.PICK_UP, SHOP, OTHER, {(OTHER, Cause.DRIVER_NOT_ASSIGNED)}),
        (Leg.GATE, STEWARD, STEWARD, {(STEWARD, Cause.ROLE_NOT_ALLOWED)}),
        (Leg.GATE, DRIVER, OTHER, {(OTHER, Cause.ROLE_NOT_ALLOWED)}),
        (Leg.GATE, DRIVER, FAR, {(FAR, Cause.STEWARD_NOT_ON_DUTY)}),
        (Leg.GATE, SHOP, STEWARD, {(SHOP, Cause.NOT_CLEARED)}),
        (Leg.DOOR, DRIVER, HOME, {(DRIVER, Cause.ROLE_NOT_ALLOWED)}),
        (Leg.DOOR, FAR, HOME, {(FAR, Cause.STEWARD_NOT_ON_DUTY)}),
        (Leg.DOOR, STRANGER, HOME, {(STRANGER, Cause.NOT_CLEARED), (STRANGER, Cause.STEWARD_NOT_ON_DUTY)}),
    ],
)
def test_what_happened_otherwise_has_its_reason(
    leg: Leg, giver: UUID, taker: UUID, expected: set[tuple[UUID, Cause]]
) -> None:
    assert reasons(leg, giver, taker) == expected


def on_duty(person: UUID, hours: float = 1) -> Duty:
    return Duty(
        person_id=person,
        role=Role.STEWARD,
        community_id=COMMUNITY,
        building_ids=frozenset({BUILDING}),
        starts_at=NOW - HOUR,
        ends_at=NOW + hours * HOUR,
    )


def suspended(*people: UUID) -> dict[UUID, CrewClearance]:
    cleared = standing().clearances
    return {
        person: CrewClearance(person_id=person, role=ROLES[person], is_suspended=True)
        if person in people
        else clearance
        for person, clearance in cleared.items()
    }


@pytest.mark.parametrize(
    ("leg", "giver", "taker", "expected"),
    [
        (Leg.PICK_UP, DRIVER, OTHER, set()),
        (Leg.PICK_UP, DRIVER, DRIVER, {(DRIVER, Cause.NOT_CLEARED)}),
        (Leg.PICK_UP, DRIVER, STRANGER, {(STRANGER, Cause.NOT_CLEARED)}),
        (Leg.PICK_UP, DRIVER, STEWARD, {(STEWARD, Cause.ROLE_NOT_ALLOWED)}),
        (Leg.PICK_UP, STRANGER, OTHER, set()),
        (Leg.GATE, DRIVER, STEWARD, set()),
        (Leg.GATE, STRANGER, STEWARD, set()),
        (Leg.GATE, FAR, STEWARD, set()),
        (Leg.GATE, STEWARD, FAR, {(FAR, Cause.STEWARD_NOT_ON_DUTY)}),
        (Leg.DOOR, FAR, HOME, {(FAR, Cause.NOT_CLEARED), (FAR, Cause.STEWARD_NOT_ON_DUTY)}),
    ],
)
def test_what_is_rescued_is_taken_from_where_it_stands_and_only_the_taker_is_judged(
    leg: Leg, giver: UUID, taker: UUID, expected: set[tuple[UUID, Cause]]
) -> None:
    ill = suspended(DRIVER, FAR)
    if taker == FAR:
        ill = suspended(DRIVER)
    is_rescue = leg is not Leg.DOOR
    assert reasons(leg, giver, taker, clearances=ill, is_rescue=is_rescue) == expected


@pytest.mark.parametrize(
    ("duties", "clearances", "expected"),
    [
        ([on_duty(STEWARD), on_duty(FAR)], {}, set()),
        ([on_duty(FAR)], {}, {(STEWARD, Cause.STEWARD_NOT_ON_DUTY)}),
        ([on_duty(STEWARD, hours=0), on_duty(FAR)], {}, {(STEWARD, Cause.STEWARD_NOT_ON_DUTY)}),
        ([on_duty(STEWARD)], {}, {(FAR, Cause.STEWARD_NOT_ON_DUTY)}),
        ([on_duty(STEWARD), on_duty(FAR)], suspended(STEWARD), {(STEWARD, Cause.NOT_CLEARED)}),
        ([on_duty(STEWARD), on_duty(FAR)], suspended(FAR), {(FAR, Cause.NOT_CLEARED)}),
    ],
)
def test_a_steward_on_duty_is_relieved_by_another_on_duty(
    duties: list[Duty], clearances: dict[UUID, CrewClearance], expected: set[tuple[UUID, Cause]]
) -> None:
    known = clearances or standing().clearances
    assert reasons(Leg.GATE, STEWARD, FAR, duties=duties, clearances=known) == expected


def test_neither_the_shop_nor_the_household_needs_to_be_cleared() -> None:
    nobody = {"clearances": {}}
    assert reasons(Leg.PICK_UP, SHOP, DRIVER, **nobody) == {(DRIVER, Cause.NOT_CLEARED)}
    assert reasons(Leg.GATE, DRIVER, STEWARD, **nobody) == {
        (DRIVER, Cause.NOT_CLEARED), (STEWARD, Cause.NOT_CLEARED),
    }  # fmt: skip
    assert reasons(Leg.DOOR, STEWARD, HOME, **nobody) == {(STEWARD, Cause.NOT_CLEARED)}


def test_who_took_it_over_on_its_way_may_bring_it_to_the_door() -> None:
    assert reasons(Leg.DOOR, FAR, HOME, takers=frozenset({FAR})) == set()


def test_a_driver_is_who_was_seated_then_by_clocks_a_little_apart() -> None:
    left = [Spell(DRIVER, NOW - HOUR, NOW), Spell(OTHER, NOW, None)]
    assigned = Cause.DRIVER_NOT_ASSIGNED
    before, minute = NOW - timedelta(minutes=10), timedelta(minutes=1)
    assert reasons(Leg.PICK_UP, SHOP, DRIVER, before, spells=left) == set()
    assert reasons(Leg.PICK_UP, SHOP, DRIVER, NOW, spells=left) == {(DRIVER, assigned)}
    assert reasons(Leg.PICK_UP, SHOP, OTHER, NOW - minute, spells=left) == set()
    assert reasons(Leg.PICK_UP, SHOP, OTHER, before, spells=left) == {(OTHER, assigned)}


def test_the_taker_at_the_door_is_the_household() -> None:
    def fault(leg: Leg, taker: UUID) -> str | None:
        hand_over = HandOver(
            hand_over_id=new_id(),
            load_unit_id=new_id(),
            leg=leg,
            giver_id=STEWARD,
            taker_id=taker,
            occurred_at=NOW,
        )
        found = parties.find_household_fault("/x", hand_over, HOME)
        return found.code if found else None

    assert fault(Leg.DOOR, HOME) is None
    assert fault(Leg.DOOR, STRANGER) == "dispatch.not_the_household"
    assert fault(Leg.GATE, STRANGER) is None
