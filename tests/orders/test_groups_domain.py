from hypothesis import given
from hypothesis import strategies as st

from services.kit.ids import new_id
from services.orders.groups import domain
from services.orders.groups.domain import PartLine

CABBAGE = new_id()


def ask(*quantities: int) -> list[PartLine]:
    return [
        PartLine(order_id=new_id(), line=1, product_id=CABBAGE, quantity=quantity) for quantity in quantities
    ]


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
    first, second, *_ = domain.draw([line.order_id for line in lines], seed="s", product_id=CABBAGE)
    shared = domain.share_grants(lines, {CABBAGE: 6}, seed="s")
    full = {order_id for order_id, (share,) in shared.items() if share.granted == 2}
    assert full == {first, second}
    assert sum(share.missing for (share,) in shared.values()) == 2


def test_the_same_seed_draws_the_same_and_another_seed_another() -> None:
    ids = [new_id() for _ in range(50)]
    once = domain.draw(ids, seed="a", product_id=CABBAGE)
    assert domain.draw(reversed(ids), seed="a", product_id=CABBAGE) == once
    assert domain.draw(ids, seed="b", product_id=CABBAGE) != once


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


def test_a_group_counts_households_not_lines() -> None:
    order_id = new_id()
    lines = [PartLine(order_id=order_id, line=n, product_id=new_id(), quantity=1) for n in (1, 2)]
    assert domain.reaches_minimum(lines, minimum=1)
    assert not domain.reaches_minimum(lines, minimum=2)


def test_the_tally_names_products_and_nobody() -> None:
    assert domain.tally(ask(1, 2, 3)) == {CABBAGE: 6}
