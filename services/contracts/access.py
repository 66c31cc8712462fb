"""Who may do what: one pure function over claims, the resource's place in the tree, and the relation."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Final
from uuid import UUID

from services.kit.caller import Caller
from services.kit.errors import Forbidden, NotFound


class Role(StrEnum):
    """The roles that a token may carry."""

    RESIDENT = "resident"
    LEADER = "leader"
    STEWARD = "steward"
    OUTLET = "outlet"
    DRIVER = "driver"
    RUNNER = "runner"
    GUARD = "guard"
    HOTLINE = "hotline"
    COMMANDER = "commander"
    REGULATOR = "regulator"
    HEALTH_OFFICER = "health_officer"
    SPONSOR = "sponsor"


class Relation(StrEnum):
    """What ties a caller to a thing; a row of the service that owns it says so, never the token."""

    ASSIGNED_DRIVER = "assigned_driver"
    BUILDING_STEWARD = "building_steward"
    GROUP_LEADER = "group_leader"


class Reach(StrEnum):
    """How far a role goes."""

    EVERYWHERE = auto()
    # A role on a node of the tree covers its children.
    AREA = auto()
    HOUSEHOLD = auto()
    OUTLET = auto()
    RELATION = auto()


class Action(StrEnum):
    """What can be asked of Baton, in the words of those who ask."""

    KEEP_LEDGER = "keep_ledger"
    READ_LEDGER = "read_ledger"
    SIGN_PLEDGE = "sign_pledge"
    QUALIFY_OUTLET = "qualify_outlet"
    KEEP_PRODUCTS = "keep_products"
    SET_PRICE_RULE = "set_price_rule"
    SELL = "sell"
    ACCEPT_ASSIGNMENT = "accept_assignment"
    READ_MENU = "read_menu"
    KEEP_REGISTER = "keep_register"
    READ_HOUSEHOLD = "read_household"
    OPEN_ZONE = "open_zone"
    READ_ZONE = "read_zone"
    PLACE_ORDER = "place_order"
    READ_ORDER = "read_order"
    CANCEL_ORDER = "cancel_order"
    CHECK_IN = "check_in"
    OPEN_GROUP = "open_group"
    RUN_GROUP = "run_group"
    READ_GROUP = "read_group"
    KEEP_FLEET = "keep_fleet"
    PLAN_WAVE = "plan_wave"
    READ_TRIP = "read_trip"
    ASSIGN_DRIVER = "assign_driver"
    HAND_OVER = "hand_over"
    READ_LOAD = "read_load"
    CLOSE_BREACH = "close_breach"
    KEEP_PEOPLE = "keep_people"
    RECORD_CHECKS = "record_checks"
    SET_POLICY = "set_policy"
    READ_CLEARANCE = "read_clearance"
    READ_REPORT = "read_report"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What an action is about; `path` has the areas (and the zone) it lies in, from the root."""

    path: tuple[UUID, ...] = ()
    household_id: UUID | None = None
    outlet_id: UUID | None = None


NOWHERE: Final = Resource()

_COMMAND = (Role.COMMANDER, Reach.AREA)
_HOTLINE = (Role.HOTLINE, Reach.AREA)
_OWN_HOUSEHOLD = (Role.RESIDENT, Reach.HOUSEHOLD)
_STEWARDS_BUILDING = (Role.STEWARD, Reach.RELATION)
_OWN_OUTLET = (Role.OUTLET, Reach.OUTLET)
_TOWN_HALL = (Role.COMMANDER, Reach.EVERYWHERE)
_MARKET_INSPECTOR = (Role.REGULATOR, Reach.EVERYWHERE)
_HEALTH_OFFICER = (Role.HEALTH_OFFICER, Reach.EVERYWHERE)
_ASSIGNED_DRIVER = (Role.DRIVER, Reach.RELATION)

GRANTS: Mapping[Action, tuple[tuple[Role, Reach], ...]] = {
    Action.KEEP_LEDGER: (_TOWN_HALL, _MARKET_INSPECTOR),
    Action.READ_LEDGER: (_TOWN_HALL, _MARKET_INSPECTOR, _OWN_OUTLET),
    Action.SIGN_PLEDGE: (_OWN_OUTLET, _TOWN_HALL),
    Action.QUALIFY_OUTLET: (_TOWN_HALL, _MARKET_INSPECTOR),
    Action.KEEP_PRODUCTS: (_TOWN_HALL, _MARKET_INSPECTOR),
    Action.SET_PRICE_RULE: (_MARKET_INSPECTOR,),
    Action.SELL: (_OWN_OUTLET,),
    Action.ACCEPT_ASSIGNMENT: (_OWN_OUTLET,),
    Action.READ_MENU: tuple((role, Reach.EVERYWHERE) for role in Role),
    Action.KEEP_REGISTER: (_COMMAND,),
    Action.READ_HOUSEHOLD: (_OWN_HOUSEHOLD, _STEWARDS_BUILDING, _HOTLINE),
    Action.OPEN_ZONE: (_COMMAND,),
    Action.READ_ZONE: tuple((role, Reach.EVERYWHERE) for role in Role),
    Action.PLACE_ORDER: (_OWN_HOUSEHOLD, _STEWARDS_BUILDING, _HOTLINE),
    Action.READ_ORDER: (_OWN_HOUSEHOLD, _STEWARDS_BUILDING, _HOTLINE, _COMMAND),
    Action.CANCEL_ORDER: (_OWN_HOUSEHOLD, _STEWARDS_BUILDING, _HOTLINE),
    Action.CHECK_IN: (_STEWARDS_BUILDING, _HOTLINE),
    Action.OPEN_GROUP: ((Role.LEADER, Reach.AREA),),
    Action.RUN_GROUP: ((Role.LEADER, Reach.RELATION),),
    Action.READ_GROUP: tuple((role, Reach.EVERYWHERE) for role in Role),
    Action.KEEP_FLEET: (_TOWN_HALL,),
    Action.PLAN_WAVE: (_COMMAND,),
    Action.READ_TRIP: (_COMMAND, _ASSIGNED_DRIVER),
    Action.ASSIGN_DRIVER: (_COMMAND,),
    Action.HAND_OVER: (_ASSIGNED_DRIVER, _STEWARDS_BUILDING, _OWN_OUTLET, _COMMAND),
    Action.READ_LOAD: (_ASSIGNED_DRIVER, _STEWARDS_BUILDING, _OWN_OUTLET, _OWN_HOUSEHOLD, _COMMAND),
    Action.CLOSE_BREACH: (_COMMAND, _HEALTH_OFFICER),
    Action.KEEP_PEOPLE: (_TOWN_HALL, _HEALTH_OFFICER),
    Action.RECORD_CHECKS: (_HEALTH_OFFICER,),
    Action.SET_POLICY: (_HEALTH_OFFICER,),
    Action.READ_CLEARANCE: (_TOWN_HALL, _HEALTH_OFFICER, (Role.GUARD, Reach.EVERYWHERE)),
    Action.READ_REPORT: (_TOWN_HALL,),
}

# Each role has one relation through which it can be tied to a thing.
RELATION_OF: Mapping[Role, Relation] = {
    Role.DRIVER: Relation.ASSIGNED_DRIVER,
    Role.STEWARD: Relation.BUILDING_STEWARD,
    Role.LEADER: Relation.GROUP_LEADER,
}


def may(
    caller: Caller, action: Action, resource: Resource = NOWHERE, relation: Relation | None = None
) -> bool:
    """Say whether `caller` may do `action` to `resource`, being tied to it by `relation`."""
    return any(
        role in caller.roles and _reaches(caller, role, reach, resource, relation)
        for role, reach in GRANTS[action]
    )


def require(
    caller: Caller,
    action: Action,
    resource: Resource = NOWHERE,
    relation: Relation | None = None,
    *,
    hidden: bool = False,
) -> None:
    """Raise `Forbidden` where `may` says no; `NotFound` where the caller is not even to know of the thing."""
    if may(caller, action, resource, relation):
        return
    if hidden:
        raise NotFound("kit.not_found", "Nothing is found here")
    raise Forbidden("kit.forbidden", "This caller may not do this here")


def require_somewhere(caller: Caller, action: Action) -> None:
    """Raise `Forbidden` where no role of the caller has this action anywhere; a batch asks for each item."""
    if not any(role in caller.roles for role, _ in GRANTS[action]):
        raise Forbidden("kit.forbidden", "This caller may not do this here")


def _reaches(caller: Caller, role: Role, reach: Reach, resource: Resource, relation: Relation | None) -> bool:
    match reach:
        case Reach.EVERYWHERE:
            return True
        case Reach.AREA:
            return not set(caller.zone_ids).isdisjoint(resource.path)
        case Reach.HOUSEHOLD:
            return caller.household_id is not None and caller.household_id == resource.household_id
        case Reach.OUTLET:
            return caller.outlet_id is not None and caller.outlet_id == resource.outlet_id
        case Reach.RELATION:
            return relation is not None and RELATION_OF.get(role) is relation
