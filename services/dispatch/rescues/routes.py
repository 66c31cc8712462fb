"""Rescues over HTTP."""

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


class RescueView(BaseModel):
    """Loads that somebody suspended has in hand, and where they were seen last."""

    rescue_id: UUID
    load_ids: list[UUID]
    holder_id: UUID
    incident_id: UUID
    zone_id: UUID
    place: Point | None
    opened_at: datetime


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
