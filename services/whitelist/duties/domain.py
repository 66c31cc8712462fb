"""The rules of duties. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from services.contracts.access import Role
from services.kit.errors import Fault

ON_DUTY: Final = frozenset({Role.STEWARD, Role.GUARD, Role.RUNNER})


class Outcome(StrEnum):
    """What became of a duty that was sent."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """Who stands where and when, the end not included; told apart by all but buildings and end."""

    person_id: UUID
    role: Role
    community_id: UUID
    building_ids: tuple[UUID, ...]
    starts_at: datetime
    ends_at: datetime

    @property
    def identity(self) -> tuple[UUID, Role, UUID, datetime]:
        """Return what makes two sendings the same duty."""
        return self.person_id, self.role, self.community_id, self.starts_at


def find_faults(duties: Sequence[Duty], roles: Mapping[UUID, Role]) -> list[tuple[Fault, ...]]:
    """Return what is wrong with each duty, all of it; `roles` has the people who exist."""
    return [tuple(_faults_of(duty, f"/duties/{place}", roles)) for place, duty in enumerate(duties)]


def _faults_of(duty: Duty, pointer: str, roles: Mapping[UUID, Role]) -> list[Fault]:
    faults = []
    role = roles.get(duty.person_id)
    if role is None:
        faults.append(Fault(f"{pointer}/person_id", "whitelist.person_unknown"))
    if duty.role not in ON_DUTY:
        faults.append(Fault(f"{pointer}/role", "whitelist.role_without_duty", {"roles": sorted(ON_DUTY)}))
    elif role is not None and role is not duty.role:
        faults.append(Fault(f"{pointer}/role", "whitelist.role_mismatch", {"role": role}))
    if duty.role is Role.STEWARD and not duty.building_ids:
        faults.append(Fault(f"{pointer}/building_ids", "whitelist.duty_without_buildings"))
    if duty.ends_at <= duty.starts_at:
        faults.append(Fault(f"{pointer}/ends_at", "whitelist.duty_ends_first"))
    return faults
