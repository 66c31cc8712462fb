"""SQL of who has what in hand: load units, for one may be delivered while the next is on the road."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.dispatch import Leg
from services.contracts.values import Point
from services.dispatch.rescues.domain import InHand, StrandedUnit

# A unit is rescued once from the hands that hold it.
FROM_THOSE_HANDS = """
    SELECT FROM rescue_units WHERE rescue_units.load_unit_id = held.load_unit_id
      AND rescue_units.holder_id = held.holder_id AND settled_at IS NULL
"""
# A unit's holder is the taker of its last hand-over: by leg, then by the moment that counts (`relay.domain`).
# Of a load that was split, the crates are empty, and bags of which all was lost. Each other bag is with who
# split it until it is handed over, or its portion came in another.
FIND_IN_HAND = text("""
    WITH touched AS (
        SELECT load_unit_id FROM hand_overs WHERE leg < 3 AND taker_id = ANY(CAST(:person_ids AS uuid[]))
        UNION
        SELECT load_unit_id FROM splits JOIN load_units USING (load_id)
        WHERE steward_id = ANY(CAST(:person_ids AS uuid[])) AND portion_id IS NOT NULL
    )
    SELECT load_unit_id, load_id, coalesce(taker_id, split_by) AS holder_id, coalesce(last.leg, 2) AS leg,
           community_id
    FROM touched JOIN load_units USING (load_unit_id) JOIN loads USING (load_id) LEFT JOIN LATERAL (
        SELECT leg, taker_id FROM hand_overs WHERE hand_overs.load_unit_id = touched.load_unit_id
        ORDER BY leg DESC, reckoned_at DESC, hand_over_id DESC LIMIT 1
    ) AS last ON true
    WHERE coalesce(last.leg, 2) < 3 AND (split_at IS NULL OR portion_id IS NOT NULL AND lines <> '[]')
      AND coalesce(taker_id, split_by) = ANY(CAST(:person_ids AS uuid[]))
      AND NOT EXISTS (
          SELECT FROM portions WHERE portions.portion_id = load_units.portion_id AND delivered_at IS NOT NULL
      )
""")
# What is on board though no scan has told it: the driver said that the trip leaves with all its loads.
FIND_BY_WORD = text("""
    SELECT DISTINCT load_unit_id, load_units.load_id, driver_id AS holder_id, 1 AS leg
    FROM unnest(CAST(:load_ids AS uuid[]), CAST(:holder_ids AS uuid[])) AS asked (load_id, holder_id)
    JOIN trip_loads USING (load_id) JOIN trips ON trips.trip_id = trip_loads.trip_id
      AND driver_id = holder_id AND status = 'stranded' AND (departed_at IS NOT NULL OR loaded_at IS NOT NULL)
    JOIN load_units ON load_units.load_id = asked.load_id
    JOIN loads ON loads.load_id = asked.load_id AND (form = 'bagged' OR portion_id IS NULL)
    WHERE NOT EXISTS (SELECT FROM hand_overs WHERE hand_overs.load_unit_id = load_units.load_unit_id)
""")
FIND_STRANDED = text(f"""
    SELECT held.*, incident_id, zone_id, loads.community_id, vehicle_id, seen.lat AS seen_lat,
           seen.lon AS seen_lon, seen_at, usual.lat AS usual_lat, usual.lon AS usual_lon
    FROM unnest(
        CAST(:load_unit_ids AS uuid[]), CAST(:load_ids AS uuid[]), CAST(:holder_ids AS uuid[]),
        CAST(:legs AS smallint[])
    ) AS held (load_unit_id, load_id, holder_id, leg)
    JOIN loads USING (load_id)
    LEFT JOIN LATERAL (
        SELECT vehicle_id FROM trip_loads JOIN trips USING (trip_id)
        WHERE trip_loads.load_id = held.load_id AND driver_id = held.holder_id
        ORDER BY EXISTS (
            SELECT FROM hand_overs JOIN trip_seats ON seated_at <= reckoned_at
            WHERE hand_overs.load_unit_id = held.load_unit_id AND taker_id = held.holder_id
              AND trip_seats.trip_id = trips.trip_id AND trip_seats.driver_id = held.holder_id
        ) DESC, trip_id DESC LIMIT 1
    ) AS ridden ON true
    LEFT JOIN LATERAL (
        SELECT lat, lon, reckoned_at AS seen_at FROM hand_overs
        WHERE hand_overs.load_unit_id = held.load_unit_id AND lat IS NOT NULL
        ORDER BY leg DESC, reckoned_at DESC LIMIT 1
    ) AS seen ON true
    LEFT JOIN LATERAL (
        (SELECT lat, lon FROM outlets WHERE held.leg = 1 AND outlets.outlet_id = loads.outlet_id
         ORDER BY is_assigned DESC, zone_id LIMIT 1)
        UNION ALL
        (SELECT lat, lon FROM served_communities JOIN work_sites USING (site_id)
         WHERE held.leg = 2 AND served_communities.community_id = loads.community_id)
        UNION ALL
        (SELECT gate_lat, gate_lon FROM communities
         WHERE held.leg = 2 AND communities.community_id = loads.community_id ORDER BY zone_id LIMIT 1)
        LIMIT 1
    ) AS usual ON true
    WHERE NOT EXISTS ({FROM_THOSE_HANDS})
    ORDER BY held.load_unit_id
""")  # noqa: S608 - the condition is ours
# Work in a zone of a class for which its person is not cleared now; a zone not heard of is of the strictest.
FIND_OUTSIDE = text("""
    SELECT DISTINCT person_id FROM (
        SELECT driver_id AS person_id, unnest(zone_ids) AS zone_id FROM trips
        WHERE status IN ('planned', 'departed') AND driver_id = ANY(CAST(:person_ids AS uuid[]))
          AND EXISTS (SELECT FROM trip_loads JOIN loads USING (load_id)
                      WHERE trip_loads.trip_id = trips.trip_id AND is_held AND withdrawn_at IS NULL
                        AND at_gate_at IS NULL AND delivered_at IS NULL)
        UNION
        SELECT holder_id, zone_id
        FROM unnest(CAST(:load_ids AS uuid[]), CAST(:holder_ids AS uuid[])) AS held (load_id, holder_id)
        JOIN loads USING (load_id)
    ) AS work JOIN crew USING (person_id) LEFT JOIN zones USING (zone_id)
    WHERE coalesce(:now >= CASE zone_class
        WHEN 'precaution' THEN precaution_until WHEN 'controlled' THEN controlled_until ELSE sealed_until
    END, true)
""")
# Who drives to zones, or has had goods for them in hand.
LIST_AT_WORK = text("""
    SELECT driver_id FROM trips
    WHERE status IN ('planned', 'departed') AND zone_ids && CAST(:zone_ids AS uuid[])
    UNION
    SELECT taker_id FROM hand_overs JOIN load_units USING (load_unit_id) JOIN loads USING (load_id)
    WHERE hand_overs.leg < 3 AND delivered_at IS NULL AND zone_id = ANY(CAST(:zone_ids AS uuid[]))
    UNION
    SELECT split_by FROM loads
    WHERE split_by IS NOT NULL AND delivered_at IS NULL AND zone_id = ANY(CAST(:zone_ids AS uuid[]))
""")
# What is under way in hands that it is not rescued from: found by what is under way, or by who may have it.
NOT_RESCUED = f"""
    SELECT DISTINCT holder_id FROM (
        SELECT load_unit_id, taker_id AS holder_id, leg AS since FROM hand_overs WHERE NOT EXISTS (
            SELECT FROM hand_overs AS later
            WHERE later.load_unit_id = hand_overs.load_unit_id
              AND (later.leg, later.reckoned_at, later.hand_over_id)
                > (hand_overs.leg, hand_overs.reckoned_at, hand_overs.hand_over_id)
        )
        UNION ALL
        SELECT load_unit_id, split_by, 2 FROM load_units JOIN loads USING (load_id)
        WHERE split_at IS NOT NULL AND portion_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM hand_overs WHERE hand_overs.load_unit_id = load_units.load_unit_id
        )
    ) AS held JOIN crew ON person_id = holder_id
    JOIN load_units USING (load_unit_id) JOIN loads USING (load_id)
    WHERE touched_at IS NOT NULL AND loads.delivered_at IS NULL AND since < 3
      AND (split_at IS NULL OR portion_id IS NOT NULL AND lines <> '[]')
      AND NOT EXISTS (
          SELECT FROM portions WHERE portions.portion_id = load_units.portion_id AND delivered_at IS NOT NULL
      )
      AND NOT EXISTS ({FROM_THOSE_HANDS})
"""  # noqa: S608 - the condition is ours
LIST_SUSPENDED = text(f"{NOT_RESCUED} AND is_suspended")
# Stewards who have goods at a gate where no duty of theirs lasts.
LIST_OFF_DUTY = text(f"""{NOT_RESCUED}
      AND since = 2 AND crew.role = 'steward' AND NOT EXISTS (
          SELECT FROM duties WHERE duties.person_id = held.holder_id
            AND starts_at <= :now AND ends_at > :now AND duties.community_id = loads.community_id
      )
""")
# What a late log puts on a vehicle that is lost: it is the one whose seat its driver took last before that.
FIND_LOST = text(f"""
    SELECT held.load_unit_id, load_units.load_id, holder_id, held.leg
    FROM vehicles JOIN trips USING (vehicle_id) JOIN trip_seats USING (trip_id)
    JOIN trip_loads USING (trip_id) JOIN loads USING (load_id) JOIN load_units USING (load_id)
    CROSS JOIN LATERAL (
        SELECT load_unit_id, leg, taker_id AS holder_id, reckoned_at, rescue_id FROM hand_overs
        WHERE hand_overs.load_unit_id = load_units.load_unit_id
        ORDER BY leg DESC, reckoned_at DESC, hand_over_id DESC LIMIT 1
    ) AS held
    WHERE lost_at IS NOT NULL AND status IN ('released', 'stranded') AND left_at >= lost_at
      AND delivered_at IS NULL AND split_at IS NULL AND held.leg = 1 AND holder_id = trip_seats.driver_id
      AND NOT EXISTS (
          SELECT FROM trip_seats AS later JOIN trip_loads AS carried USING (trip_id)
          WHERE carried.load_id = loads.load_id AND later.driver_id = holder_id
            AND later.seated_at > trip_seats.seated_at AND later.seated_at <= reckoned_at
      )
      AND NOT EXISTS (
          SELECT FROM rescues WHERE rescues.rescue_id = held.rescue_id
            AND rescues.vehicle_id = vehicles.vehicle_id
      )
      AND NOT EXISTS ({FROM_THOSE_HANDS})
""")  # noqa: S608 - the condition is ours


async def find_in_hand(session: AsyncSession, person_ids: Iterable[UUID]) -> dict[InHand, UUID]:
    """Return the units that these people have in hand, each with the community it is for."""
    rows = await session.execute(FIND_IN_HAND, {"person_ids": sorted(set(person_ids))})
    return {_in_hand(row): row.community_id for row in rows}


async def find_by_word(session: AsyncSession, aboard: Iterable[tuple[UUID, UUID]]) -> set[InHand]:
    """Return the units of these loads that are with these drivers by the drivers' word alone."""
    wanted = sorted(set(aboard))
    given = {"load_ids": [load for load, _ in wanted], "holder_ids": [holder for _, holder in wanted]}
    return {_in_hand(row) for row in await session.execute(FIND_BY_WORD, given)}


async def find_stranded(session: AsyncSession, held: Iterable[InHand]) -> list[StrandedUnit]:
    """Return those of the units that are not rescued from these hands already, with all that places them."""
    wanted = sorted(held)
    given = {
        "load_unit_ids": [each.load_unit_id for each in wanted],
        "load_ids": [each.load_id for each in wanted],
        "holder_ids": [each.holder_id for each in wanted],
        "legs": [int(each.leg) for each in wanted],
    }
    return [_stranded(row) for row in await session.execute(FIND_STRANDED, given)]


async def find_outside(session: AsyncSession, person_ids: Iterable[UUID], now: datetime) -> set[UUID]:
    """Return those of these people who have open work in a zone of a class that they are not cleared for."""
    people = sorted(set(person_ids))
    held = sorted({(each.load_id, each.holder_id) for each in await find_in_hand(session, people)})
    given = {
        "person_ids": people,
        "load_ids": [load_id for load_id, _ in held],
        "holder_ids": [holder_id for _, holder_id in held],
        "now": now,
    }
    return set((await session.execute(FIND_OUTSIDE, given)).scalars())


async def list_at_work(session: AsyncSession, zone_ids: Iterable[UUID]) -> set[UUID]:
    """Return everybody who has open work in zones, and perhaps some who had."""
    return set((await session.execute(LIST_AT_WORK, {"zone_ids": sorted(set(zone_ids))})).scalars())


async def list_suspended(session: AsyncSession) -> set[UUID]:
    """Return the suspended people who have something that is not rescued from their hands."""
    return set((await session.execute(LIST_SUSPENDED)).scalars())


async def list_off_duty(session: AsyncSession, now: datetime) -> set[UUID]:
    """Return the stewards who have such a thing at a gate where no duty of theirs lasts."""
    return set((await session.execute(LIST_OFF_DUTY, {"now": now})).scalars())


async def find_lost(session: AsyncSession) -> set[InHand]:
    """Return the units that are on lost vehicles, and not rescued from their drivers' hands."""
    return {_in_hand(row) for row in await session.execute(FIND_LOST)}


def _in_hand(row: Row[Any]) -> InHand:
    return InHand(row.load_unit_id, row.load_id, row.holder_id, Leg(row.leg))


def _stranded(row: Row[Any]) -> StrandedUnit:
    return StrandedUnit(
        load_unit_id=row.load_unit_id,
        load_id=row.load_id,
        holder_id=row.holder_id,
        leg=Leg(row.leg),
        incident_id=row.incident_id,
        zone_id=row.zone_id,
        community_id=row.community_id,
        vehicle_id=row.vehicle_id,
        seen=_point(row.seen_lat, row.seen_lon),
        seen_at=row.seen_at,
        usual=_point(row.usual_lat, row.usual_lon),
    )


def _point(lat: float | None, lon: float | None) -> Point | None:
    return Point(lat=lat, lon=lon) if lat is not None and lon is not None else None
