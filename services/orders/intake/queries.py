"""Reading orders: one, a household's, and what an incident counts."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Row, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from services.kit.errors import NotFound
from services.orders.intake.tables import OrderRow

COUNT_BY_STATUS = text(
    "SELECT status, count(*) AS orders FROM orders WHERE incident_id = :incident_id GROUP BY status"
)
COUNT_REFUSALS = text("""
    SELECT code, count(*) AS orders FROM (
        SELECT DISTINCT order_id, refusal ->> 'code' AS code
        FROM orders CROSS JOIN LATERAL jsonb_array_elements(refusals) AS refusal
        WHERE incident_id = :incident_id
    ) AS reason GROUP BY code ORDER BY code
""")
LIST_UNDELIVERED = text("""
    SELECT order_id FROM orders WHERE incident_id = :incident_id AND status = 'confirmed' ORDER BY order_id
""")
LIST_SERVED = text("""
    SELECT DISTINCT household_id FROM orders WHERE incident_id = :incident_id AND status = 'fulfilled'
""")
# One question for all that are followed; what stands where it is known to stand costs no row. Whatever was
# lost of an order is told, and has a sequence.
LIST_MOVED = text("""
    SELECT orders.*, fulfilments.expected, coalesce(fulfilments.delivered, 0) AS delivered,
           coalesce(fulfilments.lost, 0) AS lost, here.position
    FROM unnest(CAST(:order_ids AS uuid[]), CAST(:positions AS text[])) AS known (order_id, position)
    JOIN orders USING (order_id) LEFT JOIN fulfilments USING (order_id)
    CROSS JOIN LATERAL (SELECT concat_ws(
        '.', orders.sequence, coalesce(fulfilments.delivered, 0),
        CAST(orders.is_delayed AND orders.status = 'placed' AS integer)
    )) AS here (position)
    WHERE here.position IS DISTINCT FROM known.position
""").columns(lines=JSON, given=JSON, refusals=JSON, shortages=JSON)


async def get_order(session: AsyncSession, order_id: UUID) -> OrderRow:
    """Return an order; raise `NotFound` where there is none."""
    found = await session.get(OrderRow, order_id)
    if found is None:
        raise NotFound("kit.not_found", "Nothing is found here")
    return found


async def list_orders(
    session: AsyncSession, household_id: UUID, *, after: UUID | None, limit: int
) -> Sequence[OrderRow]:
    """Return a page of a household's orders and one more."""
    wanted = select(OrderRow).where(OrderRow.household_id == household_id)
    if after:
        wanted = wanted.where(col(OrderRow.order_id) > after)
    return (await session.execute(wanted.order_by(col(OrderRow.order_id)).limit(limit + 1))).scalars().all()


async def list_moved(session: AsyncSession, known: Mapping[UUID, str | None]) -> Sequence[Row[Any]]:
    """Return those orders that are not at the position known, each with its position and its portions."""
    asked = {"order_ids": list(known), "positions": list(known.values())}
    return (await session.execute(LIST_MOVED, asked)).all()


async def count_by_status(session: AsyncSession, incident_id: UUID) -> Mapping[str, int]:
    """Return how many orders of an incident stand where."""
    found = await session.execute(COUNT_BY_STATUS, {"incident_id": incident_id})
    return {row.status: row.orders for row in found}


async def count_refusals(session: AsyncSession, incident_id: UUID) -> Mapping[str, int]:
    """Return how many orders of an incident lack something for each reason: whole orders and single lines."""
    found = await session.execute(COUNT_REFUSALS, {"incident_id": incident_id})
    return {row.code: row.orders for row in found}


async def list_undelivered(session: AsyncSession, incident_id: UUID) -> Sequence[UUID]:
    """Return the orders of an incident that were confirmed and have not reached their doors."""
    return (await session.execute(LIST_UNDELIVERED, {"incident_id": incident_id})).scalars().all()


async def list_served(session: AsyncSession, incident_id: UUID) -> Sequence[UUID]:
    """Return the households to whose doors an order of an incident has come."""
    return (await session.execute(LIST_SERVED, {"incident_id": incident_id})).scalars().all()
