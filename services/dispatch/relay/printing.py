"""Who may print which labels: whoever has the text of one can prove a scan. Callers own the transaction.

An outlet prints what it packs: bags and crates. The bags into which a bulk load is split at its gate are
printed by who splits it there. The command prints all of it, and nobody else is to know that it is there.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts import access
from services.contracts.access import Action, Resource, Role
from services.contracts.orders import Form
from services.dispatch.loads import captions
from services.dispatch.loads import queries as loads_queries
from services.dispatch.loads.captions import Part, Wanted
from services.dispatch.loads.label import Caption
from services.dispatch.places import queries as places_queries
from services.dispatch.relay import permission, reading
from services.kit.caller import Caller
from services.kit.errors import NotFound


async def get_caption(session: AsyncSession, caller: Caller, load_unit_id: UUID, now: datetime) -> Caption:
    """Return what the label of a unit says."""
    unit = await loads_queries.find_unit(session, load_unit_id)
    if unit is None:
        raise _missing()
    portioned = await _find_printable(session, caller, unit.load_id, now)
    wanted = Wanted(load_id=unit.load_id, load_unit_id=load_unit_id, portioned=portioned)
    return (await _find(session, wanted, Part(1)))[0]


async def find_of_load(
    session: AsyncSession, caller: Caller, load_id: UUID, part: Part, now: datetime
) -> Sequence[Caption]:
    """Return what the labels of a load say, as far as they are the caller's to print."""
    portioned = await _find_printable(session, caller, load_id, now)
    return await _find(session, Wanted(load_id=load_id, portioned=portioned), part)


async def find_pick_list(
    session: AsyncSession, caller: Caller, slot_id: UUID, outlet_id: UUID, part: Part
) -> Sequence[Caption]:
    """Return what the labels say of everything that an outlet packs for a slot."""
    access.require_somewhere(caller, Action.HAND_OVER)
    zone_ids: tuple[UUID, ...] | None = None
    if not access.may(caller, Action.HAND_OVER, Resource(outlet_id=outlet_id)):
        is_command = Role.COMMANDER in caller.roles
        zone_ids = await places_queries.find_zones_within(session, caller.zone_ids) if is_command else ()
    wanted = Wanted(slot_id=slot_id, outlet_id=outlet_id, zone_ids=zone_ids)
    return await _find(session, wanted, part)


async def _find(session: AsyncSession, wanted: Wanted, part: Part) -> Sequence[Caption]:
    found = await captions.find(session, wanted, part)
    if not found:
        raise _missing()
    return found


async def _find_printable(
    session: AsyncSession, caller: Caller, load_id: UUID, now: datetime
) -> tuple[bool, ...]:
    """Return of a load's units which the caller may print: split at the gate (True), packed by the outlet."""
    load = await loads_queries.find_load(session, load_id)
    if load is None:
        raise _missing()
    zones = await places_queries.find_zones(session, [load.zone_id])
    path = zones[load.zone_id].path if load.zone_id in zones else ()
    packs = access.may(caller, Action.HAND_OVER, permission.resource_of(load, path))
    if load.form == Form.BAGGED:
        return (False,) if packs else ()
    tie = await reading.find_tie(session, caller, [load_id], now)
    splits = tie.may_split(load, path, now)
    return tuple(portioned for portioned, may in ((False, packs), (True, splits)) if may)


def _missing() -> NotFound:
    return NotFound("kit.not_found", "Nothing is found here")
