"""I1, I2, I9: what clients were told is what is written, once, and in the same words."""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from tests.chaos.books import Books
from tests.chaos.journal import Ask, Journal, Outcome

ORDERS = "SELECT order_id, client, external_id, status FROM orders WHERE external_id IS NOT NULL"
UNDECIDED = "SELECT order_id FROM orders WHERE status = 'placed'"
KEYS = "SELECT principal, route, key, body FROM idempotency"
DELIVERIES = "SELECT reference FROM stock_ledger WHERE reference IS NOT NULL"
HOLDS = "SELECT reservation_id, offer_id, quantity FROM holds"
GIVEN = """
    SELECT coalesce(group_id, order_id) AS reservation_id, (line ->> 'offer_id')::uuid AS offer_id,
           sum((line ->> 'quantity')::int)::int AS quantity
    FROM orders CROSS JOIN jsonb_array_elements(given) AS line
    WHERE group_id IS NULL AND status IN ('confirmed', 'fulfilled', 'lost') GROUP BY 1, 2
"""


async def find_lost_or_invented(books: Books, journal: Journal) -> list[str]:
    """I1: every accepted order exists once and reached an end; every unknown resolved; a 4xx left no row."""
    rows = await books.rows("orders", ORDERS)
    written = {(row["client"], row["external_id"]): row for row in rows}
    found = [f"undecided: {row['order_id']}" for row in await books.rows("orders", UNDECIDED)]
    asked = {(ask.principal, ask.reference): ask for ask in journal.of("order")}
    for identity, ask in asked.items():
        row = written.get(identity)
        if ask.outcome is Outcome.OK and (row is None or str(row["order_id"]) != ask.accepted["order_id"]):
            found.append(f"accepted and not written: {ask.reference} {ask.accepted['order_id']}")
        if ask.outcome is Outcome.REFUSED and row is not None:
            found.append(f"refused and yet written: {ask.reference} {row['order_id']}")
    found += [f"written and never asked: {row['order_id']}" for identity, row in written.items()
              if asked and identity not in asked]  # fmt: skip
    found += [f"never resolved: {ask.kind} {ask.reference}" for ask in journal.asks
              if ask.outcome is Outcome.UNKNOWN]  # fmt: skip
    found += await _find_uncancelled(books, journal)
    return found + await _find_deliveries(books, journal)


async def find_doubles(books: Books, journal: Journal) -> list[str]:
    """I2: one order per (principal, key); one hold per (order, line), of what the order was given."""
    orders_of: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for ask in journal.of("order"):
        orders_of[ask.principal, ask.key] |= {json.loads(body)["order_id"] for body in ask.yeses}
    found = [
        f"several orders of one key: {key} {sorted(ids)}"
        for (_, key), ids in orders_of.items()
        if len(ids) > 1
    ]
    rows = await books.rows("orders", ORDERS)
    seen: set[tuple[str, str]] = set()
    for row in rows:
        identity = (row["client"], row["external_id"])
        found += [f"written twice: {row['external_id']} {row['order_id']}"] if identity in seen else []
        seen.add(identity)
    held = {
        (row["reservation_id"], row["offer_id"]): row["quantity"]
        for row in await books.rows("catalog", HOLDS)
    }
    given = await books.rows("orders", GIVEN)
    return found + [
        f"given and not held so: {row['reservation_id']} {row['offer_id']} {row['quantity']}"
        for row in given
        if held.get((row["reservation_id"], row["offer_id"])) != row["quantity"]
    ]


async def find_other_words(books: Books, journal: Journal) -> list[str]:
    """I9: replayed answers are byte-equal, and equal to what is kept; another body has no effect."""
    kept: dict[tuple[str, str, str], bytes] = {}
    for service in ("orders", "catalog"):
        rows = await books.rows(service, KEYS)
        kept |= {(row["principal"], row["route"], row["key"]): bytes(row["body"]) for row in rows}
    return [words for ask in journal.asks for words in _other_words(ask, kept)]


def _other_words(ask: Ask, kept: dict[tuple[str, str, str], bytes]) -> Iterator[str]:
    first = kept.get((ask.principal, ask.route, ask.key))
    if ask.outcome is Outcome.OK and {*ask.yeses} != {first}:
        yield f"answers differ: {ask.kind} {ask.reference} {[*ask.yeses, first]}"
    if ask.outcome is Outcome.REFUSED and first is not None:
        yield f"refused and yet kept: {ask.kind} {ask.reference}"
    for told in ask.abused:
        if told.outcome is Outcome.OK:
            yield f"another body was granted: {ask.kind} {ask.reference}"


async def _find_uncancelled(books: Books, journal: Journal) -> list[str]:
    status: dict[str, Any] = {
        str(row["order_id"]): row["status"] for row in await books.rows("orders", ORDERS)
    }
    return [
        f"taken back and yet {status.get(ask.reference)}: {ask.reference}"
        for ask in journal.of("cancel", Outcome.OK)
        if status.get(ask.reference) != "cancelled"
    ] + [
        f"cancelled though nobody was told so: {ask.reference}"
        for ask in journal.of("cancel", Outcome.REFUSED)
        if status.get(ask.reference) == "cancelled" and not _has_yes(journal, ask.reference)
    ]


def _has_yes(journal: Journal, order_id: str) -> bool:
    return any(ask.reference == order_id for ask in journal.of("cancel", Outcome.OK))


async def _find_deliveries(books: Books, journal: Journal) -> list[str]:
    references = [row["reference"] for row in await books.rows("catalog", DELIVERIES)]
    found = []
    for ask in journal.of("delivery"):
        times = references.count(ask.reference)
        if times != (ask.outcome is Outcome.OK):
            found.append(f"a delivery that was {ask.outcome} is booked {times} times: {ask.reference}")
    return found
