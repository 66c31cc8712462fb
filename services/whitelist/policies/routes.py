"""Policies over HTTP."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from services.contracts import access
from services.contracts.access import Action, Role
from services.contracts.values import ZoneClass
from services.kit.http.application import make_router
from services.kit.http.idempotency import OnceOnly
from services.kit.http.moments import Moment
from services.kit.http.pages import Page, PagingAsked
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Now, Session
from services.kit.ids import new_id
from services.whitelist.policies import application
from services.whitelist.policies.domain import Policy
from services.whitelist.policies.tables import PolicyRow

router = make_router("/policies")

# Sixty days: longer than any rule has let a test count.
Hours = Annotated[int, Field(ge=1, le=1440)]


class StatePolicy(BaseModel):
    """What is asked in zones of a class, of some roles or of all (none named)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    zone_class: ZoneClass
    roles: Annotated[list[Role], Field(max_length=12)] = []
    valid_from: Moment
    valid_to: Moment | None = None
    pcr_max_age_hours: Hours | None = None
    antigen_max_age_hours: Hours | None = None
    commitment_version: Annotated[str, Field(min_length=1, max_length=40)] | None = None
    legal_ref: Annotated[str, Field(min_length=1, max_length=200)]

    def as_policy(self) -> Policy:
        """Return what the rules are asked about."""
        return Policy(
            policy_id=new_id(),
            zone_class=self.zone_class,
            roles=frozenset(self.roles),
            valid_from=self.valid_from,
            valid_to=self.valid_to,
            pcr_max_age_hours=self.pcr_max_age_hours,
            antigen_max_age_hours=self.antigen_max_age_hours,
            commitment_version=self.commitment_version,
            legal_ref=self.legal_ref,
        )


class StatedPolicyView(BaseModel):
    """The policy that was made."""

    policy_id: UUID


class PolicyView(BaseModel):
    """A policy, its end not included."""

    policy_id: UUID
    zone_class: ZoneClass
    roles: list[Role]
    valid_from: datetime
    valid_to: datetime | None
    pcr_max_age_hours: int | None
    antigen_max_age_hours: int | None
    commitment_version: str | None
    legal_ref: str
    stated_at: datetime

    @classmethod
    def of(cls, row: PolicyRow) -> "PolicyView":
        """Show a policy."""
        return cls(
            policy_id=row.id,
            zone_class=ZoneClass(row.zone_class),
            roles=[Role(role) for role in row.roles],
            valid_from=row.valid_from,
            valid_to=row.valid_to,
            pcr_max_age_hours=row.pcr_max_age_hours,
            antigen_max_age_hours=row.antigen_max_age_hours,
            commitment_version=row.commitment_version,
            legal_ref=row.legal_ref,
            stated_at=row.stated_at,
        )


@router.post("", response_model=StatedPolicyView, status_code=201)
async def state_policy(
    body: StatePolicy, session: Session, caller: Caller, now: Now, once: OnceOnly
) -> Response:
    """State a policy; everyone whom it concerns is judged anew within seconds."""
    access.require(caller, Action.SET_POLICY)
    policy = body.as_policy()
    await application.state_policy(session, policy, stated_by=caller.subject, now=now)
    return await once.accept(StatedPolicyView(policy_id=policy.policy_id), status=201)


@router.get("")
async def list_policies(session: Session, caller: Caller, paging: PagingAsked) -> Page[PolicyView]:
    """List what is and was asked."""
    access.require(caller, Action.READ_CLEARANCE)
    rows = await application.list_policies(session, after=paging.after, limit=paging.limit + 1)
    return paging.page(rows, PolicyView.of, row_id=lambda row: row.id)
