"""The register over HTTP: areas in batches, households in batches, and one household at a time."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from services.contracts import access
from services.contracts.access import Action, Resource
from services.contracts.orders import AreaLevel
from services.kit import caller as callers
from services.kit.http.application import make_router
from services.kit.http.pages import Page, PagingAsked
from services.kit.http.problems import FaultView
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Now, Session
from services.orders.register import application, queries
from services.orders.register.planting import Judged, Wanted
from services.orders.register.registration import Registered, Registration
from services.orders.register.wire import (
    AreaItem,
    AreaItems,
    AreaView,
    CertificateView,
    HouseholdItem,
    HouseholdItems,
    HouseholdListed,
    HouseholdView,
    PlantArea,
    PlantAreas,
    Purpose,
    RegisterHouseholds,
)
from services.orders.vault import MasterKey

areas = make_router("/areas")
households = make_router("/households")
ROUTERS: Sequence[APIRouter] = (areas, households)


@areas.post("")
async def import_areas(body: PlantAreas, caller: Caller, session: Session) -> AreaItems:
    """Plant areas or change them: a code that stands is changed, an item that cannot be names its field."""
    access.require_somewhere(caller, Action.KEEP_REGISTER)
    wanted = [Wanted(**{name: getattr(area, name) for name in PlantArea.model_fields}) for area in body.areas]
    judged = await application.import_areas(session, wanted, reaches=_reach_of(caller))
    return AreaItems(
        items=[
            AreaItem(
                index=index,
                code=item.code,
                area_id=each.area_id,
                outcome=each.outcome,
                errors=_faults("areas", index, each),
            )
            for index, (item, each) in enumerate(zip(wanted, judged, strict=True))
        ]
    )


@areas.get("")
async def list_areas(
    caller: Caller,
    session: Session,
    paging: PagingAsked,
    level: AreaLevel | None = None,
    parent_id: UUID | None = None,
) -> Page[AreaView]:
    """List areas, of one level or below one parent."""
    access.require(caller, Action.READ_ZONE)
    rows = await queries.list_areas(
        session, level=level, parent_id=parent_id, after=paging.after, limit=paging.limit
    )
    return paging.page(rows, AreaView.of, row_id=lambda area: area.area_id)


@households.post("")
async def import_households(
    body: RegisterHouseholds, caller: Caller, session: Session, master: MasterKey
) -> HouseholdItems:
    """Register households or change them by their external id; what names them is sealed at once."""
    access.require_somewhere(caller, Action.KEEP_REGISTER)
    wanted = [
        Registration(
            external_id=given.external_id,
            building_id=given.building_id,
            building_code=given.building_code,
            persons=given.persons,
            personal={"unit": given.unit, "contact": given.contact.model_dump()},
        )
        for given in body.households
    ]
    judged = await application.import_households(session, wanted, reaches=_reach_of(caller), master=master)
    return HouseholdItems(
        items=[
            HouseholdItem(
                index=index,
                external_id=item.external_id,
                household_id=each.household_id,
                outcome=each.outcome,
                errors=_faults("households", index, each),
            )
            for index, (item, each) in enumerate(zip(wanted, judged, strict=True))
        ]
    )


@households.get("")
async def list_households(
    caller: Caller,
    session: Session,
    now: Now,
    paging: PagingAsked,
    building_id: Annotated[UUID, Query(description="Of this building")],
) -> Page[HouseholdListed]:
    """List a building's households, without what names them."""
    path = await queries.get_path(session, building_id)
    if not access.may(caller, Action.KEEP_REGISTER, Resource(path=path)):
        relation = await application.find_relation(session, caller, building_id=building_id, now=now)
        access.require(caller, Action.READ_HOUSEHOLD, Resource(path=path), relation)
    rows = await queries.list_households(session, building_id, after=paging.after, limit=paging.limit)
    return paging.page(rows, HouseholdListed.of, row_id=lambda household: household.household_id)


@households.get("/{household_id}")
async def get_household(  # noqa: PLR0913, PLR0917 - what the route needs, as FastAPI hands it over
    household_id: UUID,
    caller: Caller,
    session: Session,
    now: Now,
    master: MasterKey,
    purpose: Annotated[Purpose | None, Query(description="Kept with the read")] = None,
) -> HouseholdView:
    """Show a household with what names it; every such read is kept with its reader and its purpose."""
    household = await queries.get_household(session, household_id)
    path = await queries.get_path(session, household.building_id)
    relation = await application.find_relation(session, caller, building_id=household.building_id, now=now)
    resource = Resource(path=path, household_id=household_id)
    access.require(caller, Action.READ_HOUSEHOLD, resource, relation, hidden=True)
    own = caller.household_id == household_id
    personal = await application.read_contact(
        session,
        household,
        master,
        reader=caller.subject,
        purpose=purpose or (Purpose.OWN_DATA if own else Purpose.DELIVERY if relation else Purpose.CARE),
    )
    listed = HouseholdListed.of(household).model_dump()
    return HouseholdView(**listed, **(personal or {"unit": None, "contact": None}))


@households.post("/{household_id}/erasure")
async def erase_household(
    household_id: UUID, caller: Caller, session: Session, now: Now, master: MasterKey
) -> CertificateView:
    """Destroy what names a household, for ever; asked again, the same certificate is shown."""
    access.require_somewhere(caller, Action.KEEP_REGISTER)
    household = await queries.get_household(session, household_id, lock=True)
    path = await queries.get_path(session, household.building_id)
    access.require(caller, Action.KEEP_REGISTER, Resource(path=path), hidden=True)
    return CertificateView.of(await application.erase_household(session, household, master, now))


def _reach_of(caller: callers.Caller) -> application.Reaches:
    return lambda path: access.may(caller, Action.KEEP_REGISTER, Resource(path=path))


def _faults(name: str, index: int, judged: Judged | Registered) -> list[FaultView]:
    if not judged.code:
        return []
    return [FaultView(pointer=f"/{name}/{index}/{judged.field}", code=judged.code, params={})]
