"""SQL of hand-overs, breaches and rescues."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.dispatch import Leg
from services.dispatch.relay.domain import Contents, HandOver, Moments
from services.dispatch.rows import to_json

# In key order. A weaker lock than FOR UPDATE: whoever only names a load in a row of his own need not wait.
LOCK_UNITS = text("""
    SELECT load_units.load_unit_id, load_units.kind, loads.*, portions.portion_id,
           portions.building_id AS door_building_id, portions.household_id AS door_household_id,
           zones.zone_class, zones.former_class, zones.class_since, zones.path
    FROM load_units JOIN loads USING (load_id)
    LEFT JOIN portions USING (portion_id)
    LEFT JOIN zones ON zones.zone_id = loads.zone_id
    WHERE load_unit_id = ANY(CAST(:load_unit_ids AS uuid[]))
    ORDER BY loads.load_id
    FOR NO KEY UPDATE OF loads
""")
FIND_OF_LOADS = text("""
    SELECT load_units.load_id, portion_id, hand_overs.* FROM load_units JOIN hand_overs USING (load_unit_id)
    WHERE load_units.load_id = ANY(CAST(:load_ids AS uuid[]))
""")
FIND_BY_IDS = text("SELECT * FROM hand_overs WHERE hand_over_id = ANY(CAST(:ids AS uuid[]))")
FIND_CONTENTS = text("""
    SELECT loads.load_id, split_at, split_by, load_unit_id, portion_id, portions.order_id,
           form = 'bagged' OR portion_id IS NULL AS is_carried, jsonb_array_length(lines) > 0 AS is_filled
    FROM load_units JOIN loads USING (load_id)
    LEFT JOIN (SELECT portion_id, order_id FROM portions) AS portions USING (portion_id)
    WHERE loads.load_id = ANY(CAST(:load_ids AS uuid[]))
""")
FIND_SPLITTERS = text("""
    SELECT load_id, split_by FROM loads
    WHERE load_id = ANY(CAST(:load_ids AS uuid[])) AND split_by IS NOT NULL
""")
FIND_WRONG_PINS = text("""
    SELECT portion_id, tried FROM wrong_pins WHERE portion_id = ANY(CAST(:portion_ids AS uuid[]))
""")
KEEP_WRONG_PINS = text("""
    INSERT INTO wrong_pins (portion_id, tried)
    SELECT * FROM unnest(CAST(:portion_ids AS uuid[]), CAST(:tried AS bytea[])) AS row (portion_id, tried)
    ON CONFLICT DO NOTHING
""")
FIND_DRIVERS = text("""
    SELECT load_id, driver_id FROM trip_loads JOIN trips USING (trip_id)
    WHERE is_held AND driver_id IS NOT NULL AND load_id = ANY(CAST(:load_ids AS uuid[]))
""")
INSERT = text("""
    INSERT INTO hand_overs (hand_over_id, load_unit_id, leg, giver_id, taker_id, lat, lon, occurred_at,
                            reckoned_at, clock_doubtful, recorded_at, recorded_by, proof, photo_sha256,
                            rescue_id, is_breach, is_degraded)
    SELECT hand_over_id, load_unit_id, leg, giver_id, taker_id, lat, lon, occurred_at,
           reckoned_at, clock_doubtful, :now, :recorded_by, proof, photo_sha256, rescue_id, is_breach,
           :is_degraded
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS row (
        hand_over_id uuid, load_unit_id uuid, leg smallint, giver_id uuid, taker_id uuid,
        lat double precision, lon double precision, occurred_at timestamptz, reckoned_at timestamptz,
        clock_doubtful boolean, proof text, photo_sha256 text, rescue_id uuid, is_breach boolean
    )
    ORDER BY hand_over_id
    ON CONFLICT DO NOTHING
    RETURNING hand_over_id
""")
OPEN_BREACHES = text("""
    INSERT INTO breaches (breach_id, hand_over_id, split_id, incident_id, zone_id, person_ids, reasons,
                          opened_at)
    SELECT breach_id, hand_over_id, split_id, incident_id, zone_id,
           ARRAY(SELECT CAST(id AS uuid) FROM jsonb_array_elements_text(person_ids) AS id), reasons, :now
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS row (
        breach_id uuid, hand_over_id uuid, split_id uuid, incident_id uuid, zone_id uuid, person_ids jsonb,
        reasons jsonb
    )
""")
MOVE = text("""
    UPDATE loads SET touched_at = row.touched_at, picked_up_at = row.picked_up_at,
        at_gate_at = row.at_gate_at, delivered_at = row.delivered_at, sequence = sequence + row.events
    FROM unnest(
        CAST(:load_ids AS uuid[]), CAST(:touched AS timestamptz[]), CAST(:picked_up AS timestamptz[]),
        CAST(:at_gate AS timestamptz[]), CAST(:delivered AS timestamptz[]), CAST(:events AS integer[])
    ) AS row (load_id, touched_at, picked_up_at, at_gate_at, delivered_at, events)
    WHERE loads.load_id = row.load_id
    RETURNING loads.load_id, sequence
""")
# Only where it differs: of a load in bulk each door tells of all the doors before it.
DELIVER = text("""
    WITH told AS (
        SELECT portion_id, incident_id, row.delivered_at, portions.delivered_at IS NULL AS is_news
        FROM unnest(CAST(:portion_ids AS uuid[]), CAST(:moments AS timestamptz[]))
            AS row (portion_id, delivered_at)
        JOIN portions USING (portion_id) JOIN loads USING (load_id)
        WHERE withdrawn_at IS NULL
    )
    UPDATE portions SET delivered_at = told.delivered_at, sequence = sequence + CAST(is_news AS integer)
    FROM told
    WHERE portions.portion_id = told.portion_id
      AND portions.delivered_at IS DISTINCT FROM told.delivered_at
    RETURNING portions.portion_id, order_id, incident_id, household_id, portions.delivered_at, sequence,
              is_news
""")
BREACHES = """
    SELECT breaches.*, coalesce(load_units.load_id, splits.load_id) AS load_id, load_unit_id, leg, giver_id,
           taker_id, coalesce(hand_overs.occurred_at, splits.occurred_at) AS occurred_at
    FROM breaches LEFT JOIN splits USING (split_id)
    LEFT JOIN hand_overs USING (hand_over_id) LEFT JOIN load_units USING (load_unit_id)
"""
LIST_BREACHES = text(f"""
    {BREACHES}
    WHERE (CAST(:zone_ids AS uuid[]) IS NULL OR zone_id = ANY(CAST(:zone_ids AS uuid[])))
      AND (NOT CAST(:only_open AS boolean) OR closed_at IS NULL)
      AND (CAST(:after AS uuid) IS NULL OR breach_id > :after)
    ORDER BY breach_id LIMIT :limit
""")
LOCK_BREACH = text(f"{BREACHES} WHERE breach_id = :breach_id FOR UPDATE OF breaches")
CLOSE_BREACH = text("""
    UPDATE breaches SET closed_at = :now, closed_by = :closed_by, reason = :reason
    WHERE breach_id = :breach_id
""")


async def lock_units(session: AsyncSession, load_unit_ids: Iterable[UUID]) -> dict[UUID, Row[Any]]:
    """Hold the loads of these units until the transaction ends; return each unit with its load and zone."""
    found = await session.execute(LOCK_UNITS, {"load_unit_ids": sorted(set(load_unit_ids))})
    return {row.load_unit_id: row for row in found}


async def find_of_loads(session: AsyncSession, load_ids: Iterable[UUID]) -> dict[UUID, list[HandOver]]:
    """Return every hand-over of loads, by load."""
    found: dict[UUID, list[HandOver]] = {}
    for row in await session.execute(FIND_OF_LOADS, {"load_ids": sorted(set(load_ids))}):
        found.setdefault(row.load_id, []).append(_hand_over_of(row))
    return found


async def find_by_ids(session: AsyncSession, ids: Iterable[UUID]) -> dict[UUID, HandOver]:
    """Return those hand-overs that are recorded already."""
    rows = await session.execute(FIND_BY_IDS, {"ids": sorted(set(ids))})
    return {row.hand_over_id: _hand_over_of(row) for row in rows}


async def list_rows_of_load(session: AsyncSession, load_id: UUID) -> list[Row[Any]]:
    """Return a load's hand-overs with all that was noted."""
    return list(await session.execute(FIND_OF_LOADS, {"load_ids": [load_id]}))


async def find_contents(session: AsyncSession, load_ids: Iterable[UUID]) -> dict[UUID, Contents]:
    """Return what loads consist of."""
    units: dict[UUID, list[Row[Any]]] = {}
    for row in await session.execute(FIND_CONTENTS, {"load_ids": sorted(set(load_ids))}):
        units.setdefault(row.load_id, []).append(row)
    return {load_id: _contents_of(each) for load_id, each in units.items()}


async def find_splitters(session: AsyncSession, load_ids: Iterable[UUID]) -> dict[UUID, frozenset[UUID]]:
    """Return who split loads, for those that are split."""
    rows = await session.execute(FIND_SPLITTERS, {"load_ids": sorted(set(load_ids))})
    return {row.load_id: frozenset({row.split_by}) for row in rows}


async def find_wrong_pins(session: AsyncSession, portion_ids: Iterable[UUID]) -> dict[UUID, set[bytes]]:
    """Return what was wrongly told for portions."""
    found: dict[UUID, set[bytes]] = {}
    for row in await session.execute(FIND_WRONG_PINS, {"portion_ids": sorted(set(portion_ids))}):
        found.setdefault(row.portion_id, set()).add(row.tried)
    return found


async def keep_wrong_pins(session: AsyncSession, wrong: Mapping[UUID, Iterable[bytes]]) -> None:
    """Count wrong PINs, each once."""
    tries = [(portion_id, tried) for portion_id, each in wrong.items() for tried in sorted(each)]
    given = {"portion_ids": [portion for portion, _ in tries], "tried": [tried for _, tried in tries]}
    await session.execute(KEEP_WRONG_PINS, given)


async def find_drivers(session: AsyncSession, load_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Return the drivers on whose trips loads are."""
    rows = await session.execute(FIND_DRIVERS, {"load_ids": sorted(set(load_ids))})
    return {row.load_id: row.driver_id for row in rows}


async def insert_hand_overs(
    session: AsyncSession,
    rows: Sequence[Mapping[str, object]],
    now: datetime,
    *,
    recorded_by: str,
    is_degraded: bool,
) -> set[UUID]:
    """Record hand-overs; return the ids of those that nobody has recorded in this very moment."""
    given = {"rows": to_json(rows), "now": now, "recorded_by": recorded_by, "is_degraded": is_degraded}
    return set((await session.execute(INSERT, given)).scalars())


async def open_breaches(session: AsyncSession, rows: Sequence[Mapping[str, object]], now: datetime) -> None:
    """Open a breach for each hand-over or split that was not as it should be."""
    await session.execute(OPEN_BREACHES, {"rows": to_json(rows), "now": now})


async def move_loads(
    session: AsyncSession, moments: Mapping[UUID, Moments], events: Mapping[UUID, int]
) -> dict[UUID, int]:
    """Write what loads have become, each `events` sequences further; return their last sequences."""
    given = {
        "load_ids": list(moments),
        "touched": [each.touched_at for each in moments.values()],
        "picked_up": [each.at(Leg.PICK_UP) for each in moments.values()],
        "at_gate": [each.at(Leg.GATE) for each in moments.values()],
        "delivered": [each.at(Leg.DOOR) for each in moments.values()],
        "events": [events.get(load_id, 0) for load_id in moments],
    }
    return {row.load_id: row.sequence for row in await session.execute(MOVE, given)}


async def deliver_portions(session: AsyncSession, moments: Mapping[UUID, datetime]) -> list[Row[Any]]:
    """Write when households had their portions; return those portions of which it is news."""
    given = {"portion_ids": list(moments), "moments": list(moments.values())}
    return [row for row in await session.execute(DELIVER, given) if row.is_news]


async def list_breaches(
    session: AsyncSession, zone_ids: Sequence[UUID] | None, *, only_open: bool, limit: int, after: UUID | None
) -> list[Row[Any]]:
    """Return a page of the breaches of zones (None: of all), one more than the limit."""
    given = {"zone_ids": zone_ids, "only_open": only_open, "limit": limit + 1, "after": after}
    return list(await session.execute(LIST_BREACHES, given))


async def lock_breach(session: AsyncSession, breach_id: UUID) -> Row[Any] | None:
    """Hold a breach until the transaction ends, None where there is none."""
    return (await session.execute(LOCK_BREACH, {"breach_id": breach_id})).one_or_none()


async def close_breach(
    session: AsyncSession, breach_id: UUID, now: datetime, *, closed_by: str, reason: str
) -> None:
    """Write who closed a breach, and why."""
    given = {"breach_id": breach_id, "now": now, "closed_by": closed_by, "reason": reason}
    await session.execute(CLOSE_BREACH, given)


def _hand_over_of(row: Row[Any]) -> HandOver:
    return HandOver(
        hand_over_id=row.hand_over_id,
        load_unit_id=row.load_unit_id,
        leg=Leg(row.leg),
        giver_id=row.giver_id,
        taker_id=row.taker_id,
        occurred_at=row.occurred_at,
        reckoned_at=row.reckoned_at,
        clock_doubtful=row.clock_doubtful,
        is_breach=row.is_breach,
    )


def _contents_of(units: Sequence[Row[Any]]) -> Contents:
    bags: dict[UUID, set[UUID]] = {unit.portion_id: set() for unit in units if unit.portion_id}
    spare: dict[UUID, set[UUID]] = {portion_id: set() for portion_id in bags}
    for unit in units:
        if unit.portion_id:
            (bags if unit.is_filled else spare)[unit.portion_id].add(unit.load_unit_id)
    return Contents(
        carried=frozenset(unit.load_unit_id for unit in units if unit.is_carried),
        bags={portion_id: frozenset(each) for portion_id, each in bags.items()},
        spare={portion_id: frozenset(each) for portion_id, each in spare.items()},
        order_ids=tuple(sorted({unit.order_id for unit in units if unit.order_id})),
        split_at=units[0].split_at,
        split_by=units[0].split_by,
    )
