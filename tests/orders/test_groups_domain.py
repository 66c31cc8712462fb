from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts import sharing
from services.contracts.values import Grant
from services.kit.ids import new_id
from services.orders.groups import domain
from services.orders.groups.domain import BelowMinimum, Ending, PartLine
from tests.orders.ground import give as give_line

CABBAGE = new_id()


def ask(*quantities: int) -> list[PartLine]:
    return [
        PartLine(
            order_id=new_id(), household_id=new_id(), line=1, product_id=CABBAGE, quantity=quantity,
            seen_price_fen=450,
        )
        for quantity in quantities
    ]  # fmt: skip


def shares_of(lines: list[PartLine], granted: int, *, seed: str = "2022-04-05") -> list[int]:
    shared = domain.share_grants(lines, {CABBAGE: granted}, seed=seed)
    return [shared[line.order_id][0].granted for line in lines]


def test_where_there_is_enough_everyone_gets_what_they_asked() -> None:
    assert shares_of(ask(1, 2, 3), 6) == [1, 2, 3]
    assert shares_of(ask(1, 2, 3), 100) == [1, 2, 3]


def test_the_floor_is_the_same_for_all_who_ask_for_as_much() -> None:
    assert shares_of(ask(1, 5, 5), 7) == [1, 3, 3]
    assert shares_of(ask(4, 4, 4), 0) == [0, 0, 0]


def test_what_the_floor_leaves_goes_by_draw_one_unit_each() -> None:
    lines = ask(2, 2, 2, 2)
    first, second, *_ = sharing.draw([line.household_id for line in lines], seed="s", product_id=CABBAGE)
    shared = domain.share_grants(lines, {CABBAGE: 6}, seed="s")
    full = {share.line.household_id for (share,) in shared.values() if share.granted == 2}
    assert full == {first, second}
    assert sum(share.missing for (share,) in shared.values()) == 2


def test_the_same_seed_draws_the_same_and_another_seed_another() -> None:
    ids = [new_id() for _ in range(50)]
    once = sharing.draw(ids, seed="a", product_id=CABBAGE)
    assert sharing.draw(reversed(ids), seed="a", product_id=CABBAGE) == once
    assert sharing.draw(ids, seed="b", product_id=CABBAGE) != once


def test_who_joins_anew_under_another_order_draws_the_same_place() -> None:
    lines = ask(2, 2, 2, 2, 2)
    first = shares_of(lines, 7)
    again = [replace(line, order_id=new_id()) for line in lines]
    assert shares_of(again, 7) == first


def test_a_product_that_was_not_granted_at_all_gives_nothing_and_names_the_line() -> None:
    (line,) = ask(3)
    (share,) = domain.share_grants([line], {}, seed="s")[line.order_id]
    assert (share.granted, share.missing, share.line) == (0, 3, line)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=60), st.integers(0, 600))
def test_sums_are_exact_and_nobody_gets_more_than_asked_or_two_less_than_another(quantities, granted) -> None:
    lines = ask(*quantities)
    shares = shares_of(lines, granted)
    assert sum(shares) == min(granted, sum(quantities))
    assert all(0 <= share <= quantity for share, quantity in zip(shares, quantities, strict=True))
    unfilled = [share for share, quantity in zip(shares, quantities, strict=True) if share < quantity]
    assert not unfilled or max(shares) - min(unfilled) <= 1


def grant(*parts: int, asked: int = 100) -> Grant:
    lines = tuple(give_line(CABBAGE, quantity) for quantity in parts)
    return Grant(product_id=CABBAGE, asked=asked, granted=sum(parts), code=None, parts=lines)


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=60), st.lists(st.integers(1, 40), max_size=6), st.data()
)
def test_of_each_part_exactly_the_part_is_given_and_each_order_gets_its_share(
    quantities, parts, data
) -> None:
    lines = ask(*quantities)
    while sum(parts) > sum(quantities):
        parts.pop()
    granted = grant(*parts, asked=sum(quantities))
    shares = domain.share_grants(lines, {CABBAGE: sum(parts)}, seed=data.draw(st.text(max_size=5)))
    given_lines = domain.give(shares, [granted])
    for order_id, (share,) in shares.items():
        assert sum(each.quantity for each in given_lines[order_id]) == share.granted
    of_part = {
        part.offer_id: sum(
            each.quantity
            for all_of in given_lines.values()
            for each in all_of
            if each.offer_id == part.offer_id
        )
        for part in granted.parts
    }
    assert of_part == {part.offer_id: part.quantity for part in granted.parts}


def test_a_line_that_spans_two_outlets_is_given_as_two_lines_of_its_number() -> None:
    (line,) = ask(5)
    shares = domain.share_grants([line], {CABBAGE: 5}, seed="s")
    first, second = domain.give(shares, [grant(2, 3)])[line.order_id]
    assert [(each.line, each.quantity) for each in (first, second)] == [(1, 2), (1, 3)]
    assert first.outlet_id != second.outlet_id


@pytest.mark.parametrize(("parts", "granted", "asked"), [((2,), 3, 5), ((6,), 6, 5)])
def test_a_grant_that_does_not_add_up_raises(parts, granted, asked) -> None:
    (line,) = ask(5)
    shares = domain.share_grants([line], {CABBAGE: granted}, seed="s")
    with pytest.raises(domain.BrokenGrant):
        domain.give(shares, [grant(*parts, asked=asked).model_copy(update={"granted": granted})])


def test_a_line_that_gets_less_is_named_with_what_it_gets() -> None:
    full, short = ask(1, 5)
    shares = domain.share_grants([full, short], {CABBAGE: 4}, seed="s")
    assert domain.failures_of(shares[full.order_id]) == ()
    (failure,) = domain.failures_of(shares[short.order_id])
    assert (failure.code, failure.asked, failure.available) == ("orders.group_short", 5, 3)


@pytest.mark.parametrize(
    ("households", "below", "was_extended", "ending"),
    [
        (30, "cancel", False, "lock"),
        (29, "cancel", False, "cancel"),
        (29, "send", False, "lock"),
        (0, "send", False, "cancel"),
        (29, "extend", False, "extend"),
        (29, "extend", True, "cancel"),
        (30, "extend", True, "lock"),
    ],
)
def test_a_group_ends_as_its_leader_stated(households, below, was_extended, ending) -> None:
    assert (
        domain.end_at_cut_off(
            households=households,
            products=9,
            minimum=30,
            below=BelowMinimum(below),
            was_extended=was_extended,
        )
        == ending
    )


def test_a_group_of_more_products_than_an_event_can_name_ends_without_goods() -> None:
    ending = domain.end_at_cut_off(
        households=30, products=451, minimum=30, below=BelowMinimum.SEND, was_extended=False
    )
    assert ending is Ending.TOO_VARIED
