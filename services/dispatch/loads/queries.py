"""SQL of waves, loads, units and portions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, and_, false, or_, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from services.contracts.orders import Form, SlotClosed, ZoneOpened
from services.dispatch.loads.domain import Packing
from services.dispatch.loads.tables import LoadRow, LoadUnitRow, PortionRow
from services.dispatch.rows import to_json
from services.kit.event import Arrived

OPEN_WAVES = text("""
    INSERT INTO waves (slot_id, zone_id, incident_id, opened_sequence, starts_at, ends_at, cut_off_at)
    SELECT * FROM jsonb_to_recordset(CAST(:waves AS jsonb)) AS row (
        slot_id uuid, zone_id uuid, incident_id uuid, sequence bigint, starts_at timestamptz,
        ends_at timestamptz, cut_off_at timestamptz
    )
    ORDER BY slot_id
    ON CONFLICT (slot_id) DO UPDATE SET
        zone_id = excluded.zone_id, incident_id = excluded.incident_id,
        opened_sequence = excluded.opened_sequence, starts_at = excluded.starts_at,
        ends_at = excluded.ends_at, cut_off_at = excluded.cut_off_at
    WHERE waves.opened_sequence < excluded.opened_sequence
""")
CLOSE_WAVES = text("""
    INSERT INTO waves (slot_id, zone_id, incident_id, closed_sequence, expected)
    SELECT * FROM jsonb_to_recordset(CAST(:waves AS jsonb)) AS row (
        slot_id uuid, zone_id uuid, incident_id uuid, sequence bigint, confirmed integer
    )
    ORDER BY slot_id
    ON CONFLICT (slot_id) DO UPDATE SET
        closed_sequence = excluded.closed_sequence, expected = excluded.expected
    WHERE waves.closed_sequence < excluded.closed_sequence
""")
CONFIRM = text("""
    INSERT INTO carried_orders (order_id, slot_id, confirmed_sequence)
    SELECT * FROM unnest(
        CAST(:order_ids AS uuid[]), CAST(:slot_ids AS uuid[]), CAST(:sequences AS bigint[])
    ) AS row (order_id) ORDER BY order_id
    ON CONFLICT (order_id) DO UPDATE SET
        slot_id = excluded.slot_id, confirmed_sequence = excluded.confirmed_sequence
    WHERE carried_orders.confirmed_sequence < excluded.confirmed_sequence
    RETURNING order_id, ended_sequence > confirmed_sequence AS is_ended
""")
END = text("""
    INSERT INTO carried_orders (order_id, ended_sequence)
    SELECT * FROM unnest(CAST(:order_ids AS uuid[]), CAST(:sequences AS bigint[])) AS row (order_id)
    ORDER BY order_id
    ON CONFLICT (order_id) DO UPDATE SET ended_sequence = excluded.ended_sequence
    WHERE carried_orders.ended_sequence < excluded.ended_sequence
    RETURNING order_id, ended_sequence > confirmed_sequence AS is_ended
""")
INSERT_LOADS = text("""
    INSERT INTO loads (load_id, order_id, group_id, number, outlet_id, incident_id, zone_id, slot_id,
                       community_id, building_id, household_id, form, grams, pieces, confirmed_at,
                       withdrawn_at)
    SELECT load_id, order_id, group_id, coalesce(number, 1), outlet_id, incident_id, zone_id, slot_id,
           community_id, building_id, household_id, form, grams, pieces, confirmed_at, withdrawn_at
    FROM jsonb_to_recordset(CAST(:loads AS jsonb)) AS row (
        load_id uuid, order_id uuid, group_id uuid, number integer, outlet_id uuid, incident_id uuid,
        zone_id uuid, slot_id uuid, community_id uuid, building_id uuid, household_id uuid, form text,
        grams bigint, pieces integer, confirmed_at timestamptz, withdrawn_at timestamptz
    )
    ON CONFLICT DO NOTHING
    RETURNING load_id
""")
INSERT_UNITS = text("""
    INSERT INTO load_units (load_unit_id, load_id, portion_id, number, kind, grams, lines)
    SELECT * FROM jsonb_to_recordset(CAST(:units AS jsonb)) AS row (
        load_unit_id uuid, load_id uuid, portion_id uuid, number integer, kind text, grams bigint, lines jsonb
    )
""")
INSERT_PORTIONS = text("""
    INSERT INTO portions (portion_id, load_id, order_id, household_id, building_id)
    SELECT * FROM jsonb_to_recordset(CAST(:portions AS jsonb)) AS row (
        portion_id uuid, load_id uuid, order_id uuid, household_id uuid, building_id uuid
    )
""")
# In key order, as hand-overs lock them: loads, then their trips, so that none leaves with a load in between.
LOCK_UNTOUCHED = text("""
    SELECT load_id FROM loads
    WHERE order_id = ANY(CAST(:order_ids AS uuid[])) AND touched_at IS NULL AND withdrawn_at IS NULL
    ORDER BY load_id FOR UPDATE
""")
LOCK_TRIPS = text("""
    SELECT trip_id FROM trips WHERE trip_id IN (
        SELECT trip_id FROM trip_loads WHERE is_held AND load_id = ANY(CAST(:load_ids AS uuid[]))
    )
    ORDER BY trip_id FOR UPDATE
""")
# What has left its shop is carried to its door: by a scan, or by the word of its driver alone.
WITHDRAW = text("""
    UPDATE loads SET withdrawn_at = :now
    WHERE load_id = ANY(CAST(:load_ids AS uuid[])) AND NOT EXISTS (
        SELECT FROM trip_loads JOIN trips USING (trip_id)
        WHERE trip_loads.load_id = loads.load_id AND is_held
          AND (loaded_at IS NOT NULL OR departed_at IS NOT NULL)
    ) AND NOT EXISTS (
        SELECT FROM rescue_units WHERE rescue_units.load_id = loads.load_id AND settled_at IS NULL
    )
    RETURNING load_id
""")
# An order whose group is not packed yet is not there to be carried.
FIND_WAVES = text("""
    SELECT waves.*, (
        SELECT count(*) FROM carried_orders
        LEFT JOIN manifest_parts USING (order_id) LEFT JOIN manifests USING (group_id)
        WHERE carried_orders.slot_id = waves.slot_id AND confirmed_sequence > ended_sequence
          AND (manifests.group_id IS NULL OR packed_at IS NOT NULL)
    ) AS confirmed
    FROM waves WHERE slot_id = ANY(CAST(:slot_ids AS uuid[]))
""")
FIND_PACKING = text("""
    SELECT bag_g, crate_g, bulk_load_g, bulk_households FROM capacity_policies
    WHERE valid_from <= :now ORDER BY valid_from DESC LIMIT 1
""")
COUNT_WRONG_PINS = text("""
    SELECT portion_id, count(*) AS tries FROM wrong_pins
    WHERE portion_id = ANY(CAST(:portion_ids AS uuid[])) GROUP BY portion_id
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """Whose loads a caller may see in a list: of zones, doors, gates (in bulk), an outlet, a household."""

    zone_ids: tuple[UUID, ...] = ()
    community_ids: tuple[UUID, ...] = ()
    building_ids: tuple[UUID, ...] = ()
    gate_ids: tuple[UUID, ...] = ()
    outlet_id: UUID | None = None
    household_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFilter:
    """What a caller asks of the list of loads."""

    slot_id: UUID | None = None
    zone_id: UUID | None = None
    outlet_id: UUID | None = None


async def open_waves(session: AsyncSession, arrivals: Sequence[Arrived[ZoneOpened]]) -> None:
    """Know when each slot of a zone is, at the newest word."""
    waves = [
        {
            **slot.model_dump(),
            "zone_id": arrived.event.zone_id,
            "incident_id": arrived.event.incident_id,
            "sequence": arrived.sequence,
        }
        for arrived in arrivals
        for slot in arrived.event.slots
    ]
    await session.execute(OPEN_WAVES, {"waves": to_json(waves)})


async def close_waves(session: AsyncSession, arrivals: Sequence[Arrived[SlotClosed]]) -> None:
    """Know how many confirmed orders each slot has."""
    waves = [{**arrived.event.model_dump(), "sequence": arrived.sequence} for arrived in arrivals]
    await session.execute(CLOSE_WAVES, {"waves": to_json(waves)})


async def confirm_orders(session: AsyncSession, orders: Mapping[UUID, tuple[UUID, int]]) -> dict[UUID, bool]:
    """Note orders, their slots and sequences; return those of which it was news: whether they are ended."""
    given = {
        "order_ids": list(orders),
        "slot_ids": [slot_id for slot_id, _ in orders.values()],
        "sequences": [sequence for _, sequence in orders.values()],
    }
    return {row.order_id: row.is_ended for row in await session.execute(CONFIRM, given)}


async def end_orders(session: AsyncSession, orders: Mapping[UUID, int]) -> list[UUID]:
    """Note that orders are ended; return those that now are, and were confirmed before or will never be."""
    given = {"order_ids": list(orders), "sequences": list(orders.values())}
    return [row.order_id for row in await session.execute(END, given) if row.is_ended]


async def insert_loads(session: AsyncSession, loads: Sequence[Mapping[str, object]]) -> set[UUID]:
    """Write loads, leaving those orders and outlets that have theirs; return the ids of the new ones."""
    return set((await session.execute(INSERT_LOADS, {"loads": to_json(loads)})).scalars())


async def insert_contents(
    session: AsyncSession, units: Sequence[Mapping[str, object]], portions: Sequence[Mapping[str, object]]
) -> None:
    """Write what new loads consist of, and who gets it."""
    await session.execute(INSERT_PORTIONS, {"portions": to_json(portions)})
    await session.execute(INSERT_UNITS, {"units": to_json(units)})


async def withdraw(session: AsyncSession, order_ids: Sequence[UUID], now: datetime) -> list[UUID]:
    """Take back what has not left its shop, by scan or by word; return the loads."""
    found = await session.execute(LOCK_UNTOUCHED, {"order_ids": list(order_ids)})
    given = {"load_ids": list(found.scalars())}
    await session.execute(LOCK_TRIPS, given)
    return list((await session.execute(WITHDRAW, {**given, "now": now})).scalars())


async def get_packing(session: AsyncSession, now: datetime) -> Packing:
    """Return the limits that hold now; the first of them came with the tables."""
    row = (await session.execute(FIND_PACKING, {"now": now})).one()
    return Packing(**row._mapping)  # noqa: SLF001 - a row's public face


async def find_waves(session: AsyncSession, slot_ids: Iterable[UUID]) -> dict[UUID, Row[Any]]:
    """Return the waves of these slots, each with how many of its confirmed orders can be carried."""
    rows = await session.execute(FIND_WAVES, {"slot_ids": sorted(set(slot_ids))})
    return {row.slot_id: row for row in rows}


async def list_loads(
    session: AsyncSession, wanted: LoadFilter, sight: Sight, *, limit: int, after: UUID | None
) -> list[LoadRow]:
    """Return a page of the loads that a caller may see and asks for, one more than the limit."""
    visible = or_(
        col(LoadRow.zone_id).in_(sight.zone_ids) if sight.zone_ids else false(),
        col(LoadRow.community_id).in_(sight.community_ids) if sight.community_ids else false(),
        col(LoadRow.building_id).in_(sight.building_ids) if sight.building_ids else false(),
        and_(col(LoadRow.form) == Form.BULK, col(LoadRow.community_id).in_(sight.gate_ids)),
        col(LoadRow.outlet_id) == sight.outlet_id if sight.outlet_id else false(),
        col(LoadRow.household_id) == sight.household_id if sight.household_id else false(),
    )
    asked = select(LoadRow).where(visible).order_by(col(LoadRow.load_id)).limit(limit + 1)
    for column, value in (
        (LoadRow.slot_id, wanted.slot_id),
        (LoadRow.zone_id, wanted.zone_id),
        (LoadRow.outlet_id, wanted.outlet_id),
    ):
        if value is not None:
            asked = asked.where(col(column) == value)
    if after:
        asked = asked.where(col(LoadRow.load_id) > after)
    return list((await session.execute(asked)).scalars())


async def find_load(session: AsyncSession, load_id: UUID) -> LoadRow | None:
    """Return a load, None where there is none."""
    return await session.get(LoadRow, load_id)


async def find_unit(session: AsyncSession, load_unit_id: UUID) -> LoadUnitRow | None:
    """Return a load unit, None where there is none."""
    return await session.get(LoadUnitRow, load_unit_id)


async def find_units(session: AsyncSession, load_ids: Iterable[UUID]) -> dict[UUID, list[LoadUnitRow]]:
    """Return the units of loads, each load's by their numbers."""
    asked = (
        select(LoadUnitRow)
        .where(col(LoadUnitRow.load_id).in_(list(load_ids)))
        .order_by(col(LoadUnitRow.load_id), col(LoadUnitRow.number))
    )
    units: dict[UUID, list[LoadUnitRow]] = {}
    for unit in (await session.execute(asked)).scalars():
        units.setdefault(unit.load_id, []).append(unit)
    return units


async def find_portion(session: AsyncSession, portion_id: UUID) -> tuple[PortionRow, LoadRow] | None:
    """Return a portion with the load it is of, None where there is none."""
    asked = select(PortionRow, LoadRow).join(LoadRow, col(PortionRow.load_id) == col(LoadRow.load_id))
    row = (await session.execute(asked.where(col(PortionRow.portion_id) == portion_id))).one_or_none()
    return (row[0], row[1]) if row else None


async def list_portions(session: AsyncSession, order_id: UUID) -> list[tuple[PortionRow, LoadRow]]:
    """Return an order's portions, each with its load."""
    asked = (
        select(PortionRow, LoadRow)
        .join(LoadRow, col(PortionRow.load_id) == col(LoadRow.load_id))
        .where(col(PortionRow.order_id) == order_id)
        .order_by(col(PortionRow.portion_id))
    )
    return [(portion, load) for portion, load in await session.execute(asked)]


async def count_wrong_pins(session: AsyncSession, portion_ids: Iterable[UUID]) -> dict[UUID, int]:
    """Return how many wrong PINs were told for portions; those without any are not named."""
    rows = await session.execute(COUNT_WRONG_PINS, {"portion_ids": sorted(set(portion_ids))})
    return {row.portion_id: row.tries for row in rows}
