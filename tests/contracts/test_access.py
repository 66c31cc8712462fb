import pytest

from services.contracts.access import GRANTS, Action, Relation, Resource, Role, may
from services.kit.caller import Caller
from services.kit.ids import new_id

TOWN, VILLAGE, ELSEWHERE = new_id(), new_id(), new_id()


def call(*roles: Role, **claims) -> Caller:
    return Caller(subject="s", roles=frozenset(roles), **claims)


def test_every_action_has_a_grant_and_nobody_may_do_anything_without_a_role() -> None:
    assert set(GRANTS) == set(Action)
    assert not any(may(call(), action, Resource(path=(TOWN,)), Relation.GROUP_LEADER) for action in Action)


def test_a_role_on_a_node_covers_its_children_and_no_other_branch() -> None:
    village = Resource(path=(TOWN, VILLAGE))
    assert may(call(Role.COMMANDER, zone_ids=(TOWN,)), Action.OPEN_ZONE, village)
    assert may(call(Role.COMMANDER, zone_ids=(VILLAGE,)), Action.OPEN_ZONE, village)
    assert not may(call(Role.COMMANDER, zone_ids=(ELSEWHERE,)), Action.OPEN_ZONE, village)
    assert not may(call(Role.COMMANDER), Action.OPEN_ZONE, village)
    assert not may(call(Role.COMMANDER, zone_ids=(VILLAGE,)), Action.OPEN_ZONE, Resource(path=(TOWN,)))


def test_a_resident_reaches_the_own_household_only() -> None:
    mine, other = new_id(), new_id()
    resident = call(Role.RESIDENT, household_id=mine)
    assert may(resident, Action.READ_ORDER, Resource(household_id=mine))
    assert not may(resident, Action.READ_ORDER, Resource(household_id=other))
    assert not may(call(Role.RESIDENT), Action.READ_ORDER, Resource())


def test_an_outlet_sells_its_own_goods_only() -> None:
    mine, other = new_id(), new_id()
    assert may(call(Role.OUTLET, outlet_id=mine), Action.SELL, Resource(outlet_id=mine))
    assert not may(call(Role.OUTLET, outlet_id=mine), Action.SELL, Resource(outlet_id=other))


@pytest.mark.parametrize("relation", [None, Relation.ASSIGNED_DRIVER, Relation.GROUP_LEADER])
def test_a_steward_reaches_the_buildings_of_a_duty_only(relation) -> None:
    steward = call(Role.STEWARD)
    assert may(steward, Action.PLACE_ORDER, Resource(household_id=new_id()), Relation.BUILDING_STEWARD)
    assert not may(steward, Action.PLACE_ORDER, Resource(household_id=new_id()), relation)
