"""Work sites over HTTP."""

from collections.abc import Collection
from typing import Annotated
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel, Field

from services.contracts import access
from services.contracts.access import Action
from services.contracts.values import Point
from services.dispatch.bodies import LARGEST_BATCH, Body, ItemView, fault_view
from services.dispatch.markets import application, queries
from services.dispatch.markets.domain import WorkSite
from services.kit.http.application import make_router
from services.kit.http.idempotency import OnceOnly
from services.kit.http.pages import Page, PagingAsked
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Session

router = make_router("/work-sites")


class WorkSiteBody(Body):
    """A site and all the communities that take their goods there, and not at their gates."""

    code: Annotated[str, Field(min_length=1, max_length=40)]
    title: Annotated[str, Field(min_length=1, max_length=200)]
    position: Point
    community_ids: Annotated[tuple[UUID, ...], Field(max_length=500)]

    def to_site(self) -> WorkSite:
        """Return what the application takes."""
        return WorkSite(
            code=self.code, title=self.title, position=self.position, community_ids=self.community_ids
        )


class ImportWorkSites(Body):
    """A list of sites; each is judged for itself."""

    work_sites: Annotated[list[WorkSiteBody], Field(min_length=1, max_length=LARGEST_BATCH)]


class WorkSiteItemView(ItemView):
    """What became of one site of a list, and which of its communities nobody has told of yet."""

    site_id: UUID | None
    unknown_community_ids: list[UUID]


class WorkSiteItemsView(BaseModel):
    """What became of a list of sites."""

    items: list[WorkSiteItemView]


class WorkSiteView(BaseModel):
    """A site with the communities it serves, and those of them that nobody has told of yet."""

    site_id: UUID
    code: str
    title: str
    position: Point
    community_ids: list[UUID]
    unknown_community_ids: list[UUID]


@router.post("", response_model=WorkSiteItemsView)
async def import_work_sites(
    body: ImportWorkSites, session: Session, caller: Caller, once: OnceOnly
) -> Response:
    """Know sites by their codes: new ones are made, known ones changed; a community is the last one's."""
    access.require(caller, Action.KEEP_FLEET)
    wanted = [site.to_site() for site in body.work_sites]
    outcomes = await application.import_sites(session, wanted)
    unknown = await queries.find_unknown(session, {each for site in wanted for each in site.community_ids})
    items = [
        WorkSiteItemView(
            index=index,
            site_id=imported.site_id,
            outcome=imported.outcome,
            errors=[fault_view(fault) for fault in imported.faults],
            unknown_community_ids=_those_of(site, unknown),
        )
        for index, (site, imported) in enumerate(zip(wanted, outcomes, strict=True))
    ]
    return await once.accept(WorkSiteItemsView(items=items), status=200)


@router.get("")
async def list_work_sites(session: Session, caller: Caller, paging: PagingAsked) -> Page[WorkSiteView]:
    """List the sites: where goods are handed over is no secret to anyone who may see the zones."""
    access.require(caller, Action.READ_ZONE)
    sites = await queries.list_sites(session, limit=paging.limit, after=paging.after)
    unknown = await queries.find_unknown(
        session, {each for site in sites.values() for each in site.community_ids}
    )
    return paging.page(
        list(sites.items()), lambda entry: _view(*entry, unknown), row_id=lambda entry: entry[0]
    )


def _view(site_id: UUID, site: WorkSite, unknown: Collection[UUID]) -> WorkSiteView:
    return WorkSiteView(
        site_id=site_id,
        code=site.code,
        title=site.title,
        position=site.position,
        community_ids=list(site.community_ids),
        unknown_community_ids=_those_of(site, unknown),
    )


def _those_of(site: WorkSite, unknown: Collection[UUID]) -> list[UUID]:
    return [community_id for community_id in site.community_ids if community_id in unknown]
