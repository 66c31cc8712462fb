"""What is lost at a split is paid back to the fen, its quota to the unit, and nothing of it twice."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given as supposing
from hypothesis import strategies as st

from services.contracts.orders import OrderConfirmed, OrderShortened
from services.kit.ids import new_id
from services.orders.intake import life
from services.orders.intake.life import Order, OrderStatus, Used
from services.orders.intake.shortages import BrokenShortage, find_shortages
from tests.orders.ground import CABBAGE, RICE, give, short

PORTION = new_id()


def make_order(*given, **wanted):
    names = ("order_id", "household_id", "building_id", "community_id", "zone_id", "incident_id", "slot_id")
    rest = {
        "group_id": new_id(), "rule_id": new_id(), "day": date(2022, 4, 6), "lines": (), "sequence": 7,
        "units": sum(line.quantity for line in given), "status": OrderStatus.CONFIRMED, "given": given,
    }  # fmt: skip
    return Order(**{name: new_id() for name in names} | rest | wanted)


def test_each_missing_unit_is_paid_back_at_the_price_of_its_own_line() -> None:
    cabbage, rice = give(quantity=5), give(RICE, 3, number=2).model_copy(update={"price_fen": 1099})
    order = make_order(cabbage, rice, units=9).shortened(PORTION, [short(cabbage, 3), short(rice, 0)])
    assert [(each.line, each.missing, each.refund_fen) for each in order.shortages] == [
        (1, 2, 900), (2, 3, 3297),
    ]  # fmt: skip
    assert (order.sequence, order.status, order.used) == (8, OrderStatus.CONFIRMED, Used(1, 4))
    assert life.tell_shortage(order, PORTION) == OrderShortened(
        order_id=order.order_id,
        incident_id=order.incident_id,
        household_id=order.household_id,
        lines=(short(cabbage, 3), short(rice, 0)),
        refund_fen=4197,
    )


def test_a_line_from_two_outlets_is_short_in_each_portion_for_itself() -> None:
    here, there = give(quantity=2), give(quantity=4)
    order = (
        make_order(here, there).shortened(PORTION, [short(here, 1)]).shortened(new_id(), [short(there, 2)])
    )
    assert [each.refund_fen for each in order.shortages] == [450, 900]
    assert life.tell_shortage(order, PORTION).refund_fen == 450


@pytest.mark.parametrize(
    ("line", "given"),
    [(give(), 1), (give(quantity=3), 0), (give(quantity=2), 2), (give(quantity=2), 3), (give(number=2), 1)],
)
def test_what_was_never_given_or_is_not_missing_is_a_persons_matter(line, given) -> None:
    of_order = give(quantity=2)
    strange = short(line, given)
    if line.quantity != 2 or given != 1:
        strange = strange.model_copy(update={"offer_id": of_order.offer_id})
    with pytest.raises(BrokenShortage):
        find_shortages(PORTION, [strange], given=[of_order])


def test_an_order_of_which_all_is_lost_takes_no_quota_and_still_says_what_was_promised() -> None:
    cabbage = give(quantity=2)
    # It wanted three, and got two: of the third nothing came either.
    order = make_order(cabbage, units=3).shortened(PORTION, [short(cabbage, 0)])
    lost = order.lost()
    assert (lost.status, lost.sequence, lost.used) == (OrderStatus.LOST, order.sequence, Used(0, 0))
    assert order.used - lost.used == Used(1, 1)
    assert life.announce(lost) == life.tell_shortage(order, PORTION)
    again, said = life.restate(lost)
    assert (again.status, again.sequence) == (OrderStatus.LOST, 9)
    assert isinstance(said, OrderConfirmed)
    assert said.lines == (cabbage,)
    assert replace(order, status=OrderStatus.FULFILLED).lost() == lost


@supposing(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(0, 5000)), min_size=1, max_size=6)
)
def test_however_it_is_split_units_and_fen_add_up(split) -> None:
    given = [
        give(CABBAGE, quantity, number=number).model_copy(update={"price_fen": price})
        for number, (quantity, _, price) in enumerate(split, start=1)
    ]
    losses = [min(lost, quantity) for quantity, lost, _ in split]
    order = make_order(*given)
    for line, loss in zip(given, losses, strict=True):
        if loss:
            order = order.shortened(new_id(), [short(line, line.quantity - loss)])
    assert order.used == Used(1, order.units - sum(losses))
    assert sum(each.refund_fen for each in order.shortages) == sum(
        loss * line.price_fen for loss, line in zip(losses, given, strict=True)
    )
    for line, loss in zip(given, losses, strict=True):
        with pytest.raises(BrokenShortage):
            order.shortened(new_id(), [short(line, loss - 1)] if loss else [short(line, line.quantity)])
