"""Opening and closing a zone: what is checked, what is written, what the others are told."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.orders import AreaLevel, ZoneClosed, ZoneOpened
from services.contracts.values import Community, OutletKind, Pin, Slot, ZoneClass
from services.kit import outbox, vault
from services.kit.errors import Conflict, Fault, Rejected
from services.kit.ids import new_id
from services.kit.vault import Master
from services.orders.register import application as register
from services.orders.register import queries as register_queries
from services.orders.register.tables import AreaRow
from services.orders.zones import changes, queries
from services.orders.zones.changes import NewSlot
from services.orders.zones.tables import IncidentRow, SlotRow, ZoneRow

TITLES: Final = {
    "orders.gate_missing": "A community of the zone has no gate where goods can be handed over",
    "orders.community_in_other_zone": "A community of the zone lies in another active zone",
    "orders.building_not_in_zone": "A bare building does not belong to the zone",
    "orders.incident_unknown": "There is no such incident to join",
    "orders.incident_closed": "The incident is closed",
    "orders.supply_policy_missing": "No valid policy says which kinds of outlets such a zone needs",
    "orders.zone_class_unchanged": "The zone's communities are under this class already",
    "orders.zone_too_large": "The zone is too large to be told of at once; make several",
}
# What an event may hold is 64 KB; the rest is left to its envelope.
LARGEST_EVENT: Final = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The call to open: an incident (an id joins one, a title makes one), what is pinned, what is bare."""

    incident_id: UUID | None
    incident_title: str | None
    pinned_outlets: tuple[Pin, ...]
    pinned_vehicles: tuple[Pin, ...]
    bare_building_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a zone stands on, found fit to be opened."""

    community_ids: Sequence[UUID]
    communities: Sequence[AreaRow]
    buildings: Sequence[AreaRow]
    households: Mapping[UUID, int]
    slots: Sequence[SlotRow]
    needed_kinds: tuple[OutletKind, ...]
    incident: IncidentRow | None


async def activate_zone(
    session: AsyncSession, zone: ZoneRow, call: Call, *, master: Master, now: datetime
) -> UUID:
    """Seal a locked zone's communities and tell the others; return the incident it belongs to."""
    if zone.status != "prepared":
        raise Conflict("orders.zone_already_activated", "The zone was activated before")
    ground = await _survey(session, zone, call, now)
    incident_id = (
        ground.incident.incident_id
        if ground.incident
        else await _make_incident(session, zone, call, master, now)
    )
    pinned = (call.pinned_outlets, call.pinned_vehicles)
    opened = _tell_zone(zone, pinned, ground, incident_id=incident_id, activated_at=now)

    sequence = await changes.activate(session, zone, incident_id, now=now)
    bare = set(call.bare_building_ids)
    buildings = [(building.area_id, building.area_id in bare) for building in ground.buildings]
    await changes.keep_buildings(session, zone.zone_id, buildings)
    await changes.keep_pins(session, zone.zone_id, "outlet", call.pinned_outlets)
    await changes.keep_pins(session, zone.zone_id, "vehicle", call.pinned_vehicles)
    await register.seal_areas(session, ground.community_ids, opened.zone_class)
    await outbox.add(session, opened, sequence=sequence)
    return incident_id


async def add_slots(session: AsyncSession, zone: ZoneRow, slots: Sequence[NewSlot], *, now: datetime) -> None:
    """Give a locked zone the slots of further days; of an active one the others are told anew, whole."""
    if zone.status == "closed":
        raise Conflict("orders.zone_closed", "The zone is closed already")
    await changes.insert_slots(session, zone.zone_id, slots)
    if zone.incident_id is None or zone.activated_at is None:
        return
    sequence = await changes.adopt_slots(session, zone.zone_id)
    ground = await _look(session, zone, incident_id=zone.incident_id, now=now)
    pins = await queries.list_pins(session, zone.zone_id)
    told = _tell_zone(
        zone,
        (tuple(pins.get("outlet", ())), tuple(pins.get("vehicle", ()))),
        replace(ground, slots=[slot for slot in ground.slots if slot.ends_at > now]),
        incident_id=zone.incident_id,
        activated_at=zone.activated_at,
    )
    await outbox.add(session, told, sequence=sequence)


async def close_zone(
    session: AsyncSession, zone: ZoneRow, *, reason: str, next_class: ZoneClass | None, now: datetime
) -> None:
    """Take no more orders in a locked zone; its communities pass into another class, or are free.

    What is confirmed comes; what is undecided the clock refuses.
    """
    if zone.status == "prepared" or zone.incident_id is None:
        raise Conflict("orders.zone_not_activated", "The zone was never activated")
    if zone.status == "closed":
        raise Conflict("orders.zone_closed", "The zone is closed already")
    if next_class == zone.zone_class:
        _refuse([Fault("/next_class", "orders.zone_class_unchanged", {"zone_class": next_class})])
    community_ids = await queries.list_communities(session, zone.zone_id)
    sequence = await changes.close(session, zone, reason=reason, next_class=next_class, now=now)
    await register.seal_areas(session, community_ids, next_class)
    closed = ZoneClosed(zone_id=zone.zone_id, incident_id=zone.incident_id, zone_class=next_class)
    await outbox.add(session, closed, sequence=sequence)


async def _survey(session: AsyncSession, zone: ZoneRow, call: Call, now: datetime) -> Ground:
    """Lock the tree and look at what it stands on; raise `Rejected` naming all that is unfit."""
    # Locked first: of two zones that want the same community, the second sees the first.
    await register_queries.lock_tree(session)
    ground = await _look(session, zone, incident_id=call.incident_id, now=now)
    kinds = ground.needed_kinds
    _refuse(
        [
            *_gate_faults(ground.communities),
            *await _sealed_elsewhere(session, ground.community_ids),
            *_bare_faults(call, ground.buildings),
            *_incident_faults(call, ground.incident),
            *(() if kinds else [Fault("", "orders.supply_policy_missing", {"zone_class": zone.zone_class})]),
        ]
    )
    return ground


async def _look(session: AsyncSession, zone: ZoneRow, *, incident_id: UUID | None, now: datetime) -> Ground:
    community_ids = await queries.list_communities(session, zone.zone_id)
    kinds = await queries.find_needed_kinds(session, zone.zone_class, now=now)
    return Ground(
        community_ids=community_ids,
        communities=await register_queries.find_areas(session, ids=community_ids),
        buildings=await register_queries.list_children(session, community_ids, level=AreaLevel.BUILDING),
        households=await queries.count_households(session, community_ids),
        slots=await queries.list_slots(session, [zone.zone_id]),
        needed_kinds=tuple(OutletKind(kind) for kind in kinds or ()),
        incident=await queries.find_incident(session, incident_id, lock=True) if incident_id else None,
    )


async def _make_incident(
    session: AsyncSession, zone: ZoneRow, call: Call, master: Master, now: datetime
) -> UUID:
    incident_id = new_id()
    title = call.incident_title or zone.title
    session.add(
        IncidentRow(incident_id=incident_id, title=title, status="open", opened_at=now, closed_at=None)
    )
    await session.flush()
    await vault.make_keys(session, master, [incident_id])
    return incident_id


def _refuse(faults: Sequence[Fault]) -> None:
    """Raise one refusal with every fault named; its code is the first one's."""
    if faults:
        raise Rejected(faults[0].code, TITLES[faults[0].code], faults=faults)


def _gate_faults(communities: Iterable[AreaRow]) -> Iterable[Fault]:
    for community in communities:
        if community.gate is None:
            facts = {"community_id": community.area_id, "title": community.title}
            yield Fault("", "orders.gate_missing", facts)


async def _sealed_elsewhere(session: AsyncSession, community_ids: Sequence[UUID]) -> Sequence[Fault]:
    sealings = await queries.find_sealings(session, community_ids)
    return [
        Fault(
            "",
            "orders.community_in_other_zone",
            {"community_id": community_id, "zone_id": sealing.zone_id},
        )
        for community_id, sealing in sorted(sealings.items())
    ]


def _bare_faults(call: Call, buildings: Iterable[AreaRow]) -> Iterable[Fault]:
    known = {building.area_id for building in buildings}
    for place, building_id in enumerate(call.bare_building_ids):
        if building_id not in known:
            yield Fault(f"/bare_building_ids/{place}", "orders.building_not_in_zone")


def _incident_faults(call: Call, incident: IncidentRow | None) -> Iterable[Fault]:
    if call.incident_id and incident is None:
        yield Fault("/incident_id", "orders.incident_unknown")
    if incident and incident.status == "closed":
        yield Fault("/incident_id", "orders.incident_closed")


def _tell_zone(
    zone: ZoneRow,
    pinned: tuple[tuple[Pin, ...], tuple[Pin, ...]],
    ground: Ground,
    *,
    incident_id: UUID,
    activated_at: datetime,
) -> ZoneOpened:
    """Return the whole of a zone as the others are told; raise `Rejected` where that is too much."""
    outlets, vehicles = pinned
    told = ZoneOpened(
        zone_id=zone.zone_id,
        incident_id=incident_id,
        title=zone.title,
        zone_class=ZoneClass(zone.zone_class),
        path=tuple(zone.path),
        communities=_tell_communities(ground),
        slots=tuple(map(_tell_slot, ground.slots)),
        needed_kinds=ground.needed_kinds,
        pinned_outlets=outlets,
        pinned_vehicles=vehicles,
        activated_at=activated_at,
    )
    if len(told.model_dump_json().encode()) > LARGEST_EVENT:
        _refuse([Fault("", "orders.zone_too_large", {"buildings": len(ground.buildings)})])
    return told


def _tell_communities(ground: Ground) -> tuple[Community, ...]:
    below: dict[UUID | None, list[UUID]] = {}
    for building in ground.buildings:
        below.setdefault(building.parent_id, []).append(building.area_id)
    return tuple(
        Community(
            community_id=community.area_id,
            name=community.title,
            gate=community.gate,
            head_count=community.head_count,
            households=ground.households.get(community.area_id, 0),
            building_ids=tuple(below.get(community.area_id, ())),
        )
        for community in ground.communities
        if community.gate
    )


def _tell_slot(slot: SlotRow) -> Slot:
    return Slot(
        slot_id=slot.slot_id, starts_at=slot.starts_at, ends_at=slot.ends_at, cut_off_at=slot.cut_off_at
    )
