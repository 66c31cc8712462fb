"""What policies can be asked. Callers own the transaction."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.kit.errors import Fault, Rejected
from services.whitelist.people import queries as people
from services.whitelist.policies import queries
from services.whitelist.policies.domain import Policy
from services.whitelist.policies.tables import PolicyRow


async def state_policy(session: AsyncSession, policy: Policy, *, stated_by: str, now: datetime) -> None:
    """State what is asked from a moment on; everyone whom it concerns is judged anew."""
    faults = _faults_of(policy)
    if faults:
        raise Rejected(faults[0].code, "This policy cannot bind as it is", faults=faults)
    await queries.insert(session, policy, stated_by=stated_by, now=now)
    await people.mark_roles_due(session, policy.roles)


async def list_policies(session: AsyncSession, *, after: UUID | None, limit: int) -> Sequence[PolicyRow]:
    """Return a page of policies in the order they were stated."""
    return await queries.list_policies(session, after=after, limit=limit)


def _faults_of(policy: Policy) -> list[Fault]:
    faults = []
    if policy.valid_to is not None and policy.valid_to <= policy.valid_from:
        faults.append(Fault("/valid_to", "whitelist.policy_ends_first"))
    if (policy.pcr_max_age_hours, policy.antigen_max_age_hours, policy.valid_to) == (None, None, None):
        faults.append(Fault("", "whitelist.policy_unbounded"))
    return faults
