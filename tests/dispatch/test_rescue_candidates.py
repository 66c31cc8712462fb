"""Who can take over what waits, and what stands against it: on an equator where metres can be counted."""

from datetime import timedelta
from typing import Any

import pytest

from services.contracts.access import Role
from services.contracts.values import ZoneClass
from services.dispatch.crew.domain import CrewClearance
from services.dispatch.passes.domain import Pass
from services.dispatch.rescues import candidates
from services.dispatch.rescues.candidates import Judgement, Ride, Task, WhyNobody
from services.dispatch.trips.domain import Turn
from tests.dispatch.waves import TRAVEL, at, east, uid

HOLDER, DRIVER, OTHER, STEWARD = (uid(number) for number in range(1, 5))
VAN, TRUCK = uid(11), uid(12)
NOW = at(1)
MINUTE = timedelta(minutes=1)


def cleared(person: Any, role: Role = Role.DRIVER, hours: float = 8, **given: Any) -> CrewClearance:
    until = {"valid_until": {ZoneClass.SEALED: at(hours)}}
    return CrewClearance(person_id=person, role=role, **{**until, **given})


def permit(vehicle: Any = VAN, **given: Any) -> Pass:
    wanted = {
        "number": "110115000001", "vehicle_id": vehicle, "goods_class": "生活必需品", "origin_code": "110115",
        "destination_code": "110115", "valid_from": at(0), "valid_to": at(8), "crew": frozenset(),
    }  # fmt: skip
    return Pass(**{**wanted, **given})


def ride(vehicle: Any = VAN, **given: Any) -> Ride:
    wanted = {
        "vehicle_id": vehicle, "comes_from": east(1000), "capacity_g": 100_000, "capacity_pieces": 10,
        "shift_starts_at": at(0), "shift_ends_at": at(8), "passes": (permit(vehicle),),
    }  # fmt: skip
    return Ride(**{**wanted, **given})


def turn(person: Any, vehicle: Any, since: float, until: float) -> Turn:
    return Turn(
        person_id=person, trip_id=uid(99), vehicle_id=vehicle, departs_at=at(since), ends_at=at(until)
    )


# 4 km from the van at 36 km/h are 400 s, 5 km on to the gate 500 s, two stops of 60 s and 2 x 2 pieces 160 s.
TASK = Task(
    holder_id=HOLDER, zone_class=ZoneClass.SEALED, place=east(5000), grams=50_000, pieces=2,
    gates=(east(10_000),),
)  # fmt: skip
TAKES = timedelta(seconds=1060)


def judge(**given: Any) -> Judgement:
    wanted = {"task": TASK, "people": [cleared(DRIVER)], "rides": [ride()], "turns": []}
    wanted |= given
    return candidates.judge_drivers(
        wanted["task"], wanted["people"], wanted["rides"], wanted["turns"], travel=TRAVEL, near_metres=4000,
        now=NOW,
    )  # fmt: skip


def found(judgement: Judgement) -> list[tuple[Any, Any, int | None, bool]]:
    return [(each.person_id, each.vehicle_id, each.metres, each.is_near) for each in judgement.candidates]


def test_a_cleared_driver_with_a_free_vehicle_near_by_can_take_over() -> None:
    judgement = judge()
    assert found(judgement) == [(DRIVER, VAN, 4000, True)]
    assert (judgement.codes, judgement.is_help_near) == ((), True)


@pytest.mark.parametrize(
    ("given", "codes"),
    [
        ({"people": []}, [WhyNobody.NO_CLEARED_DRIVER]),
        ({"people": [cleared(DRIVER, Role.RUNNER)]}, [WhyNobody.NO_CLEARED_DRIVER]),
        ({"people": [cleared(DRIVER, hours=1)]}, [WhyNobody.NO_CLEARED_DRIVER]),
        ({"people": [cleared(DRIVER, is_suspended=True)]}, [WhyNobody.NO_CLEARED_DRIVER]),
        ({"turns": [turn(DRIVER, TRUCK, 0, 2)]}, [WhyNobody.NO_DRIVER_FREE]),
        ({"turns": [turn(OTHER, VAN, 0, 2)]}, [WhyNobody.NO_VEHICLE_FREE]),
        ({"rides": []}, [WhyNobody.NO_VEHICLE_FREE]),
        ({"rides": [ride(shift_starts_at=at(2))]}, [WhyNobody.NO_VEHICLE_FREE]),
        ({"rides": [ride(capacity_g=49_999)]}, [WhyNobody.NO_VEHICLE_WITH_CAPACITY]),
        ({"rides": [ride(capacity_pieces=1)]}, [WhyNobody.NO_VEHICLE_WITH_CAPACITY]),
        ({"rides": [ride(passes=())]}, [WhyNobody.NO_VEHICLE_WITH_PASS]),
        ({"rides": [ride(passes=(permit(crew=frozenset({OTHER})),))]}, [WhyNobody.NO_DRIVER_ON_PASS]),
        ({"people": [], "rides": []}, [WhyNobody.NO_VEHICLE_FREE, WhyNobody.NO_CLEARED_DRIVER]),
    ],
)
def test_what_stands_against_a_take_over_is_named(given: dict[str, Any], codes: list[WhyNobody]) -> None:
    judgement = judge(**given)
    assert (found(judgement), list(judgement.codes)) == ([], codes)


def test_time_must_be_left_for_the_way_to_the_goods_and_on_to_their_farthest_gate() -> None:
    enough = NOW + TAKES
    assert found(judge(rides=[ride(shift_ends_at=enough)])) != []
    assert judge(rides=[ride(shift_ends_at=enough - MINUTE)]).codes == (WhyNobody.NO_VEHICLE_FREE,)
    short = permit(valid_to=enough - MINUTE)
    assert judge(rides=[ride(passes=(short,))]).codes == (WhyNobody.NO_VEHICLE_WITH_PASS,)
    soon = cleared(DRIVER, valid_until={ZoneClass.SEALED: enough})
    assert judge(people=[soon]).codes == (WhyNobody.NO_DRIVER_ON_PASS,)
    later = Turn(
        person_id=DRIVER, trip_id=uid(99), vehicle_id=TRUCK, departs_at=enough - MINUTE, ends_at=at(3)
    )
    assert found(judge(turns=[later])) == []


def test_the_nearest_vehicle_that_each_may_drive_is_named_and_the_near_come_first() -> None:
    near, far = ride(TRUCK, comes_from=east(6000), passes=(permit(TRUCK, crew=frozenset({OTHER})),)), ride()
    judgement = judge(people=[cleared(DRIVER), cleared(OTHER)], rides=[far, near])
    assert found(judgement) == [(OTHER, TRUCK, 1000, True), (DRIVER, VAN, 4000, True)]


def test_a_driver_who_stands_beside_the_goods_has_to_go_for_a_vehicle_and_come_back_with_it() -> None:
    """2 km to the van and 2 km back with it; its way alone takes 860 s, the driver's to it 200 s more."""
    near = ride(comes_from=east(3000))
    own, another = cleared(HOLDER), cleared(OTHER)
    assert found(judge(people=[own, another], rides=[near])) == [
        (OTHER, VAN, 2000, True), (HOLDER, VAN, 4000, True),
    ]  # fmt: skip
    assert found(judge(people=[own])) == [(HOLDER, VAN, 8000, False)]
    for short in (
        ride(comes_from=east(3000), shift_ends_at=NOW + TAKES - MINUTE),
        ride(comes_from=east(3000), passes=(permit(valid_to=NOW + TAKES - MINUTE),)),
    ):
        assert found(judge(people=[own, another], rides=[short])) == [(OTHER, VAN, 2000, True)]


def test_help_that_is_far_away_is_help_but_not_near() -> None:
    judgement = judge(rides=[ride(comes_from=east(999))])
    assert found(judgement) == [(DRIVER, VAN, 4001, False)]
    assert (judgement.codes, judgement.is_help_near) == ((WhyNobody.NONE_NEAR,), False)


def test_nobody_is_near_to_goods_of_which_nobody_knows_where_they_are() -> None:
    lost = Task(holder_id=HOLDER, zone_class=ZoneClass.SEALED, place=None, grams=1, pieces=1)
    judgement = judge(task=lost)
    assert found(judgement) == [(DRIVER, VAN, None, False)]
    assert judgement.codes == (WhyNobody.PLACE_UNKNOWN,)


def test_at_a_gate_a_cleared_steward_on_duty_takes_over_and_never_the_holder() -> None:
    def stewards(*people: CrewClearance) -> Judgement:
        return candidates.judge_stewards(TASK, people, NOW)

    holder, steward = cleared(HOLDER, Role.STEWARD), cleared(STEWARD, Role.STEWARD)
    assert found(stewards(holder, steward)) == [(STEWARD, None, None, True)]
    assert stewards(holder).codes == (WhyNobody.NO_STEWARD_ON_DUTY,)
    ill = cleared(STEWARD, Role.STEWARD, is_suspended=True)
    assert (found(stewards(ill)), stewards(ill).codes) == ([], (WhyNobody.NO_CLEARED_STEWARD,))
