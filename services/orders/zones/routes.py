"""Zones over HTTP: prepared at leisure, activated by one call, watched until they open, then closed."""

from uuid import UUID

from fastapi import Response

from services.contracts import access
from services.contracts.access import Action, Resource
from services.contracts.values import MissingSupply, ZoneClass
from services.kit.http.application import make_router
from services.kit.http.idempotency import OnceOnly
from services.kit.http.pages import Page, PagingAsked
from services.kit.http.tokens import Caller
from services.kit.http.transactions import Now, Session
from services.orders.vault import MasterKey
from services.orders.zones import activation, application, queries
from services.orders.zones.activation import Call
from services.orders.zones.application import Preparation
from services.orders.zones.wire import (
    ActivateZone,
    AddSlots,
    AwaitsView,
    CloseZone,
    OpenWorkView,
    PinsView,
    PrepareZone,
    QuotaAsked,
    SlotsView,
    SlotView,
    ZoneAccepted,
    ZoneListed,
    ZoneView,
)

router = make_router("/zones")


@router.post("", response_model=ZoneAccepted, status_code=201)
async def prepare_zone(
    body: PrepareZone, caller: Caller, session: Session, now: Now, once: OnceOnly
) -> Response:
    """Prepare a zone of communities with its slots and its quota; nothing is told until it is activated."""
    access.require_somewhere(caller, Action.OPEN_ZONE)
    communities = await application.find_communities(session, body.community_ids)
    for community in communities:
        access.require(caller, Action.OPEN_ZONE, Resource(path=tuple(community.path)))
    wanted = Preparation(
        title=body.title,
        zone_class=body.zone_class,
        communities=communities,
        slots=[slot.new() for slot in body.slots],
        quota=body.quota.rule(),
    )
    zone_id = await application.prepare_zone(session, wanted, now=now)
    slots = await queries.list_slots(session, [zone_id])
    view = ZoneAccepted(zone_id=zone_id, status="prepared", slot_ids=[slot.slot_id for slot in slots])
    return await once.accept(view, location=f"/v1/zones/{zone_id}")


@router.get("")
async def list_zones(caller: Caller, session: Session, paging: PagingAsked) -> Page[ZoneListed]:
    """List zones."""
    access.require(caller, Action.READ_ZONE)
    rows = await queries.list_zones(session, after=paging.after, limit=paging.limit)
    return paging.page(rows, ZoneListed.of, row_id=lambda zone: zone.zone_id)


@router.get("/{zone_id}")
async def get_zone(zone_id: UUID, caller: Caller, session: Session, now: Now) -> ZoneView:
    """Show a zone: what it waits for before its channels open, what it lacks, what is still to come."""
    access.require(caller, Action.READ_ZONE)
    zone = await queries.get_zone(session, zone_id)
    readiness = await application.judge(session, [zone], now=now)
    quotas = await queries.find_quotas(session, [zone_id], now=now)
    buildings = await queries.list_buildings(session, [zone_id])
    pins = await queries.list_pins(session, zone_id)
    undecided, undelivered = await queries.count_open_work(session, zone_id)
    return ZoneView(
        **ZoneListed.of(zone).model_dump(),
        close_reason=zone.close_reason,
        next_class=ZoneClass(zone.next_class) if zone.next_class else None,
        open_work=OpenWorkView(undecided=undecided, undelivered=undelivered),
        community_ids=list(await queries.list_communities(session, zone_id)),
        quota=QuotaAsked(orders=quotas[zone_id].orders, units=quotas[zone_id].units),
        awaits=AwaitsView.of(readiness[zone_id]),
        missing=[MissingSupply.model_validate(lack) for lack in zone.missing],
        bare_building_ids=[building.building_id for building in buildings if building.is_bare],
        pinned=PinsView(outlets=pins.get("outlet", []), vehicles=pins.get("vehicle", [])),
    )


@router.get("/{zone_id}/slots")
async def list_slots(zone_id: UUID, caller: Caller, session: Session, now: Now) -> SlotsView:
    """Show a zone's slots with what is taken of each."""
    access.require(caller, Action.READ_ZONE)
    await queries.get_zone(session, zone_id)
    return SlotsView(slots=[SlotView.of(slot, now) for slot in await queries.list_slots(session, [zone_id])])


@router.post("/{zone_id}/slots", response_model=ZoneAccepted, status_code=201)
async def add_slots(  # noqa: PLR0913, PLR0917 - what the route needs, as FastAPI hands it over
    zone_id: UUID, body: AddSlots, caller: Caller, session: Session, now: Now, once: OnceOnly
) -> Response:
    """Give a zone the slots of further days; they open when dispatch has said what it can carry in them."""
    access.require_somewhere(caller, Action.OPEN_ZONE)
    zone = await queries.get_zone(session, zone_id, lock=True)
    access.require(caller, Action.OPEN_ZONE, Resource(path=tuple(zone.path)))
    slots = [slot.new() for slot in body.slots]
    application.require_slots(slots, now=now)
    await activation.add_slots(session, zone, slots, now=now)
    every = [slot.slot_id for slot in await queries.list_slots(session, [zone_id])]
    view = ZoneAccepted(zone_id=zone_id, status=zone.status, incident_id=zone.incident_id, slot_ids=every)
    return await once.accept(view, location=f"/v1/zones/{zone_id}/slots")


@router.post("/{zone_id}/activation", response_model=ZoneAccepted, status_code=202)
async def activate_zone(  # noqa: PLR0913, PLR0917 - what the route needs, as FastAPI hands it over
    zone_id: UUID,
    body: ActivateZone,
    caller: Caller,
    session: Session,
    now: Now,
    once: OnceOnly,
    master: MasterKey,
) -> Response:
    """Open a zone with one call; its channels open by themselves when all it waits for has come."""
    access.require_somewhere(caller, Action.OPEN_ZONE)
    zone = await queries.get_zone(session, zone_id, lock=True)
    access.require(caller, Action.OPEN_ZONE, Resource(path=tuple(zone.path)))
    call = Call(
        incident_id=body.incident_id,
        incident_title=body.incident_title,
        pinned_outlets=tuple(pinned.pin() for pinned in body.pinned_outlets),
        pinned_vehicles=tuple(pinned.pin() for pinned in body.pinned_vehicles),
        bare_building_ids=tuple(body.bare_building_ids),
    )
    incident_id = await activation.activate_zone(session, zone, call, master=master, now=now)
    # What it waits for may have come already: stewards stand beforehand.
    await application.open_ready(session, [zone_id], now=now)
    view = ZoneAccepted(zone_id=zone_id, status="activated", incident_id=incident_id)
    return await once.accept(view, status=202, location=f"/v1/zones/{zone_id}")


@router.post("/{zone_id}/closure", response_model=ZoneAccepted)
async def close_zone(  # noqa: PLR0913, PLR0917 - what the route needs, as FastAPI hands it over
    zone_id: UUID, body: CloseZone, caller: Caller, session: Session, now: Now, once: OnceOnly
) -> Response:
    """Take no more orders in a zone; what was confirmed is still delivered, what is undecided is refused."""
    access.require_somewhere(caller, Action.OPEN_ZONE)
    zone = await queries.get_zone(session, zone_id, lock=True)
    access.require(caller, Action.OPEN_ZONE, Resource(path=tuple(zone.path)))
    await activation.close_zone(session, zone, reason=body.reason, next_class=body.next_class, now=now)
    view = ZoneAccepted(zone_id=zone_id, status="closed", incident_id=zone.incident_id)
    return await once.accept(view, status=200)
