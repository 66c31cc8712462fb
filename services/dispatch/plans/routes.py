"""Plans over HTTP."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Response
from pydantic import AfterValidator, BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts import access
from services.contracts.access import Action, Resource
from services.dispatch.bodies import Body
from services.dispatch.loads import queries as loads_queries
from services.dispatch.places import queries as places_queries
from services.dispatch.plans import application, commitment, queries
from services.dispatch.trips import application as trips_application
from services.dispatch.trips import queries as trips_queries
from services.dispatch.trips import stops as trip_stops
from services.dispatch.trips.routes import TripView, trip_view
from services.kit import caller as kit_caller
from services.kit.errors import NotFound
from services.kit.http.application import make_router
from services.kit.http.idempotency import OnceOnly
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Now, Session

router = make_router("/plans")
Status = Literal["requested", "solving", "ready", "failed", "committed"]


def _once_each(ids: list[UUID]) -> list[UUID]:
    return list(dict.fromkeys(ids))


class RequestPlan(Body):
    """The slots whose loads ride together, and how long the solver may take."""

    slot_ids: Annotated[list[UUID], Field(min_length=1, max_length=50), AfterValidator(_once_each)]
    seconds: Annotated[float, Field(ge=0.1, le=20)] = application.USUAL_SECONDS


class CommitPlan(Body):
    """Who is to drive which trip; the others are given to cleared drivers who are free."""

    drivers: Annotated[dict[UUID, UUID], Field(max_length=500, default_factory=dict)]


class PlanStateView(BaseModel):
    """Where a plan stands."""

    plan_id: UUID
    status: Status


class UnassignedView(BaseModel):
    """A load that is on no trip of a plan, and why."""

    load_id: UUID
    code: str


class PlanView(PlanStateView):
    """A plan: its trips as a preview until it is committed, and a reason for every load it leaves."""

    incident_id: UUID
    zone_ids: list[UUID]
    slot_ids: list[UUID]
    cause: Literal["asked", "driver_suspended", "vehicle_lost", "rescue"]
    failure: str | None
    requested_at: datetime
    solved_at: datetime | None
    committed_at: datetime | None
    trips: list[TripView]
    unassigned: list[UnassignedView]


class SeatView(BaseModel):
    """Who drives a trip."""

    trip_id: UUID
    driver_id: UUID


class UncommittedView(BaseModel):
    """A trip that a plan was committed without, and why; its loads stay in the pool."""

    trip_id: UUID
    code: str


class CommitmentView(PlanStateView):
    """What a plan has become."""

    trips: list[SeatView]
    uncommitted: list[UncommittedView]


@router.post("", response_model=PlanStateView, status_code=202)
async def request_plan(
    body: RequestPlan, session: Session, now: Now, caller: Caller, once: OnceOnly
) -> Response:
    """Ask for a plan of what waits in some slots; it is solved afterwards."""
    access.require(caller, Action.PLAN_WAVE, Resource(path=caller.zone_ids))
    waves = await loads_queries.find_waves(session, body.slot_ids)
    await _require_all(session, caller, {wave.zone_id for wave in waves.values()})
    plan_id = await application.request_plan(session, body.slot_ids, seconds=body.seconds, now=now)
    view = PlanStateView(plan_id=plan_id, status="requested")
    return await once.accept(view, status=202, location=f"/v1/plans/{plan_id}", is_report=True)


@router.get("/{plan_id}")
async def read_plan(plan_id: UUID, session: Session, caller: Caller) -> PlanView:
    """Read a plan with its trips and what it leaves."""
    plan = await queries.find_plan(session, plan_id)
    if plan is None:
        raise NotFound("kit.not_found", "Nothing is found here")
    path = await trips_application.find_path(session, plan.zone_ids)
    access.require(caller, Action.PLAN_WAVE, Resource(path=path), hidden=True)
    trips = await trips_queries.list_of_plan(session, plan_id)
    stops = await trip_stops.list_stops(session, [trip.trip_id for trip in trips])
    return PlanView(
        **{
            name: getattr(plan, name) for name in PlanView.model_fields if name not in {"trips", "unassigned"}
        },
        trips=[trip_view(trip, stops.get(trip.trip_id, [])) for trip in trips],
        unassigned=[
            UnassignedView(load_id=left.load_id, code=left.code)
            for left in await queries.list_left(session, plan_id)
        ],
    )


@router.post("/{plan_id}/commitment", response_model=CommitmentView)
async def commit_plan(  # noqa: PLR0913, PLR0917 - what FastAPI is to give
    plan_id: UUID, session: Session, now: Now, caller: Caller, once: OnceOnly, body: CommitPlan | None = None
) -> Response:
    """Make the trips of a plan, each with a vehicle that has a pass and a driver who is cleared now."""
    plan = await queries.find_plan(session, plan_id)
    if plan is None:
        raise NotFound("kit.not_found", "Nothing is found here")
    path = await trips_application.find_path(session, plan.zone_ids)
    access.require(caller, Action.PLAN_WAVE, Resource(path=path), hidden=True)
    await _require_all(session, caller, plan.zone_ids)
    committed = await commitment.commit_plan(session, plan_id, chosen=body.drivers if body else {}, now=now)
    view = CommitmentView(
        plan_id=plan_id,
        status="committed",
        trips=[
            SeatView(trip_id=trip_id, driver_id=driver_id) for trip_id, driver_id in committed.drivers.items()
        ],
        uncommitted=[
            UncommittedView(trip_id=trip_id, code=commitment.NO_DRIVER) for trip_id in committed.uncommitted
        ],
    )
    return await once.accept(view, status=200)


async def _require_all(session: AsyncSession, caller: kit_caller.Caller, zone_ids: Iterable[UUID]) -> None:
    for zone in (await places_queries.find_zones(session, zone_ids)).values():
        access.require(caller, Action.PLAN_WAVE, Resource(path=(zone.zone_id, *zone.path)))
