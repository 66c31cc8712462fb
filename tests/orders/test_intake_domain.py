from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from services.kit.errors import Fault
from services.kit.ids import new_id
from services.orders.intake import domain, life
from services.orders.intake.domain import Accepted, Facts, GroupWindow, Quota, Rejected
from services.orders.intake.life import OrderStatus, Turn
from services.orders.intake.refusals import OrderRejected
from tests.orders.builders import make_home, make_new_order, make_slot

NOW = datetime(2022, 4, 5, 8, tzinfo=UTC)

P, C, R, X, F, L = (
    OrderStatus.PLACED, OrderStatus.CONFIRMED, OrderStatus.REFUSED, OrderStatus.CANCELLED,
    OrderStatus.FULFILLED, OrderStatus.LOST,
)  # fmt: skip

# Rows: statuses; columns: the turns in their written order; None must raise.
GRID = {
    P: (C, R, R, R, X, None, R, None),
    C: (None, None, None, C, X, F, C, L),
    R: (R, R, None, R, None, None, R, None),
    X: (X, X, None, X, None, X, X, X),
    F: (None, None, None, F, None, None, F, L),
    L: (None, None, None, L, None, L, L, L),
}


@pytest.mark.parametrize(("status", "turn"), list(product(OrderStatus, Turn)))
def test_an_order_lives_by_the_grid_and_what_is_not_in_it_raises(status, turn) -> None:
    expected = GRID[status][list(Turn).index(turn)]
    if expected is None:
        with pytest.raises(life.OutOfTurn):
            life.next_status(status, turn)
    else:
        assert life.next_status(status, turn) is expected


ROOMY = Quota(5, 50)


def admit_one(*, quota=ROOMY, slot=None, lines=None, quantity=1, slots=(), home=None, group=None):  # noqa: PLR0913
    home = home or make_home()
    slot = slot or make_slot(cut_off_at=NOW + timedelta(hours=1))
    slot = replace(slot, community_ids=frozenset([home.community_id]))
    order = make_new_order(
        household_id=home.household_id,
        slot_id=slot.slot_id,
        quantity=quantity,
        group_id=group.group_id if group else None,
    )
    if lines:
        order = replace(order, lines=lines)
    return domain.admit(
        [order], facts_of([home], {home: quota}, [slot, *slots], groups=[group] if group else [])
    )


def facts_of(homes, quotas, slots, *, groups=()):
    return Facts(
        homes={home.household_id: home for home in homes},
        quotas={
            slot.rule.key_of(home.household_id): quota
            for home, quota in quotas.items()
            for slot in slots
            if slot.rule
        },
        slots={slot.slot_id: slot for slot in slots},
        groups={group.group_id: group for group in groups},
        now=NOW,
    )


def codes_of(admission):
    (rejected,) = admission.outcomes
    assert isinstance(rejected, Rejected)
    return [fault.code for fault in rejected.faults]


def test_an_accepted_order_takes_its_quota_and_its_slot() -> None:
    admission = admit_one(quantity=3)
    assert len(admission.accepted) == 1
    assert list(admission.quotas.values()) == [Quota(5, 50, 1, 3)]
    assert [slot.taken for slot in admission.slots.values()] == [1]


def test_every_reason_is_named_and_nothing_is_taken() -> None:
    admission = admit_one(quota=Quota(1, 2, 1, 1), slot=make_slot(cut_off_at=NOW), quantity=2)
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


def test_a_product_in_two_lines_is_named_where_it_stands_again() -> None:
    once = make_new_order().lines[0]
    admission = admit_one(lines=(once, once.model_copy(update={"line": 2})))
    assert codes_of(admission) == ["orders.product_twice"]
    assert admission.outcomes[0].faults[0].pointer == "/lines/1/product_id"


def test_a_full_slot_names_the_next_one_with_room() -> None:
    full = make_slot(cut_off_at=NOW + timedelta(hours=1), capacity=2, taken=2)
    later = [
        replace(full, slot_id=new_id(), cut_off_at=NOW + timedelta(hours=hours), taken=taken, is_open=is_open)
        for hours, taken, is_open in ((2, 2, True), (2, 0, False), (4, 0, True), (3, 1, True))
    ]
    (rejected,) = admit_one(slot=full, slots=later).outcomes
    assert [fault.code for fault in rejected.faults] == ["orders.slot_full"]
    assert rejected.faults[0].params == {"next_slot_id": later[3].slot_id}


@pytest.mark.parametrize("closed", [{"is_open": False}, {"capacity": None}, {"rule": None}])
def test_no_order_enters_before_the_channels_open(closed) -> None:
    admission = admit_one(slot=make_slot(cut_off_at=NOW + timedelta(hours=1), **closed))
    assert codes_of(admission) == ["orders.channels_closed"]


def test_a_slot_of_another_zone_is_answered_like_one_that_does_not_exist() -> None:
    home, foreign = make_home(), make_slot(cut_off_at=NOW + timedelta(hours=1))
    orders = [
        make_new_order(household_id=home.household_id, slot_id=slot_id)
        for slot_id in (foreign.slot_id, new_id())
    ]
    admission = domain.admit(orders, facts_of([home], {home: Quota(5, 50)}, [foreign]))
    assert admission.outcomes[0].faults == admission.outcomes[1].faults


def test_of_a_batch_the_first_take_what_there_is() -> None:
    homes = [
        make_home(community_id=(village := new_id())),
        *(make_home(community_id=village) for _ in range(3)),
    ]
    slot = make_slot(cut_off_at=NOW + timedelta(hours=1), capacity=2, community_ids=frozenset([village]))
    orders = [make_new_order(household_id=home.household_id, slot_id=slot.slot_id) for home in homes]
    orders.insert(1, make_new_order(household_id=homes[0].household_id, slot_id=slot.slot_id))
    admission = domain.admit(orders, facts_of(homes, dict.fromkeys(homes, Quota(1, 9)), [slot]))
    taken = [isinstance(outcome, Accepted) for outcome in admission.outcomes]
    assert taken == [True, False, True, False, False]
    assert admission.slots[slot.slot_id].taken == 2


def make_group(home, **given):
    wanted = {
        "group_id": new_id(), "community_id": home.community_id, "slot_id": new_id(),
        "cut_off_at": NOW + timedelta(minutes=1), "is_open": True,
    }  # fmt: skip
    return GroupWindow(**{**wanted, **given})


def test_a_group_takes_parts_of_its_community_until_its_cut_off_one_for_each_household() -> None:
    home = make_home()
    assert admit_one(home=home, group=make_group(home)).accepted
    for given, code in (
        ({"is_open": False}, "orders.group_closed"),
        ({"cut_off_at": NOW}, "orders.group_closed"),
        ({"community_id": new_id()}, "orders.not_in_community"),
        ({"household_ids": frozenset([home.household_id])}, "orders.already_in_group"),
    ):
        assert codes_of(admit_one(home=home, group=make_group(home, **given))) == [code]


def test_a_refusal_has_the_code_of_its_reasons_where_they_are_of_one_kind() -> None:
    one, other = Fault("/slot_id", "orders.slot_full"), Fault("/lines", "orders.quota_exceeded")
    assert (OrderRejected([one]).code, OrderRejected([one]).retry_after) == ("orders.slot_full", 60)
    assert OrderRejected([other, other]).code == "orders.quota_exceeded"
    assert OrderRejected([one, other]).code == "orders.order_rejected"
    assert OrderRejected([other]).retry_after is None


def test_an_order_can_be_taken_back_until_the_cut_off_and_not_at_it() -> None:
    before = NOW - timedelta(microseconds=1)
    assert life.cancel(OrderStatus.CONFIRMED, cut_off_at=NOW, now=before) is OrderStatus.CANCELLED
    with pytest.raises(life.TooLateToCancel):
        life.cancel(OrderStatus.PLACED, cut_off_at=NOW, now=NOW)


@pytest.mark.parametrize("ended", [R, X, F, L])
def test_what_has_ended_cannot_be_taken_back(ended) -> None:
    with pytest.raises(life.NotCancellable):
        life.cancel(ended, cut_off_at=NOW + timedelta(hours=1), now=NOW)
