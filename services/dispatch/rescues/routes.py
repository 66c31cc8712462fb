"""Rescues and lost vehicles over HTTP."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Response
from pydantic import Field
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts import access
from services.contracts.access import Action, Resource
from services.dispatch.bodies import Body
from services.dispatch.places import queries as places_queries
from services.dispatch.rescues import application, escalation, listing
from services.dispatch.rescues.listing import RescueFilter
from services.dispatch.rescues.views import AssignedView, ClosedView, JudgedRescueView, LostView, RescueView
from services.kit import caller as kit_caller
from services.kit.errors import NotFound
from services.kit.http.application import make_router
from services.kit.http.idempotency import OnceOnly
from services.kit.http.pages import Page, PagingAsked
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Now, Session

rescue_router = make_router("/rescues")
vehicle_router = make_router("/vehicles")


class AssignTaker(Body):
    """Who is to take over."""

    person_id: UUID


class CloseRescue(Body):
    """Why nothing is to be rescued any more."""

    reason: Annotated[str, Field(min_length=1, max_length=500)]


class LoseVehicle(Body):
    """What happened to a vehicle."""

    reason: Annotated[str, Field(min_length=1, max_length=500)]


@rescue_router.get("")
async def list_rescues(  # noqa: PLR0913, PLR0917 - what FastAPI is to give
    session: Session,
    caller: Caller,
    paging: PagingAsked,
    incident_id: UUID | None = None,
    is_open: Annotated[bool | None, Query(description="Those of which something waits, or nothing")] = None,
    is_escalated: Annotated[bool | None, Query(description="Those that somebody was called for")] = None,
) -> Page[RescueView]:
    """List what is to be rescued in the caller's zones, and what was."""
    access.require_somewhere(caller, Action.PLAN_WAVE)
    zone_ids = await places_queries.find_zones_within(session, caller.zone_ids)
    wanted = RescueFilter(incident_id=incident_id, is_open=is_open, is_escalated=is_escalated)
    rows = await listing.list_rescues(session, zone_ids, wanted, limit=paging.limit, after=paging.after)
    return paging.page(rows, RescueView.of, row_id=lambda row: row.rescue_id)


@rescue_router.get("/{rescue_id}")
async def read_rescue(rescue_id: UUID, session: Session, now: Now, caller: Caller) -> JudgedRescueView:
    """Read a rescue with everybody who can take over now, the nearest first."""
    rescue = await _get_rescue(session, caller, rescue_id)
    if rescue.settled_at is not None:
        return JudgedRescueView.judged(rescue, (), ())
    judgement = await escalation.judge(session, rescue, now)
    return JudgedRescueView.judged(rescue, judgement.candidates, judgement.codes)


@rescue_router.post("/{rescue_id}/assignment", response_model=AssignedView)
async def assign_taker(  # noqa: PLR0913, PLR0917 - what FastAPI is to give
    rescue_id: UUID, body: AssignTaker, session: Session, now: Now, caller: Caller, once: OnceOnly
) -> Response:
    """Name the steward who takes over what stands at a gate."""
    await _get_rescue(session, caller, rescue_id)
    await application.name_taker(session, rescue_id, body.person_id, now)
    return await once.accept(AssignedView(rescue_id=rescue_id, taker_id=body.person_id), status=200)


@rescue_router.post("/{rescue_id}/closure", response_model=ClosedView)
async def close_rescue(  # noqa: PLR0913, PLR0917 - what FastAPI is to give
    rescue_id: UUID, body: CloseRescue, session: Session, now: Now, caller: Caller, once: OnceOnly
) -> Response:
    """Close a rescue whose goods stay with their holder, who may carry them on again.

    All else settles a rescue by itself: the hand-over to somebody who takes the goods, or, of a load in bulk,
    the split that tells what was lost.
    """
    rescue = await _get_rescue(session, caller, rescue_id)
    await application.close_rescue(session, rescue, now, by=caller.subject, reason=body.reason)
    view = ClosedView(
        rescue_id=rescue_id, holder_id=rescue.holder_id, closed_at=now, closed_by=caller.subject
    )
    return await once.accept(view, status=200)


@vehicle_router.post("/{vehicle_id}/loss", response_model=LostView)
async def lose_vehicle(  # noqa: PLR0913, PLR0917 - what FastAPI is to give
    vehicle_id: UUID, body: LoseVehicle, session: Session, now: Now, caller: Caller, once: OnceOnly
) -> Response:
    """Take a vehicle out of service until somebody brings it back; what is on board is to be rescued."""
    access.require(caller, Action.KEEP_FLEET)
    rescue_ids = await application.lose_vehicle(session, vehicle_id, body.reason, now)
    return await once.accept(LostView(vehicle_id=vehicle_id, lost_at=now, rescue_ids=rescue_ids), status=200)


async def _get_rescue(session: AsyncSession, caller: kit_caller.Caller, rescue_id: UUID) -> Row[Any]:
    found = await listing.find_rescues(session, [rescue_id])
    if not found:
        raise NotFound("kit.not_found", "Nothing is found here")
    path = (found[0].zone_id, *(found[0].path or ()))
    access.require(caller, Action.PLAN_WAVE, Resource(path=path), hidden=True)
    return found[0]
