"""Every statement about reservations and their holds; what is locked is locked in key order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession

from services.catalog.stock.holds.moves import Hold, Move
from services.kit import arrays

POLICY = text("""
    SELECT waiting_seconds, hold_seconds FROM hold_policies
    WHERE valid_from <= :now ORDER BY valid_from DESC LIMIT 1
""")
# What can be decided at once is written as refused and lifted to held by its decision, which is in the same
# transaction; an order that was taken back before it came is not written at all.
INSERT = text("""
    INSERT INTO reservations (
        reservation_id, status, is_group, zone_id, incident_id, households, slot_id, asked_by, wanted,
        sequence, deadline_at
    )
    SELECT reservation_id, CASE WHEN wanted IS NULL THEN 'refused' ELSE 'waiting' END, :is_group, zone_id,
           incident_id, households, slot_id, asked_by, wanted::jsonb,
           CASE WHEN wanted IS NULL THEN 1 ELSE 0 END, :deadline_at
    FROM unnest(
        (:reservation_id)::text::uuid[], (:zone_id)::text::uuid[], (:incident_id)::text::uuid[],
        (:households)::text::integer[], (:slot_id)::text::uuid[], (:asked_by)::text::uuid[],
        CAST(:wanted AS text[])
    ) WITH ORDINALITY
      AS row (reservation_id, zone_id, incident_id, households, slot_id, asked_by, wanted, place)
    WHERE NOT EXISTS (
        SELECT 1 FROM order_words WHERE order_id = row.reservation_id AND word = 'released'
    )
    ORDER BY row.place
    ON CONFLICT DO NOTHING
    RETURNING reservation_id
""")
CLAIM_WAITING = text("""
    SELECT * FROM reservations
    WHERE status = 'waiting' AND (deadline_at <= :now OR (
        EXISTS (SELECT FROM slots WHERE slots.slot_id = reservations.slot_id)
        AND EXISTS (
            SELECT FROM assignments
            WHERE assignments.zone_id = reservations.zone_id AND assignments.status = 'accepted'
        )
    ))
    ORDER BY place LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
""")
DECIDE = text("""
    UPDATE reservations SET status = 'refused', sequence = 1, wanted = NULL
    WHERE reservation_id = ANY(CAST(:ids AS uuid[]))
""")
HOLD = text("""
    UPDATE reservations SET status = 'held', limit_at = :limit_at, day = row.day
    FROM unnest((:ids)::text::uuid[], (:days)::text::date[]) AS row (reservation_id, day)
    WHERE reservations.reservation_id = row.reservation_id
""")
CHARGE_GROUPS = text("""
    INSERT INTO group_picking (reservation_id, outlet_id, orders)
    SELECT reservation_id, outlet_id, orders
    FROM unnest(CAST(:ids AS uuid[]), CAST(:outlet_ids AS uuid[]), CAST(:orders AS integer[]))
         AS row (reservation_id, outlet_id, orders)
""")
INSERT_HOLDS = text("""
    INSERT INTO holds (reservation_id, offer_id, outlet_id, quantity, held)
    SELECT reservation_id, offer_id, outlet_id, quantity, quantity
    FROM unnest(
        (:reservation_ids)::text::uuid[], (:offer_ids)::text::uuid[], (:outlet_ids)::text::uuid[],
        (:quantities)::text::integer[]
    ) AS row (reservation_id, offer_id, outlet_id, quantity)
""")
LOCK = text("""
    SELECT * FROM reservations WHERE reservation_id = ANY(CAST(:ids AS uuid[]))
    ORDER BY reservation_id FOR NO KEY UPDATE
""")
HOLDS = text("""
    SELECT reservation_id, offer_id, outlet_id, held, committed FROM holds
    WHERE reservation_id = ANY(CAST(:ids AS uuid[])) ORDER BY reservation_id, offer_id
""")
MOVE = text("""
    UPDATE holds SET held = holds.held + row.held, committed = holds.committed + row.committed,
                     handed_over = holds.handed_over + row.handed_over,
                     released = holds.released + row.released
    FROM unnest(
        CAST(:reservation_id AS uuid[]), CAST(:offer_id AS uuid[]), CAST(:held AS integer[]),
        CAST(:committed AS integer[]), CAST(:handed_over AS integer[]), CAST(:released AS integer[])
    ) AS row (reservation_id, offer_id, held, committed, handed_over, released)
    WHERE (holds.reservation_id, holds.offer_id) = (row.reservation_id, row.offer_id)
""")
# A reservation stands where its least settled unit stands.
SETTLE = text("""
    UPDATE reservations SET status = now_at.status
    FROM (
        SELECT reservation_id, reservations.status AS before,
               CASE WHEN sum(held) > 0 THEN 'held' WHEN sum(committed) > 0 THEN 'committed'
                    WHEN sum(handed_over) > 0 THEN 'handed_over' ELSE 'released' END AS status
        FROM holds JOIN reservations USING (reservation_id)
        WHERE reservation_id = ANY(CAST(:ids AS uuid[])) GROUP BY reservation_id, reservations.status
    ) AS now_at
    WHERE reservations.reservation_id = now_at.reservation_id
    RETURNING reservations.reservation_id,
              is_group AND before = 'held' AND reservations.status <> 'held' AS is_shared_out
""")
RELEASE_WAITING = text("""
    UPDATE reservations SET status = 'released', wanted = NULL
    WHERE reservation_id = ANY(CAST(:ids AS uuid[])) AND status = 'waiting'
""")
ASK = text("""
    UPDATE reservations SET sequence = sequence + 1, limit_at = :next_limit_at
    WHERE reservation_id IN (
        SELECT reservation_id FROM reservations WHERE status = 'held' AND limit_at <= :now
        ORDER BY limit_at LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
    )
    RETURNING reservation_id, sequence
""")
SUM_HOLDS = text("""
    SELECT coalesce(sum(held), 0) AS held, coalesce(sum(committed), 0) AS committed,
           coalesce(sum(handed_over), 0) AS handed_over, coalesce(sum(released), 0) AS released
    FROM holds JOIN reservations USING (reservation_id) WHERE incident_id = :incident_id
""")


class ReservationMissing(Exception):
    """Orders speaks of goods of a reservation that was never made; a person has to look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How long a request may wait for its zone's supply, and a hold for orders' word."""

    waiting: timedelta
    hold: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReservation:
    """A reservation as it comes; `wanted` (JSON) is given where it has to wait."""

    reservation_id: UUID
    zone_id: UUID
    incident_id: UUID
    households: int
    slot_id: UUID
    asked_by: UUID
    wanted: str | None


async def get_policy(session: AsyncSession, now: datetime) -> Policy:
    """Return the policy that is in force."""
    row = (await session.execute(POLICY, {"now": now})).one()
    return Policy(waiting=timedelta(seconds=row.waiting_seconds), hold=timedelta(seconds=row.hold_seconds))


async def insert(
    session: AsyncSession,
    new: Sequence[NewReservation],
    *,
    is_group: bool,
    deadline_at: datetime,
) -> set[UUID]:
    """Write reservations in the order given; return those that were not known and not taken back before."""
    columns: dict[str, Any] = {
        name: arrays.literal([getattr(one, name) for one in new])
        for name in NewReservation.__slots__
        if name != "wanted"
    }
    columns["wanted"] = [one.wanted for one in new]
    rows = await session.execute(INSERT, {**columns, "is_group": is_group, "deadline_at": deadline_at})
    return set(rows.scalars())


async def claim_waiting(session: AsyncSession, *, now: datetime, limit: int) -> Sequence[RowMapping]:
    """Claim what waits and can be decided now, the oldest first, and write it as decided."""
    rows = (await session.execute(CLAIM_WAITING, {"now": now, "limit": limit})).mappings().all()
    if rows:
        await session.execute(DECIDE, {"ids": [row["reservation_id"] for row in rows]})
    return rows


async def hold(
    session: AsyncSession,
    held: Mapping[UUID, Sequence[tuple[UUID, UUID, int]]],
    *,
    days: Mapping[UUID, date | None],
    limit_at: datetime,
) -> None:
    """Write what reservations hold: for each the offers, their outlets and the units; and its day."""
    if not held:
        return
    rows = [(reservation_id, *one) for reservation_id, given in held.items() for one in given]
    asked = {
        "ids": arrays.literal(list(held)),
        "days": arrays.literal([days[one] for one in held]),
        "limit_at": limit_at,
    }
    await session.execute(HOLD, asked)
    await session.execute(
        INSERT_HOLDS,
        {
            "reservation_ids": arrays.literal([row[0] for row in rows]),
            "offer_ids": arrays.literal([row[1] for row in rows]),
            "outlet_ids": arrays.literal([row[2] for row in rows]),
            "quantities": arrays.literal([row[3] for row in rows]),
        },
    )


async def charge_groups(session: AsyncSession, charged: Sequence[tuple[UUID, UUID, int]]) -> None:
    """Keep for how many households each outlet is to pick for each group."""
    if charged:
        await session.execute(
            CHARGE_GROUPS,
            {
                "ids": [reservation_id for reservation_id, _, _ in charged],
                "outlet_ids": [outlet_id for _, outlet_id, _ in charged],
                "orders": [orders for _, _, orders in charged],
            },
        )


async def lock(session: AsyncSession, reservation_ids: Iterable[UUID]) -> dict[UUID, RowMapping]:
    """Lock reservations; whoever moves a hold has its reservation's lock."""
    rows = await session.execute(LOCK, {"ids": sorted(set(reservation_ids))})
    return {row["reservation_id"]: row for row in rows.mappings()}


async def find_holds(session: AsyncSession, reservation_ids: Iterable[UUID]) -> list[Hold]:
    """Return what reservations that are locked have."""
    rows = await session.execute(HOLDS, {"ids": sorted(set(reservation_ids))})
    return [Hold(**row) for row in rows.mappings()]


async def move(session: AsyncSession, moves: Sequence[Move]) -> set[UUID]:
    """Move units of holds whose reservations are locked; raise `ReservationMissing` where one has none.

    Returns the groups of which now every unit is a household's, or is given back.
    """
    if not moves:
        return set()
    columns: dict[str, Any] = {name: [getattr(one, name) for one in moves] for name in Move.__slots__}
    done = await session.execute(MOVE, columns)
    if getattr(done, "rowcount", -1) != len(moves):
        raise ReservationMissing
    settled = await session.execute(SETTLE, {"ids": sorted({one.reservation_id for one in moves})})
    return {row.reservation_id for row in settled if row.is_shared_out}


async def release_waiting(session: AsyncSession, reservation_ids: Iterable[UUID]) -> None:
    """End what waits; nothing was held, and nobody is told."""
    await session.execute(RELEASE_WAITING, {"ids": list(reservation_ids)})


async def ask_again(
    session: AsyncSession, *, now: datetime, next_limit_at: datetime, limit: int
) -> list[tuple[UUID, int]]:
    """Claim holds past their limit; return each reservation with its next sequence."""
    rows = await session.execute(ASK, {"now": now, "next_limit_at": next_limit_at, "limit": limit})
    return [(row.reservation_id, row.sequence) for row in rows]


async def sum_holds(session: AsyncSession, incident_id: UUID) -> dict[str, int]:
    """Return the units of an incident that are held, committed, handed over and released."""
    row = (await session.execute(SUM_HOLDS, {"incident_id": incident_id})).mappings().one()
    return {state: int(units) for state, units in row.items()}
