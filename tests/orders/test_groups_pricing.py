from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from services.contracts.values import Grant, TallyLine
from services.kit.ids import new_id
from services.orders.groups import pricing
from services.orders.groups.domain import PartLine
from tests.orders.ground import give

CABBAGE, RICE = new_id(), new_id()


def ask(*wanted: tuple[int, int], product=CABBAGE):
    """Part lines of (quantity, price seen)."""
    return [
        PartLine(
            order_id=new_id(), household_id=new_id(), line=1, product_id=product, quantity=quantity,
            seen_price_fen=seen,
        )
        for quantity, seen in wanted
    ]  # fmt: skip


def grant(*parts: tuple[int, int], asked: int = 1_000, product=CABBAGE):
    """A grant of (quantity, price)."""
    given_lines = tuple(
        give(product, quantity, number=0).model_copy(update={"price_fen": price}) for quantity, price in parts
    )
    granted = sum(quantity for quantity, _ in parts)
    return Grant(product_id=product, asked=asked, granted=granted, code=None, parts=given_lines)


def test_a_part_that_saw_nothing_like_the_price_is_alone_without_goods() -> None:
    lines = ask((1, 240), (1, 240), (1, 0))
    grants = [grant((2, 240), asked=3)]
    shares, given_lines = pricing.share_out(lines, grants, seed="s")
    assert [len(given_lines[line.order_id]) for line in lines] == [1, 1, 0]
    failures = pricing.failures_of(shares, grants)
    [failure] = failures[lines[2].order_id]
    assert (failure.code, failure.asked, failure.available) == ("catalog.price_changed", 0, 240)
    assert failures[lines[0].order_id] == ()


def test_dear_goods_go_to_who_saw_the_price_and_the_cheap_ones_to_all_that_still_want() -> None:
    lines = ask((2, 250), (2, 150))
    shares, given_lines = pricing.share_out(lines, [grant((2, 140), (2, 240))], seed="s")
    assert [(one.price_fen, one.quantity) for one in given_lines[lines[0].order_id]] == [(240, 2)]
    assert [(one.price_fen, one.quantity) for one in given_lines[lines[1].order_id]] == [(140, 2)]
    assert [share.missing for line in lines for share in shares[line.order_id]] == [0, 0]


def test_what_two_outlets_give_at_two_prices_is_one_sharing_where_all_saw_enough() -> None:
    lines = ask((2, 300), (2, 300), (2, 300))
    shares, _ = pricing.share_out(lines, [grant((2, 100), (1, 200))], seed="s")
    assert [share.granted for line in lines for share in shares[line.order_id]] == [1, 1, 1]


PRICES = st.sampled_from([0, 100, 150, 200, 250])


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.integers(1, 5), PRICES), min_size=1, max_size=20),
    st.lists(st.tuples(st.integers(1, 9), PRICES), max_size=5),
)
def test_nobody_pays_above_the_price_seen_and_every_unit_that_can_be_shared_is(wanted, shelves) -> None:
    lines = ask(*wanted)
    parts, left = [], Counter()
    for line in lines:
        left[line.seen_price_fen] += line.quantity
    for units, price in shelves:
        taken = 0
        for level in sorted(level for level in left if level >= price):
            now = min(units - taken, left[level])
            left[level] -= now
            taken += now
        if taken:
            parts.append((taken, price))
    grants = [grant(*parts)]
    shares, given_lines = pricing.share_out(lines, grants, seed="s")
    got = Counter()
    for line in lines:
        [share] = shares[line.order_id]
        mine = given_lines[line.order_id]
        assert sum(one.quantity for one in mine) == share.granted <= line.quantity
        assert all(one.price_fen <= line.seen_price_fen for one in mine)
        got.update({one.offer_id: one.quantity for one in mine})
    assert got == Counter({part.offer_id: part.quantity for part in grants[0].parts})


def test_a_tally_of_many_prices_is_narrowed_to_those_that_most_saw_and_the_lowest() -> None:
    rare = [TallyLine(product_id=CABBAGE, quantity=1, seen_price_fen=price) for price in range(20)]
    usual = TallyLine(product_id=CABBAGE, quantity=50, seen_price_fen=240)
    high = TallyLine(product_id=CABBAGE, quantity=1, seen_price_fen=900)
    narrowed = pricing.narrow_tally([*rare, usual, high], most=2)
    assert [(line.seen_price_fen, line.quantity) for line in narrowed] == [(0, 20), (240, 51)]
    assert pricing.narrow_tally([usual, high], most=2) == (usual, high)
