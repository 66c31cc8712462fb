"""Every SELECT and write of the zones' projection."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

import orjson
from pydantic import TypeAdapter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from services.catalog.market import market_day
from services.catalog.zones.domain import Gate, Zone
from services.catalog.zones.tables import ZoneRow
from services.contracts.orders import ZoneClosed, ZoneOpened
from services.contracts.values import OutletKind, Pin, ZoneClass
from services.kit.event import Arrived

# One zone's pins, gates and path are lists themselves: they travel as one JSON document a row.
OPEN = text("""
    INSERT INTO zones (zone_id, incident_id, sequence, is_open, title, zone_class, path, gates, pins,
                       needed_kinds, activated_at)
    SELECT zone_id, incident_id, sequence, true, title, zone_class, path, gates, pins, needed_kinds,
           activated_at
    FROM jsonb_to_recordset(CAST(:zones AS jsonb)) AS row (
        zone_id uuid, incident_id uuid, sequence bigint, title text, zone_class text, path uuid[],
        gates jsonb, pins jsonb, needed_kinds text[], activated_at timestamptz
    )
    ORDER BY zone_id
    ON CONFLICT (zone_id) DO UPDATE SET
        incident_id = excluded.incident_id, sequence = excluded.sequence, is_open = true,
        title = excluded.title, zone_class = excluded.zone_class, path = excluded.path,
        gates = excluded.gates, pins = excluded.pins, needed_kinds = excluded.needed_kinds,
        activated_at = excluded.activated_at
    WHERE zones.sequence < excluded.sequence
    RETURNING zone_id
""")
CLOSE = text("""
    INSERT INTO zones (zone_id, incident_id, sequence, is_open)
    SELECT zone_id, incident_id, sequence, false
    FROM unnest(CAST(:zone_ids AS uuid[]), CAST(:incident_ids AS uuid[]), CAST(:sequences AS bigint[]))
         AS row (zone_id, incident_id, sequence)
    ORDER BY zone_id
    ON CONFLICT (zone_id) DO UPDATE SET sequence = excluded.sequence, is_open = false
    WHERE zones.sequence < excluded.sequence
    RETURNING zone_id
""")
WRITE_SLOTS = text("""
    INSERT INTO slots (slot_id, zone_id, starts_at)
    SELECT slot_id, zone_id, starts_at
    FROM unnest(CAST(:slot_ids AS uuid[]), CAST(:zone_ids AS uuid[]), CAST(:starts AS timestamptz[]))
         AS row (slot_id, zone_id, starts_at)
    ORDER BY slot_id
    ON CONFLICT (slot_id) DO UPDATE SET starts_at = excluded.starts_at
""")
FIND_SLOTS = text("SELECT slot_id, starts_at FROM slots WHERE slot_id = ANY(CAST(:slot_ids AS uuid[]))")
GATES = TypeAdapter(tuple[Gate, ...])
PINS = TypeAdapter(tuple[Pin, ...])


async def write_opened(session: AsyncSession, arrivals: Sequence[Arrived[ZoneOpened]]) -> set[UUID]:
    """Write zones as opened, with their slots, and return those for which this is news."""
    zones = orjson.dumps([_document_of(arrived) for arrived in arrivals]).decode()
    fresh = set((await session.execute(OPEN, {"zones": zones})).scalars())
    slots = [
        (slot, arrived.event.zone_id)
        for arrived in arrivals
        if arrived.event.zone_id in fresh
        for slot in arrived.event.slots
    ]
    await session.execute(
        WRITE_SLOTS,
        {
            "slot_ids": [slot.slot_id for slot, _ in slots],
            "zone_ids": [zone_id for _, zone_id in slots],
            "starts": [slot.starts_at for slot, _ in slots],
        },
    )
    return fresh


async def write_closed(session: AsyncSession, arrivals: Sequence[Arrived[ZoneClosed]]) -> set[UUID]:
    """Write zones as closed and return those for which this is news."""
    closed = await session.execute(
        CLOSE,
        {
            "zone_ids": [arrived.event.zone_id for arrived in arrivals],
            "incident_ids": [arrived.event.incident_id for arrived in arrivals],
            "sequences": [arrived.sequence for arrived in arrivals],
        },
    )
    return set(closed.scalars())


async def find_zones(session: AsyncSession, zone_ids: Iterable[UUID]) -> Mapping[UUID, Zone]:
    """Return the zones that are known of these."""
    asked = select(ZoneRow).where(col(ZoneRow.zone_id).in_(list(zone_ids)))
    rows = await session.scalars(asked, execution_options={"populate_existing": True})
    return {row.zone_id: _zone_of(row) for row in rows}


async def find_days(session: AsyncSession, slot_ids: Iterable[UUID]) -> Mapping[UUID, date]:
    """Return the market's day on which each slot's goods are delivered; an unknown slot is left out."""
    rows = await session.execute(FIND_SLOTS, {"slot_ids": sorted(set(slot_ids))})
    return {row.slot_id: market_day(row.starts_at) for row in rows}


async def find_zone(session: AsyncSession, zone_id: UUID) -> Zone | None:
    """Return a zone, or None where none is known."""
    return (await find_zones(session, [zone_id])).get(zone_id)


def _document_of(arrived: Arrived[ZoneOpened]) -> dict[str, Any]:
    event = arrived.event
    gates = [
        Gate(position=one.gate, head_count=one.head_count, households=one.households)
        for one in event.communities
    ]
    return {
        "zone_id": event.zone_id,
        "incident_id": event.incident_id,
        "sequence": arrived.sequence,
        "title": event.title,
        "zone_class": event.zone_class,
        "path": event.path,
        "gates": GATES.dump_python(tuple(gates), mode="json"),
        "pins": PINS.dump_python(event.pinned_outlets, mode="json"),
        "needed_kinds": event.needed_kinds,
        "activated_at": event.activated_at,
    }


def _zone_of(row: ZoneRow) -> Zone:
    return Zone(
        zone_id=row.zone_id,
        incident_id=row.incident_id,
        is_open=row.is_open,
        zone_class=ZoneClass(row.zone_class) if row.zone_class else None,
        path=tuple(row.path),
        gates=GATES.validate_python(row.gates),
        pins=PINS.validate_python(row.pins),
        needed_kinds=tuple(OutletKind(kind) for kind in row.needed_kinds),
        activated_at=row.activated_at,
    )
