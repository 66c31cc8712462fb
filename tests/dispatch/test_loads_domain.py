from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.dispatch.loads import domain
from services.dispatch.loads.marks import Marks
from services.kit.ids import new_id
from tests.dispatch.builders import make_line

MARKS = Marks(b"a secret of this test")
UNIT = UUID("01930000-0000-7000-8000-000000000040")


def packed(*lines) -> list[list[tuple[int, int]]]:
    return [[(line.line, line.quantity) for line in bag.lines] for bag in domain.pack(lines, bag_g=12_000)]


def test_what_fits_is_one_bag() -> None:
    assert packed(make_line(line=1), make_line(line=2, grams=500)) == [[(1, 2), (2, 2)]]


def test_a_line_too_heavy_for_one_bag_is_split_at_whole_units() -> None:
    assert packed(make_line(grams=5000, quantity=5)) == [[(1, 2)], [(1, 2)], [(1, 1)]]


def test_light_goods_fill_what_heavy_ones_left() -> None:
    assert packed(make_line(line=1, grams=5000, quantity=3), make_line(line=2, grams=1000, quantity=4)) == [
        [(1, 2), (2, 2)],
        [(1, 1), (2, 2)],
    ]


def test_a_unit_heavier_than_a_bag_may_be_has_a_bag_of_its_own() -> None:
    assert packed(make_line(grams=25_000, quantity=2)) == [[(1, 1)], [(1, 1)]]


def test_goods_without_a_weight_are_packed_too() -> None:
    assert packed(make_line(grams=0, quantity=3)) == [[(1, 3)]]


@given(st.lists(st.tuples(st.integers(0, 30_000), st.integers(1, 40)), min_size=1, max_size=12))
def test_every_unit_is_in_one_bag_and_no_bag_of_two_is_too_heavy(goods: list[tuple[int, int]]) -> None:
    lines = [
        make_line(line=number, grams=grams, quantity=quantity)
        for number, (grams, quantity) in enumerate(goods, 1)
    ]
    bags = domain.pack(lines, bag_g=12_000)
    given: dict[int, int] = {}
    for line in (line for bag in bags for line in bag.lines):
        given[line.line] = given.get(line.line, 0) + line.quantity
    assert given == {line.line: line.quantity for line in lines}
    assert all(bag.lines for bag in bags)
    for bag in bags:
        heavy = [line for line in bag.lines if line.grams]
        assert bag.grams <= 12_000 or (len(heavy) == 1 and heavy[0].quantity == 1)


def test_each_outlet_has_its_own_load() -> None:
    lines = [make_line(line=each) for each in (1, 2)]
    assert domain.split_by_outlet(lines) == {line.outlet_id: [line] for line in lines}


def test_a_wave_is_complete_when_the_closing_has_said_so_many() -> None:
    assert not domain.is_complete(expected=None, confirmed=7)
    assert not domain.is_complete(expected=3, confirmed=2)
    assert domain.is_complete(expected=3, confirmed=3)
    assert domain.is_complete(expected=0, confirmed=0)


def test_a_label_is_its_units_alone() -> None:
    label = MARKS.label_of(UNIT)
    assert label.startswith("BATON:01930000000070008000000000000040:")
    assert len(label.rpartition(":")[2]) == 16
    assert MARKS.is_label_of(UNIT, label)
    assert not MARKS.is_label_of(new_id(), label)
    assert not MARKS.is_label_of(UNIT, label[:-1])
    assert not MARKS.is_label_of(UNIT, "标签")
    assert not Marks(b"another secret").is_label_of(UNIT, label)


def test_a_pin_is_six_digits_and_always_the_same() -> None:
    pin = MARKS.pin_of(UNIT)
    assert len(pin) == 6
    assert pin.isdecimal()
    assert MARKS.is_pin_of(UNIT, pin)
    assert not MARKS.is_pin_of(UNIT, f"{(int(pin) + 1) % 10**6:06}")
    assert Marks(b"another secret").pin_of(UNIT) != pin


def test_a_load_lies_in_its_zones_path_and_in_its_own_areas() -> None:
    town, community, building = new_id(), new_id(), new_id()
    assert domain.area_path((town, community), community, building) == (town, community, building)
