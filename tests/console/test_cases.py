"""The cases of the demo: what is said to be known is what the sources have."""

import csv
from pathlib import Path

import pytest

from services.console.scenarios import case as cases

PLACES = Path(__file__).parents[3] / "shared/data/places"


def rows_of(name: str) -> list[dict[str, str]]:
    path = PLACES / f"{name}.csv"
    if not path.exists():
        pytest.skip(f"the list of places is not here: {path.name}")
    with path.open(encoding="utf-8-sig") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize(("case", "places"), [("beizang", "beizang"), ("chendai", "quanzhou")])
def test_every_village_of_the_town_is_there_by_its_code_and_no_other(case: str, places: str) -> None:
    known = cases.load(case)
    street = known.facts.areas[-1]
    listed = {
        row["code"]: row["name"].replace("居委会", "").replace("村委会", "村").replace("村村", "村")
        for row in rows_of(places)
        if row["streetCode"] == street.code
    }
    assert {village.code: village.title.replace("村村", "村") for village in known.facts.villages} == listed


def test_a_markets_run_is_ordered_to_the_last_jin_and_shared_evenly() -> None:
    case = cases.load("chendai")
    households = len(list(case.households()))
    baskets = case.market_baskets(households)
    jin = [sum(quantity for _, quantity in basket) for basket in baskets]
    assert (len(jin), sum(jin), max(jin) - min(jin)) == (1560, 27_000, 1)
    assert sum(good.grams * quantity for basket in baskets for good, quantity in basket) == 13_500_000
    assert len({good.name for basket in baskets for good, _ in basket}) == 7
    assert (len(case.sealed), case.facts.market and case.facts.market.work_sites) == (26, 8)


def test_a_case_says_how_large_its_ledger_is_in_one_place() -> None:
    case = cases.load("chendai")
    twice = case.facts.model_copy(update={"scale": case.assumed.scale})
    with pytest.raises(ValueError, match="in one of them"):
        cases.Case.model_validate({**case.model_dump(), "facts": twice.model_dump()})
