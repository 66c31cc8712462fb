"""I3, I4, I7: nothing is sold twice, nothing above its cap, and everything ends in time."""

from tests.chaos.books import Books

# What is late by more than this has no end (promise P6); a moment of the clock's own is none.
GRACE = "interval '60 seconds'"

BELOW_ZERO = "SELECT offer_id, on_hand, reserved FROM stock WHERE on_hand < 0 OR reserved > on_hand"
UNBALANCED = """
    SELECT stock.offer_id, stock.on_hand, coalesce(sum(delta), 0) AS booked
    FROM stock LEFT JOIN stock_ledger USING (offer_id) GROUP BY stock.offer_id
    HAVING stock.on_hand <> coalesce(sum(delta), 0)
"""
UNPROMISED = """
    SELECT stock.offer_id, reserved, coalesce(sum(held + committed), 0) AS promised
    FROM stock LEFT JOIN holds USING (offer_id) GROUP BY stock.offer_id
    HAVING reserved <> coalesce(sum(held + committed), 0)
"""
ABOVE_CAP = "SELECT offer_id, price_fen, cap_fen FROM offers WHERE NOT is_blocked AND price_fen > cap_fen"
CHARGED = """
    SELECT order_id, (line ->> 'offer_id')::uuid AS offer_id, (line ->> 'price_fen')::int AS price_fen
    FROM orders CROSS JOIN jsonb_array_elements(given) AS line
"""
CAPS = "SELECT offer_id, cap_fen FROM offers WHERE cap_fen IS NOT NULL"

LATE = {
    "orders": f"""
        SELECT 'order ' || order_id AS what FROM orders
        WHERE status = 'placed' AND decide_by < now() - {GRACE}
        UNION ALL
        SELECT 'group ' || group_id FROM group_orders WHERE status = 'locked' AND decide_by < now() - {GRACE}
        UNION ALL
        SELECT 'group ' || group_id FROM group_orders WHERE status = 'open' AND cut_off_at < now() - {GRACE}
        UNION ALL
        SELECT 'slot ' || slot_id FROM slots JOIN zones USING (zone_id)
        WHERE zones.status = 'open' AND told_at IS NULL AND cut_off_at < now() - {GRACE}
          AND NOT EXISTS (SELECT FROM orders WHERE orders.slot_id = slots.slot_id
                          AND (orders.status = 'placed' OR decided_at > now() - {GRACE}))
    """,
    "catalog": f"""
        SELECT 'reservation ' || reservation_id AS what FROM reservations
        WHERE status = 'waiting' AND deadline_at < now() - {GRACE}
           OR status = 'held' AND limit_at < now() - {GRACE}
    """,
    "dispatch": f"""
        SELECT 'plan ' || plan_id AS what FROM plans
        WHERE status = 'solving' AND lease_until < now() - {GRACE}
           OR status = 'requested' AND requested_at < now() - {GRACE} - interval '60 seconds'
    """,
}  # fmt: skip
OPEN = """
    SELECT reservation_id, status FROM reservations WHERE status IN ('waiting', 'held')
"""
BOTH = """
    SELECT reservation_id, offer_id, committed + handed_over AS given, released FROM holds JOIN reservations
    USING (reservation_id) WHERE NOT is_group AND committed + handed_over > 0 AND released > 0
"""
STATES = "SELECT reservation_id, status FROM reservations WHERE NOT is_group"
DECIDED = "SELECT order_id, status FROM orders WHERE group_id IS NULL"
GOES_WITH = {
    "confirmed": {"committed", "handed_over"}, "fulfilled": {"handed_over", "committed"},
    "lost": {"handed_over", "committed"},
    # Refused by the clock before catalog ever heard of it, or taken back so early: then there is none.
    "refused": {"refused", "released", None}, "cancelled": {"refused", "released", None},
}  # fmt: skip


async def find_oversold(books: Books) -> list[str]:
    """I3: nothing below zero, nothing promised that is not there; the ledger and the holds add up."""
    return [
        f"{words}: {dict(row)}"
        for words, question in (
            ("below zero or oversold", BELOW_ZERO),
            ("the ledger says otherwise", UNBALANCED),
            ("the holds say otherwise", UNPROMISED),
        )
        for row in await books.rows("catalog", question)
    ]


async def find_above_cap(books: Books) -> list[str]:
    """I4: no price on sale, and no line of an order, above its cap."""
    found = [f"on sale above its cap: {dict(row)}" for row in await books.rows("catalog", ABOVE_CAP)]
    caps = {row["offer_id"]: row["cap_fen"] for row in await books.rows("catalog", CAPS)}
    return found + [
        f"charged above its cap {caps[row['offer_id']]}: {dict(row)}"
        for row in await books.rows("orders", CHARGED)
        if row["price_fen"] > caps.get(row["offer_id"], row["price_fen"])
    ]


async def find_late(books: Books) -> list[str]:
    """I7, at any moment: nothing is past its deadline by a minute and has no end."""
    return [
        f"past its deadline: {row['what']}"
        for service, question in LATE.items()
        for row in await books.rows(service, question)
    ]


async def find_endless(books: Books) -> list[str]:
    """I7, at the end: every hold is confirmed or released, never both, and as its order says."""
    found = await find_late(books)
    found += [f"without an end: {dict(row)}" for row in await books.rows("catalog", OPEN)]
    found += [f"given and released: {dict(row)}" for row in await books.rows("catalog", BOTH)]
    states = {row["reservation_id"]: row["status"] for row in await books.rows("catalog", STATES)}
    return found + [
        f"order {row['order_id']} is {row['status']}, its goods are {states.get(row['order_id'])}"
        for row in await books.rows("orders", DECIDED)
        if states.get(row["order_id"]) not in GOES_WITH.get(row["status"], {states.get(row["order_id"])})
    ]
