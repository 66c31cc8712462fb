"""The rules of policies: of the dated ones for a class and a role, the latest valid binds. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.contracts.access import Role
from services.contracts.values import ZoneClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is asked in zones of a class, of some roles or of all (none named); the end is not included.

    At least one of the ages and the end is there: nobody is cleared for ever.
    """

    policy_id: UUID
    zone_class: ZoneClass
    roles: frozenset[Role]
    valid_from: datetime
    valid_to: datetime | None
    pcr_max_age_hours: int | None
    antigen_max_age_hours: int | None
    commitment_version: str | None
    legal_ref: str

    def concerns(self, zone_class: ZoneClass, role: Role) -> bool:
        """Say whether it speaks of a role in zones of a class."""
        return self.zone_class is zone_class and (not self.roles or role in self.roles)

    def is_valid_at(self, moment: datetime) -> bool:
        """Say whether it may bind at a moment."""
        return self.valid_from <= moment and (self.valid_to is None or moment < self.valid_to)


def find_binding(
    policies: Iterable[Policy], *, zone_class: ZoneClass, role: Role, at: datetime
) -> Policy | None:
    """Return the policy that binds at a moment: the one that began last; of two, the one stated last."""
    valid = [policy for policy in policies if policy.concerns(zone_class, role) and policy.is_valid_at(at)]
    return max(valid, key=lambda policy: (policy.valid_from, policy.policy_id), default=None)


def find_next_change(
    policies: Iterable[Policy], *, zone_class: ZoneClass, role: Role, after: datetime
) -> datetime | None:
    """Return the next moment at which another policy may bind."""
    turns = (
        moment
        for policy in policies
        if policy.concerns(zone_class, role)
        for moment in (policy.valid_from, policy.valid_to)
        if moment is not None and moment > after
    )
    return min(turns, default=None)
