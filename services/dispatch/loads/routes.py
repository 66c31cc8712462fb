"""Loads and portions over HTTP; what one load is and who holds it is told by the relay."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query, Request
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts import access
from services.contracts.access import Action, Relation, Resource, Role
from services.contracts.orders import Form
from services.dispatch.crew import domain as crew_domain
from services.dispatch.crew import queries as crew_queries
from services.dispatch.crew.domain import Duty
from services.dispatch.loads import domain, queries
from services.dispatch.loads.marks import PIN_TRIES, Marks
from services.dispatch.loads.queries import LoadFilter, Sight
from services.dispatch.loads.tables import LoadRow, PortionRow
from services.dispatch.loads.views import LoadView, PortionView
from services.dispatch.places import queries as places_queries
from services.kit.errors import NotFound
from services.kit.http.application import make_router
from services.kit.http.pages import Page, PagingAsked
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Now, Session

load_router = make_router("/loads")
portion_router = make_router("/portions")


@load_router.get("")
async def list_loads(  # noqa: PLR0913 - what can be asked of the list
    *,
    session: Session,
    now: Now,
    caller: Caller,
    paging: PagingAsked,
    slot_id: UUID | None = None,
    zone_id: UUID | None = None,
    outlet_id: Annotated[UUID | None, Query(description="The pick list of an outlet")] = None,
) -> Page[LoadView]:
    """List the loads that the caller may see: of the own outlet, household or doors, or of a zone."""
    access.require_somewhere(caller, Action.READ_LOAD)
    wanted = LoadFilter(slot_id=slot_id, zone_id=zone_id, outlet_id=outlet_id)
    sight = await _sight_of(session, caller, now)
    rows = await queries.list_loads(session, wanted, sight, limit=paging.limit, after=paging.after)
    units = await queries.find_units(session, [row.load_id for row in rows])
    return paging.page(
        rows, lambda row: LoadView.of(row, units.get(row.load_id, ())), row_id=lambda row: row.load_id
    )


@portion_router.get("")
async def list_portions(
    session: Session, now: Now, caller: Caller, request: Request, order_id: UUID
) -> Page[PortionView]:
    """List the portions of an order; what is another household's is not there."""
    found = await queries.list_portions(session, order_id)
    seen = [each for each in found if await _may_read(session, caller, *each, now)]
    return Page[PortionView](items=await _views(session, caller, request, seen))


@portion_router.get("/{portion_id}")
async def get_portion(
    session: Session, now: Now, caller: Caller, request: Request, portion_id: UUID
) -> PortionView:
    """Show a portion, with its PIN to its household."""
    found = await queries.find_portion(session, portion_id)
    if found is None or not await _may_read(session, caller, *found, now):
        raise NotFound("kit.not_found", "Nothing is found here")
    return (await _views(session, caller, request, [found]))[0]


async def _sight_of(session: AsyncSession, caller: Caller, now: datetime) -> Sight:
    duties: list[Duty] = []
    if Role.STEWARD in caller.roles and caller.person_id:
        held = await crew_queries.find_duties(session, caller.person_id, since=now)
        duties = [duty for duty in held if duty.starts_at <= now]
    zone_ids: tuple[UUID, ...] = ()
    if Role.COMMANDER in caller.roles:
        zone_ids = await places_queries.find_zones_within(session, caller.zone_ids)
    return Sight(
        zone_ids=zone_ids,
        community_ids=tuple(duty.community_id for duty in duties if not duty.building_ids),
        building_ids=tuple(building for duty in duties for building in duty.building_ids),
        gate_ids=tuple(duty.community_id for duty in duties),
        outlet_id=caller.outlet_id if Role.OUTLET in caller.roles else None,
        household_id=caller.household_id if Role.RESIDENT in caller.roles else None,
    )


async def _may_read(
    session: AsyncSession, caller: Caller, portion: PortionRow, load: LoadRow, now: datetime
) -> bool:
    zones = await places_queries.find_zones(session, [load.zone_id])
    zone_path = zones[load.zone_id].path if load.zone_id in zones else ()
    relation = None
    if caller.person_id:
        duties = await crew_queries.find_duties(session, caller.person_id, since=now)
        if crew_domain.is_steward_of(
            duties, community_id=load.community_id, building_id=portion.building_id, at=now
        ):
            relation = Relation.BUILDING_STEWARD
    resource = Resource(
        path=domain.area_path(zone_path, load.zone_id, load.community_id, portion.building_id),
        household_id=portion.household_id,
    )
    return access.may(caller, Action.READ_LOAD, resource, relation)


async def _views(
    session: AsyncSession, caller: Caller, request: Request, found: Sequence[tuple[PortionRow, LoadRow]]
) -> list[PortionView]:
    marks: Marks = request.app.state.marks
    wrong = await queries.count_wrong_pins(session, [portion.portion_id for portion, _ in found])
    return [
        PortionView(
            portion_id=portion.portion_id,
            order_id=portion.order_id,
            load_id=portion.load_id,
            leg=domain.leg_of_portion(load.leg, Form(load.form), is_delivered=bool(portion.delivered_at)),
            is_empty=portion.is_empty,
            delivered_at=portion.delivered_at,
            pin=marks.pin_of(portion.portion_id) if _is_own(caller, portion) else None,
            pin_tries_left=max(0, PIN_TRIES - wrong.get(portion.portion_id, 0)),
        )
        for portion, load in found
    ]


def _is_own(caller: Caller, portion: PortionRow) -> bool:
    return Role.RESIDENT in caller.roles and caller.household_id == portion.household_id
