import random
import time
from collections import Counter
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contracts import sharing
from services.contracts.access import Role
from services.contracts.dispatch import Leg
from services.contracts.orders import Form
from services.contracts.values import ShortLine, ZoneClass
from services.dispatch.crew.domain import CrewClearance, Duty
from services.dispatch.fleet.domain import Vehicle
from services.dispatch.loads import bulk, domain
from services.dispatch.loads.bulk import Consignment, Part
from services.dispatch.loads.domain import Packing, UnitKind, UnitLine
from services.dispatch.relay import domain as relay
from services.dispatch.relay import stand_ins
from services.dispatch.relay.domain import Contents, HandOver, Passage
from services.dispatch.relay.parties import Cause
from services.dispatch.splits import bags as splits_bags
from services.dispatch.splits import domain as splits
from services.dispatch.splits import judging, refusals
from services.dispatch.splits.domain import Loss, LossReason, Promise, Sharing, ToldPortion
from services.dispatch.splits.judging import Circumstances
from services.kit.ids import new_id
from tests.dispatch.builders import HOUR, NOW

PACKING = Packing(bag_g=12_000, crate_g=25_000, bulk_load_g=100_000, bulk_households=3)
CABBAGE, RICE, EGGS, MELON = (UUID(int=number) for number in (101, 102, 103, 104))
SHOP, OTHER_SHOP = UUID(int=201), UUID(int=202)
GRAMS = {CABBAGE: 1500, RICE: 5000, EGGS: 800, MELON: 30_000}


def make_part(number: int, *, building: int = 1, shop: UUID = SHOP, **goods: int) -> Part:
    """A household's part: so many units of each of its goods."""
    offers = {"cabbage": CABBAGE, "rice": RICE, "eggs": EGGS, "melon": MELON}
    lines = [
        UnitLine(
            line=line, product_id=offers[name], offer_id=offers[name], name=name, quantity=quantity,
            grams=GRAMS[offers[name]],
        )
        for line, (name, quantity) in enumerate(goods.items(), 1)
    ]  # fmt: skip
    return Part(
        order_id=UUID(int=1000 + number),
        household_id=UUID(int=2000 + number),
        building_id=UUID(int=3000 + building),
        outlet_id=shop,
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
    both = [make_part(1, rice=2), make_part(1, shop=OTHER_SHOP, eggs=3)]
    found = bulk.consign([*both, make_part(2, eggs=1)], PACKING)
    assert [(each.outlet_id, [part.grams for part in each.parts]) for each in found] == [
        (SHOP, [10_000, 800]), (OTHER_SHOP, [2400]),
    ]  # fmt: skip


def make_van(capacity_g: int, capacity_pieces: int) -> Vehicle:
    return Vehicle(
        vehicle_id=new_id(), capacity_g=capacity_g, capacity_pieces=capacity_pieces,
        shift_starts_at=NOW, shift_ends_at=NOW + HOUR,
    )  # fmt: skip


def test_a_load_is_no_larger_than_the_largest_vehicle_carries() -> None:
    parts = [make_part(number, rice=4) for number in range(1, 7)]
    vans = [make_van(39_000, 90), make_van(40_000, 2)]
    assert domain.fit_to(PACKING, []) == PACKING
    assert domain.fit_to(PACKING, [make_van(200_000, 90)]) == replace(PACKING, bulk_pieces=90)
    packing = domain.fit_to(PACKING, vans)
    assert (packing.bulk_load_g, packing.bulk_pieces) == (40_000, 2)
    assert loads_of(*parts, packing=packing) == [(SHOP, 1, [1, 2]), (SHOP, 2, [3, 4]), (SHOP, 3, [5, 6])]


def test_a_load_of_too_many_pieces_is_halved_until_a_household_is_left() -> None:
    parts = [make_part(1, melon=1), make_part(2, eggs=1), make_part(3, melon=2)]
    loads = list(bulk.consign(parts, replace(PACKING, bulk_pieces=1)))
    assert [(each.number, len(each.parts), len(each.crates)) for each in loads] == [
        (1, 1, 1), (2, 1, 1), (3, 1, 2),
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
    loads = list(bulk.consign(parts, PACKING))
    shuffled = chance.sample(parts, len(parts))
    assert list(bulk.consign(shuffled, PACKING)) == loads
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


def promise(door: int, offer: UUID, quantity: int, *, line: int = 1) -> Promise:
    return Promise(
        portion_id=UUID(int=4000 + door),
        household_id=UUID(int=2000 + door),
        line=line,
        product_id=offer,
        offer_id=offer,
        name="",
        grams=GRAMS[offer],
        quantity=quantity,
    )


def told(*portions: dict[UUID, int], start: int = 1) -> list[ToldPortion]:
    return [
        ToldPortion(UUID(int=4000 + door), tuple(lines.items())) for door, lines in enumerate(portions, start)
    ]


def given_of(sharing_: Sharing) -> dict[int, int]:
    return {each.household_id.int - 2000: quantity for each, quantity in sharing_.given.items()}


def settle(promises: list[Promise], losses=(), portions=None) -> Sharing:
    assert refusals.find_faults(promises, losses, portions) == []
    return splits.settle(promises, losses, portions, rule=sharing.RULE, seed="s")


def test_without_a_loss_each_gets_what_was_promised() -> None:
    outcome = settle([promise(1, RICE, 2), promise(2, RICE, 3)])
    assert (given_of(outcome), outcome.losses, outcome.is_by_rule) == ({1: 2, 2: 3}, (), True)
    assert (outcome.in_g, outcome.portions_g, outcome.loss_g) == (25_000, 25_000, 0)


def test_what_is_left_goes_in_whole_units_by_the_published_rule_and_the_rest_is_an_offcut() -> None:
    promises = [promise(door, RICE, 2) for door in (1, 2, 3)]
    outcome = settle(promises, [Loss(RICE, LossReason.SPOILED, 6000)])
    lucky, *_ = sharing.draw([each.household_id for each in promises], seed="s", product_id=RICE)
    assert given_of(outcome) == {door: 1 + (lucky.int - 2000 == door) for door in (1, 2, 3)}
    assert outcome.losses == (
        Loss(RICE, LossReason.OFFCUT, 4000), Loss(RICE, LossReason.SPOILED, 6000),
    )  # fmt: skip
    assert outcome.in_g == outcome.portions_g + outcome.loss_g == 30_000


def test_goods_without_a_weight_are_shared_by_the_piece() -> None:
    stamp = UUID(int=105)
    weightless = replace(promise(1, RICE, 3), offer_id=stamp, grams=0)
    assert list(settle([weightless, promise(2, RICE, 1)]).given.values()) == [1, 3]
    short = settle([weightless], portions=[ToldPortion(weightless.portion_id, ((stamp, 2),))])
    assert (list(short.given.values()), short.is_by_rule) == ([2], False)


def test_what_is_told_of_a_portion_fills_its_lines_in_their_order() -> None:
    promises = [promise(1, RICE, 2, line=3), promise(1, RICE, 2, line=1)]
    outcome = settle(promises, [Loss(RICE, LossReason.MISSING, 5000)], told({RICE: 3}))
    assert [
        (line.line, line.promised, line.given) for line in splits.short_lines(outcome.given)[UUID(int=4001)]
    ] == [(3, 2, 1)]
    assert outcome.is_by_rule


def test_a_sharing_that_adds_up_but_is_not_the_rules_is_known_as_such() -> None:
    promises = [promise(1, RICE, 2), promise(2, RICE, 2)]
    lost = [Loss(RICE, LossReason.DAMAGED, 10_000)]
    assert settle(promises, lost, told({RICE: 1}, {RICE: 1})).is_by_rule
    assert not settle(promises, lost, told({RICE: 2}, {})).is_by_rule


def test_a_whole_unit_is_no_offcut() -> None:
    promises = [promise(1, RICE, 2)]
    assert not settle(promises, [Loss(RICE, LossReason.OFFCUT, 5000)], told({RICE: 1})).is_by_rule
    assert not settle(promises, [Loss(RICE, LossReason.OFFCUT, 5000)]).is_by_rule
    assert settle(promises, [Loss(RICE, LossReason.MISSING, 5000)]).is_by_rule


def faults_of(promises, losses=(), portions=None) -> list[tuple[str, str, dict]]:
    return [
        (fault.pointer, fault.code.removeprefix("dispatch."), dict(fault.params))
        for fault in refusals.find_faults(promises, losses, portions)
    ]


def test_every_gram_that_is_not_explained_is_named_by_offer() -> None:
    promises = [promise(1, RICE, 2), promise(2, EGGS, 10)]
    losses = [Loss(RICE, LossReason.MISSING, 4000), Loss(EGGS, LossReason.MISSING, 900)]
    assert faults_of(promises, losses, told({RICE: 1}, {EGGS: 9})) == [
        ("/losses", "split_unbalanced",
         {"offer_id": RICE, "in_g": 10_000, "portions_g": 5000, "loss_g": 4000, "difference_g": 1000}),
        ("/losses", "split_unbalanced",
         {"offer_id": EGGS, "in_g": 8000, "portions_g": 7200, "loss_g": 900, "difference_g": -100}),
    ]  # fmt: skip
    assert faults_of(promises, [Loss(EGGS, LossReason.MISSING, 8001)])[0][2]["difference_g"] == -1


def test_everything_that_is_wrong_with_a_split_is_named_at_once() -> None:
    promises = [promise(1, RICE, 2), promise(2, RICE, 1)]
    portions = [*told({RICE: 3}), *told({EGGS: 1}), *told({RICE: 1}, start=9)]
    assert faults_of(promises, [Loss(EGGS, LossReason.MISSING, 1)], portions)[:-1] == [
        ("/losses/0/offer_id", "offer_unknown", {}),
        ("/portions/0/lines", "more_than_promised", {"offer_id": RICE, "promised": 2, "given": 3}),
        ("/portions/1/portion_id", "portion_repeated", {}),
        ("/portions/1/lines/0/offer_id", "offer_unknown", {}),
        ("/portions/2/portion_id", "portion_unknown", {}),
        ("/portions", "portion_missing", {"portion_id": UUID(int=4002)}),
    ]


def test_what_is_missing_is_taken_out_of_the_last_bags() -> None:
    bags = [
        [UnitLine(line=1, product_id=RICE, offer_id=RICE, name="", quantity=2, grams=5000),
         UnitLine(line=2, product_id=EGGS, offer_id=EGGS, name="", quantity=2, grams=800)],
        [UnitLine(line=1, product_id=RICE, offer_id=RICE, name="", quantity=1, grams=5000)],
    ]  # fmt: skip
    short = [ShortLine(line=1, product_id=RICE, offer_id=RICE, promised=3, given=1)]
    left = splits_bags.take_out(bags, short)
    assert [[(line.line, line.quantity) for line in bag] for bag in left] == [[(1, 1), (2, 2)], []]


def bag_of(*lines: tuple[int, UUID, int]) -> list[UnitLine]:
    return [
        UnitLine(line=line, product_id=offer, offer_id=offer, name="", quantity=units, grams=GRAMS[offer])
        for line, offer, units in lines
    ]


def test_what_is_left_of_a_portion_is_in_as_few_of_its_bags_as_it_needs() -> None:
    rice = [ShortLine(line=1, product_id=RICE, offer_id=RICE, promised=4, given=0)]
    bags = [bag_of((1, RICE, 2), (2, CABBAGE, 1)), bag_of((1, RICE, 2), (2, CABBAGE, 1))]
    assert splits_bags.refill(bags, rice, bag_g=12_000) == [bag_of((2, CABBAGE, 2)), []]
    # Where nothing is gained, each bag keeps what was to go into it.
    eggs = [ShortLine(line=3, product_id=EGGS, offer_id=EGGS, promised=1, given=0)]
    bags = [bag_of((1, RICE, 2)), bag_of((2, CABBAGE, 7), (3, EGGS, 1))]
    assert splits_bags.refill(bags, eggs, bag_g=12_000) == [bag_of((1, RICE, 2)), bag_of((2, CABBAGE, 7))]


def test_a_load_of_many_households_and_offers_is_shared_in_no_time() -> None:
    chance = random.Random(1)
    offers = [(new_id(), chance.choice([333, 500, 1500, 5000])) for _ in range(450)]
    promises = [
        replace(promise(door, RICE, 3, line=line), offer_id=offer, product_id=offer, grams=grams)
        for door in range(500)
        for line, (offer, grams) in enumerate(chance.sample(offers, 50), 1)
    ]
    losses = [Loss(offer, LossReason.MISSING, 4 * grams) for offer, grams in offers[:100]]
    began = time.process_time()
    outcome = settle(promises, losses)
    short = splits.short_lines(outcome.given)
    took = time.process_time() - began
    assert sum(line.promised - line.given for lines in short.values() for line in lines) == 400
    assert took < 2


promised = st.lists(
    st.tuples(st.integers(1, 9), st.sampled_from(sorted(GRAMS)), st.integers(1, 8), st.integers(1, 3)),
    min_size=1,
    max_size=25,
    unique_by=lambda each: (each[0], each[1], each[3]),
).map(lambda wanted: [promise(door, offer, quantity, line=line) for door, offer, quantity, line in wanted])


@given(promised, st.data())
def test_mass_is_conserved_to_the_gram_whoever_shares(promises: list[Promise], data: st.DataObject) -> None:
    items = splits.items_of(promises)
    losses = [
        Loss(offer_id, reason, grams)
        for offer_id, item in items.items()
        for reason in data.draw(st.lists(st.sampled_from(LossReason), max_size=3))
        if (grams := data.draw(st.integers(0, item.in_g // 3)))
    ]
    outcome = settle(promises, losses)
    assert outcome.in_g == outcome.portions_g + outcome.loss_g == sum(item.in_g for item in items.values())
    assert set(outcome.given) == set(promises)
    assert all(0 <= quantity <= each.quantity for each, quantity in outcome.given.items())
    short = splits.short_lines(outcome.given)
    missing_g = sum(
        (line.promised - line.given) * GRAMS[line.offer_id] for lines in short.values() for line in lines
    )
    assert missing_g == outcome.loss_g
    assert settle(promises[::-1], losses[::-1]).given == outcome.given

    # Told as it was shared, with the offcuts that were found, it adds up and is the rule's.
    portions = [
        ToldPortion(
            portion_id,
            tuple((each.offer_id, quantity) for each, quantity in outcome.given.items()
                  if each.portion_id == portion_id),
        )
        for portion_id in {each.portion_id for each in promises}
    ]  # fmt: skip
    again = settle(promises, list(outcome.losses), portions)
    assert (again.given, again.losses, again.is_by_rule) == (
        outcome.given, outcome.losses, outcome.is_by_rule,
    )  # fmt: skip


# Two offers are of one product, and grams are odd.
SHELF = {
    UUID(int=501): (RICE, 4999), UUID(int=502): (RICE, 5000), UUID(int=503): (CABBAGE, 1501),
    UUID(int=504): (EGGS, 333), UUID(int=505): (MELON, 13_007),
}  # fmt: skip
baskets = st.lists(st.tuples(st.sampled_from(sorted(SHELF)), st.integers(1, 7)), min_size=1, max_size=6)


def make_household(number: int, basket: list[tuple[UUID, int]]) -> Part:
    lines = [
        UnitLine(
            line=line, product_id=SHELF[offer][0], offer_id=offer, name="", quantity=units,
            grams=SHELF[offer][1],
        )
        for line, (offer, units) in enumerate(basket, 1)
    ]  # fmt: skip
    return replace(make_part(number, building=number % 2), lines=tuple(lines))


def promises_of(load: Consignment) -> list[Promise]:
    return [
        Promise(
            portion_id=UUID(int=4000 + part.household_id.int), household_id=part.household_id, line=line.line,
            product_id=line.product_id, offer_id=line.offer_id, name="", grams=line.grams,
            quantity=line.quantity,
        )
        for part in load.parts
        for line in part.lines
    ]  # fmt: skip


def tell_somehow(promises: list[Promise], lost: Counter[UUID], chance: random.Random) -> list[ToldPortion]:
    """Put together what is left, greedily by chance: it adds up, and is seldom the rule's."""
    units: dict[UUID, Counter[UUID]] = {each.portion_id: Counter() for each in promises}
    for offer_id, item in splits.items_of(promises).items():
        left = (item.in_g - lost[offer_id]) // item.grams
        for each in chance.sample(promises, len(promises)):
            if each.offer_id == offer_id:
                given = min(left, each.quantity)
                units[each.portion_id][offer_id] += given
                left -= given
    return [ToldPortion(portion_id, tuple(lines.items())) for portion_id, lines in units.items()]


def lose(promises: list[Promise], chance: random.Random) -> list[Loss]:
    """Nothing, something or all of each offer."""
    return [
        Loss(offer_id, chance.choice(list(LossReason)[:3]), grams)
        for offer_id, item in splits.items_of(promises).items()
        if (grams := chance.choice([0, chance.randint(1, item.in_g), item.in_g]))
    ]


@settings(max_examples=150)
@given(wanted=st.lists(baskets, min_size=1, max_size=8), seed=st.integers(0, 2**32), is_told=st.booleans())
def test_from_the_packing_to_the_doors_every_gram_and_every_bag_is_somewhere(
    wanted: list[list[tuple[UUID, int]]], seed: int, *, is_told: bool
) -> None:
    chance = random.Random(seed)
    parts = [make_household(number, basket) for number, basket in enumerate(wanted)]
    loads = list(bulk.consign(chance.sample(parts, len(parts)), PACKING))
    assert sorted(part.order_id for load in loads for part in load.parts) == [part.order_id for part in parts]
    for load in loads:
        promises = promises_of(load)
        losses = lose(promises, chance)
        lost = splits.grams_lost(losses)
        portions = tell_somehow(promises, lost, chance) if is_told else None
        if portions is not None:
            offcuts = {
                offer: (item.in_g - lost[offer]) % item.grams
                for offer, item in splits.items_of(promises).items()
            }
            losses += [Loss(offer, LossReason.OFFCUT, grams) for offer, grams in offcuts.items() if grams]
        outcome = settle(promises, losses, portions)
        assert outcome.in_g == sum(unit.grams for _, unit in load.crates)
        assert outcome.in_g == outcome.portions_g + outcome.loss_g
        assert outcome.is_by_rule or portions is not None
        bags = {
            UUID(int=4000 + part.household_id.int): [
                unit.lines for unit in domain.pack(part.lines, bag_g=PACKING.bag_g)
            ]
            for part in load.parts
        }
        follow_to_the_doors(bags, outcome, chance)


def follow_to_the_doors(
    bags: dict[UUID, list[list[UnitLine]]], outcome: Sharing, chance: random.Random
) -> None:
    """What is left is in the bags; each is at its door, with the steward or empty, however all is told."""
    short = splits.short_lines(outcome.given)
    left = {
        portion_id: splits_bags.refill(each, short.get(portion_id, ()), bag_g=PACKING.bag_g)
        for portion_id, each in bags.items()
    }
    held: Counter[tuple[UUID, int, UUID]] = Counter()
    for portion_id, each in left.items():
        assert len(each) == len(bags[portion_id])
        for line in (line for bag in each for line in bag):
            held[portion_id, line.line, line.offer_id] += line.quantity
        assert all(
            sum(line.grams * line.quantity for line in bag) <= PACKING.bag_g or len(bag) == 1 for bag in each
        )
    assert held == Counter(
        {(each.portion_id, each.line, each.offer_id): units for each, units in outcome.given.items()}
    )
    filled, spare = {}, {}
    for portion_id, each in left.items():
        ids = {UUID(int=portion_id.int * 1000 + number): bag for number, bag in enumerate(each)}
        filled[portion_id] = frozenset(unit for unit, bag in ids.items() if bag)
        spare[portion_id] = frozenset(unit for unit, bag in ids.items() if not bag)
    every = sorted(frozenset().union(*filled.values(), *spare.values()))
    at_door = set(chance.sample(every, chance.randint(0, len(every))))
    log = [handed(unit.int, Leg.DOOR, "other", minute=minute) for minute, unit in enumerate(at_door)]
    contents = Contents(
        carried=frozenset(), bags=filled, spare=spare, order_ids=(), split_at=NOW, split_by=CREW["steward"]
    )
    came = stand_ins.as_came(contents, chance.sample(log * 2, len(log) * 2))
    assert came == stand_ins.as_came(contents, log)
    delivered = relay.deliveries_of(came.bags, log)
    held_by = relay.holders_of(came, log)
    for portion_id, each in filled.items():
        told = at_door & (each | spare[portion_id])
        assert (portion_id in delivered) == (0 < len(each) <= len(told))
        holders = [held_by.get(unit) for unit in sorted(each | spare[portion_id])]
        assert holders.count(CREW["other"]) == len(told)
        assert holders.count(CREW["steward"]) == max(0, len(each) - len(told))


CREW = {name: UUID(int=number) for number, name in enumerate(("driver", "steward", "other"), 11)}
CONTENTS = Contents(
    carried=frozenset({UUID(int=1), UUID(int=2)}),
    bags={UUID(int=41): frozenset({UUID(int=3)}), UUID(int=42): frozenset({UUID(int=4), UUID(int=5)})},
    order_ids=(),
)


def handed(unit: int, leg: Leg, taker: str, *, minute: int = 0) -> HandOver:
    return HandOver(
        hand_over_id=new_id(), load_unit_id=UUID(int=unit), leg=leg, giver_id=UUID(int=9),
        taker_id=CREW[taker], occurred_at=NOW + minute * HOUR / 60,
    )  # fmt: skip


def holders(contents: Contents, *log: HandOver) -> list[str | None]:
    names = {person: name for name, person in CREW.items()}
    held = relay.holders_of(contents, log)
    return [names.get(held.get(UUID(int=unit))) for unit in range(1, 6)]


def test_a_bag_is_with_who_took_it_or_split_its_load_or_has_all_the_crates() -> None:
    taken = [handed(1, Leg.PICK_UP, "driver"), handed(2, Leg.PICK_UP, "driver")]
    at_gate = [*taken, handed(1, Leg.GATE, "steward")]
    split = replace(CONTENTS, split_at=NOW, split_by=CREW["steward"])
    assert holders(CONTENTS) == [None] * 5
    assert holders(CONTENTS, *taken[:1]) == ["driver", None, None, None, None]
    assert holders(CONTENTS, *taken) == ["driver"] * 5
    assert holders(CONTENTS, *at_gate) == ["steward", "driver", None, None, None]
    assert holders(split, *at_gate) == [None, None, "steward", "steward", "steward"]
    assert holders(split, handed(4, Leg.GATE, "other")) == [None, None, "steward", "other", "steward"]
    # What holds nothing any more is nobody's.
    emptied = replace(split, bags={UUID(int=41): frozenset(), UUID(int=42): frozenset({UUID(int=4)})})
    assert holders(emptied) == [None, None, None, "steward", None]


def test_a_portion_is_delivered_when_all_its_bags_are_and_its_load_with_the_last() -> None:
    log = [handed(3, Leg.DOOR, "other", minute=5), handed(4, Leg.DOOR, "other", minute=7)]
    assert relay.deliveries_of(CONTENTS.bags, log) == {UUID(int=41): NOW + HOUR / 12}
    log.append(handed(5, Leg.DOOR, "other", minute=6))
    assert relay.deliveries_of(CONTENTS.bags, log)[UUID(int=42)] == NOW + 7 * HOUR / 60
    moments = relay.moments_of(CONTENTS, log)
    assert (moments.at(Leg.DOOR), moments.at(Leg.GATE)) == (NOW + 7 * HOUR / 60, None)


def test_a_portion_may_come_in_any_of_its_bags_in_as_many_as_it_fills() -> None:
    left = {UUID(int=41): frozenset[UUID](), UUID(int=42): frozenset({UUID(int=4)})}
    spare = {UUID(int=41): frozenset({UUID(int=3)}), UUID(int=42): frozenset({UUID(int=5), UUID(int=6)})}
    split = replace(CONTENTS, bags=left, spare=spare, split_at=NOW, split_by=CREW["steward"])
    log = [handed(3, Leg.DOOR, "other"), handed(5, Leg.DOOR, "other", minute=5)]
    came = stand_ins.as_came(split, log)
    assert came.bags == {UUID(int=41): frozenset(), UUID(int=42): frozenset({UUID(int=5)})}
    assert relay.deliveries_of(came.bags, log) == {UUID(int=42): NOW + HOUR / 12}
    # What was meant for the other bag is not in it.
    assert holders(came, *log) == [None, None, "other", None, "other"]
    # The bag that was to come counts when it comes as well, and no other bag beside it.
    log += [handed(4, Leg.DOOR, "other", minute=7), handed(6, Leg.DOOR, "other", minute=1)]
    assert stand_ins.as_came(split, log) == split
    log = [handed(6, Leg.DOOR, "other", minute=1), handed(5, Leg.DOOR, "other", minute=5)]
    assert stand_ins.as_came(split, log).bags[UUID(int=42)] == {UUID(int=6)}


def test_a_load_of_which_nothing_is_left_is_over_when_it_is_split() -> None:
    bags = dict.fromkeys(CONTENTS.bags, frozenset[UUID]())
    split = replace(CONTENTS, bags=bags, split_at=NOW, split_by=CREW["steward"])
    moments = relay.moments_of(split, [])
    assert (moments.at(Leg.DOOR), moments.touched_at, moments.taker(Leg.PICK_UP)) == (NOW, NOW, None)


def test_what_was_split_had_come_to_its_gate_by_then_and_a_hand_over_there_says_when() -> None:
    split = replace(CONTENTS, split_at=NOW, split_by=CREW["steward"])
    came = Passage(giver_id=CREW["steward"], taker_id=CREW["steward"], at=NOW)
    log = [handed(1, Leg.GATE, "steward", minute=-3)]
    assert relay.moments_of(split, []).passages == relay.moments_of(split, log).passages == {Leg.GATE: came}
    log += [handed(2, Leg.GATE, "steward", minute=-2), handed(1, Leg.PICK_UP, "driver", minute=-9)]
    (leg,) = (told := relay.moments_of(split, log)).passages
    assert (leg, told.at(leg), told.touched_at) == (Leg.GATE, NOW - HOUR / 30, NOW - 9 * HOUR / 60)


def test_a_unit_passes_only_the_legs_it_is_there_for() -> None:
    passing = {
        (kind, form): [int(leg) for leg in Leg if relay.find_kind_fault("", leg, kind, form) is None]
        for kind in UnitKind
        for form in Form
    }
    crates = {(kind, form): [1, 2] for kind in UnitKind for form in Form}
    assert passing == {
        **crates,
        (UnitKind.HOUSEHOLD_BAG, Form.BAGGED): [1, 2, 3],
        (UnitKind.HOUSEHOLD_BAG, Form.BULK): [2, 3],
    }


units = st.integers(1, 5)
logs = st.lists(
    st.builds(handed, units, st.sampled_from(Leg), st.sampled_from(sorted(CREW)), minute=st.integers(0, 60)),
    max_size=20,
)
fillings = st.fixed_dictionaries(
    {portion_id: st.sets(st.sampled_from(sorted(bags))) for portion_id, bags in CONTENTS.bags.items()}
).map(lambda bags: {portion_id: frozenset(each) for portion_id, each in bags.items()})


@given(logs, st.none() | fillings, st.randoms(use_true_random=False))
def test_a_shuffled_and_doubled_log_of_a_bulk_load_gives_the_same_custody(
    log: list[HandOver], bags: dict[UUID, frozenset[UUID]] | None, chance: random.Random
) -> None:
    contents = CONTENTS
    if bags is not None:
        spare = {portion_id: CONTENTS.bags[portion_id] - filled for portion_id, filled in bags.items()}
        contents = replace(CONTENTS, bags=bags, spare=spare, split_at=NOW, split_by=CREW["steward"])
    other = [*log, *log]
    chance.shuffle(other)
    again, contents = stand_ins.as_came(contents, other), stand_ins.as_came(contents, log)
    assert again == contents
    assert {portion_id: len(each) for portion_id, each in contents.bags.items()} == {
        portion_id: len(each) for portion_id, each in (bags or CONTENTS.bags).items()
    }

    def state_of(told: list[HandOver]) -> tuple:
        moments = relay.moments_of(contents, told)
        return relay.holders_of(contents, told), relay.deliveries_of(contents.bags, told), moments

    assert state_of(other) == state_of(log)
    _, delivered, moments = state_of(log)
    # The load is over exactly when every portion is delivered or has nothing in it.
    is_over = all(not each or portion_id in delivered for portion_id, each in contents.bags.items())
    assert (moments.at(Leg.DOOR) is not None) == is_over
    assert all(contents.bags[portion_id] for portion_id in delivered)


@pytest.mark.parametrize(
    ("facts", "causes"),
    [
        ("steward cleared on_duty fair", []),
        ("steward cleared fair", [Cause.STEWARD_NOT_ON_DUTY]),
        ("steward cleared lapsed fair", [Cause.STEWARD_NOT_ON_DUTY]),
        ("steward on_duty fair", [Cause.NOT_CLEARED]),
        ("driver cleared on_duty fair", [Cause.ROLE_NOT_ALLOWED]),
        ("cleared fair", [Cause.NOT_CLEARED, Cause.STEWARD_NOT_ON_DUTY]),
        ("steward cleared on_duty", [Cause.SPLIT_NOT_BY_RULE]),
    ],
)
def test_who_splits_is_judged_as_who_hands_over(facts: str, causes: list[Cause]) -> None:
    steward, community, known = CREW["steward"], UUID(int=51), facts.split()
    roles = [role for role in (Role.STEWARD, Role.DRIVER) if role in known]
    until = {ZoneClass.SEALED: NOW + HOUR} if "cleared" in known else {}
    duty = Duty(
        person_id=steward, role=Role.STEWARD, community_id=community, building_ids=frozenset({UUID(int=52)}),
        starts_at=NOW - HOUR, ends_at=NOW + HOUR,
    )  # fmt: skip
    circumstances = Circumstances(
        at=NOW,
        zone_class=ZoneClass.SEALED,
        community_id=community,
        clearance=CrewClearance(person_id=steward, role=roles[0], valid_until=until) if roles else None,
        duties=[duty] if "on_duty" in known else [replace(duty, ends_at=NOW)] if "lapsed" in known else [],
    )
    reasons = judging.find_reasons(steward, circumstances, is_by_rule="fair" in known)
    assert [(reason.person_id, reason.code) for reason in reasons] == [(steward, code) for code in causes]
