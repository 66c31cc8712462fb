"""What orders has said of each order, and the goods that it committed."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.catalog.stock.holds.domain import Place
from services.catalog.stock.holds.moves import Commitment, HandOver

# Whoever writes a word waits for another who writes the same order's: so neither a hand-over nor the
# confirmation that it was faster than is lost between two transactions.
SAY = text("""
    INSERT INTO order_words (order_id, word, reservation_id)
    SELECT order_id, :word, reservation_id
    FROM unnest(CAST(:order_ids AS uuid[]), CAST(:reservation_ids AS uuid[]))
         AS row (order_id, reservation_id)
    ORDER BY order_id
    ON CONFLICT (order_id) DO UPDATE SET word = excluded.word, reservation_id = excluded.reservation_id
    WHERE order_words.word = ANY(CAST(:over AS text[]))
    RETURNING order_id
""")
MEET = text("""
    INSERT INTO order_words (order_id, word)
    SELECT order_id, 'unknown' FROM unnest(CAST(:order_ids AS uuid[])) AS row (order_id)
    ORDER BY order_id ON CONFLICT DO NOTHING
""")
FIND = text("""
    SELECT order_id, reservation_id FROM order_words
    WHERE order_id = ANY(CAST(:order_ids AS uuid[])) AND word <> 'unknown'
""")
COMMIT = text("""
    INSERT INTO commitments (order_id, offer_id, outlet_id, quantity, status)
    SELECT order_id, offer_id, outlet_id, quantity, :status
    FROM unnest(
        CAST(:order_ids AS uuid[]), CAST(:offer_ids AS uuid[]), CAST(:outlet_ids AS uuid[]),
        CAST(:quantities AS integer[])
    ) AS row (order_id, offer_id, outlet_id, quantity)
""")
COMMITMENTS = text("""
    SELECT order_id, reservation_id, offer_id, outlet_id, quantity, status
    FROM commitments JOIN order_words USING (order_id)
    WHERE order_id = ANY(CAST(:order_ids AS uuid[])) ORDER BY order_id, offer_id
""")
# A group is picked for by what it was charged, until all of its households have theirs: those are counted.
FIND_UNPICKED = text("""
    SELECT zone_id, charged.outlet_id, day, charged.orders - count(DISTINCT commitments.order_id) AS orders
    FROM reservations JOIN group_picking AS charged USING (reservation_id)
    LEFT JOIN order_words ON order_words.reservation_id = reservations.reservation_id
                         AND order_words.reservation_id <> order_words.order_id
    LEFT JOIN commitments ON commitments.order_id = order_words.order_id
                         AND commitments.outlet_id = charged.outlet_id AND commitments.status <> 'released'
    WHERE reservations.reservation_id = ANY(CAST(:ids AS uuid[]))
    GROUP BY zone_id, charged.outlet_id, day, charged.orders, reservations.reservation_id
""")
SETTLE = text("""
    UPDATE commitments SET status = :status
    FROM unnest(CAST(:order_ids AS uuid[]), CAST(:offer_ids AS uuid[])) AS row (order_id, offer_id)
    WHERE (commitments.order_id, commitments.offer_id) = (row.order_id, row.offer_id)
""")
KEEP_EARLY = text("""
    INSERT INTO early_hand_overs (order_id, outlet_id, load_id, occurred_at)
    SELECT * FROM unnest(
        CAST(:order_ids AS uuid[]), CAST(:outlet_ids AS uuid[]), CAST(:load_ids AS uuid[]),
        CAST(:ats AS timestamptz[])
    )
    ON CONFLICT DO NOTHING
""")
TAKE_EARLY = text("""
    DELETE FROM early_hand_overs WHERE order_id = ANY(CAST(:order_ids AS uuid[]))
    RETURNING load_id, order_id, outlet_id, occurred_at
""")


async def confirm(session: AsyncSession, reservations: Mapping[UUID, UUID]) -> set[UUID]:
    """Write that orders are confirmed; return those of which that is news."""
    return await _say(session, reservations, word="confirmed", over=["unknown"])


async def release(session: AsyncSession, reservations: Mapping[UUID, UUID]) -> set[UUID]:
    """Write that orders ended without goods, also one that never came; return those of which it is news."""
    return await _say(session, reservations, word="released", over=["unknown", "confirmed"])


async def meet(session: AsyncSession, order_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Return the reservation of each order that orders has spoken of; the others are noted as heard of."""
    wanted = {"order_ids": sorted(set(order_ids))}
    await session.execute(MEET, wanted)
    return {row.order_id: row.reservation_id for row in await session.execute(FIND, wanted)}


async def commit(
    session: AsyncSession, goods: Sequence[tuple[UUID, UUID, UUID, int]], *, status: str = "committed"
) -> None:
    """Keep what orders have of their reservations: (order, offer, outlet, units)."""
    await session.execute(
        COMMIT,
        {
            "status": status,
            "order_ids": [one[0] for one in goods],
            "offer_ids": [one[1] for one in goods],
            "outlet_ids": [one[2] for one in goods],
            "quantities": [one[3] for one in goods],
        },
    )


async def find_commitments(session: AsyncSession, order_ids: Iterable[UUID]) -> list[Commitment]:
    """Return the goods of confirmed orders, whose reservations are locked."""
    rows = await session.execute(COMMITMENTS, {"order_ids": sorted(set(order_ids))})
    return [Commitment(**row) for row in rows.mappings()]


async def find_unpicked(session: AsyncSession, group_ids: Iterable[UUID]) -> Counter[Place]:
    """Return how what outlets pick changes by groups that are shared out: from the charge to the count."""
    orders: Counter[Place] = Counter()
    for row in await session.execute(FIND_UNPICKED, {"ids": sorted(group_ids)}):
        orders[row.zone_id, row.outlet_id, row.day] -= row.orders
    return orders


async def settle(session: AsyncSession, commitments: Sequence[Commitment], *, status: str) -> None:
    """Write what became of goods that were committed."""
    if commitments:
        await session.execute(
            SETTLE,
            {
                "order_ids": [one.order_id for one in commitments],
                "offer_ids": [one.offer_id for one in commitments],
                "status": status,
            },
        )


async def keep_early(session: AsyncSession, loads: Sequence[HandOver]) -> None:
    """Keep hand-overs of orders that are not confirmed yet, until they are."""
    if loads:
        await session.execute(
            KEEP_EARLY,
            {
                "order_ids": [load.order_id for load in loads],
                "outlet_ids": [load.outlet_id for load in loads],
                "load_ids": [load.load_id for load in loads],
                "ats": [load.occurred_at for load in loads],
            },
        )


async def take_early(session: AsyncSession, order_ids: Iterable[UUID]) -> list[HandOver]:
    """Return the hand-overs that waited for these orders' confirmation, and wait no longer."""
    rows = await session.execute(TAKE_EARLY, {"order_ids": sorted(set(order_ids))})
    return [HandOver(**row) for row in rows.mappings()]


async def _say(
    session: AsyncSession, reservations: Mapping[UUID, UUID], *, word: str, over: Sequence[str]
) -> set[UUID]:
    asked = {
        "word": word,
        "order_ids": list(reservations),
        "reservation_ids": list(reservations.values()),
        "over": list(over),
    }
    return set((await session.execute(SAY, asked)).scalars())
