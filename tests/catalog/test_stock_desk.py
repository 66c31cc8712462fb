from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from services.catalog.stock.holds.desk import decide, refuse_unsupplied
from services.catalog.stock.holds.domain import (
    Granted,
    GroupRequest,
    Market,
    OrderRequest,
    Refused,
    Reserved,
    Shelf,
)
from services.contracts.values import TallyLine, WantedLine
from services.kit.ids import new_id

ZONE, SLOT, NEAR, FAR = new_id(), new_id(), new_id(), new_id()
TODAY = date(2022, 11, 20)
CABBAGE, RICE, OIL = new_id(), new_id(), new_id()


def make_shelf(outlet=NEAR, product=CABBAGE, price=200):
    return Shelf(
        offer_id=new_id(), outlet_id=outlet, product_id=product, name="白菜", grams=500, price_fen=price
    )


def make_order(*lines, zone=ZONE):
    return OrderRequest(
        reservation_id=new_id(), zone_id=zone, slot_id=SLOT, asked_by=new_id(), day=TODAY, lines=lines
    )


def line(number=1, product=CABBAGE, quantity=1, seen=200, substitutes=()):
    return WantedLine(
        line=number, product_id=product, quantity=quantity, seen_price_fen=seen, substitutes=substitutes
    )


def decide_with(requests, stocked, picking=None):
    """`stocked` are pairs of a shelf and its free units."""
    shelves = {}
    for shelf, _ in sorted(stocked, key=lambda one: (one[0].price_fen, one[0].offer_id)):
        key = (shelf.outlet_id, shelf.product_id)
        shelves[key] = (*shelves.get(key, ()), shelf)
    return decide(
        requests,
        markets={ZONE: Market(outlets=(NEAR, FAR), shelves=shelves)},
        free={shelf.offer_id: free for shelf, free in stocked},
        picking=picking or {(ZONE, NEAR, TODAY): 100, (ZONE, FAR, TODAY): 100},
    )


def outlets_of(decision):
    assert isinstance(decision, Reserved), decision
    return [given_line.outlet_id for given_line in decision.lines]


def failures_of(decision):
    assert isinstance(decision, Refused), decision
    return [(one.line, one.code, one.asked, one.available) for one in decision.failures]


def test_the_first_outlet_by_rank_gives_everything_it_has() -> None:
    stocked = [(make_shelf(FAR, price=100), 9), (make_shelf(NEAR), 9)]
    assert outlets_of(decide_with([make_order(line())], stocked)[0]) == [NEAR]


def test_one_outlet_that_has_all_goes_before_two_that_have_parts() -> None:
    stocked = [
        (make_shelf(NEAR, CABBAGE), 9), (make_shelf(FAR, CABBAGE), 9), (make_shelf(FAR, RICE), 9),
    ]  # fmt: skip
    decision = decide_with([make_order(line(1, CABBAGE), line(2, RICE))], stocked)[0]
    assert outlets_of(decision) == [FAR, FAR]


def test_where_no_outlet_has_all_as_few_as_possible_share() -> None:
    stocked = [
        (make_shelf(NEAR, CABBAGE), 9), (make_shelf(NEAR, RICE), 9),
        (make_shelf(FAR, RICE), 9), (make_shelf(FAR, OIL), 9),
    ]  # fmt: skip
    decision = decide_with([make_order(line(1, CABBAGE), line(2, RICE), line(3, OIL))], stocked)[0]
    assert sorted(outlets_of(decision)) == sorted([NEAR, NEAR, FAR])


def test_a_line_that_cannot_be_given_lets_the_whole_order_fail_and_every_such_line_is_named() -> None:
    stocked = [(make_shelf(NEAR, CABBAGE), 2), (make_shelf(FAR, CABBAGE), 3), (make_shelf(NEAR, RICE), 9)]
    wanted = make_order(line(1, CABBAGE, 4), line(2, RICE), line(3, OIL))
    assert failures_of(decide_with([wanted], stocked)[0]) == [
        (1, "catalog.out_of_stock", 4, 3),
        (3, "catalog.product_not_offered", 1, 0),
    ]


def test_nothing_of_a_refused_order_is_missing_for_the_next() -> None:
    stocked = [(make_shelf(NEAR, RICE), 1)]
    first, second = make_order(line(1, RICE), line(2, OIL)), make_order(line(1, RICE))
    decisions = decide_with([first, second], stocked)
    assert [type(one) for one in decisions] == [Refused, Reserved]


def test_orders_are_decided_in_the_order_they_came() -> None:
    orders = [make_order(line(quantity=2)) for _ in range(3)]
    decisions = decide_with(orders, [(make_shelf(), 5)])
    assert [type(one) for one in decisions] == [Reserved, Reserved, Refused]
    assert failures_of(decisions[2]) == [(1, "catalog.out_of_stock", 2, 1)]


def test_nobody_pays_more_than_was_seen() -> None:
    stocked = [(make_shelf(NEAR, price=201), 9), (make_shelf(FAR, price=230), 9)]
    assert failures_of(decide_with([make_order(line(seen=200))], stocked)[0]) == [
        (1, "catalog.price_changed", 200, 201)
    ]
    cheap = (make_shelf(FAR, price=150), 9)
    [decision] = decide_with([make_order(line(seen=200))], [*stocked, cheap])
    assert isinstance(decision, Reserved)
    assert [(one.outlet_id, one.price_fen) for one in decision.lines] == [(FAR, 150)]


def test_a_substitute_is_given_only_where_no_outlet_has_the_product_itself() -> None:
    stocked = [(make_shelf(NEAR, RICE), 9), (make_shelf(FAR, CABBAGE), 1)]
    wanted = line(substitutes=(RICE,))
    decisions = decide_with([make_order(wanted), make_order(wanted)], stocked)
    assert [one.lines[0].product_id for one in decisions] == [CABBAGE, RICE]


def test_a_substitute_above_the_seen_price_is_no_substitute() -> None:
    stocked = [(make_shelf(NEAR, RICE, price=201), 9), (make_shelf(NEAR, CABBAGE), 0)]
    assert failures_of(decide_with([make_order(line(substitutes=(RICE,)))], stocked)[0]) == [
        (1, "catalog.out_of_stock", 1, 0)
    ]


def test_two_lines_of_one_product_do_not_share_a_unit() -> None:
    stocked = [(make_shelf(NEAR), 3)]
    wanted = make_order(line(1, quantity=2), line(2, quantity=2))
    assert failures_of(decide_with([wanted], stocked)[0]) == [(2, "catalog.out_of_stock", 2, 1)]


def test_an_outlet_picks_no_more_orders_than_it_accepted() -> None:
    stocked = [(make_shelf(NEAR), 9)]
    decisions = decide_with([make_order(line()), make_order(line())], stocked, {(ZONE, NEAR, TODAY): 1})
    assert outlets_of(decisions[0]) == [NEAR]
    assert failures_of(decisions[1]) == [(1, "catalog.picking_full", 1, 0)]


def test_the_next_outlet_gives_what_the_first_cannot_pick() -> None:
    stocked = [(make_shelf(NEAR), 9), (make_shelf(FAR), 9)]
    decisions = decide_with(
        [make_order(line()), make_order(line())], stocked, {(ZONE, NEAR, TODAY): 1, (ZONE, FAR, TODAY): 1}
    )
    assert [outlets_of(one) for one in decisions] == [[NEAR], [FAR]]


def make_group(*tally, households=10):
    return GroupRequest(
        reservation_id=new_id(),
        zone_id=ZONE,
        slot_id=SLOT,
        asked_by=new_id(),
        day=TODAY,
        households=households,
        tally=tally,
    )


def tally_line(product=CABBAGE, quantity=10, seen=200):
    return TallyLine(product_id=product, quantity=quantity, seen_price_fen=seen)


def test_a_group_gets_each_product_as_far_as_it_goes_over_the_outlets() -> None:
    stocked = [(make_shelf(NEAR, CABBAGE), 6), (make_shelf(FAR, CABBAGE), 7), (make_shelf(FAR, RICE), 3)]
    [decision] = decide_with([make_group(tally_line(CABBAGE), tally_line(RICE), tally_line(OIL))], stocked)
    assert isinstance(decision, Granted)
    assert [(one.asked, one.granted, one.code) for one in decision.grants] == [
        (10, 10, None), (10, 3, "catalog.out_of_stock"), (10, 0, "catalog.product_not_offered"),
    ]  # fmt: skip
    assert [(part.outlet_id, part.quantity, part.line) for part in decision.grants[0].parts] == [
        (NEAR, 6, 0), (FAR, 4, 0),
    ]  # fmt: skip


def test_a_price_seen_too_low_hurts_only_those_who_saw_it() -> None:
    wanted = make_group(tally_line(quantity=1, seen=0), tally_line(quantity=5, seen=200))
    [decision] = decide_with([wanted], [(make_shelf(), 50)])
    assert [(one.asked, one.granted, one.code) for one in decision.grants] == [
        (6, 5, "catalog.price_changed")
    ]


def test_what_is_dear_is_left_to_those_who_saw_it() -> None:
    wanted = make_group(tally_line(quantity=2, seen=150), tally_line(quantity=2, seen=200))
    [decision] = decide_with([wanted], [(make_shelf(NEAR, price=140), 3), (make_shelf(FAR), 9)])
    assert [(part.price_fen, part.quantity) for part in decision.lines] == [(140, 3), (200, 1)]
    assert decision.grants[0].code is None
    [decision] = decide_with([wanted], [(make_shelf(NEAR), 9), (make_shelf(FAR, price=140), 1)])
    assert [(part.price_fen, part.quantity) for part in decision.lines] == [(200, 2), (140, 1)]
    assert (decision.grants[0].granted, decision.grants[0].code) == (3, "catalog.out_of_stock")


def test_a_group_is_not_given_above_any_price_seen_and_is_told_so() -> None:
    [decision] = decide_with([make_group(tally_line(seen=199))], [(make_shelf(), 50)])
    assert [(one.granted, one.code) for one in decision.grants] == [(0, "catalog.price_changed")]


def test_a_group_is_served_as_far_as_the_picking_of_its_outlet_goes() -> None:
    wanted = make_group(tally_line(quantity=80), tally_line(RICE, quantity=10), households=40)
    stocked = [(make_shelf(NEAR), 500), (make_shelf(NEAR, RICE), 500)]
    [decision] = decide_with([wanted], stocked, {(ZONE, NEAR, TODAY): 39})
    assert [(one.asked, one.granted, one.code) for one in decision.grants] == [
        (80, 78, "catalog.picking_full"), (10, 10, None),
    ]  # fmt: skip
    assert decision.picking == {NEAR: 39}


def test_the_next_outlet_picks_for_the_households_that_the_first_cannot() -> None:
    stocked = [(make_shelf(NEAR), 50), (make_shelf(FAR), 50)]
    picking = {(ZONE, NEAR, TODAY): 9, (ZONE, FAR, TODAY): 4}
    decisions = decide_with([make_group(tally_line()), make_group(tally_line())], stocked, picking)
    assert [(part.outlet_id, part.quantity) for part in decisions[0].lines] == [(NEAR, 9), (FAR, 1)]
    assert decisions[0].picking == {NEAR: 9, FAR: 1}
    assert [(one.granted, one.code) for one in decisions[1].grants] == [(3, "catalog.picking_full")]
    assert decisions[1].picking == {FAR: 3}


def test_a_day_that_is_full_leaves_the_next_day_free() -> None:
    stocked = [(make_shelf(NEAR), 9)]
    tomorrow = TODAY + timedelta(days=1)
    picking = {(ZONE, NEAR, TODAY): 1, (ZONE, NEAR, tomorrow): 1}
    orders = [make_order(line()), make_order(line()), replace(make_order(line()), day=tomorrow)]
    assert [type(one) for one in decide_with(orders, stocked, picking)] == [Reserved, Refused, Reserved]


def test_what_waited_in_vain_is_refused_whole() -> None:
    order, group = make_order(line(1), line(2, RICE, 3)), make_group(tally_line())
    assert failures_of(refuse_unsupplied(order)) == [
        (1, "catalog.zone_not_supplied", 1, 0), (2, "catalog.zone_not_supplied", 3, 0),
    ]  # fmt: skip
    assert [(one.granted, one.code) for one in refuse_unsupplied(group).grants] == [
        (0, "catalog.zone_not_supplied")
    ]


SHELVES = [
    make_shelf(outlet, product, price)
    for outlet in (NEAR, FAR)
    for product in (CABBAGE, RICE, OIL)
    for price in (150, 250)
]
LINES = st.builds(
    line,
    product=st.sampled_from([CABBAGE, RICE, OIL]),
    quantity=st.integers(1, 4),
    seen=st.sampled_from([100, 200, 300]),
    substitutes=st.lists(st.sampled_from([CABBAGE, RICE, OIL]), max_size=2).map(tuple),
)


@settings(max_examples=300)
@given(
    baskets=st.lists(st.lists(LINES, min_size=1, max_size=4), max_size=8),
    free=st.lists(st.integers(0, 6), min_size=len(SHELVES), max_size=len(SHELVES)),
    picking=st.tuples(st.integers(0, 5), st.integers(0, 5)),
)
def test_no_promise_exceeds_stock_price_or_picking(baskets, free, picking) -> None:
    orders = [
        make_order(*(one.model_copy(update={"line": number}) for number, one in enumerate(basket)))
        for basket in baskets
    ]
    stations = {(ZONE, NEAR, TODAY): picking[0], (ZONE, FAR, TODAY): picking[1]}
    decisions = decide_with(orders, list(zip(SHELVES, free, strict=True)), stations)
    units, picked = Counter(), Counter()
    for order, decision in zip(orders, decisions, strict=True):
        if isinstance(decision, Refused):
            assert decision.failures
            continue
        assert sorted(one.line for one in decision.lines) == [one.line for one in order.lines]
        wanted = {one.line: one for one in order.lines}
        for given_line in decision.lines:
            of = wanted[given_line.line]
            assert given_line.price_fen <= of.seen_price_fen
            assert given_line.quantity == of.quantity
            assert given_line.product_id in (of.product_id, *of.substitutes)
            units[given_line.offer_id] += given_line.quantity
        picked.update({(ZONE, one.outlet_id, TODAY) for one in decision.lines})
    assert all(units[shelf.offer_id] <= there for shelf, there in zip(SHELVES, free, strict=True))
    assert all(picked[station] <= there for station, there in stations.items())
