from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalog.market import market_day
from services.catalog.outlets.domain import (
    Licence,
    LicencePolicy,
    Risk,
    find_repeated,
    find_unmet,
    qualified_until,
)
from services.contracts.values import OutletKind
from services.kit.errors import Fault
from tests.catalog.builders import BUSINESS, DRUG, FOOD, make_facts

TODAY = date(2022, 11, 20)
POLICIES = (
    LicencePolicy(OutletKind.SUPERMARKET, BUSINESS, "746 art. 21"),
    LicencePolicy(OutletKind.SUPERMARKET, FOOD, "食品安全法 art. 35"),
    LicencePolicy(OutletKind.PHARMACY, DRUG, "药品管理法 art. 51"),
)


def test_an_outlet_that_meets_every_requirement_of_its_kind_qualifies() -> None:
    assert find_unmet(make_facts(), POLICIES, has_pledge=True, today=TODAY) == ()


def test_every_requirement_that_is_not_met_is_named() -> None:
    licences = (Licence(FOOD, "F1", date(2022, 11, 19)), Licence(FOOD, "F0", date(2020, 1, 1)))
    outlet = make_facts(licences=licences, risk=Risk.HIGH, capacity_orders=0)
    food = {"licence_kind": FOOD, "legal_ref": "食品安全法 art. 35", "valid_to": date(2022, 11, 19)}
    assert find_unmet(outlet, POLICIES, has_pledge=False, today=TODAY) == (
        Fault("/licences", "catalog.licence_missing", {"licence_kind": BUSINESS, "legal_ref": "746 art. 21"}),
        Fault("/licences", "catalog.licence_expired", food),
        Fault("/pledge", "catalog.pledge_missing"),
        Fault("/risk", "catalog.risk_high"),
        Fault("/capacity_orders", "catalog.capacity_missing"),
    )


def test_a_pharmacy_needs_what_a_supermarket_does_not() -> None:
    pharmacy = make_facts(kind=OutletKind.PHARMACY)
    unmet = find_unmet(pharmacy, POLICIES, has_pledge=True, today=TODAY)
    assert [(fault.code, fault.params["licence_kind"]) for fault in unmet] == [
        ("catalog.licence_missing", DRUG)
    ]


@pytest.mark.parametrize(("last", "holds"), [(19, False), (20, True), (21, True)])
def test_a_licence_holds_on_its_last_day(last, holds) -> None:
    assert Licence(FOOD, "F1", date(2022, 11, last)).is_valid_on(TODAY) is holds


def test_a_qualification_ends_with_the_first_kind_of_licence_that_ends() -> None:
    licences = (
        Licence(BUSINESS, "B1", date(2024, 1, 1)),
        Licence(FOOD, "F1", date(2022, 12, 1)),
        Licence(FOOD, "F2", date(2023, 6, 1)),
        Licence(DRUG, "D1", date(2022, 11, 21)),
    )
    assert qualified_until(make_facts(licences=licences), POLICIES) == date(2023, 6, 1)
    assert qualified_until(make_facts(), POLICIES) == date.max


def test_the_day_is_the_towns_own() -> None:
    assert market_day(datetime(2022, 11, 20, 15, 59, tzinfo=UTC)) == date(2022, 11, 20)
    assert market_day(datetime(2022, 11, 20, 16, 0, tzinfo=UTC)) == date(2022, 11, 21)


def test_a_licence_named_twice_is_found_by_its_place() -> None:
    assert find_repeated((Licence(FOOD, "1", None), Licence(BUSINESS, "1", None))) == ()
    assert find_repeated((Licence(FOOD, "1", None), Licence(FOOD, "2", None), Licence(FOOD, "1", TODAY))) == (
        2,
    )


dates = st.dates(date(2020, 1, 1), date(2030, 1, 1))
licences = st.lists(
    st.builds(Licence, st.sampled_from([BUSINESS, FOOD, DRUG]), st.just("1"), st.none() | dates)
).map(tuple)


@given(licences=licences, today=dates)
def test_what_qualifies_today_qualifies_until_its_last_day_and_not_after(licences, today) -> None:
    outlet = make_facts(licences=licences)
    if find_unmet(outlet, POLICIES, has_pledge=True, today=today):
        return
    last = qualified_until(outlet, POLICIES)
    assert today <= last
    assert find_unmet(outlet, POLICIES, has_pledge=True, today=last) == ()
    if last < date.max:
        after = date.fromordinal(last.toordinal() + 1)
        assert find_unmet(outlet, POLICIES, has_pledge=True, today=after) != ()
