"""Every statement about shelves and their ledger; shelves are locked in the order of their ids."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.catalog.stock.counts.domain import Change, Entry, Shelf

# Sorted below the lock, so that shelves are locked in that order.
LOCK = text("""
    SELECT plu, stock.* FROM stock JOIN offers USING (offer_id)
    WHERE outlet_id = :outlet_id AND plu = ANY(CAST(:plus AS text[]))
    ORDER BY offer_id FOR NO KEY UPDATE OF stock
""")
MOVEMENTS = text("""
    SELECT offer_id, observed_at, delta FROM stock_ledger
    WHERE offer_id = ANY(CAST(:offer_ids AS uuid[])) AND observed_at > :since AND kind <> 'count'
""")
REFERENCES = text("""
    SELECT offer_id, kind, reference FROM stock_ledger
    WHERE offer_id = ANY(CAST(:offer_ids AS uuid[])) AND reference = ANY(CAST(:references AS text[]))
""")
WRITE_LEDGER = text("""
    INSERT INTO stock_ledger (offer_id, kind, delta, on_hand, observed_at, reason, reference, recorded_at)
    SELECT offer_id, kind, delta, on_hand, observed_at, reason, reference, :now
    FROM unnest(
        CAST(:offer_id AS uuid[]), CAST(:kind AS text[]), CAST(:delta AS integer[]),
        CAST(:on_hand AS integer[]), CAST(:observed_at AS timestamptz[]), CAST(:reason AS text[]),
        CAST(:reference AS text[])
    ) WITH ORDINALITY
      AS row (offer_id, kind, delta, on_hand, observed_at, reason, reference, place)
    ORDER BY place
""")
WRITE_SHELVES = text("""
    UPDATE stock SET on_hand = row.on_hand, counted_at = row.counted_at
    FROM unnest(
        CAST(:offer_ids AS uuid[]), CAST(:on_hands AS integer[]), CAST(:counted_ats AS timestamptz[])
    ) AS row (offer_id, on_hand, counted_at)
    WHERE stock.offer_id = row.offer_id
""")


async def lock_shelves(
    session: AsyncSession, outlet_id: UUID, changes: Sequence[Change]
) -> Mapping[str, Shelf]:
    """Lock the shelves that an outlet's changes are about, each with what may bear on them."""
    plus = sorted({change.plu for change in changes})
    rows = await session.execute(LOCK, {"outlet_id": outlet_id, "plus": plus})
    shelves = {
        row.plu: Shelf(
            offer_id=row.offer_id,
            on_hand=row.on_hand,
            reserved=row.reserved,
            counted_at=row.counted_at,
        )
        for row in rows
    }
    by_id = {shelf.offer_id: shelf for shelf in shelves.values()}
    since = min(change.observed_at for change in changes)
    for row in await session.execute(MOVEMENTS, {"offer_ids": list(by_id), "since": since}):
        by_id[row.offer_id].movements.append((row.observed_at, row.delta))
    references = [change.reference for change in changes if change.reference]
    for row in await session.execute(REFERENCES, {"offer_ids": list(by_id), "references": references}):
        by_id[row.offer_id].references.add((row.kind, row.reference))
    return shelves


async def write(
    session: AsyncSession, entries: Sequence[Entry], shelves: Sequence[Shelf], *, now: datetime
) -> None:
    """Add to the ledger, and write the shelves that are locked."""
    await add_entries(session, entries, now=now)
    await session.execute(
        WRITE_SHELVES,
        {
            "offer_ids": [shelf.offer_id for shelf in shelves],
            "on_hands": [shelf.on_hand for shelf in shelves],
            "counted_ats": [shelf.counted_at for shelf in shelves],
        },
    )


async def add_entries(session: AsyncSession, entries: Sequence[Entry], *, now: datetime) -> None:
    """Add to the ledger."""
    if entries:
        columns = {name: [getattr(entry, name) for entry in entries] for name in Entry.__slots__}
        await session.execute(WRITE_LEDGER, {**columns, "now": now})
