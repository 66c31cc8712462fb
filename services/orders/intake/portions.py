"""Reads and writes of portions: which reached their doors, of which nothing was left, which were the last."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.contracts.dispatch import PortionDelivered, PortionShortened
from services.orders.intake.life import Order

EXPECT = text("""
    INSERT INTO fulfilments (order_id, expected)
    SELECT * FROM unnest(CAST(:order_ids AS uuid[]), CAST(:expected AS integer[])) AS row (order_id, expected)
    ORDER BY order_id
    ON CONFLICT (order_id) DO UPDATE SET expected = excluded.expected
""")
# What is known to be empty came to no door.
RECORD_DELIVERED = text("""
    WITH recorded AS (
        INSERT INTO portions (portion_id, order_id, delivered_at, recorded_at)
        SELECT portion_id, order_id, delivered_at, :now
        FROM unnest(
            CAST(:portion_ids AS uuid[]), CAST(:order_ids AS uuid[]), CAST(:moments AS timestamptz[])
        ) AS row (portion_id, order_id, delivered_at)
        WHERE NOT EXISTS (SELECT FROM short_portions AS short
                          WHERE short.portion_id = row.portion_id AND is_empty)
        ORDER BY portion_id ON CONFLICT DO NOTHING RETURNING order_id
    )
    INSERT INTO fulfilments AS fulfilment (order_id, delivered)
    SELECT order_id, count(*) FROM recorded GROUP BY order_id ORDER BY order_id
    ON CONFLICT (order_id) DO UPDATE SET delivered = fulfilment.delivered + excluded.delivered
    RETURNING order_id, coalesce(delivered + lost >= expected, false) AS is_settled
""")
# An empty portion has nothing, whatever was said of its door before.
RECORD_SHORTENED = text("""
    WITH recorded AS (
        INSERT INTO short_portions (portion_id, order_id, is_empty, found_at, recorded_at)
        SELECT portion_id, order_id, is_empty, found_at, :now
        FROM unnest(
            CAST(:portion_ids AS uuid[]), CAST(:order_ids AS uuid[]), CAST(:empty AS boolean[]),
            CAST(:moments AS timestamptz[])
        ) AS row (portion_id, order_id, is_empty, found_at)
        ORDER BY portion_id ON CONFLICT DO NOTHING RETURNING portion_id, order_id, is_empty
    ), undone AS (
        DELETE FROM portions USING recorded
        WHERE portions.portion_id = recorded.portion_id AND is_empty RETURNING portions.order_id
    ), counted AS (
        INSERT INTO fulfilments AS fulfilment (order_id, lost)
        SELECT order_id, count(*) FROM recorded WHERE is_empty GROUP BY order_id ORDER BY order_id
        ON CONFLICT (order_id) DO UPDATE SET
            delivered = fulfilment.delivered
                - (SELECT count(*) FROM undone WHERE undone.order_id = excluded.order_id),
            lost = fulfilment.lost + excluded.lost
        RETURNING order_id, delivered, delivered + lost >= expected AS is_settled
    )
    SELECT portion_id, order_id, coalesce(is_settled, false) AS is_settled, delivered
    FROM recorded LEFT JOIN counted USING (order_id)
""")


@dataclass(frozen=True, slots=True)
class Recorded:
    """Which portions are known to be short only now, and which orders they settle: with goods, or none."""

    portion_ids: frozenset[UUID]
    fulfilled: frozenset[UUID]
    lost: frozenset[UUID]


async def expect(session: AsyncSession, orders: Sequence[Order]) -> None:
    """Let confirmed orders know how many portions they have."""
    rows = {
        "order_ids": [order.order_id for order in orders], "expected": [order.portions for order in orders],
    }  # fmt: skip
    await session.execute(EXPECT, rows)


async def record_delivered(
    session: AsyncSession, delivered: Sequence[PortionDelivered], now: datetime
) -> list[UUID]:
    """Record portions at their doors once each; return the orders of which now all are settled."""
    given = {
        "now": now,
        "portion_ids": [each.portion_id for each in delivered],
        "order_ids": [each.order_id for each in delivered],
        "moments": [each.delivered_at for each in delivered],
    }
    return [row.order_id for row in await session.execute(RECORD_DELIVERED, given) if row.is_settled]


async def record_shortened(
    session: AsyncSession, shortened: Sequence[PortionShortened], now: datetime
) -> Recorded:
    """Record short portions once each; an empty one came to no door, and counts as settled all the same."""
    given = {
        "now": now,
        "portion_ids": [each.portion_id for each in shortened],
        "order_ids": [each.order_id for each in shortened],
        "empty": [each.is_empty for each in shortened],
        "moments": [each.found_at for each in shortened],
    }
    rows = (await session.execute(RECORD_SHORTENED, given)).all()
    return Recorded(
        portion_ids=frozenset(row.portion_id for row in rows),
        fulfilled=frozenset(row.order_id for row in rows if row.is_settled and row.delivered),
        lost=frozenset(row.order_id for row in rows if row.is_settled and not row.delivered),
    )
