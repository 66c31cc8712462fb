"""Duties over HTTP."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from services.contracts import access
from services.contracts.access import Action, Role
from services.kit.http.application import make_router
from services.kit.http.moments import Moment
from services.kit.http.pages import Page, PagingAsked
from services.kit.http.problems import FaultView
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Session
from services.whitelist.duties import application
from services.whitelist.duties.application import Stated
from services.whitelist.duties.domain import Duty, Outcome
from services.whitelist.duties.tables import DutyRow

router = make_router("/duties")


class DutyBody(BaseModel):
    """Who stands at which gate and for which buildings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    person_id: UUID
    role: Role
    community_id: UUID
    building_ids: Annotated[list[UUID], Field(max_length=500)] = []
    starts_at: Moment
    ends_at: Moment

    def as_duty(self) -> Duty:
        """Return what the rules are asked about."""
        return Duty(
            person_id=self.person_id,
            role=self.role,
            community_id=self.community_id,
            building_ids=tuple(self.building_ids),
            starts_at=self.starts_at,
            ends_at=self.ends_at,
        )


class StateDuties(BaseModel):
    """A batch of duties; each is answered by itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    duties: Annotated[list[DutyBody], Field(min_length=1, max_length=500)]


class StatedView(BaseModel):
    """What became of one duty."""

    index: int
    duty_id: UUID | None
    outcome: Outcome
    errors: list[FaultView] = []

    @classmethod
    def of(cls, index: int, stated: Stated) -> "StatedView":
        """Show one outcome at its place in the request."""
        return cls(
            index=index,
            duty_id=stated.duty_id,
            outcome=stated.outcome,
            errors=[FaultView.of(fault) for fault in stated.faults],
        )


class StatedDutiesView(BaseModel):
    """What became of each duty, in the order sent."""

    items: list[StatedView]


class DutyView(BaseModel):
    """A duty, its end not included."""

    duty_id: UUID
    person_id: UUID
    role: Role
    community_id: UUID
    building_ids: list[UUID]
    starts_at: datetime
    ends_at: datetime

    @classmethod
    def of(cls, row: DutyRow) -> "DutyView":
        """Show a duty."""
        return cls(
            duty_id=row.id,
            person_id=row.person_id,
            role=Role(row.role),
            community_id=row.community_id,
            building_ids=row.building_ids,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
        )


@router.post("")
async def state_duties(body: StateDuties, session: Session, caller: Caller) -> StatedDutiesView:
    """Say who is on duty; the same person, role, community and start is the same duty."""
    access.require(caller, Action.KEEP_PEOPLE)
    stated = await application.state_duties(session, [duty.as_duty() for duty in body.duties])
    return StatedDutiesView(items=[StatedView.of(index, one) for index, one in enumerate(stated)])


@router.get("")
async def list_duties(
    session: Session,
    caller: Caller,
    paging: PagingAsked,
    community_id: Annotated[UUID | None, Query()] = None,
) -> Page[DutyView]:
    """List duties, of one community or of all."""
    access.require(caller, Action.READ_CLEARANCE)
    rows = await application.list_duties(
        session, community_id=community_id, after=paging.after, limit=paging.limit + 1
    )
    return paging.page(rows, DutyView.of, row_id=lambda row: row.id)
