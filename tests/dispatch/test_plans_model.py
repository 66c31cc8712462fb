"""Plans of small waves that can be counted by hand; and of any wave: lawful, whole and repeatable."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from services.contracts.values import Point
from services.dispatch.plans import sharing
from services.dispatch.plans.domain import StopKind, WhyNot, Window, find_violations
from services.dispatch.plans.model import plan_wave
from services.dispatch.plans.shipments import merge
from services.dispatch.plans.travel import great_circle
from tests.dispatch.waves import (
    TRAVEL,
    at,
    east,
    make_load,
    make_market,
    make_vehicle,
    make_wave,
    uid,
    village_of,
)  # fmt: skip


def reasons(solution):
    return {left.load_id: left.why for left in solution.unassigned}


def test_the_road_is_longer_than_the_great_circle_by_the_policys_percentage():
    beizang, daxing = Point(lat=39.66, lon=116.32), Point(lat=39.73, lon=116.34)

    assert round(great_circle(beizang, daxing)) == 7970
    assert replace(TRAVEL, detour_percent=130).metres(beizang, daxing) == 10360
    assert replace(TRAVEL, metres_per_hour=25_000).seconds(10360) == 1492


def test_one_vehicle_takes_two_gates_on_one_loop():
    wave = make_wave([make_load(1), make_load(2, destination_id=uid(3002))])

    (trip,) = plan_wave(wave, seconds=10, seed=1).trips

    assert [(stop.kind, stop.place_id, stop.load_ids) for stop in trip.stops] == [
        (StopKind.PICK_UP, uid(2001), trip.load_ids),
        (StopKind.GATE, uid(3001), (uid(1),)),
        (StopKind.GATE, uid(3002), (uid(2),)),
    ]
    assert trip.metres == 8000
    assert trip.grams == 20_000
    # 10 m/s and 60 s for each stop; loading 2 × 10 s, so that it need not wait when the window opens at 8:00.
    assert trip.stops[1].arrives_at == at(2)
    assert trip.departs_at == at(2) - timedelta(seconds=100 + 60 + 20 + 200 + 60)
    assert trip.stops[2].arrives_at == at(2) + timedelta(seconds=10 + 100 + 60)
    assert trip.ends_at == at(2) + timedelta(seconds=10 + 160 + 10 + 400)


def test_three_outlets_are_gathered_before_two_gates():
    loads = [
        make_load(1, origin_id=uid(2001)),
        make_load(2, origin_id=uid(2002), destination_id=uid(3002)),
        make_load(3, origin_id=uid(2003)),
    ]
    wave = make_wave(loads)

    solution = plan_wave(wave, seconds=10, seed=1)

    (trip,) = solution.trips
    places = [stop.place_id for stop in trip.stops]
    # West first, then along the way to the gates, and home: 1,000 + 5,000 + 4,000.
    assert places == [uid(2002), uid(2003), uid(2001), uid(3001), uid(3002)]
    assert trip.metres == 10_000
    assert solution.unassigned == ()


def test_a_vehicle_makes_several_trips_where_all_does_not_fit_at_once():
    wave = make_wave([make_load(number, grams=300_000) for number in (1, 2, 3)])

    first, second, third = plan_wave(wave, seconds=10, seed=1).trips

    assert {trip.vehicle_id for trip in (first, second, third)} == {uid(1001)}
    assert first.metres == 3000
    assert (second.metres, third.metres) == (4000, 7000)
    assert first.ends_at <= second.departs_at
    assert second.ends_at <= third.departs_at
    assert first.slack <= second.departs_at + second.slack - first.ends_at


def test_a_vehicle_begins_where_it_stands_and_ends_at_its_base():
    wave = make_wave([make_load(1)], [make_vehicle(stands_at=east(1000), base=east(-2000))])

    solution = plan_wave(wave, seconds=10, seed=1)

    (trip,) = solution.trips
    # It stands at the outlet: no way to it and no stop to pay for; then 2,000 to the gate, 5,000 home.
    assert trip.metres == 7000
    assert trip.stops[0].arrives_at == trip.departs_at
    assert trip.stops[1].arrives_at == at(2)
    assert trip.ends_at == at(2) + timedelta(seconds=10 + 500)
    assert find_violations(wave, solution) == []


def test_pieces_bind_as_grams_do():
    wave = make_wave([make_load(1, pieces=40), make_load(2, pieces=40)])

    assert [trip.pieces for trip in plan_wave(wave, seconds=10, seed=1).trips] == [40, 40]


def test_the_bags_of_an_outlet_and_a_gate_ride_together():
    wave = make_wave([make_load(number, grams=8_000) for number in range(1, 51)])

    (trip,) = plan_wave(wave, seconds=10, seed=1).trips

    assert len(trip.stops) == 2
    assert len(trip.load_ids) == 50


def test_every_load_that_is_left_has_its_own_reason():
    night = uid(4002)
    far, soon = uid(3009), uid(4003)
    loads = [
        make_load(1, origin_id=uid(2009)),
        make_load(2, destination_id=uid(3008)),
        make_load(3, grams=500_001),
        make_load(4, pieces=61),
        make_load(5, slot_id=night),
        make_load(6, destination_id=far),
        make_load(7, slot_id=soon),
        make_load(8),
    ]
    gates = {uid(3001): east(3000), far: east(900_000)}
    windows = {
        uid(4001): Window(at(2), at(6)),
        night: Window(at(12), at(14)),
        soon: Window(at(0), at(0) + timedelta(seconds=429)),
    }

    solution = plan_wave(make_wave(loads, destinations=gates, windows=windows), seconds=10, seed=1)

    assert reasons(solution) == {
        uid(1): WhyNot.OUTLET_POSITION_UNKNOWN,
        uid(2): WhyNot.GATE_UNKNOWN,
        uid(3): WhyNot.TOO_HEAVY,
        uid(4): WhyNot.TOO_HEAVY,
        uid(5): WhyNot.OUTSIDE_EVERY_SHIFT,
        uid(6): WhyNot.NOT_REACHABLE,
        uid(7): WhyNot.NOT_REACHABLE,
    }
    assert [trip.load_ids for trip in solution.trips] == [(uid(8),)]


def test_a_window_reached_in_its_last_second_is_reached():
    wave = make_wave([make_load(1)], windows={uid(4001): Window(at(0), at(0) + timedelta(seconds=430))})

    (trip,) = plan_wave(wave, seconds=10, seed=1).trips

    assert trip.stops[-1].arrives_at == at(0) + timedelta(seconds=430)
    assert trip.slack == timedelta(0)


def test_without_a_vehicle_nothing_rides():
    assert reasons(plan_wave(make_wave([make_load(1)], []), seconds=10, seed=1)) == {
        uid(1): WhyNot.NO_VEHICLE
    }


def test_a_full_fleet_serves_the_many_before_the_few():
    loads = [make_load(1, grams=300_000), *(make_load(number, grams=100_000) for number in (2, 3, 4, 5))]
    loads = [replace(loads[0], destination_id=uid(3002)), *loads[1:]]
    short = make_vehicle(starts_at=at(2), ends_at=at(2) + timedelta(seconds=1000))
    wave = make_wave(loads, [short])

    solution = plan_wave(wave, seconds=10, seed=1)

    assert reasons(solution) == {uid(1): WhyNot.FLEET_FULL}
    assert [set(trip.load_ids) for trip in solution.trips] == [{uid(2), uid(3), uid(4), uid(5)}]


def test_what_takes_too_long_to_load_at_once_is_split():
    loads = [make_load(number, pieces=6, grams=1000) for number in range(1, 9)]
    vehicles = [make_vehicle(1), make_vehicle(2)]
    windows = {uid(4001): Window(at(0), at(0) + timedelta(seconds=420 + 240))}

    solution = plan_wave(make_wave(loads, vehicles, windows=windows), seconds=10, seed=1)

    assert solution.unassigned == ()
    assert [trip.pieces for trip in solution.trips] == [24, 24]


def test_the_same_wave_and_seed_give_the_same_plan():
    loads = [
        make_load(n, destination_id=uid(3001 + n % 2), grams=90_000 + n, pieces=n % 7 + 1)
        for n in range(1, 25)
    ]
    wave = make_wave(loads, [make_vehicle(1), make_vehicle(2, capacity_g=300_000)])

    assert plan_wave(wave, seconds=60, seed=7) == plan_wave(wave, seconds=60, seed=7)


def test_a_days_bags_of_a_sealed_town_are_planned_lawfully():
    loads = [
        make_load(n, origin_id=uid(2001 + n % 3), destination_id=uid(3001 + n % 2), grams=8_000, pieces=1)
        for n in range(1, 1501)
    ]
    wave = make_wave(loads, [make_vehicle(n, capacity_g=1_500_000, capacity_pieces=200) for n in range(6)])

    solution = plan_wave(wave, seconds=5, seed=1)

    assert find_violations(wave, solution) == []
    assert solution.unassigned == ()


def done_at(solution):
    return max(stop.leaves_at for trip in solution.trips for stop in trip.stops)


def metres_of(solution):
    return sum(trip.metres for trip in solution.trips)


def vehicles_of(solution):
    return {trip.vehicle_id for trip in solution.trips}


def test_four_buses_carry_a_market_to_eight_sites_for_twenty_six_villages():
    wave = make_market()

    solution = plan_wave(wave, seconds=10, seed=1)

    assert find_violations(wave, solution) == []
    assert solution.unassigned == ()
    assert sum(trip.grams for trip in solution.trips) == 13_500_000
    trips_of = Counter(trip.vehicle_id for trip in solution.trips)
    assert len(trips_of) == 4
    assert all(trips >= 2 for trips in trips_of.values())
    handed_over = [stop for trip in solution.trips for stop in trip.stops if stop.kind is StopKind.GATE]
    assert {stop.place_id for stop in handed_over} == set(wave.destinations)
    villages = [{village_of(load_id.int) for load_id in stop.load_ids} for stop in handed_over]
    assert all(len(each) >= 3 for each in villages)
    assert set().union(*villages) == set(range(26))


def test_a_wave_is_done_in_half_the_time_where_those_who_stand_by_share_the_work(monkeypatch):
    wave = make_market()
    shared = plan_wave(wave, seconds=10, seed=1)
    undriven = plan_wave(replace(wave, crewed_ids=()), seconds=10, seed=1)
    monkeypatch.setattr(sharing, "find_share", lambda *_: None)
    shortest = plan_wave(wave, seconds=10, seed=1)

    assert (done_at(shared) - at(1)) / (done_at(shortest) - at(1)) < 0.5
    assert metres_of(shared) / metres_of(shortest) < 1.05
    # Without drivers for more vehicles the work stays with those that the shortest trips need.
    assert vehicles_of(undriven) == vehicles_of(shortest) < vehicles_of(shared)


def test_nobody_more_is_called_out_for_less_than_an_hour():
    wave = make_wave(
        [make_load(number, grams=300_000) for number in (1, 2, 3)], [make_vehicle(n) for n in (1, 2)]
    )

    assert len(vehicles_of(plan_wave(wave, seconds=10, seed=1))) == 1


def test_small_vehicles_stand_aside_only_where_large_ones_are_most_of_the_fleet():
    loads = [make_load(number, grams=25_000) for number in range(1, 481)]
    tricycle, bus = make_vehicle(1, capacity_g=150_000), make_vehicle(2, capacity_g=1_600_000)
    few = merge(make_wave(loads, [tricycle, bus]), loads)
    # 80 shipments of 150 kg are too many; the bus takes up to 60 pieces.
    assert [shipment.pieces for shipment in few] == [60] * 8

    tricycles = [replace(tricycle, vehicle_id=uid(n)) for n in range(12)]
    many = merge(make_wave(loads, [*tricycles, bus]), loads)
    assert {shipment.grams for shipment in many} == {150_000}


metres = st.integers(-5000, 5000)
loads = st.builds(
    make_load,
    st.just(0),
    origin_id=st.sampled_from([uid(2001), uid(2002), uid(2003), uid(2009)]),
    destination_id=st.sampled_from([uid(3001), uid(3002), uid(3003)]),
    slot_id=st.sampled_from([uid(4001), uid(4002)]),
    grams=st.integers(0, 600_000),
    pieces=st.integers(1, 70),
)
vehicles = st.builds(
    lambda place, start, hours, grams, pieces: make_vehicle(
        base=east(place),
        starts_at=at(start),
        ends_at=at(start + hours),
        capacity_g=grams,
        capacity_pieces=pieces,
    ),
    metres,
    st.floats(-3, 5),
    st.floats(0.5, 8),
    st.integers(1, 800_000),
    st.integers(1, 80),
)


@settings(max_examples=40)
@given(
    some=st.lists(loads, max_size=25),
    fleet=st.lists(vehicles, max_size=4),
    places=st.lists(metres, min_size=6, max_size=6),
)
def test_every_plan_is_lawful_and_names_every_load_once(some, fleet, places):
    wave = make_wave(
        [replace(load, load_id=uid(number)) for number, load in enumerate(some, 1)],
        [replace(vehicle, vehicle_id=uid(1000 + number)) for number, vehicle in enumerate(fleet)],
        origins={uid(2001 + index): east(place) for index, place in enumerate(places[:3])},
        destinations={uid(3001 + index): east(place) for index, place in enumerate(places[3:])},
        windows={uid(4001): Window(at(1), at(2)), uid(4002): Window(at(1.5), at(4))},
    )

    solution = plan_wave(wave, seconds=0.2, seed=3)

    assert find_violations(wave, solution) == []
