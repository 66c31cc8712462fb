"""What ties a caller to load units: the trip, the duty, the custody, the shop or the command. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.contracts import access
from services.contracts.access import Action, Relation, Resource, Role
from services.contracts.dispatch import Leg
from services.dispatch.crew import domain as crew_domain
from services.dispatch.crew.domain import Duty
from services.dispatch.loads import domain as loads_domain
from services.dispatch.relay.domain import HandOver
from services.kit.caller import Caller


@dataclass(frozen=True, slots=True, kw_only=True)
class Tie:
    """A caller with everything that ties that person to some loads.

    `takers` are those who ever had some of a load in hand where something is told of it, and those who have
    some now where it is read (`reading`).
    """

    caller: Caller
    drivers: Mapping[UUID, UUID]
    duties: Sequence[Duty]
    takers: Mapping[UUID, frozenset[UUID]]

    def may_read(self, load: Any, zone_path: Iterable[UUID], now: datetime) -> bool:
        """Say whether the caller may know of a load at all."""
        relation = self._relation(load, None, now)
        return access.may(self.caller, Action.READ_LOAD, resource_of(load, zone_path), relation)

    def may_hand_over(self, unit: Any, note: HandOver, *, is_scanned: bool) -> bool:
        """Say whether the caller has to do with the unit at the moment of a hand-over.

        Who gave or took it and scanned its label had it in hand, whatever trip it is on by now: what happened
        is recorded, and judged afterwards.
        """
        if is_scanned and self.caller.person_id in {note.giver_id, note.taker_id}:
            return True
        door = None if note.leg is Leg.GATE else unit.door_building_id
        path = loads_domain.area_path(unit.path or (), unit.zone_id, unit.community_id, unit.door_building_id)
        relation = self._relation(unit, door, note.at)
        resource = Resource(path=path, outlet_id=unit.outlet_id)
        return access.may(self.caller, Action.HAND_OVER, resource, relation)

    def may_split(self, load: Any, zone_path: Iterable[UUID], at: datetime) -> bool:
        """Say whether the caller is at the gate where a load in bulk is split, or in command there.

        Only they may know of its households.
        """
        place = Resource(path=loads_domain.area_path(zone_path, load.zone_id, load.community_id))
        relation = Relation.BUILDING_STEWARD if self._is_at_door(load, None, at) else None
        return access.may(self.caller, Action.HAND_OVER, place, relation)

    def is_party(self, unit: Any, note: HandOver) -> bool:
        """Say whether the hand-over is the caller's to tell: a command tells all, a shop what leaves it."""
        place = Resource(path=loads_domain.area_path(unit.path or (), unit.zone_id, unit.community_id))
        if access.may(self.caller, Action.HAND_OVER, place):
            return True
        if Role.OUTLET in self.caller.roles and self.caller.outlet_id == unit.outlet_id:
            return note.leg is Leg.PICK_UP
        return self.caller.person_id in (note.giver_id, note.taker_id)

    def _relation(self, load: Any, building_id: UUID | None, at: datetime) -> Relation | None:
        person_id = self.caller.person_id
        is_driver = Role.DRIVER in self.caller.roles
        if is_driver and (self._had(load) or self.drivers.get(load.load_id) == person_id):
            return Relation.ASSIGNED_DRIVER
        return Relation.BUILDING_STEWARD if self._is_at_door(load, building_id, at) else None

    def _is_at_door(self, load: Any, building_id: UUID | None, at: datetime) -> bool:
        return self._had(load) or crew_domain.is_steward_of(
            self.duties, community_id=load.community_id, building_id=building_id, at=at
        )

    def _had(self, load: Any) -> bool:
        # Who tells is tied to it for good: the log of a driver taken off the trip still counts.
        return self.caller.person_id in self.takers.get(load.load_id, frozenset())


def resource_of(load: Any, zone_path: Iterable[UUID]) -> Resource:
    """Return a load as `may` sees it."""
    return Resource(
        path=loads_domain.area_path(zone_path, load.zone_id, load.community_id, load.building_id),
        household_id=load.household_id,
        outlet_id=load.outlet_id,
    )
