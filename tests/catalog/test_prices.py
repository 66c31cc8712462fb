from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalog.prices.domain import (
    CeilingRule,
    Deal,
    Item,
    MarginRateRule,
    cap_of,
    decide_price,
    margin_rate,
    strictest_cap,
)
from services.kit.ids import new_id

TODAY = date(2022, 3, 20)
BOUND_AT = datetime(2022, 3, 16, tzinfo=UTC)
LEDGER = datetime(2022, 3, 12, tzinfo=UTC)


def make_ceiling(fen_per_kg: int, **changes) -> CeilingRule:
    fields = {"rule_id": new_id(), "version": 1, "legal_ref": "张家口 2022", "valid_from": date(2022, 3, 1)}
    return CeilingRule(**(fields | changes), ceiling_fen_per_kg=fen_per_kg)


def make_margin(**changes) -> MarginRateRule:
    fields = {
        "rule_id": new_id(), "version": 1, "legal_ref": "潍坊 2022-03-16", "valid_from": date(2022, 3, 16),
        "reference_date": date(2022, 3, 10), "default_rate": Fraction(35, 100), "bound_at": BOUND_AT,
    }  # fmt: skip
    return MarginRateRule(**(fields | changes))


@pytest.mark.parametrize(
    ("purchase_fen", "sale_fen", "percent"),
    [(500, 1154, 130.80), (682, 1526, 123.75), (1300, 2917, 124.4)],
)
def test_margin_rates_are_those_of_the_published_cases(purchase_fen, sale_fen, percent) -> None:
    rate = margin_rate(sale_fen=sale_fen, purchase_fen=purchase_fen)
    assert float(rate * 100) == pytest.approx(percent, abs=0.05)


@pytest.mark.parametrize(("purchase_fen", "sale_fen", "percent"), [(5400, 9800, 81), (1800, 7160, 298)])
def test_a_falling_cost_breaks_the_rule_without_any_price_rise(purchase_fen, sale_fen, percent) -> None:
    before = Deal(date(2022, 3, 9), sale_fen=9800, purchase_fen=5400, recorded_at=LEDGER)
    item = Item(grams=1000, purchase_fen=purchase_fen, deals=(before,))
    decision = decide_price(sale_fen, item, [make_margin()], on=TODAY)
    assert round(margin_rate(sale_fen=sale_fen, purchase_fen=purchase_fen) * 100) == percent
    assert decision.is_allowed == (percent == 81)


def test_the_reference_is_the_last_deal_on_or_before_the_date() -> None:
    deals = (
        Deal(date(2022, 3, 1), 300, 100, LEDGER),
        Deal(date(2022, 3, 10), 120, 100, LEDGER),
        Deal(date(2022, 3, 11), 900, 100, LEDGER),
    )
    cap = cap_of(make_margin(), Item(grams=500, purchase_fen=200, deals=deals))
    assert (cap.cap_fen, cap.reference) == (240, deals[1])


@pytest.mark.parametrize(
    ("recorded_at", "is_vouched", "cap_fen"),
    [(LEDGER, False, 600), (None, False, 270), (BOUND_AT, False, 270), (BOUND_AT, True, 600)],
)
def test_a_deal_stated_once_the_rule_is_known_is_a_reference_only_if_the_regulator_vouches_for_it(
    recorded_at, is_vouched, cap_fen
) -> None:
    deal = Deal(date(2022, 3, 9), 300, 100, recorded_at, is_vouched)
    decision = decide_price(1, Item(grams=500, purchase_fen=200, deals=(deal,)), [make_margin()], on=TODAY)
    assert decision.cap is not None
    assert decision.cap.cap_fen == cap_fen
    assert decision.unused_deals == (() if decision.cap.reference else (deal,))
    assert replace(deal, recorded_at=None) == deal


def test_an_item_never_sold_before_has_the_default_rate() -> None:
    cap = cap_of(make_margin(), Item(grams=500, purchase_fen=1000))
    assert (cap.cap_fen, cap.reference, cap.margin_rate) == (1350, None, Fraction(35, 100))


def test_a_ceiling_per_kilogram_holds_for_the_sale_unit_and_rounds_down() -> None:
    cabbage = make_ceiling(220)
    assert cap_of(cabbage, Item(grams=500, purchase_fen=50)).cap_fen == 110
    assert cap_of(cabbage, Item(grams=333, purchase_fen=50)).cap_fen == 73


def test_the_strictest_rule_wins_and_stays_with_the_decision() -> None:
    ceiling, margin = make_ceiling(400), make_margin()
    item = Item(grams=1000, purchase_fen=200)
    decision = decide_price(271, item, [ceiling, margin], on=TODAY)
    assert not decision.is_allowed
    assert decision.cap is not None
    assert (decision.cap.rule, decision.cap.cap_fen) == (margin, 270)
    assert decide_price(270, item, [ceiling, margin], on=TODAY).is_allowed


def test_a_rule_binds_from_its_first_day_to_its_last() -> None:
    rule = make_ceiling(100, valid_from=date(2022, 3, 20), valid_to=date(2022, 3, 21))
    item = Item(grams=1000, purchase_fen=50)
    bound = [strictest_cap([rule], item, on=date(2022, 3, day)) is not None for day in (19, 20, 21, 22)]
    assert bound == [False, True, True, False]


@given(
    price=st.integers(1, 100_000),
    purchase=st.integers(1, 100_000),
    ceilings=st.lists(st.integers(1, 100_000)),
)
def test_an_allowed_price_breaks_none_of_the_rules(price, purchase, ceilings) -> None:
    item = Item(grams=1000, purchase_fen=purchase)
    rules = [make_margin(), *map(make_ceiling, ceilings)]
    keeps_all = all(price <= ceiling for ceiling in ceilings) and (
        margin_rate(sale_fen=price, purchase_fen=purchase) <= Fraction(35, 100)
    )
    assert decide_price(price, item, rules, on=TODAY).is_allowed == keeps_all
