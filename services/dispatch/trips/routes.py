"""Trips over HTTP."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from fastapi import Request, Response
from pydantic import BaseModel
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts import access
from services.contracts.access import Action, Relation, Resource, Role
from services.contracts.values import Point
from services.dispatch.bodies import Body
from services.dispatch.places import queries as places_queries
from services.dispatch.trips import application, following, queries
from services.dispatch.trips import stops as trip_stops
from services.dispatch.trips.domain import TripStatus
from services.dispatch.trips.following import TripEventView, TripSeen
from services.dispatch.trips.tables import TripRow
from services.kit import caller as kit_caller
from services.kit.errors import NotFound
from services.kit.http.application import make_router
from services.kit.http.idempotency import OnceOnly
from services.kit.http.pages import Page, PagingAsked
from services.kit.http.streams import EventStream, LastEventId, Streams, described
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Now, Session

router = make_router("/trips")

FOLLOWED = described(
    TripEventView, event="trip", position="9e107d9d372bb6826bd81d3542a419d6", example=following.AN_EVENT
)


class StopView(BaseModel):
    """A stop with the loads taken or given there: at an outlet, at a community's gate or its work site.

    Or where goods wait on the road to be rescued: the title is then the plate of the vehicle there,
    the position where they were seen last; each is null where it is not known.
    """

    kind: Literal["pick_up", "gate"]
    place_id: UUID
    place_title: str | None
    position: Point | None
    load_ids: list[UUID]
    arrives_at: datetime
    leaves_at: datetime


class TripView(BaseModel):
    """A trip; `code` says why its plan left it out, `is_degraded` that clearances were not fresh."""

    trip_id: UUID
    plan_id: UUID
    incident_id: UUID
    zone_ids: list[UUID]
    vehicle_id: UUID
    driver_id: UUID | None
    status: TripStatus
    code: str | None
    is_degraded: bool
    departs_at: datetime
    depart_by: datetime
    ends_at: datetime
    departed_at: datetime | None
    metres: int
    seconds: int
    grams: int
    pieces: int
    stops: list[StopView]


class TripStateView(BaseModel):
    """What a trip has become."""

    trip_id: UUID
    driver_id: UUID | None
    status: TripStatus


class AssignDriver(Body):
    """Who is to drive."""

    person_id: UUID


@router.get("")
async def list_trips(
    session: Session,
    caller: Caller,
    paging: PagingAsked,
    zone_id: UUID | None = None,
    plan_id: UUID | None = None,
) -> Page[TripView]:
    """List trips: a commander those of the own areas, a driver the own ones."""
    access.require(caller, Action.READ_TRIP, Resource(path=caller.zone_ids), Relation.ASSIGNED_DRIVER)
    areas = caller.zone_ids if Role.COMMANDER in caller.roles else ()
    wanted = queries.TripFilter(
        zone_id=zone_id,
        plan_id=plan_id,
        visible_zone_ids=await places_queries.find_zones_within(session, areas),
        driver_id=caller.person_id if Role.DRIVER in caller.roles else None,
    )
    rows = await queries.list_trips(session, wanted, limit=paging.limit, after=paging.after)
    stops = await trip_stops.list_stops(session, [row.trip_id for row in rows])
    return paging.page(
        rows, lambda row: trip_view(row, stops.get(row.trip_id, [])), row_id=lambda row: row.trip_id
    )


@router.get("/{trip_id}")
async def read_trip(trip_id: UUID, session: Session, caller: Caller) -> TripView:
    """Read a trip with its stops."""
    trip = await _visible_trip(session, caller, trip_id)
    return trip_view(trip, (await trip_stops.list_stops(session, [trip_id])).get(trip_id, []))


@router.get("/{trip_id}/events", response_class=EventStream, responses=FOLLOWED)
async def follow_trip(
    trip_id: UUID, request: Request, caller: Caller, last_event_id: LastEventId = None
) -> Response:
    """Follow a trip live: as it stands, then each change of its status, its driver, its loads and stops."""

    async def admit(session: AsyncSession) -> TripSeen:
        await _visible_trip(session, caller, trip_id)
        return (await following.look(session, {trip_id: None}))[trip_id]

    streams: Streams[TripSeen] = request.app.state.trip_streams
    return await streams.open(request, trip_id, admit, subject=caller.subject, last_event_id=last_event_id)


@router.post("/{trip_id}/driver", response_model=TripStateView)
async def assign_driver(  # noqa: PLR0913, PLR0917 - what FastAPI is to give
    trip_id: UUID, body: AssignDriver, session: Session, now: Now, caller: Caller, once: OnceOnly
) -> Response:
    """Give a trip another driver, who is cleared for it now and until its end."""
    trip = await _visible_trip(session, caller, trip_id)
    path = await application.find_path(session, trip.zone_ids)
    access.require(caller, Action.ASSIGN_DRIVER, Resource(path=path))
    await application.assign_driver(session, trip_id, body.person_id, now)
    view = TripStateView(trip_id=trip_id, driver_id=body.person_id, status=TripStatus.PLANNED)
    return await once.accept(view, status=200)


@router.post("/{trip_id}/departure", response_model=TripStateView)
async def depart(trip_id: UUID, session: Session, now: Now, caller: Caller, once: OnceOnly) -> Response:
    """Say that all loads of a trip are on board and that it leaves."""
    trip = await _visible_trip(session, caller, trip_id)
    await application.depart(session, trip_id, now)
    view = TripStateView(trip_id=trip_id, driver_id=trip.driver_id, status=TripStatus.DEPARTED)
    return await once.accept(view, status=200)


def trip_view(row: TripRow | Any, stops: list[Row[Any]]) -> TripView:
    """Return a trip as it is answered."""
    return TripView(
        **{name: getattr(row, name) for name in TripView.model_fields if name not in {"seconds", "stops"}},
        seconds=int((row.ends_at - row.departs_at).total_seconds()),
        stops=[_stop_view(stop) for stop in stops],
    )


def _stop_view(row: Row[Any]) -> StopView:
    return StopView(
        **{name: getattr(row, name) for name in StopView.model_fields if name != "position"},
        position=Point(lat=row.lat, lon=row.lon) if row.lat is not None else None,
    )


async def _visible_trip(session: AsyncSession, caller: kit_caller.Caller, trip_id: UUID) -> TripRow:
    trip = await queries.find_trip(session, trip_id)
    if trip is None:
        raise NotFound("kit.not_found", "Nothing is found here")
    path = await application.find_path(session, trip.zone_ids)
    is_driver = trip.driver_id is not None and trip.driver_id == caller.person_id
    access.require(
        caller,
        Action.READ_TRIP,
        Resource(path=path),
        Relation.ASSIGNED_DRIVER if is_driver else None,
        hidden=True,
    )
    return trip
