import random
from collections import Counter
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.dispatch.loads import bulk
from services.dispatch.loads.bulk import Part
from services.dispatch.loads.domain import Packing, UnitKind
from tests.dispatch.builders import NOW, make_line

PACKING = Packing(bag_g=12_000, crate_g=25_000, bulk_load_g=100_000, bulk_households=3)
CABBAGE, RICE, EGGS, MELON = (UUID(int=number) for number in (101, 102, 103, 104))
SHOP, OTHER_SHOP = UUID(int=201), UUID(int=202)
GRAMS = {CABBAGE: 1500, RICE: 5000, EGGS: 800, MELON: 30_000}


def make_part(number: int, *, building: int = 1, shop: UUID = SHOP, **goods: int) -> Part:
    """A household's part: so many units of each of its goods."""
    offers = {"cabbage": CABBAGE, "rice": RICE, "eggs": EGGS, "melon": MELON}
    lines = [
        make_line(
            line=line, product_id=offers[name], offer_id=offers[name], outlet_id=shop, name=name,
            quantity=quantity, grams=GRAMS[offers[name]],
        )
        for line, (name, quantity) in enumerate(goods.items(), 1)
    ]  # fmt: skip
    return Part(
        order_id=UUID(int=1000 + number),
        household_id=UUID(int=2000 + number),
        building_id=UUID(int=3000 + building),
        confirmed_at=NOW,
        lines=tuple(lines),
    )


def crates_of(*parts: Part) -> list[tuple[str, int, dict[str, int]]]:
    return [
        (kind, unit.grams, {line.name: line.quantity for line in unit.lines})
        for kind, unit in bulk.fill_crates(parts, crate_g=25_000)
    ]


def test_full_crates_are_of_one_offer_and_what_is_left_shares_a_tote() -> None:
    assert crates_of(make_part(1, cabbage=10, rice=4), make_part(2, cabbage=9, rice=3)) == [
        (UnitKind.CRATE, 24_000, {"cabbage": 16}),
        (UnitKind.CRATE, 25_000, {"rice": 5}),
        (UnitKind.TOTE, 14_500, {"cabbage": 3, "rice": 2}),
    ]


def test_a_unit_heavier_than_a_crate_may_be_is_a_sack() -> None:
    assert crates_of(make_part(1, melon=1), make_part(2, melon=1, eggs=2)) == [
        (UnitKind.SACK, 30_000, {"melon": 1}),
        (UnitKind.SACK, 30_000, {"melon": 1}),
        (UnitKind.CRATE, 1600, {"eggs": 2}),
    ]


def test_what_a_crate_holds_is_numbered_by_the_loads_offers() -> None:
    ((_, unit),) = bulk.fill_crates([make_part(1, rice=1, cabbage=1)], crate_g=25_000)
    assert sorted((line.line, line.offer_id) for line in unit.lines) == [(1, CABBAGE), (2, RICE)]


def loads_of(*parts: Part, packing: Packing = PACKING) -> list[tuple[UUID, int, list[int]]]:
    return [
        (each.outlet_id, each.number, [part.household_id.int - 2000 for part in each.parts])
        for each in bulk.consign(parts, packing)
    ]


def test_a_group_is_cut_door_by_door_into_loads_of_so_many_households() -> None:
    parts = [make_part(number, building=1 + number % 2, cabbage=1) for number in (5, 4, 3, 2, 1)]
    assert loads_of(*parts) == [(SHOP, 1, [2, 4, 1]), (SHOP, 2, [3, 5])]


def test_a_load_weighs_no_more_than_it_may_but_a_household_is_never_cut() -> None:
    parts = [make_part(1, rice=12), make_part(2, rice=9), make_part(3, rice=25), make_part(4, rice=1)]
    assert loads_of(*parts) == [(SHOP, 1, [1]), (SHOP, 2, [2]), (SHOP, 3, [3]), (SHOP, 4, [4])]


def test_each_outlet_has_its_own_loads_with_its_own_lines() -> None:
    both = make_part(1, rice=2)
    both = Part(**{**{name: getattr(both, name) for name in both.__slots__},
                   "lines": (*both.lines, *make_part(1, shop=OTHER_SHOP, eggs=3).lines)})  # fmt: skip
    found = bulk.consign([both, make_part(2, eggs=1)], PACKING)
    assert [(each.outlet_id, [part.grams for part in each.parts]) for each in found] == [
        (SHOP, [10_000, 800]), (OTHER_SHOP, [2400]),
    ]  # fmt: skip


goods = st.fixed_dictionaries(
    {},
    optional={
        name: st.integers(1, most)
        for name, most in (("cabbage", 20), ("rice", 9), ("eggs", 30), ("melon", 2))
    },
).filter(bool)
manifests = st.lists(goods, min_size=1, max_size=12).map(
    lambda wanted: [make_part(number, building=number % 3, **each) for number, each in enumerate(wanted)]
)


@given(manifests, st.integers(1000, 40_000), st.randoms(use_true_random=False))
def test_every_sale_unit_is_in_one_crate_of_one_load_in_whatever_order_the_parts_came(
    parts: list[Part], crate_g: int, chance: random.Random
) -> None:
    loads = bulk.consign(parts, PACKING)
    shuffled = chance.sample(parts, len(parts))
    assert bulk.consign(shuffled, PACKING) == loads
    assert sorted(part.order_id for load in loads for part in load.parts) == sorted(
        part.order_id for part in parts
    )
    for load in loads:
        crates = bulk.fill_crates(load.parts, crate_g=crate_g)
        assert bulk.fill_crates(chance.sample(load.parts, len(load.parts)), crate_g=crate_g) == crates
        packed: Counter[UUID] = Counter()
        for kind, unit in crates:
            packed.update({line.offer_id: line.quantity for line in unit.lines})
            assert unit.lines
            assert (kind is UnitKind.SACK) == (unit.grams > crate_g)
            assert kind is not UnitKind.SACK or [line.quantity for line in unit.lines] == [1]
            assert (kind is UnitKind.TOTE) == (len(unit.lines) > 1)
        wanted: Counter[UUID] = Counter()
        for line in (line for part in load.parts for line in part.lines):
            wanted[line.offer_id] += line.quantity
        assert packed == wanted
        assert sum(unit.grams for _, unit in crates) == sum(part.grams for part in load.parts)
        assert len(load.parts) <= PACKING.bulk_households
        assert len(load.parts) == 1 or sum(part.grams for part in load.parts) <= PACKING.bulk_load_g
