"""The checker finds each thing that makes a plan unlawful, whoever made the plan."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.dispatch.plans.domain import Solution, Window, find_violations, free_window
from services.dispatch.plans.model import plan_wave
from tests.dispatch.waves import at, east, make_load, make_vehicle, make_wave, uid

WAVE = make_wave([make_load(1), make_load(2, destination_id=uid(3002))])
TRIP = plan_wave(WAVE, seconds=10, seed=1).trips[0]
PICK_UP, NEAR, FAR = TRIP.stops
SECOND = timedelta(seconds=1)


def codes(trip, wave=WAVE):
    return [violation.code for violation in find_violations(wave, Solution((trip,), ()))]


def later(stop, by):
    return replace(stop, arrives_at=stop.arrives_at + by, leaves_at=stop.leaves_at + by)


def test_a_lawful_plan_has_no_violation():
    assert codes(TRIP) == []


@pytest.mark.parametrize(
    ("code", "stops"),
    [
        ("dispatch.given_before_taken", (NEAR, PICK_UP, FAR)),
        ("dispatch.never_given", (PICK_UP, NEAR)),
        ("dispatch.wrong_place", (PICK_UP, replace(NEAR, place_id=uid(3002)), FAR)),
        ("dispatch.place_unknown", (PICK_UP, replace(NEAR, place_id=uid(3009)), FAR)),
        ("dispatch.faster_than_the_road", (PICK_UP, NEAR, later(FAR, -SECOND))),
        ("dispatch.leaves_before_done", (PICK_UP, replace(NEAR, leaves_at=NEAR.leaves_at - SECOND), FAR)),
        ("dispatch.outside_window", (PICK_UP, later(NEAR, -SECOND), FAR)),
        ("dispatch.outside_window", (PICK_UP, NEAR, later(FAR, timedelta(hours=5)))),
        ("dispatch.home_too_late", (PICK_UP, NEAR, later(FAR, timedelta(hours=7)))),
        ("dispatch.load_unknown", (replace(PICK_UP, load_ids=(*PICK_UP.load_ids, uid(9))), NEAR, FAR)),
        ("dispatch.load_forgotten", (replace(PICK_UP, load_ids=(uid(1),)), NEAR, FAR)),
        ("dispatch.load_named_twice", (replace(PICK_UP, load_ids=(*PICK_UP.load_ids, uid(1))), NEAR, FAR)),
    ],
)
def test_a_plan_that_breaks_a_rule_is_told_which(code, stops):
    assert code in codes(replace(TRIP, stops=stops))


def test_nobody_leaves_before_the_shift():
    late = replace(WAVE, vehicles=[make_vehicle(starts_at=TRIP.departs_at + SECOND)])

    assert codes(TRIP, late) == ["dispatch.leaves_too_early"]


def test_nobody_leaves_from_where_the_vehicle_does_not_stand():
    elsewhere = replace(WAVE, vehicles=[make_vehicle(stands_at=east(-1))])

    assert codes(TRIP, elsewhere) == ["dispatch.faster_than_the_road"]


def test_a_vehicle_of_another_day_is_unknown():
    assert codes(TRIP, replace(WAVE, vehicles=[])) == ["dispatch.vehicle_unknown"]


@pytest.mark.parametrize("capacity", [{"capacity_g": 19_999}, {"capacity_pieces": 1}])
def test_both_capacities_bind(capacity):
    assert codes(TRIP, replace(WAVE, vehicles=[make_vehicle(**capacity)])) == ["dispatch.overloaded"]


def test_a_second_trip_waits_for_the_first():
    wave = make_wave([make_load(1, grams=300_000), make_load(2, grams=300_000)])
    first, second = plan_wave(wave, seconds=10, seed=1).trips
    early = replace(second, departs_at=first.ends_at - SECOND)

    assert [found.code for found in find_violations(wave, Solution((first, early), ()))] == [
        "dispatch.leaves_too_early"
    ]
    assert first.ends_at < at(3)


@pytest.mark.parametrize(
    ("busy", "around", "free"),
    [
        ([], (2, 4), (1, 8)),
        ([(3, 4)], (2, 6), (4, 8)),
        ([(5, 7)], (2, 4), (1, 5)),
        ([(2, 3), (6, 9)], (0, 8), (3, 6)),
        # What is longer but elsewhere in the day is of no use.
        ([(2, 3)], (0, 1.5), (1, 2)),
        ([(0, 9)], (2, 4), None),
        ([], (9, 10), None),
    ],
)
def test_a_vehicle_is_planned_in_the_longest_free_time_about_the_slot(busy, around, free):
    found = free_window(
        Window(at(0), at(8)),
        [Window(at(start), at(end)) for start, end in busy],
        Window(at(around[0]), at(around[1])),
        not_before=at(1),
    )

    assert found == (Window(at(free[0]), at(free[1])) if free else None)
