from hypothesis import given
from hypothesis import strategies as st

from services.kit.ids import new_id
from services.orders.needs import domain

PEOPLE = [new_id() for _ in range(8)]
some = st.sets(st.sampled_from(PEOPLE))


@given(some, some, some)
def test_everyone_who_lives_there_was_served_or_asked_or_is_named(living, served, asked) -> None:
    reach = domain.find_reach(living, served=served, asked=asked)
    assert set(reach.unreached) == living - served - asked
    assert (reach.households, reach.served, reach.asked) == (
        len(living),
        len(living & served),
        len(living & asked),
    )


def test_an_order_that_was_fulfilled_or_lost_was_placed_and_confirmed_too() -> None:
    by_status = {"placed": 1, "confirmed": 2, "refused": 3, "cancelled": 4, "fulfilled": 5, "lost": 6}
    assert domain.count_orders(by_status) == {
        "placed": 21, "undecided": 1, "confirmed": 13, "refused": 3, "cancelled": 4, "fulfilled": 5,
        "lost": 6,
    }  # fmt: skip
    assert domain.count_orders({})["placed"] == 0
