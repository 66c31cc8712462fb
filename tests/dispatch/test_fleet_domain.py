from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.contracts.values import ZoneClass
from services.dispatch.fleet import domain
from services.dispatch.fleet.domain import Fleet, Permit, Policy, Vehicle, Window
from services.kit.ids import new_id

NOON = datetime(2022, 11, 20, 4, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
POLICY = Policy(portion_g=5000, portion_pieces=2, trip_minutes=60)
DRIVERS = frozenset(new_id() for _ in range(5))


def make_vehicle(**given: Any) -> Vehicle:
    wanted = {
        "vehicle_id": new_id(),
        "capacity_g": 500_000,
        "capacity_pieces": 400,
        "shift_starts_at": NOON - 4 * HOUR,
        "shift_ends_at": NOON + 8 * HOUR,
    }
    return Vehicle(**{**wanted, **given})


def make_window(**given: Any) -> Window:
    wanted = {
        "slot_id": new_id(),
        "zone_id": new_id(),
        "zone_class": ZoneClass.SEALED,
        "head_count": 300,
        "starts_at": NOON,
        "ends_at": NOON + 2 * HOUR,
    }
    return Window(**{**wanted, **given})


def permit(vehicle: Vehicle, **given: Any) -> Permit:
    wanted = {
        "vehicle_id": vehicle.vehicle_id,
        "valid_from": NOON - HOUR,
        "valid_to": NOON + 4 * HOUR,
        "crew": frozenset(),
    }
    return Permit(**{**wanted, **given})


def make_fleet(*vehicles: Vehicle, drivers: frozenset = DRIVERS, permits: Any = None) -> Fleet:
    return Fleet(
        vehicles=vehicles,
        permits=[permit(each) for each in vehicles] if permits is None else permits,
        drivers={ZoneClass.SEALED: drivers},
        policy=POLICY,
    )


def portions(window: Window, fleet: Fleet, *others: Window) -> int:
    return domain.portions_of([window, *others], fleet)[window.slot_id]


def test_two_rounds_of_a_hundred_portions_fit_two_hours() -> None:
    assert portions(make_window(), make_fleet(make_vehicle())) == 200


def test_pieces_bind_where_they_run_out_before_the_grams() -> None:
    assert portions(make_window(), make_fleet(make_vehicle(capacity_pieces=100))) == 100


def test_a_slot_shorter_than_a_round_still_has_one() -> None:
    window = make_window(ends_at=NOON + timedelta(minutes=10))
    assert portions(window, make_fleet(make_vehicle())) == 100


def test_a_shift_that_ends_within_the_slot_counts_for_its_whole_rounds() -> None:
    half = make_vehicle(shift_ends_at=NOON + timedelta(minutes=90))
    short = make_vehicle(shift_ends_at=NOON + timedelta(minutes=30))
    gone = make_vehicle(shift_ends_at=NOON)
    assert portions(make_window(), make_fleet(half)) == 100
    assert portions(make_window(), make_fleet(short)) == 0
    assert portions(make_window(), make_fleet(gone)) == 0


def test_a_vehicle_without_a_permit_for_the_whole_slot_does_not_count() -> None:
    vehicle = make_vehicle()
    late = permit(vehicle, valid_from=NOON + timedelta(seconds=1))
    early = permit(vehicle, valid_to=NOON + timedelta(minutes=119))
    assert portions(make_window(), make_fleet(vehicle, permits=[])) == 0
    assert portions(make_window(), make_fleet(vehicle, permits=[late, early])) == 0


def test_each_driver_drives_one_vehicle_and_the_largest_go_first() -> None:
    large, small = make_vehicle(capacity_g=1_000_000), make_vehicle()
    one = frozenset({new_id()})
    assert portions(make_window(), make_fleet(small, large, drivers=one)) == 400
    assert portions(make_window(), make_fleet(small, large, drivers=frozenset())) == 0


def test_a_crew_that_is_not_cleared_leaves_its_vehicle_standing() -> None:
    vehicle, cleared = make_vehicle(), new_id()
    named = permit(vehicle, crew=frozenset({new_id()}))
    assert portions(make_window(), make_fleet(vehicle, permits=[named], drivers=frozenset({cleared}))) == 0


def test_a_driver_is_moved_where_that_crews_one_vehicle_more() -> None:
    large, small, both, only_large = (
        make_vehicle(capacity_g=1_000_000),
        make_vehicle(),
        *sorted((new_id(), new_id())),
    )
    permits = [
        permit(large, crew=frozenset({both, only_large})),
        permit(small, crew=frozenset({both})),
    ]
    fleet = make_fleet(large, small, permits=permits, drivers=frozenset({both, only_large}))
    assert portions(make_window(), fleet) == 400 + 200


def test_slots_at_the_same_time_share_by_head_count() -> None:
    village, hamlet = make_window(head_count=600), make_window(head_count=200)
    fleet = make_fleet(make_vehicle())
    assert portions(village, fleet, hamlet) == 150
    assert portions(hamlet, fleet, village) == 50


def test_slots_one_after_the_other_each_have_the_whole_fleet() -> None:
    first = make_window()
    second = make_window(starts_at=NOON + 2 * HOUR, ends_at=NOON + 4 * HOUR)
    assert domain.portions_of([first, second], make_fleet(make_vehicle())) == {
        first.slot_id: 200,
        second.slot_id: 200,
    }


def test_a_pinned_vehicle_serves_the_zone_that_pins_it_alone() -> None:
    pinned, free = make_vehicle(), make_vehicle()
    mine = make_window(pinned_vehicle_ids=frozenset({pinned.vehicle_id}))
    other = make_window()
    assert portions(mine, make_fleet(pinned, free), other) == 200 + 100
    assert portions(other, make_fleet(pinned, free), mine) == 100


@given(
    st.lists(
        st.tuples(st.integers(0, 5000), st.integers(0, 12), st.integers(1, 6), st.booleans()),
        min_size=1,
        max_size=6,
    ),
    st.integers(0, 24),
)
def test_no_vehicle_is_promised_twice_at_any_moment(
    slots: list[tuple[int, int, int, bool]], half_hours: int
) -> None:
    vehicle = make_vehicle()
    windows = [
        make_window(
            head_count=heads,
            starts_at=NOON + start * HOUR,
            ends_at=NOON + (start + length) * HOUR,
            pinned_vehicle_ids=frozenset({vehicle.vehicle_id}) if pins else frozenset(),
        )
        for heads, start, length, pins in slots
    ]
    moment = NOON + half_hours * HOUR / 2
    running = [window for window in windows if window.starts_at <= moment < window.ends_at]
    shares = [domain.share_of(window, vehicle.vehicle_id, windows) for window in running]
    assert sum(shares, Fraction()) <= 1
