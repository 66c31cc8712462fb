"""What becomes of a group that travels in bulk: gathered, then packed once. Callers own the transaction."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.orders import Form, GroupDecided, OrderConfirmed
from services.contracts.values import GivenLine
from services.dispatch.loads import bulk, contents, gathering, queries
from services.dispatch.loads.bulk import Consignment, Part
from services.dispatch.loads.domain import Packing
from services.kit.event import Arrived
from services.kit.ids import new_id

log = structlog.get_logger()


async def note_parts(
    session: AsyncSession, arrivals: Sequence[Arrived[OrderConfirmed]], packing: Packing, now: datetime
) -> list[UUID]:
    """Keep the parts of groups; return the loads of those groups of which the last part has come."""
    if not arrivals:
        return []
    parts = [
        {
            **arrived.event.model_dump(mode="json", exclude={"form"}),
            "group_id": arrived.event.group_id,
            "confirmed_at": arrived.recorded_at,
        }
        for arrived in arrivals
    ]
    await gathering.keep_parts(session, parts)
    group_ids = {arrived.event.group_id for arrived in arrivals if arrived.event.group_id}
    return await _pack_ready(session, group_ids, packing, now)


async def hear_words(
    session: AsyncSession, arrivals: Sequence[Arrived[GroupDecided]], now: datetime
) -> list[UUID]:
    """Know how many parts groups have, and their rule; return the loads of those that are all there."""
    told = [arrived for arrived in arrivals if arrived.event.form is Form.BULK]
    if not told:
        return []
    await gathering.hear(session, told)
    packing = await queries.get_packing(session, now)
    return await _pack_ready(session, {arrived.event.group_id for arrived in told}, packing, now)


async def _pack_ready(
    session: AsyncSession, group_ids: Iterable[UUID], packing: Packing, now: datetime
) -> list[UUID]:
    ready = await gathering.pack(session, group_ids, now)
    if not ready:
        return []
    found = await gathering.find_parts(session, ready)
    loads: list[contents.Row] = []
    units: list[contents.Row] = []
    portions: list[contents.Row] = []
    for group_id in ready:
        rows = found.get(group_id, [])
        for consignment in bulk.consign(map(_part_of, rows), packing):
            load, of_load, for_households = _rows_of(consignment, rows[0], packing)
            loads.append(load)
            units.extend(of_load)
            portions.extend(for_households)
        log.info("manifest.packed", group_id=str(group_id), parts=len(rows))
    made = await queries.insert_loads(session, loads)
    await queries.insert_contents(session, units, portions)
    return sorted(made)


def _rows_of(
    consignment: Consignment, place: Row[Any], packing: Packing
) -> tuple[contents.Row, list[contents.Row], list[contents.Row]]:
    """Return a load, its crates and its households' bags, and its portions.

    The bags are there beforehand, with what was promised: a hand-over at a door may be told before the split.
    """
    load_id = new_id()
    crates = contents.unit_rows(bulk.fill_crates(consignment.parts, crate_g=packing.crate_g), load_id=load_id)
    bags: list[contents.Row] = []
    portions = []
    for part in consignment.parts:
        portion = contents.portion_row(
            load_id=load_id,
            order_id=part.order_id,
            household_id=part.household_id,
            building_id=part.building_id,
        )
        portions.append(portion)
        first = len(crates) + len(bags) + 1
        bags.extend(contents.bag_rows(portion, part.lines, bag_g=packing.bag_g, first=first))
    load: contents.Row = {
        "load_id": load_id,
        "group_id": place.group_id,
        "number": consignment.number,
        "outlet_id": consignment.outlet_id,
        "incident_id": place.incident_id,
        "zone_id": place.zone_id,
        "slot_id": place.slot_id,
        "community_id": place.community_id,
        "form": Form.BULK,
        "grams": sum(part.grams for part in consignment.parts),
        "pieces": len(crates),
        "confirmed_at": consignment.confirmed_at,
    }
    return load, [*crates, *bags], portions


def _part_of(row: Row[Any]) -> Part:
    return Part(
        order_id=row.order_id,
        household_id=row.household_id,
        building_id=row.building_id,
        confirmed_at=row.confirmed_at,
        lines=tuple(GivenLine.model_validate(line) for line in row.lines),
    )
