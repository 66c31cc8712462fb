"""Assignments over HTTP: the zone's, and the outlet's own, which it accepts or refuses."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.catalog.supply import application, queries
from services.catalog.supply.domain import Figures, Status
from services.catalog.supply.overview import Overview, get_overview
from services.catalog.supply.tables import AssignmentRow
from services.contracts import access
from services.contracts.access import Action, Resource
from services.contracts.values import MissingSupply, OutletKind
from services.kit.http.application import make_router
from services.kit.http.idempotency import OnceOnly
from services.kit.http.moments import Moment
from services.kit.http.pages import Page, PagingAsked
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Now, Session

outlets: APIRouter = make_router("/outlets")
zones: APIRouter = make_router("/zones")
policies: APIRouter = make_router("/supply-policies")


class AcceptAssignment(BaseModel):
    """So many orders a day the outlet will pick; what is above the asked number is not counted."""

    model_config = ConfigDict(extra="forbid")

    capacity_orders: Annotated[int, Field(ge=1, le=1_000_000)]


class RefuseAssignment(BaseModel):
    """Why the outlet cannot."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(min_length=1, max_length=500)]


class StatePolicy(BaseModel):
    """Figures of planning from a moment on: the one that became valid last is in force."""

    model_config = ConfigDict(extra="forbid")

    answer_seconds: Annotated[int, Field(ge=1, le=86_400)]
    look_again_seconds: Annotated[int, Field(ge=1, le=3_600)] = 30
    persons_per_100_households: Annotated[int, Field(ge=100, le=2_000)] = 262
    surcharge_permille: Annotated[int, Field(ge=0, le=5_000)] = 100
    legal_ref: Annotated[str, Field(min_length=1, max_length=200)]
    valid_from: Moment


class PolicyView(StatePolicy):
    """Figures as they were stated."""

    model_config = ConfigDict(extra="ignore", from_attributes=True)

    policy_id: UUID


class AssignmentView(BaseModel):
    """What an outlet was asked, until when it answers, and what it promised."""

    assignment_id: UUID
    zone_id: UUID
    outlet_id: UUID
    kind: OutletKind
    rank: int
    status: Status
    asked_orders: int
    capacity_orders: int | None
    distance_m: int
    pin_reason: str | None
    asked_at: AwareDatetime
    answer_by: AwareDatetime
    answered_at: AwareDatetime | None
    refusal_reason: str | None

    @classmethod
    def of(cls, row: AssignmentRow) -> "AssignmentView":
        """Show a row."""
        return cls.model_validate({**row.model_dump(), "capacity_orders": row.accepted_orders})


class NeedView(BaseModel):
    """Orders a day that a zone needs of a kind, and that were promised."""

    kind: OutletKind
    needed: int
    found: int


class PassedOverView(BaseModel):
    """A pinned outlet that is not asked, and why."""

    outlet_id: UUID
    reason: str
    code: str


class ZoneAssignmentsView(Page[AssignmentView]):
    """A page of whom a zone asked, and how its supply stands."""

    zone_id: UUID
    incident_id: UUID
    is_open: bool
    seconds_to_assign: float | None
    needs: list[NeedView]
    missing: list[MissingSupply]
    passed_over: list[PassedOverView]

    @classmethod
    def of(cls, overview: Overview, page: Page[AssignmentView]) -> "ZoneAssignmentsView":
        """Show how a zone is supplied, with a page of its assignments."""
        return cls(
            items=page.items,
            cursor=page.cursor,
            zone_id=overview.zone.zone_id,
            incident_id=overview.zone.incident_id,
            is_open=overview.zone.is_open,
            seconds_to_assign=overview.seconds_to_assign,
            needs=[
                NeedView(kind=kind, needed=needed, found=overview.supply.found(kind))
                for kind, needed in overview.supply.needs.items()
            ],
            missing=list(overview.missing),
            passed_over=[
                PassedOverView(outlet_id=one.outlet_id, reason=one.reason, code=one.code)
                for one in overview.passed_over
            ],
        )


@zones.get("/{zone_id}/assignments")
async def get_zone_assignments(
    zone_id: UUID, caller: Caller, session: Session, now: Now, paging: PagingAsked
) -> ZoneAssignmentsView:
    """Return whom a zone asked, in order, what it needs, what is missing, which pins were passed over."""
    access.require(caller, Action.READ_LEDGER)
    overview = await get_overview(session, zone_id, now=now)
    rows = await queries.list_assignments(session, zone_id=zone_id, after=paging.after, limit=paging.limit)
    page = paging.page(rows, AssignmentView.of, row_id=lambda row: row.assignment_id)
    return ZoneAssignmentsView.of(overview, page)


@outlets.get("/{outlet_id}/assignments")
async def list_outlet_assignments(
    outlet_id: UUID, caller: Caller, session: Session, paging: PagingAsked
) -> Page[AssignmentView]:
    """Return what an outlet was asked, in order."""
    access.require(caller, Action.READ_LEDGER, Resource(outlet_id=outlet_id))
    rows = await queries.list_assignments(
        session, outlet_id=outlet_id, after=paging.after, limit=paging.limit
    )
    return paging.page(rows, AssignmentView.of, row_id=lambda row: row.assignment_id)


@outlets.post("/{outlet_id}/assignments/{assignment_id}/acceptance")
async def accept_assignment(  # noqa: PLR0913 - what FastAPI is to give
    *,
    outlet_id: UUID,
    assignment_id: UUID,
    body: AcceptAssignment,
    caller: Caller,
    session: Session,
    now: Now,
) -> AssignmentView:
    """Promise the day's capacity to the zone; sent again, the first promise stands."""
    access.require(caller, Action.ACCEPT_ASSIGNMENT, Resource(outlet_id=outlet_id))
    row = await application.accept(
        session, assignment_id, outlet_id=outlet_id, orders=body.capacity_orders, now=now
    )
    return AssignmentView.of(row)


@outlets.post("/{outlet_id}/assignments/{assignment_id}/refusal")
async def refuse_assignment(  # noqa: PLR0913 - what FastAPI is to give
    *,
    outlet_id: UUID,
    assignment_id: UUID,
    body: RefuseAssignment,
    caller: Caller,
    session: Session,
    now: Now,
) -> AssignmentView:
    """Refuse, with the reason; the next outlet is asked at once."""
    access.require(caller, Action.ACCEPT_ASSIGNMENT, Resource(outlet_id=outlet_id))
    row = await application.refuse(session, assignment_id, outlet_id=outlet_id, reason=body.reason, now=now)
    return AssignmentView.of(row)


@policies.post("", status_code=201, response_model=PolicyView)
async def state_policy(body: StatePolicy, caller: Caller, session: Session, once: OnceOnly) -> Response:
    """State how long outlets have to answer, and by which figures demand is counted."""
    access.require(caller, Action.KEEP_LEDGER)
    figures = Figures(**body.model_dump(exclude={"legal_ref", "valid_from"}))
    policy_id = await application.state_policy(
        session, figures, legal_ref=body.legal_ref, valid_from=body.valid_from, by=caller.subject
    )
    return await once.accept(PolicyView(**dict(body), policy_id=policy_id), location="/v1/supply-policies")


@policies.get("")
async def list_policies(caller: Caller, session: Session, paging: PagingAsked) -> Page[PolicyView]:
    """Return the figures that were stated."""
    access.require(caller, Action.READ_LEDGER)
    rows = await queries.list_policies(session, after=paging.after, limit=paging.limit)
    return paging.page(rows, PolicyView.model_validate, row_id=lambda row: row.policy_id)
