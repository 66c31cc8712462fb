"""SQL of policies."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from services.contracts.access import Role
from services.contracts.values import ZoneClass
from services.whitelist.policies.domain import Policy
from services.whitelist.policies.tables import PolicyRow


async def insert(session: AsyncSession, policy: Policy, *, stated_by: str, now: datetime) -> None:
    """Write a policy."""
    session.add(
        PolicyRow(
            id=policy.policy_id,
            zone_class=policy.zone_class.value,
            roles=sorted(policy.roles),
            valid_from=policy.valid_from,
            valid_to=policy.valid_to,
            pcr_max_age_hours=policy.pcr_max_age_hours,
            antigen_max_age_hours=policy.antigen_max_age_hours,
            commitment_version=policy.commitment_version,
            legal_ref=policy.legal_ref,
            stated_by=stated_by,
            stated_at=now,
        )
    )
    await session.flush()


async def find_all_valid(session: AsyncSession, *, after: datetime) -> list[Policy]:
    """Return the policies that bind or may bind at `after` or later."""
    wanted = select(PolicyRow).where(or_(col(PolicyRow.valid_to).is_(None), col(PolicyRow.valid_to) > after))
    return [policy_of(row) for row in (await session.execute(wanted)).scalars()]


async def list_policies(session: AsyncSession, *, after: UUID | None, limit: int) -> Sequence[PolicyRow]:
    """Return a page of policies in the order they were stated."""
    wanted = select(PolicyRow).order_by(col(PolicyRow.id)).limit(limit)
    if after is not None:
        wanted = wanted.where(col(PolicyRow.id) > after)
    return (await session.execute(wanted)).scalars().all()


def policy_of(row: PolicyRow) -> Policy:
    """Return a row as the rules know it."""
    return Policy(
        policy_id=row.id,
        zone_class=ZoneClass(row.zone_class),
        roles=frozenset(map(Role, row.roles)),
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        pcr_max_age_hours=row.pcr_max_age_hours,
        antigen_max_age_hours=row.antigen_max_age_hours,
        commitment_version=row.commitment_version,
        legal_ref=row.legal_ref,
    )
