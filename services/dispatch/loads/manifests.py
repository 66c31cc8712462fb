"""What becomes of a group that travels in bulk: gathered, then packed once. Callers own the transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.orders import Form, GroupDecided, OrderConfirmed
from services.dispatch.fleet import queries as fleet_queries
from services.dispatch.loads import bulk, contents, domain, gathering, queries
from services.dispatch.loads.bulk import Consignment, Part
from services.dispatch.loads.domain import Packing, UnitLine
from services.kit.event import Arrived
from services.kit.ids import new_id

log = structlog.get_logger()

# So many parts are read at a time: what is done with them keeps the database waiting for tenths of a second.
PARTS_AT_ONCE: Final = 100


async def note_parts(session: AsyncSession, arrivals: Sequence[Arrived[OrderConfirmed]]) -> None:
    """Keep the parts of groups; one of which the last part has come is ready to be packed."""
    if not arrivals:
        return
    parts = [
        {
            **arrived.event.model_dump(mode="json", exclude={"form"}),
            "group_id": arrived.event.group_id,
            "confirmed_at": arrived.recorded_at,
        }
        for arrived in arrivals
    ]
    await gathering.keep_parts(session, parts)
    await gathering.mark_ready(session, {each.event.group_id for each in arrivals if each.event.group_id})


async def hear_words(session: AsyncSession, arrivals: Sequence[Arrived[GroupDecided]]) -> None:
    """Know how many parts groups have, and their rule; one that has them all is ready to be packed."""
    told = [arrived for arrived in arrivals if arrived.event.form is Form.BULK]
    if told:
        await gathering.hear(session, told)
        await gathering.mark_ready(session, {arrived.event.group_id for arrived in told})


async def pack_next(session: AsyncSession, now: datetime) -> int | None:
    """Pack one group that is ready; return how many loads it made, None where no group waits.

    Load by load: the database never waits long for what is computed, however large the group is.
    """
    group_id = await gathering.claim_ready(session, now)
    if group_id is None:
        return None
    place, parts = await _gather(session, group_id)
    limits = await queries.get_packing(session, now)
    packing = domain.fit_to(limits, await fleet_queries.list_working(session, now))
    made = 0
    for consignment in bulk.consign(parts, packing):
        load, units, portions = _rows_of(consignment, place, packing)
        await queries.insert_loads(session, [load])
        await queries.insert_contents(session, units, portions)
        made += 1
    log.info("manifest.packed", group_id=str(group_id), parts=len(parts), loads=made)
    return made


async def _gather(session: AsyncSession, group_id: UUID) -> tuple[Row[Any] | None, list[Part]]:
    """Return a group's parts, by outlet, and any of their rows: all are of one place."""
    parts: list[Part] = []
    last = None
    while rows := await gathering.list_parts(
        session, group_id, limit=PARTS_AT_ONCE, after=last.order_id if last else None
    ):
        parts.extend(part for row in rows for part in _parts_of(row))
        last = rows[-1]
    return last, parts


def _rows_of(
    consignment: Consignment, place: Any, packing: Packing
) -> tuple[contents.Row, list[contents.Row], list[contents.Row]]:
    """Return a load, its crates and its households' bags, and its portions.

    The bags are there beforehand, with what was promised: a hand-over at a door may be told before the split.
    """
    load_id = new_id()
    crates = contents.unit_rows(consignment.crates, load_id=load_id)
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


def _parts_of(row: Row[Any]) -> list[Part]:
    of_outlet: dict[str, list[UnitLine]] = {}
    for line in row.lines:
        of_outlet.setdefault(line["outlet_id"], []).append(contents.line_of(line))
    return [
        Part(
            order_id=row.order_id,
            household_id=row.household_id,
            building_id=row.building_id,
            outlet_id=UUID(outlet_id),
            confirmed_at=row.confirmed_at,
            lines=tuple(lines),
        )
        for outlet_id, lines in of_outlet.items()
    ]
