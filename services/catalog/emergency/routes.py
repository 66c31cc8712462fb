"""The list of emergency outlets over HTTP."""

from datetime import datetime
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel, ConfigDict

from services.catalog.emergency import application, queries
from services.catalog.emergency.tables import EmergencyOutletRow
from services.contracts import access
from services.contracts.access import Action
from services.contracts.values import OutletKind, Point
from services.kit.http.application import make_router
from services.kit.http.idempotency import OnceOnly
from services.kit.http.pages import Page, PagingAsked
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Now, Session

router = make_router("/emergency-outlets")


class PublishList(BaseModel):
    """Publish the list; there is nothing to choose."""

    model_config = ConfigDict(extra="forbid")


class PublishedView(BaseModel):
    """A list that was published, and how many outlets it names."""

    version: int
    published_at: datetime
    outlet_count: int


class EmergencyOutletView(BaseModel):
    """An outlet as the list names it."""

    outlet_id: UUID
    name: str
    kind: OutletKind
    position: Point

    @classmethod
    def of(cls, row: EmergencyOutletRow) -> "EmergencyOutletView":
        """Show a row."""
        return cls(
            outlet_id=row.outlet_id,
            name=row.name,
            kind=OutletKind(row.kind),
            position=Point(lat=row.lat, lon=row.lon),
        )


class EmergencyListView(Page[EmergencyOutletView]):
    """A page of the newest list, and how many outlets the whole of it names."""

    version: int
    published_at: datetime
    outlet_count: int


@router.post("", status_code=201, response_model=PublishedView)
async def publish_list(
    _body: PublishList, caller: Caller, session: Session, now: Now, once: OnceOnly
) -> Response:
    """Publish whoever qualifies today as the next version of the list."""
    access.require(caller, Action.QUALIFY_OUTLET)
    made = await application.publish(session, by=caller.subject, now=now)
    view = PublishedView(version=made.version, published_at=now, outlet_count=made.outlets)
    return await once.accept(view, location="/v1/emergency-outlets")


@router.get("")
async def get_list(caller: Caller, session: Session, paging: PagingAsked) -> EmergencyListView:
    """Return the newest list, which is published to everyone."""
    access.require(caller, Action.READ_MENU)
    newest = await application.get_newest(session)
    rows = await queries.list_outlets(session, newest.version, after=paging.after, limit=paging.limit)
    page = paging.page(rows, EmergencyOutletView.of, row_id=lambda row: row.outlet_id)
    return EmergencyListView(
        items=page.items,
        cursor=page.cursor,
        version=newest.version,
        published_at=newest.published_at,
        outlet_count=await queries.count_outlets(session, newest.version),
    )
