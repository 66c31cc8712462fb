"""Rescues and the report of an incident's deliveries over HTTP."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from services.contracts import access
from services.contracts.access import Action
from services.contracts.values import Point
from services.dispatch.places import queries as places_queries
from services.dispatch.rescues import queries
from services.kit.http.application import make_router
from services.kit.http.pages import Page, PagingAsked
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Session

rescue_router = make_router("/rescues")
incident_router = make_router("/incidents")


class RescueView(BaseModel):
    """Loads that somebody suspended has in hand, and where they were seen last."""

    rescue_id: UUID
    load_ids: list[UUID]
    holder_id: UUID
    incident_id: UUID
    zone_id: UUID
    place: Point | None
    opened_at: datetime


class LegsView(BaseModel):
    """Load units that were handed over, by leg."""

    leg1: int
    leg2: int
    leg3: int


class DeliveriesView(BaseModel):
    """What an incident's deliveries came to so far; `grams` are of what has left its outlet."""

    load_units: int
    portions: int
    delivered: int
    trips: int
    grams: int
    metres: int
    handovers: LegsView
    breaches: int
    suspended: int
    reassigned: int
    rescued: int


@rescue_router.get("")
async def list_rescues(
    session: Session, caller: Caller, paging: PagingAsked, incident_id: UUID | None = None
) -> Page[RescueView]:
    """List what is to be rescued in the caller's zones."""
    access.require_somewhere(caller, Action.PLAN_WAVE)
    zone_ids = await places_queries.find_zones_within(session, caller.zone_ids)
    rows = await queries.list_rescues(
        session, zone_ids, incident_id=incident_id, limit=paging.limit, after=paging.after
    )
    return paging.page(rows, _view, row_id=lambda row: row.rescue_id)


@incident_router.get("/{incident_id}/deliveries")
async def get_deliveries(session: Session, caller: Caller, incident_id: UUID) -> DeliveriesView:
    """Say what an incident's deliveries came to; nothing is known of one that never was."""
    access.require(caller, Action.READ_REPORT)
    row = await queries.count_deliveries(session, incident_id)
    counted = {name: int(value) for name, value in row._mapping.items()}  # noqa: SLF001 - a row's public face
    legs = LegsView(leg1=counted.pop("leg1"), leg2=counted.pop("leg2"), leg3=counted.pop("leg3"))
    return DeliveriesView(handovers=legs, **counted)


def _view(row: Any) -> RescueView:
    return RescueView(
        rescue_id=row.rescue_id,
        load_ids=[row.load_id],
        holder_id=row.holder_id,
        incident_id=row.incident_id,
        zone_id=row.zone_id,
        place=Point(lat=row.lat, lon=row.lon) if row.lat is not None else None,
        opened_at=row.opened_at,
    )
