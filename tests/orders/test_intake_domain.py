from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from services.orders.intake import domain
from services.orders.intake.domain import Accepted, OrderStatus, Quota, Rejected, Turn
from tests.orders.builders import make_new_order, make_place, make_slot

NOW = datetime(2022, 4, 5, 8, tzinfo=UTC)

P, C, R, X, F = (
    OrderStatus.PLACED, OrderStatus.CONFIRMED, OrderStatus.REFUSED, OrderStatus.CANCELLED,
    OrderStatus.FULFILLED,
)  # fmt: skip

# Rows: statuses; columns: the turns in their written order; None must raise.
GRID = {
    P: (C, R, R, X, None),
    C: (None, None, C, X, F),
    R: (R, R, R, None, None),
    X: (X, X, X, None, None),
    F: (None, None, F, None, None),
}


@pytest.mark.parametrize(("status", "turn"), list(product(OrderStatus, Turn)))
def test_an_order_lives_by_the_grid_and_what_is_not_in_it_raises(status, turn) -> None:
    expected = GRID[status][list(Turn).index(turn)]
    if expected is None:
        with pytest.raises(domain.OutOfTurn):
            domain.next_status(status, turn)
    else:
        assert domain.next_status(status, turn) is expected


ROOMY = Quota(5, 50)


def admit_one(*, quota=ROOMY, slot=None, quantity=1, slots=()):
    slot = slot or make_slot(cut_off_at=NOW + timedelta(hours=1))
    place = make_place(area_id=slot.area_id)
    order = make_new_order(household_id=place.household_id, slot_id=slot.slot_id, quantity=quantity)
    return domain.admit(
        [order],
        places={place.household_id: place},
        quotas={place.household_id: quota},
        slots={each.slot_id: each for each in (slot, *slots)},
        now=NOW,
    )


def test_an_accepted_order_takes_its_quota_and_its_slot() -> None:
    admission = admit_one(quantity=3)
    assert len(admission.accepted) == 1
    assert list(admission.quotas.values()) == [Quota(5, 50, 1, 3)]
    assert [slot.taken for slot in admission.slots.values()] == [1]


def test_every_reason_is_named_and_nothing_is_taken() -> None:
    slot = make_slot(cut_off_at=NOW)
    admission = admit_one(quota=Quota(1, 2, 1, 1), slot=slot, quantity=2)
    (rejected,) = admission.outcomes
    assert isinstance(rejected, Rejected)
    assert [(fault.pointer, fault.code) for fault in rejected.faults] == [
        ("/household_id", "orders.quota_exceeded"),
        ("/lines", "orders.quota_exceeded"),
        ("/slot_id", "orders.slot_closed"),
    ]
    assert rejected.faults[1].params == {"measure": "units", "asked": 2, "available": 1}
    assert [slot.taken for slot in admission.slots.values()] == [0]
    assert list(admission.quotas.values()) == [Quota(1, 2, 1, 1)]


def test_a_full_slot_names_the_next_one_with_room() -> None:
    full = make_slot(cut_off_at=NOW + timedelta(hours=1), capacity=2, taken=2)
    later = [
        replace(full, slot_id=make_slot().slot_id, cut_off_at=NOW + timedelta(hours=hours), taken=taken)
        for hours, taken in ((2, 2), (4, 0), (3, 1))
    ]
    (rejected,) = admit_one(slot=full, slots=later).outcomes
    assert [fault.code for fault in rejected.faults] == ["orders.slot_full"]
    assert rejected.faults[0].params == {"next_slot_id": later[2].slot_id}


@pytest.mark.parametrize("closed", [{"is_open": False}, {"capacity": None}])
def test_no_order_enters_before_the_channels_open(closed) -> None:
    (rejected,) = admit_one(slot=make_slot(cut_off_at=NOW + timedelta(hours=1), **closed)).outcomes
    assert [fault.code for fault in rejected.faults] == ["orders.channels_closed"]


def test_a_slot_of_another_zone_is_answered_like_one_that_does_not_exist() -> None:
    place, foreign = make_place(), make_slot(cut_off_at=NOW + timedelta(hours=1))
    orders = [
        make_new_order(household_id=place.household_id, slot_id=slot_id)
        for slot_id in (foreign.slot_id, make_slot().slot_id)
    ]
    admission = domain.admit(
        orders,
        places={place.household_id: place},
        quotas={place.household_id: Quota(5, 50)},
        slots={foreign.slot_id: foreign},
        now=NOW,
    )
    assert admission.outcomes[0].faults == admission.outcomes[1].faults


def test_of_a_batch_the_first_take_what_there_is() -> None:
    slot = make_slot(cut_off_at=NOW + timedelta(hours=1), capacity=2)
    places = [make_place(area_id=slot.area_id) for _ in range(4)]
    orders = [make_new_order(household_id=place.household_id, slot_id=slot.slot_id) for place in places]
    orders.insert(1, make_new_order(household_id=places[0].household_id, slot_id=slot.slot_id))
    admission = domain.admit(
        orders,
        places={place.household_id: place for place in places},
        quotas={place.household_id: Quota(1, 9) for place in places},
        slots={slot.slot_id: slot},
        now=NOW,
    )
    taken = [isinstance(outcome, Accepted) for outcome in admission.outcomes]
    assert taken == [True, False, True, False, False]
    assert admission.slots[slot.slot_id].taken == 2


def test_an_order_can_be_taken_back_until_the_cut_off_and_not_at_it() -> None:
    domain.require_cancellable(cut_off_at=NOW, now=NOW - timedelta(microseconds=1))
    with pytest.raises(domain.TooLateToCancel):
        domain.require_cancellable(cut_off_at=NOW, now=NOW)
