"""What one task of rescue is about, where its goods stand, and which hand-over is part of it."""

from datetime import timedelta
from typing import Any

import pytest

from services.contracts.dispatch import Leg
from services.dispatch.rescues import domain
from services.dispatch.rescues.domain import Cause, Covering, RescueStatus, StrandedUnit
from tests.dispatch.waves import at, east, uid

DRIVER, STEWARD = uid(1), uid(2)
GRACE = timedelta(minutes=5)


def unit(number: int, **given: Any) -> StrandedUnit:
    wanted = {
        "load_unit_id": uid(100 + number), "load_id": uid(200 + number), "holder_id": DRIVER,
        "leg": Leg.PICK_UP, "incident_id": uid(3), "zone_id": uid(4), "community_id": uid(5),
        "vehicle_id": uid(6), "seen": None, "seen_at": None, "usual": east(1000),
    }  # fmt: skip
    return StrandedUnit(**{**wanted, **given})


def test_what_one_person_has_in_one_zone_is_one_task_on_the_road_and_one_at_each_gate() -> None:
    units = [
        unit(1),
        unit(2, community_id=uid(7)),
        unit(3, zone_id=uid(8)),
        unit(4, holder_id=STEWARD, leg=Leg.GATE),
        unit(5, holder_id=STEWARD, leg=Leg.GATE, vehicle_id=None),
        unit(6, holder_id=STEWARD, leg=Leg.GATE, community_id=uid(7)),
    ]
    grouped = domain.group(units, domain.SUSPENDED)
    found = [
        (each.cause, each.zone_id, each.community_id, each.vehicle_id, [unit.load_id for unit in members])
        for each, members in grouped.items()
    ]
    on_road, at_gate = Cause.DRIVER_SUSPENDED, Cause.STEWARD_SUSPENDED
    assert found == [
        (on_road, uid(4), None, uid(6), [uid(201), uid(202)]),
        (on_road, uid(8), None, uid(6), [uid(203)]),
        (at_gate, uid(4), uid(5), None, [uid(204), uid(205)]),
        (at_gate, uid(4), uid(7), None, [uid(206)]),
    ]


def test_a_lost_vehicle_strands_what_is_on_the_road_a_lapsed_duty_what_is_at_the_gate() -> None:
    units = [unit(1), unit(2, leg=Leg.GATE)]
    assert [each.cause for each in domain.group(units, domain.LOST)] == [Cause.VEHICLE_LOST]
    assert [each.cause for each in domain.group(units, domain.LAPSED)] == [Cause.DUTY_LAPSED]


def test_goods_stand_where_any_of_them_was_seen_last() -> None:
    early, late = unit(1, seen=east(2000), seen_at=at(1)), unit(2, seen=east(3000), seen_at=at(2))
    assert domain.place_of([late, unit(3), early]) == east(3000)
    assert domain.place_of([unit(3)]) == east(1000)
    assert domain.place_of([unit(3, usual=None)]) is None
    assert domain.place_of([unit(4, leg=Leg.GATE, seen=east(2000), seen_at=at(1))]) == east(1000)


@pytest.mark.parametrize(
    ("giver", "hours", "settled", "expected"),
    [
        (DRIVER, 1.0, None, True),
        (DRIVER, 2.0, None, True),
        (STEWARD, 2.0, None, False),
        (DRIVER, 1 - 5 / 60, None, True),
        (DRIVER, 1 - 6 / 60, None, False),
        (DRIVER, 2.0, 2.0, True),
        (DRIVER, 2.0, 1.5, False),
    ],
)
def test_goods_taken_from_those_hands_while_it_lasts_are_taken_in_the_rescue(
    giver: Any, hours: float, settled: float | None, *, expected: bool
) -> None:
    rescue = Covering(
        rescue_id=uid(9),
        holder_id=DRIVER,
        opened_at=at(1),
        settled_at=None if settled is None else at(settled),
    )
    assert rescue.covers(giver, at(hours), grace=GRACE) is expected


def test_an_escalated_rescue_stays_so_until_it_is_settled() -> None:
    assert domain.status_of(escalated_at=None, settled_at=None) is RescueStatus.OPEN
    assert domain.status_of(escalated_at=at(1), settled_at=None) is RescueStatus.ESCALATED
    assert domain.status_of(escalated_at=at(1), settled_at=at(2)) is RescueStatus.SETTLED
