"""Why a split that happened is a breach: its steward has to be cleared, and on duty there. Pure.

Any duty in the community will do, and nothing else does: who had the crates may have been told, or not yet,
and the same split is to be judged the same whatever was told before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.contracts.access import Role
from services.contracts.values import ZoneClass
from services.dispatch.crew.domain import CrewClearance, Duty, is_cleared, is_steward_of
from services.dispatch.relay.parties import Cause, Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What is known of who split a load, at the moment that counts."""

    at: datetime
    zone_class: ZoneClass
    community_id: UUID
    clearance: CrewClearance | None
    duties: Sequence[Duty]


def find_reasons(steward_id: UUID, known: Circumstances, *, is_by_rule: bool) -> list[Reason]:
    """Return every reason why a split that happened is a breach; none: it is as it should be."""
    causes = set()
    if not is_cleared(known.clearance, known.zone_class, known.at):
        causes.add(Cause.NOT_CLEARED)
    is_on_duty = is_steward_of(known.duties, community_id=known.community_id, building_id=None, at=known.at)
    if known.clearance and known.clearance.role is not Role.STEWARD:
        causes.add(Cause.ROLE_NOT_ALLOWED)
    elif not is_on_duty:
        causes.add(Cause.STEWARD_NOT_ON_DUTY)
    if not is_by_rule:
        causes.add(Cause.SPLIT_NOT_BY_RULE)
    return sorted(Reason(steward_id, cause) for cause in causes)
