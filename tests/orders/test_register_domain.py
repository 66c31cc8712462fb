import pytest

from services.contracts.values import ZoneClass
from services.kit.ids import new_id
from services.orders.register import domain
from services.orders.register.domain import Area, BrokenTree


def test_a_path_leads_from_the_root_to_the_area_itself() -> None:
    town, village, house = new_id(), new_id(), new_id()
    paths = domain.paths_of([Area(house, village), Area(village, town), Area(town, None)])
    assert paths[house] == (town, village, house)
    assert paths[town] == (town,)


def test_every_stray_area_is_named() -> None:
    root, orphan, one, two = (new_id() for _ in range(4))
    with pytest.raises(BrokenTree) as caught:
        domain.paths_of([Area(root, None), Area(orphan, new_id()), Area(one, two), Area(two, one)])
    assert caught.value.area_ids == {orphan, one, two}


def test_a_childs_regime_overrides_its_parents() -> None:
    town, village, house = new_id(), new_id(), new_id()
    classes = {town: ZoneClass.CONTROLLED, village: None, house: ZoneClass.SEALED}
    assert domain.class_of((town, village), classes) is ZoneClass.CONTROLLED
    assert domain.class_of((town, village, house), classes) is ZoneClass.SEALED
    assert domain.class_of((village,), classes) is None
